//! From plans to lists: each account is brought to what the time says, and is listed for what it needs next.

use model::{AccessState, AccountId, EndReason, Timestamp};

use super::lanes::Tries;
use super::{Book, Lived, SLOTS, Tombstone};
use crate::account::AccountRecord;
use crate::effects::Effects;
use crate::plan::{self, Class, Deed, Plan, Surroundings};
use crate::retry;

/// An ended id is remembered for this long after its deadline.
pub(super) const TOMB_KEPT: model::Span = model::Span::from_days(90);
/// What closing of one account adds to the time over which overdue closing is spread at the start.
const SPREAD_EACH_MS: i64 = 25;
/// The longest time over which overdue closing is spread at the start.
const SPREAD_AT_MOST: model::Span = model::Span::from_secs(30);
/// What could not be written down is asked again after this long.
const UNWRITTEN_PAUSE: model::Span = model::Span::from_secs(30);

impl Book {
    pub(super) fn may_open(&self, record: &AccountRecord) -> bool {
        // An account of ours may stand there that this memory does not know of.
        let surveyed = || !self.waits_for_survey(&record.account.integration);
        self.remembers_all() && surveyed() && self.nothing_forbids(record)
    }

    /// Whether a shut account may be given another credential. That nobody has said yet whether this journal is
    /// current does not keep it from that once a survey has seen what is there: what a later memory has opened shows
    /// open. Each survey asks again.
    fn may_rotate_shut(&self, record: &AccountRecord) -> bool {
        let (integration, now) = (&record.account.integration, self.clock.now());
        let seen = || {
            self.surveyed.contains(integration)
                && !self.meta.reconciling
                && self.lost_calls(now).is_none()
                && record.unsure.opens_after(now).is_none()
        };
        self.may_open(record) || (seen() && self.nothing_forbids(record))
    }

    /// Whether nothing keeps the integration of an account from being worked on, apart from what is not known.
    fn nothing_forbids(&self, record: &AccountRecord) -> bool {
        let integration = self.integrations.get(&record.account.integration);
        !self.only_closes()
            && self.is_held_to_guardrails()
            && !self.meta.paused
            && !self.meta.paused_here
            && self.clock.may_open().is_ok()
            && integration.is_some_and(|found| {
                !found.paused
                    && !found.paused_here
                    && !found.retired
                    && found.forbidden.is_none()
                    && found.replaced.is_none()
                    && found.integration.lifecycle == model::Lifecycle::Live
            })
    }

    /// Whether what this memory has not begun was surely not begun. A journal that never saw a survey of the
    /// target may have begun after another one was lost.
    pub(super) fn is_sure(&self, integration: &model::IntegrationId) -> bool {
        self.remembers_all() && self.integrations.get(integration).is_some_and(|found| found.surveyed)
    }

    /// The same of one account: not while something was sighted there that is still to be read.
    fn is_sure_of(&self, record: &AccountRecord) -> bool {
        self.is_sure(&record.account.integration) && !self.lanes.doubted.contains(&record.account.id)
    }

    /// Whether this journal is known not to be an old copy.
    pub(super) const fn remembers_all(&self) -> bool {
        self.current && !self.meta.reconciling
    }

    /// Returns until when calls may land that this memory does not know of, since a later one was lost.
    pub(super) fn lost_calls(&self, now: Timestamp) -> Option<Timestamp> {
        self.lost.opens_after(now).filter(|_| !self.remembers_all())
    }

    fn surroundings(&self, record: &AccountRecord) -> Surroundings {
        Surroundings {
            may_open: self.may_open(record),
            may_delete: self.clock.may_delete() && !self.only_closes(),
            may_rotate: self.may_rotate_shut(record),
            clear_at_hand: self.lanes.clear_at_hand.contains(&record.account.id),
        }
    }

    pub(super) fn plan_of(&self, record: &AccountRecord, now: Timestamp) -> Plan {
        if self.lanes.unrecorded.contains(&record.account.id) {
            return Plan::Do(Class::Closing, Deed::Close);
        }
        let plan = plan::plan(record, self.surroundings(record), now);
        // A doubt is looked into before anything but a close.
        if self.lanes.doubted.contains(&record.account.id) && !matches!(plan, Plan::Do(Class::Closing, _)) {
            return Plan::Do(Class::Housekeeping, Deed::Observe);
        }
        plan
    }

    pub(super) fn reconsider_all(&mut self, now: Timestamp) {
        let ids: Vec<AccountId> = self.accounts.keys().copied().collect();
        for id in ids {
            self.consider(id, now);
        }
    }

    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some(id) = self.lanes.woken(now) {
            self.consider(id, now);
        }
        self.staged.pass(now);
        if self.hold_to_guardrails(now) {
            self.reconsider_all(now);
        }
        self.try_standing(now);
        self.try_end_reconciling(now);
        self.purge_tombstones(now);
    }

    fn purge_tombstones(&mut self, now: Timestamp) {
        if now.since(self.tombs_purged) < model::Span::from_hours(1) {
            return;
        }
        self.tombs_purged = now;
        let old: Vec<_> = self
            .tombstones
            .iter()
            .filter(|(_, tomb)| tomb.until <= now)
            .map(|(id, _)| id.clone())
            .take(1000)
            .collect();
        for id in old {
            self.unbury(&id);
        }
    }

    /// Brings an account to what the time says, and lists it for what it needs next.
    pub(super) fn consider(&mut self, id: AccountId, now: Timestamp) {
        if self.lanes.flights.contains_key(&id) {
            // What the answer means is decided when it comes; a deadline crossed meanwhile is still crossed.
            self.lanes.unlist(id);
            return;
        }
        self.settle(id, now);
        let Some(record) = self.accounts.get(&id) else { return };
        if record.is_forgettable(now) {
            let integration = record.account.integration.clone();
            self.forget_account(id);
            self.retire_if_empty(&integration);
            return;
        }
        let integration = record.account.integration.clone();
        match self.plan_of(record, now) {
            Plan::Wait(None) => self.lanes.unlist(id),
            Plan::Wait(Some(at)) => self.lanes.wake_at(id, at),
            Plan::Do(class, deed) => {
                let next = self
                    .lanes
                    .tries
                    .get(&id)
                    .filter(|tries| tries.are_of(class, deed))
                    .map(|tries| tries.next);
                match next {
                    Some(next) if next > now => {
                        let sooner = self.soonest_change(id, now).map_or(next, |change| change.min(next));
                        self.lanes.wake_at(id, sooner);
                    }
                    _ => self.lanes.make_ready(id, &integration, class, next.unwrap_or(now)),
                }
            }
        }
    }

    /// When time alone will change the plan of an account that waits for its next try.
    fn soonest_change(&self, id: AccountId, now: Timestamp) -> Option<Timestamp> {
        let record = self.accounts.get(&id)?;
        let changes = record.accesses.values().flat_map(|access| match access.state {
            AccessState::Granting { since } => [access.until, since.plus(crate::account::OPENING_LIMIT)],
            AccessState::Accepted { .. }
            | AccessState::Active { .. }
            | AccessState::Interrupted { .. }
            | AccessState::Ending { .. }
            | AccessState::Ended { .. }
            | AccessState::Refused { .. }
            | AccessState::Failed { .. }
            | AccessState::Canceled { .. } => [access.until, access.from],
        });
        changes.filter(|at| *at > now).min()
    }

    pub(super) fn settle(&mut self, id: AccountId, now: Timestamp) {
        let Some(record) = self.accounts.get(&id) else { return };
        if record.is_settled(now) {
            return;
        }
        let mut settled = record.clone();
        let changed = settled.settle(self.is_sure_of(record), now);
        if changed.is_empty() {
            return;
        }
        let mut effects = Effects::default();
        for access in changed.iter().filter_map(|access| settled.accesses.get(access)) {
            effects.access(&settled, access, settled.failure.clone(), now);
        }
        if let Some(record) = self.edit(id) {
            *record = settled;
        }
        self.staged.tell(effects);
        self.prune(id);
    }

    /// Moves terminal accesses from the account to the tombstones.
    pub(super) fn prune(&mut self, id: AccountId) {
        let Some(record) = self.accounts.get(&id) else { return };
        let gone: Vec<_> = record
            .accesses
            .values()
            .filter(|access| access.state.is_terminal())
            .map(|access| {
                let lived = self.lived(access).map(|stretch| Lived { account: id, stretch });
                (access.id.clone(), access.until, verdict(&access.state), lived)
            })
            .collect();
        for (access, until, verdict, lived) in gone {
            if let Some(record) = self.edit(id) {
                record.accesses.remove(&access);
            }
            self.by_access.remove(&access);
            let kept = until.max(self.clock.now()).plus(TOMB_KEPT);
            self.bury(&access, Tombstone { verdict, until: kept, lived });
        }
    }

    pub(super) fn end_access(&mut self, access: &model::AccessId, reason: EndReason, now: Timestamp) {
        self.end_access_because(access, reason, None, now);
    }

    pub(super) fn end_access_because(
        &mut self,
        access: &model::AccessId,
        reason: EndReason,
        failure: Option<model::Failure>,
        now: Timestamp,
    ) {
        let Some(id) = self.by_access.get(access).copied() else { return };
        let Some(record) = self.accounts.get(&id) else { return };
        let mut ended = record.clone();
        if !ended.end(access, reason, self.is_sure_of(record), now) {
            return;
        }
        let mut effects = Effects::default();
        if let Some(access) = ended.accesses.get(access) {
            effects.access(&ended, access, failure, now);
        }
        if let Some(record) = self.edit(id) {
            *record = ended;
        }
        self.staged.tell(effects);
        self.prune(id);
        self.consider(id, now);
    }

    pub(super) fn policy_of(&self, integration: &model::IntegrationId) -> model::Policy {
        let own = self
            .integrations
            .get(integration)
            .map_or_else(Default::default, |found| found.integration.policy);
        self.meta.policy.stricter(own)
    }

    /// Whatever this account is to do, it does it again only after a pause: its last answer could not be kept.
    pub(super) fn slow_down(&mut self, id: AccountId, now: Timestamp) {
        let Some(record) = self.accounts.get(&id) else { return };
        let Plan::Do(class, deed) = self.plan_of(record, now) else { return };
        let known = self.lanes.tries.get(&id).filter(|tries| tries.are_of(class, deed)).copied();
        let tries = known.unwrap_or(Tries { class, deed, count: 1, next: now });
        self.lanes.tries.insert(id, Tries { next: tries.next.max(now.plus(UNWRITTEN_PAUSE)), ..tries });
    }

    /// Closing that was overdue at the start begins over a while, not at once: the more of it a target has,
    /// the longer that is, and never longer than [`SPREAD_AT_MOST`].
    pub(super) fn spread(&mut self, now: Timestamp) {
        let mut of_target = std::collections::BTreeMap::<_, Vec<AccountId>>::new();
        for (id, integration, class) in self.lanes.waiting() {
            if class == Class::Closing {
                of_target.entry(integration.clone()).or_default().push(id);
            }
        }
        let at_once = usize::try_from(SLOTS).unwrap_or(usize::MAX);
        for ids in of_target.into_values().filter(|ids| ids.len() > at_once) {
            let long = i64::try_from(ids.len()).unwrap_or(i64::MAX).saturating_mul(SPREAD_EACH_MS);
            let window = model::Span::from_millis(long.min(SPREAD_AT_MOST.as_millis()));
            for id in ids {
                let Some(record) = self.accounts.get(&id) else { continue };
                let Plan::Do(class, deed) = self.plan_of(record, now) else { continue };
                let next = now.plus(retry::spread(id, window));
                self.lanes.tries.insert(id, Tries { class, deed, count: 0, next });
                self.consider(id, now);
            }
        }
    }
}

const fn verdict(state: &AccessState) -> Option<model::Verdict> {
    if let AccessState::Ended { verdict, .. } = state { Some(*verdict) } else { None }
}
