//! From plans to actions: what is due is listed, what has a slot is begun, what was answered is taken.

use model::{AccessState, AccountId, EndReason, Phase, Timestamp};

use super::lanes::{Flight, Tries};
use super::{Book, Tombstone};
use crate::account::{AccountRecord, GRACE, Intent};
use crate::action::{Act, Action, Answer, Ticket};
use crate::answer::{self, Outcome};
use crate::effects::Effects;
use crate::plan::{self, Class, Deed, Plan, Surroundings};
use crate::retry;

/// An ended id is remembered for this long after its deadline.
pub(super) const TOMB_KEPT: model::Span = model::Span::from_days(90);
/// What could not be written down is asked again after this long.
const UNWRITTEN_PAUSE: model::Span = model::Span::from_secs(30);

impl Book {
    pub(super) fn may_open(&self, record: &AccountRecord) -> bool {
        let integration = self.integrations.get(&record.account.integration);
        self.close_only.is_none()
            && !self.meta.paused
            && self.current
            && !self.meta.reconciling
            && self.clock.may_open().is_ok()
            && integration.is_some_and(|found| {
                !found.paused && !found.retired && found.integration.lifecycle == model::Lifecycle::Live
            })
    }

    /// Whether what this memory has not begun was surely not begun.
    fn is_sure(&self, integration: &model::IntegrationId) -> bool {
        !self.meta.reconciling && (self.current || self.surveyed.contains(integration))
    }

    fn surroundings(&self, record: &AccountRecord) -> Surroundings {
        Surroundings {
            may_open: self.may_open(record),
            may_delete: self.clock.may_delete() && self.close_only.is_none(),
            clear_at_hand: self.lanes.clear_at_hand.contains(&record.account.id),
        }
    }

    fn plan_of(&self, record: &AccountRecord, now: Timestamp) -> Plan {
        if self.lanes.unrecorded.contains(&record.account.id) {
            return Plan::Do(Class::Closing, Deed::Close);
        }
        plan::plan(record, self.surroundings(record), now)
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
        self.try_standing(now);
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
        if record.is_forgettable() {
            self.forget_account(id);
            return;
        }
        let integration = record.account.integration.clone();
        match self.plan_of(record, now) {
            Plan::Wait(None) => self.lanes.unlist(id),
            Plan::Wait(Some(at)) => self.lanes.wake_at(id, at),
            Plan::Do(class, deed) => {
                let next =
                    self.lanes.tries.get(&id).filter(|tries| tries.deed == deed).map(|tries| tries.next);
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

    fn settle(&mut self, id: AccountId, now: Timestamp) {
        let Some(record) = self.accounts.get(&id) else { return };
        let mut settled = record.clone();
        let changed = settled.settle(self.is_sure(&record.account.integration), now);
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
            .map(|access| (access.id.clone(), access.until, verdict(&access.state)))
            .collect();
        for (access, until, verdict) in gone {
            if let Some(record) = self.edit(id) {
                record.accesses.remove(&access);
            }
            self.by_access.remove(&access);
            let kept = until.max(self.clock.now()).plus(TOMB_KEPT);
            self.bury(&access, Tombstone { verdict, until: kept });
        }
    }

    pub(super) fn end_access(&mut self, access: &model::AccessId, reason: EndReason, now: Timestamp) {
        let Some(id) = self.by_access.get(access).copied() else { return };
        let Some(record) = self.accounts.get(&id) else { return };
        let mut ended = record.clone();
        if !ended.end(access, reason, self.is_sure(&record.account.integration), now) {
            return;
        }
        let mut effects = Effects::default();
        if let Some(access) = ended.accesses.get(access) {
            effects.access(&ended, access, None, now);
        }
        if let Some(record) = self.edit(id) {
            *record = ended;
        }
        self.staged.tell(effects);
        self.prune(id);
        self.consider(id, now);
    }

    /// Begins what is due and has a slot: closing first on each target, no target before another.
    pub(super) fn start_ready(&mut self, most: usize, now: Timestamp) -> Vec<Action> {
        let mut actions = vec![];
        let integrations: Vec<_> = self
            .lanes
            .lanes
            .iter()
            .filter(|(_, lane)| !lane.ready.is_empty())
            .map(|(id, _)| id.clone())
            .collect();
        for integration in integrations {
            let mut passed = vec![];
            while actions.len() < most {
                let Some((class, due, id)) = self.lanes.lane(&integration).ready.pop_first() else { break };
                let Some(record) = self.accounts.get(&id) else {
                    self.lanes.unlist(id);
                    continue;
                };
                // The plan is made anew: what was listed may have been overtaken.
                let Plan::Do(class_now, deed) = self.plan_of(record, now) else {
                    self.consider(id, now);
                    continue;
                };
                if !self.lanes.lane(&integration).admits(class_now, deed, now) {
                    passed.push((class, due, id));
                    if class_now == Class::Closing || passed.len() > 64 {
                        break;
                    }
                    continue;
                }
                self.lanes.unlist(id);
                if let Some(action) = self.begin(id, deed, now) {
                    actions.push(action);
                }
            }
            self.lanes.lane(&integration).ready.extend(passed);
        }
        actions
    }

    fn begin(&mut self, id: AccountId, deed: Deed, now: Timestamp) -> Option<Action> {
        let connector = self.connector.clone();
        let may_open = self.accounts.get(&id).is_some_and(|record| self.may_open(record));
        let target = self
            .accounts
            .get(&id)
            .and_then(|record| self.integrations.get(&record.account.integration)?.target.clone());
        let mut effects = Effects::default();
        let record = self.edit(id)?;
        record.target = target.or(record.target.take());
        if matches!(deed, Deed::Mint | Deed::Converge) && may_open {
            grant_next(record, now, &mut effects);
        }
        let act = act_for(record, deed, &connector, may_open, now);
        if !act.is_local() {
            record.intent = Some(Intent { act: deed.word().into(), since: now });
        }
        let integration = record.account.integration.clone();
        self.staged.tell(effects);
        let ticket = self.lanes.ticket();
        self.lanes.began(id, &integration, Flight { ticket, act: act.clone() });
        Some(Action { ticket, integration, account: id, act })
    }

    pub(super) fn take_answer(&mut self, id: AccountId, ticket: Ticket, answer: Answer, now: Timestamp) {
        let Some(record) = self.accounts.get(&id) else { return };
        let integration = record.account.integration.clone();
        let Some(flight) = self.lanes.landed(id, &integration, ticket) else { return };
        let reached = reached(&answer);
        if !flight.act.is_local() {
            let (high, _) = id.as_uuid().as_u64_pair();
            let breaker = &mut self.lanes.lane(&integration).breaker;
            if reached { breaker.reached() } else { breaker.missed(high, now) }
        }
        // A deadline that was crossed while the call was under way is crossed before its answer is taken.
        self.settle(id, now);
        let policy = self.policy_of(&integration);
        let mut effects = Effects::default();
        let minted = matches!((&flight.act, &answer), (Act::Mint { .. }, Answer::Minted { .. }));
        let Some(record) = self.edit(id) else { return };
        let outcome = answer::take(record, &flight.act, answer, policy, now, &mut effects);
        if minted {
            self.lanes.clear_at_hand.insert(id);
        }
        self.staged.tell(effects);
        match outcome {
            Outcome::Done => {
                self.lanes.tries.remove(&id);
                if flight.act.closes() && self.lanes.unrecorded.remove(&id) {
                    self.staged.recorded(id);
                }
            }
            Outcome::Again(failure) => {
                let deed = deed_of(&flight.act);
                let count = self
                    .lanes
                    .tries
                    .get(&id)
                    .filter(|tries| tries.deed == deed)
                    .map_or(0, |tries| tries.count)
                    + 1;
                let next = retry::due(id, count, &failure, now);
                self.lanes.tries.insert(id, Tries { deed, count, next });
            }
        }
        self.prune(id);
        self.consider(id, now);
        self.retire_if_empty(&integration, now);
    }

    fn policy_of(&self, integration: &model::IntegrationId) -> model::Policy {
        let own = self
            .integrations
            .get(integration)
            .map_or_else(Default::default, |found| found.integration.policy);
        self.meta.policy.stricter(own)
    }

    /// Whatever this account is to do, it does it again only after a pause: its last answer could not be kept.
    pub(super) fn slow_down(&mut self, id: AccountId, now: Timestamp) {
        if let Some(tries) = self.lanes.tries.get_mut(&id) {
            tries.next = tries.next.max(now.plus(UNWRITTEN_PAUSE));
        } else if let Some(record) = self.accounts.get(&id)
            && let Plan::Do(_, deed) = self.plan_of(record, now)
        {
            self.lanes.tries.insert(id, Tries { deed, count: 1, next: now.plus(UNWRITTEN_PAUSE) });
        }
    }
}

const fn verdict(state: &AccessState) -> Option<model::Verdict> {
    if let AccessState::Ended { verdict, .. } = state { Some(*verdict) } else { None }
}

/// The next order to be completed begins: accepted becomes granting.
fn grant_next(record: &mut AccountRecord, now: Timestamp, effects: &mut Effects) {
    let Some(candidate) = record.candidate(now).map(|access| access.id.clone()) else { return };
    if let Some(access) = record.accesses.get_mut(&candidate)
        && matches!(access.state, AccessState::Accepted { .. })
    {
        access.state = AccessState::Granting { since: now };
        if let Some(access) = record.accesses.get(&candidate) {
            effects.access(record, access, None, now);
        }
    }
}

fn act_for(
    record: &mut AccountRecord,
    deed: Deed,
    connector: &model::ConnectorId,
    may_open: bool,
    now: Timestamp,
) -> Act {
    if matches!(deed, Deed::Open | Deed::Converge | Deed::Close | Deed::Rotate) {
        record.mark = record.mark.next();
    }
    let account = record.account.clone();
    let expires = record.until(now).map(|until| until.plus(GRACE));
    match deed {
        Deed::Mint => {
            if matches!(record.phase, Phase::Absent | Phase::Suspended) && record.candidate(now).is_some() {
                record.phase = Phase::Opening;
            }
            let access = record
                .candidate(now)
                .or_else(|| record.living(now).next())
                .filter(|_| matches!(record.phase, Phase::Opening | Phase::Open))
                .map(|access| access.id.clone());
            Act::Mint {
                generation: record.generation.next(),
                access,
                grantee: record.account.grantee.clone(),
                key: record.key.clone(),
            }
        }
        Deed::Open => Act::Open {
            mark: record.mark_draft(connector, now),
            wanted: record.goal(may_open, now),
            generation: record.generation,
            verifier: record.credential.as_ref().and_then(|credential| credential.verifier.clone()),
            account,
            expires,
        },
        Deed::Converge => {
            let wanted = record.goal(may_open, now);
            let shrinks = record.ending().next().is_some() || !record.held.within(&wanted);
            Act::Converge { mark: record.mark_draft(connector, now), wanted, shrinks, account, expires }
        }
        Deed::Close => {
            record.phase = Phase::Closing;
            let mut mark = record.mark_draft(connector, now);
            mark.last_revoked = Some(now);
            Act::Close { mark, account }
        }
        Deed::Rotate => Act::Rotate {
            mark: record.mark_draft(connector, now),
            generation: record.generation,
            verifier: record.credential.as_ref().and_then(|credential| credential.verifier.clone()),
            account,
        },
        Deed::Delete => {
            record.phase = Phase::Deleting;
            Act::Delete { account }
        }
    }
}

const fn deed_of(act: &Act) -> Deed {
    match act {
        Act::Mint { .. } => Deed::Mint,
        Act::Open { .. } => Deed::Open,
        Act::Converge { .. } | Act::Observe { .. } => Deed::Converge,
        Act::Close { .. } => Deed::Close,
        Act::Rotate { .. } => Deed::Rotate,
        Act::Delete { .. } => Deed::Delete,
    }
}

/// Whether the target itself answered, whatever it said.
fn reached(answer: &Answer) -> bool {
    use model::Code;
    let missed = |failure: &model::Failure| {
        [
            Code::UNREACHABLE,
            Code::TIMED_OUT,
            Code::TLS_REFUSED,
            Code::LOGIN_REFUSED,
            Code::SECRET_MISSING,
            Code::SECRET_DENIED,
            Code::SECRET_STORE_UNREACHABLE,
        ]
        .contains(&failure.code)
    };
    match answer {
        Answer::Failed(failure) => !missed(failure),
        Answer::Closed(climb) => climb.observed.as_ref().err().is_none_or(|failure| !missed(failure)),
        Answer::Minted { .. } | Answer::Done { .. } | Answer::Deleted { .. } | Answer::Observed(_) => true,
    }
}
