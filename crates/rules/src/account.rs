//! One account as the journal remembers it, and what it should hold now.

use std::collections::BTreeMap;

use model::mark::MarkDraft;
use model::{
    Access, AccessId, AccessState, Account, ConnectorId, EndReason, EntitlementDeadline, EntitlementSet,
    Failure, Generation, GranteeKey, Phase, Revision, SealedCredential, Span, TargetIdentity, Timestamp,
    Verifier,
};
use serde::{Deserialize, Serialize};

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
    pub accesses: BTreeMap<AccessId, Access>,
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
            accesses: BTreeMap::new(),
            held: EntitlementSet::nothing(),
            generation: Generation::default(),
            credential: None,
            mark: Revision(now.as_millis().unsigned_abs()),
            marked_until: None,
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
        let mut changed = vec![];
        for access in self.accesses.values_mut() {
            if let Some(next) = settled(access, sure, now) {
                access.state = next;
                changed.push(access.id.clone());
            }
        }
        changed
    }

    /// Ends an access that is not ended yet. One that was surely never begun ends at once.
    pub fn end(&mut self, id: &AccessId, reason: EndReason, sure: bool, now: Timestamp) -> bool {
        let Some(access) = self.accesses.get_mut(id) else { return false };
        let next = match &access.state {
            AccessState::Accepted { .. } if sure => never_begun(&reason, now),
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
        access.state = next;
        true
    }

    /// Returns the accesses that may hold something now: begun, not past their deadline, not withdrawn.
    pub fn living(&self, now: Timestamp) -> impl Iterator<Item = &Access> {
        self.accesses.values().filter(move |access| {
            access.from <= now
                && now < access.until
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
        let mut deadlines: BTreeMap<_, Timestamp> = BTreeMap::new();
        for access in self.living(now) {
            for entitlement in access.entitlements.iter() {
                let until = deadlines.entry(entitlement.clone()).or_insert(access.until);
                *until = (*until).max(access.until);
            }
        }
        MarkDraft {
            connector: connector.clone(),
            integration: self.account.integration.clone(),
            account: self.account.id,
            revision: self.mark,
            deadlines: deadlines
                .into_iter()
                .map(|(entitlement, until)| EntitlementDeadline { entitlement, until })
                .collect(),
            until: self.until(now),
            last_revoked: self.last_revoked,
        }
    }

    /// Returns true when nothing needs to be remembered of it.
    pub fn is_forgettable(&self) -> bool {
        self.phase == Phase::Absent && self.accesses.is_empty() && self.intent.is_none()
    }
}

/// How an access ends that was never begun: nothing of it can be on the target.
fn never_begun(reason: &EndReason, now: Timestamp) -> AccessState {
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
        | EndReason::BreakGlass
        | EndReason::Guardrail
        | EndReason::Unremembered => {
            AccessState::Ended { verdict: Verdict::Revoked, residual: vec![], at: now }
        }
    }
}

/// What the time makes of an access; `None` when nothing.
fn settled(access: &Access, sure: bool, now: Timestamp) -> Option<AccessState> {
    use model::Code;
    let expired = now >= access.until;
    match &access.state {
        AccessState::Accepted { .. } if expired && sure => Some(never_begun(&EndReason::Deadline, now)),
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
