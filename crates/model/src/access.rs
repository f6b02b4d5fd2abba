//! An access: a grantee's entitlements on one integration, from–until. What people request and revoke.

use serde::{Deserialize, Serialize};

use crate::entitlement::EntitlementSet;
use crate::failure::Code;
use crate::id::{AccessId, Incarnation, Position, Revision};
use crate::observed::Residual;
use crate::time::Timestamp;

/// Why an access is being ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Its deadline passed.
    Deadline,
    /// The control plane or a person ended it.
    Revoked,
    /// The control plane's standing list no longer has it.
    Absent,
    /// The account is to be deleted, for example because the grantee left.
    AccountDeleted,
    /// The integration is being retired.
    IntegrationRetired,
    /// An operator on the spot ended it, and said why.
    BreakGlass { note: String },
    /// A guardrail no longer allows it.
    Guardrail,
    /// It could not be opened; what was begun is undone.
    NotOpened(Code),
    /// It was found on the target by its mark, and nobody here remembers asking for it.
    Unremembered,
}

/// How an ended access ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Expired,
    Revoked,
    Deleted,
}

/// Where an access stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum AccessState {
    /// Taken into the journal; nothing was tried yet.
    Accepted { since: Timestamp },
    /// Being opened since.
    Granting { since: Timestamp },
    /// Open and read back.
    Active { since: Timestamp },
    /// Was active; the target was found to hold less. Only a new order opens it again.
    Interrupted { since: Timestamp },
    /// Being closed; never given up on.
    Ending { reason: EndReason, contained: bool, attempts: u32, since: Timestamp },
    /// Closed and seen closed.
    Ended { verdict: Verdict, residual: Vec<Residual>, at: Timestamp },
    /// Not taken.
    Refused { code: Code },
    /// Could not be opened; what was begun has been undone and seen undone.
    Failed { code: Code },
    /// An operator stopped waiting for the close: the access may remain.
    Canceled { at: Timestamp },
}

impl AccessState {
    /// Returns true when the access can never change again.
    pub const fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Ended { .. } | Self::Refused { .. } | Self::Failed { .. } | Self::Canceled { .. }
        )
    }

    /// Returns the word for logs, wire and UI.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Granting { .. } => "granting",
            Self::Active { .. } => "active",
            Self::Interrupted { .. } => "interrupted",
            Self::Ending { .. } => "ending",
            Self::Ended { .. } => "ended",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Canceled { .. } => "canceled",
        }
    }
}

/// Which order of the control plane's log asked for an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    pub incarnation: Incarnation,
    pub position: Position,
}

/// One access as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub id: AccessId,
    /// Which version of the order this is; a later one replaces an earlier one.
    pub revision: Revision,
    pub entitlements: EntitlementSet,
    /// Not wanted before.
    pub from: Timestamp,
    /// Not wanted from here on: the deadline.
    pub until: Timestamp,
    /// The order that it came with; none for a duty rebuilt from a mark.
    #[serde(default)]
    pub ordered: Option<Ordered>,
    /// Since when it was wanted first: an extension does not begin it anew. None for a duty rebuilt from a mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Timestamp>,
    /// The decision that allowed it, as the control plane names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    #[serde(flatten)]
    pub state: AccessState,
}
