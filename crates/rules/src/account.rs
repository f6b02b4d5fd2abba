//! One account as the journal remembers it, and what it should hold now.

use std::collections::BTreeMap;

use model::mark::MarkDraft;
use model::{
    Access, AccessId, AccessState, Account, ConnectorId, EndReason, Entitlement, EntitlementDeadline,
    EntitlementSet, Failure, Generation, GranteeKey, Ownership, Phase, Revision, SealedCredential, Span,
    TargetIdentity, Timestamp, Verifier,
};
use serde::{Deserialize, Serialize};

use crate::box_map::BoxMap;
use crate::report::ConnectionLine;

/// Native expiry lies this much after the deadline, so that our own close normally comes first.
pub const GRACE: Span = Span::from_mins(5);
/// An opening is tried for at most this long.
pub const OPENING_LIMIT: Span = Span::from_mins(10);

/// The credential of an account, sealed; never in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub generation: Generation,
    /// `None` for the credential of a shut account: it is nobody's.
    pub sealed: Option<SealedCredential>,
    pub verifier: Option<Verifier>,
    /// The target has been seen open with this one set.
    pub set: bool,
    #[serde(default)]
    pub lines: Vec<ConnectionLine>,
}

/// A side effect that may be under way: written before it is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    pub act: String,
    pub since: Timestamp,
}

/// Until when calls without an answer may still land.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unsure {
    /// Such as open or add something: nothing is proven ended before.
    pub growing: Option<Timestamp>,
    /// Such as take something away: nothing is opened anew before, lest they hit it.
    pub shrinking: Option<Timestamp>,
}

impl Unsure {
    /// A call of this kind may land until then.
    pub fn note(&mut self, closes: bool, until: Timestamp) {
        let field = if closes { &mut self.shrinking } else { &mut self.growing };
        *field = (*field).max(Some(until));
    }

    /// Calls of any kind may land until then.
    pub fn note_all(&mut self, until: Timestamp) {
        self.note(false, until);
        self.note(true, until);
    }

    /// Time is earlier than it was thought to be: no wait is longer than this.
    pub fn time_went_back(&mut self, latest: Timestamp) {
        for until in [&mut self.growing, &mut self.shrinking] {
            *until = (*until).min(Some(latest));
        }
    }

    /// Time leapt forward and the world did not: what could still land at `then` still can.
    pub fn time_leapt(&mut self, by: Span, then: Timestamp) -> bool {
        let mut pushed = false;
        for until in [&mut self.growing, &mut self.shrinking] {
            if let Some(at) = until
                && *at > then
            {
                *at = at.plus(by);
                pushed = true;
            }
        }
        pushed
    }

    /// Returns until when nothing is proven ended.
    pub fn proves_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.growing.filter(|until| now < *until)
    }

    /// Returns until when nothing is opened anew.
    pub fn opens_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.growing.max(self.shrinking).filter(|until| now < *until)
    }
}

/// One account as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    pub account: Account,
    pub key: GranteeKey,
    pub phase: Phase,
    #[serde(default)]
    pub accesses: BoxMap<AccessId, Access>,
    /// What was last seen on the target.
    #[serde(default)]
    pub held: EntitlementSet,
    /// The highest credential generation ever made for it.
    #[serde(default)]
    pub generation: Generation,
    #[serde(default)]
    pub credential: Option<Credential>,
    /// The revision of the latest mark that may be on the target.
    #[serde(default)]
    pub mark: Revision,
    /// Until when the mark and the native expiry on the target say, as last confirmed.
    #[serde(default)]
    pub marked_until: Option<Timestamp>,
    /// Sum of the deadlines that the mark on the target carries, as last confirmed: see [`deadlines_sum`].
    #[serde(default)]
    pub marked_sum: Option<u64>,
    /// Of a borrowed account: what it held of its own before anything was added; `None` until it was read.
    #[serde(default)]
    pub own: Option<EntitlementSet>,
    /// Of a borrowed account: what may have been added by us. Nothing else is ever taken away from it.
    #[serde(default)]
    pub added: EntitlementSet,
    /// Failed tries of the present close.
    #[serde(default)]
    pub attempts: u32,
    /// An operator stopped waiting for its close: it is tried slowly and holds nothing else up.
    #[serde(default)]
    pub canceled: bool,
    #[serde(default)]
    pub intent: Option<Intent>,
    /// Calls whose answer did not come and that may still land.
    #[serde(default)]
    pub unsure: Unsure,
    #[serde(default)]
    pub last_revoked: Option<Timestamp>,
    #[serde(default)]
    pub cleanup_due: Option<Timestamp>,
    #[serde(default)]
    pub rotate_due: Option<Timestamp>,
    /// A new credential was asked for.
    #[serde(default)]
    pub rotate_asked: bool,
    /// Delete as soon as it is shut.
    #[serde(default)]
    pub delete_asked: bool,
    #[serde(default)]
    pub target: Option<TargetIdentity>,
    #[serde(default)]
    pub failure: Option<Failure>,
}

impl AccountRecord {
    /// Begins the memory of an account that is not there yet. The mark's revisions begin at the time, so
    /// that they rise over all the lives of one account: a mark from an earlier life is never the newer.
    pub fn new(account: Account, key: GranteeKey, now: Timestamp) -> Self {
        Self {
            account,
            key,
            phase: Phase::Absent,
            accesses: BoxMap::new(),
            held: EntitlementSet::nothing(),
            generation: Generation::default(),
            credential: None,
            mark: Revision(now.as_millis().unsigned_abs()),
            marked_until: None,
            marked_sum: None,
            own: None,
            added: EntitlementSet::nothing(),
            attempts: 0,
            canceled: false,
            intent: None,
            unsure: Unsure::default(),
            last_revoked: None,
            cleanup_due: None,
            rotate_due: None,
            rotate_asked: false,
            delete_asked: false,
            target: None,
            failure: None,
        }
    }

    /// Brings the accesses to what the time says. Only towards less: a deadline crossed is a duty to close.
    /// `sure`: what this memory has not begun was not begun; an old journal cannot say that.
    pub fn settle(&mut self, sure: bool, now: Timestamp) -> Vec<AccessId> {
        let next: Vec<_> = self
            .accesses
            .values()
            .filter_map(|access| {
                Some((access.id.clone(), settled(access, self.never_begun(access, sure, now), now)?))
            })
            .collect();
        let mut changed = vec![];
        for (id, state) in next {
            if let Some(access) = self.accesses.get_mut(&id) {
                access.state = state;
                changed.push(id);
            }
        }
        changed
    }

    /// Whether time has something to change here.
    pub fn is_settled(&self, now: Timestamp) -> bool {
        self.accesses.values().all(|access| settled(access, false, now).is_none())
    }

    /// Whether nothing of an accepted access can be on the target: it was not begun, or it was, ended up
    /// shut, and waits to be opened anew.
    fn never_begun(&self, access: &Access, sure: bool, now: Timestamp) -> bool {
        if !sure || matches!(self.phase, Phase::Absent | Phase::Suspended) {
            return sure;
        }
        let mut others = self.living(now).filter(|other| other.id != access.id).peekable();
        let shared = others.peek().is_some();
        let mut beyond = access.entitlements.both(&self.held);
        for other in others {
            beyond = beyond.minus(&other.entitlements);
        }
        shared && beyond.is_empty()
    }

    /// Time is earlier than it was thought to be: no wait is longer than it was meant to be, and what was only
    /// to be granted waits for its beginning. Returns what does.
    pub fn time_went_back(&mut self, lands_within: Span, now: Timestamp) -> Vec<AccessId> {
        self.unsure.time_went_back(now.plus(lands_within));
        let mut waiting = vec![];
        for access in self.accesses.values_mut() {
            if let AccessState::Granting { since } = &mut access.state {
                *since = (*since).min(now);
                if now < access.from {
                    access.state = AccessState::Accepted { since: now };
                    waiting.push(access.id.clone());
                }
            }
        }
        waiting
    }

    /// Whether something in the record says a later time than it could.
    pub fn is_ahead_of(&self, lands_within: Span, now: Timestamp) -> bool {
        let mut other = self.clone();
        other.time_went_back(lands_within, now);
        other != *self
    }

    /// Whether all of this is there, as far as was seen.
    pub fn has(&self, wanted: &EntitlementSet) -> bool {
        match &self.own {
            Some(own) => wanted.minus(own).within(&self.held),
            None => wanted.within(&self.held),
        }
    }

    /// Returns what of the found entitlements is ours to answer for: of a borrowed account, what we added.
    pub fn ours(&self, found: &EntitlementSet) -> EntitlementSet {
        match self.account.ownership {
            Ownership::Owned => found.clone(),
            Ownership::Borrowed => found.both(&self.added),
        }
    }

    /// Whether the account is not ours to shut, delete or give a credential.
    pub fn is_borrowed(&self) -> bool {
        self.account.ownership == Ownership::Borrowed
    }

    /// Ends an access that is not ended yet. One that was surely never begun ends at once.
    pub fn end(&mut self, id: &AccessId, reason: EndReason, sure: bool, now: Timestamp) -> bool {
        let Some(access) = self.accesses.get(id) else { return false };
        let never = self.never_begun(access, sure, now);
        let next = match &access.state {
            AccessState::Accepted { .. } if never => ended_unbegun(&reason, now),
            AccessState::Accepted { .. }
            | AccessState::Granting { .. }
            | AccessState::Active { .. }
            | AccessState::Interrupted { .. } => {
                AccessState::Ending { reason, contained: false, attempts: 0, since: now }
            }
            // Ending or terminal: the first reason stands.
            AccessState::Ending { .. }
            | AccessState::Ended { .. }
            | AccessState::Refused { .. }
            | AccessState::Failed { .. }
            | AccessState::Canceled { .. } => return false,
        };
        if let Some(access) = self.accesses.get_mut(id) {
            access.state = next;
        }
        true
    }

    /// Returns the accesses that may hold something now: begun, not past their deadline, not withdrawn. A
    /// beginning crossed stays crossed, also when the clock that said so was ahead.
    pub fn living(&self, now: Timestamp) -> impl Iterator<Item = &Access> {
        self.accesses.values().filter(move |access| {
            now < access.until
                && matches!(
                    access.state,
                    AccessState::Granting { .. }
                        | AccessState::Active { .. }
                        | AccessState::Interrupted { .. }
                )
        })
    }

    /// Returns the accesses that are being closed.
    pub fn ending(&self) -> impl Iterator<Item = &Access> {
        self.accesses.values().filter(|access| matches!(access.state, AccessState::Ending { .. }))
    }

    /// Returns the access whose order is to be completed next: the one that is being granted, else the
    /// earliest accepted one that has begun. One at a time, so that a refusal has one cause.
    pub fn candidate(&self, now: Timestamp) -> Option<&Access> {
        let granting = self
            .accesses
            .values()
            .find(|access| matches!(access.state, AccessState::Granting { .. }) && now < access.until);
        granting.or_else(|| {
            self.accesses
                .values()
                .filter(|access| {
                    matches!(access.state, AccessState::Accepted { .. })
                        && access.from <= now
                        && now < access.until
                })
                .min_by_key(|access| access.ordered.map_or(0, |ordered| ordered.position.0))
        })
    }

    /// Returns what the account should hold now: the union of what lives, where an interrupted access
    /// keeps what is still there and asks for nothing back, and so does one that is being granted while
    /// opening is not allowed.
    pub fn goal(&self, may_open: bool, now: Timestamp) -> EntitlementSet {
        let mut goal = EntitlementSet::nothing();
        for access in self.living(now) {
            let adds = match access.state {
                AccessState::Granting { .. } => may_open,
                AccessState::Active { .. } => true,
                AccessState::Interrupted { .. }
                | AccessState::Accepted { .. }
                | AccessState::Ending { .. }
                | AccessState::Ended { .. }
                | AccessState::Refused { .. }
                | AccessState::Failed { .. }
                | AccessState::Canceled { .. } => false,
            };
            if !adds {
                goal.extend(&access.entitlements.both(&self.held));
            } else {
                goal.extend(&access.entitlements);
            }
        }
        goal
    }

    /// Returns the latest deadline of what lives.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.living(now).map(|access| access.until).max()
    }

    /// Returns the mark that the account should carry now.
    pub fn mark_draft(&self, connector: &ConnectorId, now: Timestamp) -> MarkDraft {
        MarkDraft {
            connector: connector.clone(),
            integration: self.account.integration.clone(),
            account: self.account.id,
            revision: self.mark,
            deadlines: self
                .deadlines(now)
                .into_iter()
                .map(|(entitlement, until)| EntitlementDeadline { entitlement: entitlement.clone(), until })
                .collect(),
            until: self.until(now),
            last_revoked: self.last_revoked,
        }
    }

    /// Returns until when each entitlement is wanted by what lives.
    fn deadlines(&self, now: Timestamp) -> BTreeMap<&Entitlement, Timestamp> {
        let mut deadlines: BTreeMap<_, Timestamp> = BTreeMap::new();
        for access in self.living(now) {
            for entitlement in access.entitlements.iter() {
                let until = deadlines.entry(entitlement).or_insert(access.until);
                *until = (*until).max(access.until);
            }
        }
        deadlines
    }

    /// Whether the mark on the target says something else than it should, and whether it says it for longer.
    pub fn mark_is_stale(&self, now: Timestamp) -> bool {
        let until = self.until(now);
        until != self.marked_until || Some(sum_of(self.deadlines(now))) != self.marked_sum
    }

    /// The mark on the target is now this one.
    pub fn marked(&mut self, mark: &MarkDraft) {
        self.marked_until = mark.until;
        self.marked_sum = Some(deadlines_sum(&mark.deadlines));
    }

    /// The mark on the target is not known any more, or of no account.
    pub fn unmarked(&mut self) {
        self.marked_until = None;
        self.marked_sum = None;
    }

    /// Returns true when nothing needs to be remembered of it.
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        self.phase == Phase::Absent
            && self.accesses.is_empty()
            && self.intent.is_none()
            && self.unsure.opens_after(now).is_none()
    }
}

/// Returns a sum over a mark's deadlines, which tells whether a mark must be renewed. Not for proving
/// anything: FNV-1a over the parts, the same in every build.
pub fn deadlines_sum(deadlines: &[EntitlementDeadline]) -> u64 {
    sum_of(deadlines.iter().map(|deadline| (&deadline.entitlement, deadline.until)))
}

fn sum_of<'e>(deadlines: impl IntoIterator<Item = (&'e Entitlement, Timestamp)>) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (entitlement, until) in deadlines {
        take(entitlement.resource.kind.0.as_bytes());
        for part in &entitlement.resource.path {
            take(part.as_bytes());
        }
        take(entitlement.permission.0.as_bytes());
        take(&until.as_millis().to_be_bytes());
    }
    sum
}

/// How an access ends that was never begun: nothing of it can be on the target.
fn ended_unbegun(reason: &EndReason, now: Timestamp) -> AccessState {
    use model::{Code, Verdict};
    match reason {
        EndReason::Deadline => AccessState::Failed { code: Code::TOO_LATE },
        EndReason::NotOpened(code) => AccessState::Failed { code: code.clone() },
        EndReason::AccountDeleted => {
            AccessState::Ended { verdict: Verdict::Deleted, residual: vec![], at: now }
        }
        EndReason::Revoked
        | EndReason::Absent
        | EndReason::IntegrationRetired
        | EndReason::BreakGlass { .. }
        | EndReason::Guardrail
        | EndReason::Unremembered => {
            AccessState::Ended { verdict: Verdict::Revoked, residual: vec![], at: now }
        }
    }
}

/// What the time makes of an access; `None` when nothing.
fn settled(access: &Access, never_begun: bool, now: Timestamp) -> Option<AccessState> {
    use model::Code;
    let expired = now >= access.until;
    match &access.state {
        AccessState::Accepted { .. } if expired && never_begun => {
            Some(ended_unbegun(&EndReason::Deadline, now))
        }
        AccessState::Accepted { .. } | AccessState::Granting { .. } if expired => Some(AccessState::Ending {
            reason: EndReason::Deadline,
            contained: false,
            attempts: 0,
            since: now,
        }),
        AccessState::Granting { since } if now >= since.plus(OPENING_LIMIT) => Some(AccessState::Ending {
            reason: EndReason::NotOpened(Code::OPENING_GAVE_UP),
            contained: false,
            attempts: 0,
            since: now,
        }),
        AccessState::Active { .. } | AccessState::Interrupted { .. } if expired => {
            Some(AccessState::Ending {
                reason: EndReason::Deadline,
                contained: false,
                attempts: 0,
                since: now,
            })
        }
        AccessState::Accepted { .. }
        | AccessState::Granting { .. }
        | AccessState::Active { .. }
        | AccessState::Interrupted { .. }
        | AccessState::Ending { .. }
        | AccessState::Ended { .. }
        | AccessState::Refused { .. }
        | AccessState::Failed { .. }
        | AccessState::Canceled { .. } => None,
    }
}

#[cfg(test)]
mod tests;
