//! Who may work now: a lane per target with few slots, one kept for closing, and a breaker.
//!
//! Everything here is forgotten at a restart; nothing is lost by that, since plans are made from records.

use std::collections::{BTreeMap, BTreeSet};

use model::{AccountId, IntegrationId, Timestamp};

use crate::action::{Act, Ticket};
use crate::plan::{Class, Deed};
use crate::retry::{Breaker, CEILING};

/// Calls that one target gets at a time; one of them only for closing.
pub const SLOTS: u32 = 8;
/// Credentials that are made at a time for one target.
const MINTS: u32 = 16;

/// What is under way for an account.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub ticket: Ticket,
    pub integration: IntegrationId,
    pub class: Class,
    pub act: Act,
}

/// How the tries of an account's present deed went. Giving and taking away are not the same deed, whatever the
/// word: what cannot be given holds up nothing that is to be taken away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tries {
    pub class: Class,
    pub deed: Deed,
    pub count: u32,
    pub next: Timestamp,
}

impl Tries {
    /// Whether they are tries of this.
    pub(super) fn are_of(&self, class: Class, deed: Deed) -> bool {
        (self.class, self.deed) == (class, deed)
    }
}

/// One target's lane.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    pub calls: u32,
    pub mints: u32,
    /// What is due, the most urgent first, and then the longest due.
    pub ready: BTreeSet<(Class, Timestamp, AccountId)>,
    pub breaker: Breaker,
}

impl Lane {
    /// Returns true when an act of this class may begin now.
    pub(super) fn admits(&self, class: Class, deed: Deed, now: Timestamp) -> bool {
        if deed == Deed::Mint {
            return self.mints < MINTS;
        }
        let free = match class {
            Class::Closing => SLOTS,
            Class::Opening => SLOTS - 1,
            Class::Housekeeping => SLOTS / 2,
        };
        self.calls < free && self.breaker.allows(now)
    }
}

/// All lanes, and when each account is to be looked at again.
#[derive(Debug, Clone, Default)]
pub struct Lanes {
    pub(super) lanes: BTreeMap<IntegrationId, Lane>,
    pub(super) flights: BTreeMap<AccountId, Flight>,
    pub(super) tries: BTreeMap<AccountId, Tries>,
    /// Accounts for which this process holds the clear text of the minted credential.
    pub(super) clear_at_hand: BTreeSet<AccountId>,
    /// Accounts whose close was begun without a journal: what is remembered of them is not true any more,
    /// and nothing else is done with them before a close has been written down.
    pub(super) unrecorded: BTreeSet<AccountId>,
    /// Accounts of which something was seen or not seen that memory does not explain: to be read afresh.
    pub(super) doubted: BTreeSet<AccountId>,
    wakes: BTreeSet<(Timestamp, AccountId)>,
    wake_of: BTreeMap<AccountId, Timestamp>,
    ready_of: BTreeMap<AccountId, (IntegrationId, Class, Timestamp)>,
    last_ticket: u64,
}

impl Lanes {
    pub(super) fn starting_at(first_ticket: u64) -> Self {
        Self { last_ticket: first_ticket, ..Self::default() }
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        Ticket(self.last_ticket)
    }

    pub(super) fn lane(&mut self, integration: &IntegrationId) -> &mut Lane {
        self.lanes.entry(integration.clone()).or_default()
    }

    /// Takes the account off every list.
    pub(super) fn unlist(&mut self, account: AccountId) {
        if let Some(at) = self.wake_of.remove(&account) {
            self.wakes.remove(&(at, account));
        }
        if let Some((integration, class, due)) = self.ready_of.remove(&account)
            && let Some(lane) = self.lanes.get_mut(&integration)
        {
            lane.ready.remove(&(class, due, account));
        }
    }

    pub(super) fn wake_at(&mut self, account: AccountId, at: Timestamp) {
        self.unlist(account);
        self.wakes.insert((at, account));
        self.wake_of.insert(account, at);
    }

    pub(super) fn make_ready(
        &mut self,
        account: AccountId,
        integration: &IntegrationId,
        class: Class,
        due: Timestamp,
    ) {
        self.unlist(account);
        self.lane(integration).ready.insert((class, due, account));
        self.ready_of.insert(account, (integration.clone(), class, due));
    }

    /// Returns the next account whose time has come, and takes it off the list.
    pub(super) fn woken(&mut self, now: Timestamp) -> Option<AccountId> {
        let (at, account) = *self.wakes.first()?;
        (at <= now).then(|| {
            self.unlist(account);
            account
        })
    }

    /// Returns when the next account or breaker wants attention.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        let probes = self
            .lanes
            .values()
            .filter(|lane| !lane.ready.is_empty())
            .filter_map(|lane| lane.breaker.wakes_at());
        self.wakes.first().map(|(at, _)| *at).into_iter().chain(probes).min()
    }

    pub(super) fn began(&mut self, account: AccountId, flight: Flight) {
        let lane = self.lane(&flight.integration);
        if flight.act.is_local() {
            lane.mints += 1;
        } else {
            lane.calls += 1;
            lane.breaker.began();
        }
        self.flights.insert(account, flight);
    }

    /// Takes the flight of an answer; `None` when the answer is late or repeated.
    pub(super) fn landed(&mut self, account: AccountId, ticket: Ticket) -> Option<Flight> {
        if self.flights.get(&account).is_none_or(|flight| flight.ticket != ticket) {
            return None;
        }
        let flight = self.flights.remove(&account)?;
        let lane = self.lane(&flight.integration);
        if flight.act.is_local() {
            lane.mints = lane.mints.saturating_sub(1);
        } else {
            lane.calls = lane.calls.saturating_sub(1);
        }
        Some(flight)
    }

    /// Takes back a flight whose action was never let out.
    pub(super) fn never_sent(&mut self, account: AccountId, ticket: Ticket) {
        if let Some(flight) = self.landed(account, ticket)
            && !flight.act.is_local()
        {
            self.lane(&flight.integration).breaker.never_sent();
        }
    }

    /// Time was found to be earlier than it was thought to be: no pause is longer than it was meant to be.
    pub(super) fn time_went_back(&mut self, now: Timestamp) {
        let latest = now.plus(CEILING);
        for tries in self.tries.values_mut() {
            tries.next = tries.next.min(latest);
        }
        for lane in self.lanes.values_mut() {
            lane.breaker.time_went_back(latest);
        }
    }

    /// Returns every account that waits for a slot, by class.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (AccountId, &IntegrationId, Class)> {
        self.ready_of.iter().map(|(id, (integration, class, _))| (*id, integration, *class))
    }

    /// Returns true when the account will be looked at again by itself: it waits for a slot or for a time.
    pub(super) fn is_listed(&self, account: AccountId) -> bool {
        self.wake_of.contains_key(&account) || self.ready_of.contains_key(&account)
    }

    /// Says what is wrong with the lists, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        for (id, lane) in &self.lanes {
            let of = |local: bool| {
                let counted = self
                    .flights
                    .values()
                    .filter(|flight| flight.integration == *id && flight.act.is_local() == local);
                u32::try_from(counted.count()).unwrap_or(u32::MAX)
            };
            if (lane.calls, lane.mints) != (of(false), of(true)) {
                return Some(format!("the lane of `{id}` counts other calls than are under way"));
            }
            let listed = lane
                .ready
                .iter()
                .all(|(class, due, account)| self.ready_of.get(account) == Some(&(id.clone(), *class, *due)));
            if !listed {
                return Some(format!("the lane of `{id}` lists an account that does not know of it"));
            }
        }
        let ready: usize = self.lanes.values().map(|lane| lane.ready.len()).sum();
        let wakes = self.wakes.iter().all(|(at, account)| self.wake_of.get(account) == Some(at));
        if ready != self.ready_of.len() || !wakes || self.wakes.len() != self.wake_of.len() {
            return Some("the lists of what is due and of what waits are not one to one".into());
        }
        None
    }
}
