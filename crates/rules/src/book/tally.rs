//! How many stand where, on each integration and in all: for people, metrics and heartbeats.

use std::collections::BTreeMap;

use model::{AccessState, IntegrationId, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::Book;
use super::lanes::Lane;
use crate::plan::Class;

/// How many stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub accounts: u64,
    pub opening: u64,
    pub active: u64,
    pub interrupted: u64,
    pub ending: u64,
    /// Being ended and past their deadline.
    pub overdue: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.accounts += other.accounts;
        self.opening += other.opening;
        self.active += other.active;
        self.interrupted += other.interrupted;
        self.ending += other.ending;
        self.overdue += other.overdue;
    }
}

/// A target's lane, seen from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneView {
    /// Calls under way on the target.
    pub calls: u32,
    /// Credentials that are being made.
    pub mints: u32,
    /// Accounts that wait for a slot, by what for.
    pub closing: u64,
    pub opening: u64,
    pub housekeeping: u64,
    /// Calls are held back because the target did not answer.
    pub breaker_open: bool,
    /// When the next probe may go out.
    pub probe_at: Option<Timestamp>,
}

impl From<&Lane> for LaneView {
    fn from(lane: &Lane) -> Self {
        let waiting = |class| lane.ready.iter().filter(|(found, _, _)| *found == class).count() as u64;
        Self {
            calls: lane.calls,
            mints: lane.mints,
            closing: waiting(Class::Closing),
            opening: waiting(Class::Opening),
            housekeeping: waiting(Class::Housekeeping),
            breaker_open: lane.breaker.is_open(),
            probe_at: lane.breaker.wakes_at(),
        }
    }
}

/// How one integration stands, or all of them together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub counts: Counts,
    /// The deadline of what is overdue for longest.
    pub overdue_since: Option<Timestamp>,
    /// The next deadline of anything that lives.
    pub next_deadline: Option<Timestamp>,
    pub lane: LaneView,
}

impl Tally {
    /// Returns how long the longest of what is overdue is so.
    pub fn longest_overdue(&self, now: Timestamp) -> Option<Span> {
        self.overdue_since.map(|since| now.since(since))
    }

    /// Returns several integrations together; a sum has no breaker.
    pub fn sum<'t>(tallies: impl IntoIterator<Item = &'t Self>) -> Self {
        tallies.into_iter().fold(Self::default(), |mut sum, tally| {
            sum.add(tally);
            sum
        })
    }

    fn add(&mut self, other: &Self) {
        self.counts.add(other.counts);
        self.overdue_since = earlier(self.overdue_since, other.overdue_since);
        self.next_deadline = earlier(self.next_deadline, other.next_deadline);
        self.lane.calls += other.lane.calls;
        self.lane.mints += other.lane.mints;
        self.lane.closing += other.lane.closing;
        self.lane.opening += other.lane.opening;
        self.lane.housekeeping += other.lane.housekeeping;
    }

    fn take(&mut self, state: &AccessState, until: Timestamp, now: Timestamp) {
        match state {
            AccessState::Active { .. } => self.counts.active += 1,
            AccessState::Accepted { .. } | AccessState::Granting { .. } => self.counts.opening += 1,
            AccessState::Interrupted { .. } => self.counts.interrupted += 1,
            AccessState::Ending { .. } => {
                self.counts.ending += 1;
                if until < now {
                    self.counts.overdue += 1;
                    self.overdue_since = earlier(self.overdue_since, Some(until));
                }
            }
            AccessState::Ended { .. }
            | AccessState::Refused { .. }
            | AccessState::Failed { .. }
            | AccessState::Canceled { .. } => {}
        }
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Book {
    /// Returns how each integration stands that has an account or is not retired. Walks every account.
    pub fn tallies(&self) -> BTreeMap<IntegrationId, Tally> {
        let now = self.now();
        let living = self.integrations.values().filter(|record| !record.retired);
        let mut tallies: BTreeMap<&IntegrationId, Tally> =
            living.map(|record| (&record.integration.id, Tally::default())).collect();
        for record in self.accounts.values() {
            let tally = tallies.entry(&record.account.integration).or_default();
            tally.counts.accounts += 1;
            for access in record.accesses.values() {
                tally.take(&access.state, access.until, now);
            }
            let next = record.living(now).map(|access| access.until).min();
            tally.next_deadline = earlier(tally.next_deadline, next);
        }
        for (id, tally) in &mut tallies {
            tally.lane = self.lanes.lanes.get(*id).map(LaneView::from).unwrap_or_default();
        }
        tallies.into_iter().map(|(id, tally)| (id.clone(), tally)).collect()
    }

    /// Returns how many accesses and accounts stand where. Walks every account.
    pub fn counts(&self) -> Counts {
        Tally::sum(self.tallies().values()).counts
    }
}
