//! A mark: what we leave on an account so that it can be recognised, by us alone.
//!
//! `seal` writes and verifies the text form; drivers put it on the target; the rules decide by it.

use serde::{Deserialize, Serialize};

use crate::account::ImmutableId;
use crate::entitlement::Entitlement;
use crate::id::{AccountId, ConnectorId, IntegrationId, Revision};
use crate::observed::TargetIdentity;
use crate::time::Timestamp;

/// Which of the connector's mark keys signed a mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

/// Until when one entitlement is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntitlementDeadline {
    pub entitlement: Entitlement,
    pub until: Timestamp,
}

/// What a mark says, before the target has told who the account and itself are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkDraft {
    pub connector: ConnectorId,
    pub integration: IntegrationId,
    pub account: AccountId,
    /// Rises with every change of the mark; a mark newer than the journal means an old journal.
    pub revision: Revision,
    /// Per entitlement, or a single earliest deadline when there is no room for all.
    pub deadlines: Vec<EntitlementDeadline>,
    /// The latest of the deadlines; none when nothing is wanted.
    pub until: Option<Timestamp>,
    pub last_revoked: Option<Timestamp>,
}

impl MarkDraft {
    /// Completes the mark with what only the target knows.
    pub fn complete(self, target: TargetIdentity, immutable: ImmutableId) -> Mark {
        Mark { draft: self, target, immutable }
    }
}

/// A whole mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    #[serde(flatten)]
    pub draft: MarkDraft,
    /// The target that it was left on: a mark copied to another target names the wrong one.
    pub target: TargetIdentity,
    /// The account that it was left on: a mark copied to another account names the wrong one.
    pub immutable: ImmutableId,
}

/// What was found where a mark should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mark_state")]
pub enum MarkState {
    /// No mark.
    Missing,
    /// Verifies, and names this connector, target and account.
    Valid(Box<Mark>),
    /// Verifies, but names another target or account: copied.
    Copied,
    /// Looks like one of ours and does not verify: forged, cut short or altered.
    Forged,
    /// Another connector's, or signed by a key that we never had.
    Foreign,
}
