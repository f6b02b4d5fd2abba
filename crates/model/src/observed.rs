//! What was read back from a target, and the rungs of the closing ladder.

use serde::{Deserialize, Serialize};

use crate::account::{AccountName, ImmutableId};
use crate::entitlement::EntitlementSet;
use crate::mark::MarkState;
use crate::time::Timestamp;

/// The fingerprint of the target itself, for example PostgreSQL's system identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetIdentity(pub String);

/// One rung of the closing ladder. Each is idempotent, in its own transaction where the target has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// No new login.
    ShutLogin,
    /// No session older than the call, prepared transactions and the like included.
    EndSessions,
    /// No rights: on an owned account everything, also what was added by hand.
    Strip,
    /// The old credential opens nothing, even if the login is opened again.
    Scramble,
}

impl Rung {
    /// Every rung, in the order of the ladder.
    pub const ALL: [Self; 4] = [Self::ShutLogin, Self::EndSessions, Self::Strip, Self::Scramble];

    /// Returns the word for logs, wire and receipts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ShutLogin => "shut_login",
            Self::EndSessions => "end_sessions",
            Self::Strip => "strip",
            Self::Scramble => "scramble",
        }
    }
}

/// Whether a new login is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    Open,
    Shut,
    /// The target cannot say.
    Unknown,
}

/// What kind of thing may outlive a close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResidualKind {
    Session,
    PreparedTransaction,
    OwnedObjects,
    OnwardGrant,
    ScheduledJob,
    IssuedToken,
    PublicRights,
    UnreachableNode,
    Other,
}

/// Something that may outlive a close, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residual {
    pub kind: ResidualKind,
    pub detail: String,
    /// When it ends by itself; `None` when it does not.
    pub ends_at: Option<Timestamp>,
}

/// An account as read from the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    pub name: AccountName,
    pub immutable: ImmutableId,
    pub login: Login,
    /// What it holds of the driver's vocabulary.
    pub entitlements: EntitlementSet,
    /// Rights beyond the vocabulary, in words: direct grants, foreign memberships, attributes.
    pub excess: Vec<String>,
    /// Sessions that can still use it now.
    pub sessions: u32,
    /// When the target itself stops new logins, if it can and was told to.
    pub expires: Option<Timestamp>,
    pub mark: MarkState,
    pub residual: Vec<Residual>,
}

/// What an observation of one account found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The target's own time at the observation, when it tells.
    pub target_time: Option<Timestamp>,
    /// `None` when there is no such account.
    pub account: Option<Box<Present>>,
}

impl Observed {
    /// Nothing there.
    pub const fn absent(target_time: Option<Timestamp>) -> Self {
        Self { target_time, account: None }
    }

    /// Returns true when there is no such account.
    pub const fn is_absent(&self) -> bool {
        self.account.is_none()
    }

    /// Returns true when an owned account is seen closed: absent, or shut, stripped and without a session.
    pub fn is_closed(&self) -> bool {
        self.account.as_ref().is_none_or(|found| {
            found.login == Login::Shut
                && found.entitlements.is_empty()
                && found.excess.is_empty()
                && found.sessions == 0
        })
    }

    /// Returns true when no new login is possible.
    pub fn is_shut(&self) -> bool {
        self.account.as_ref().is_none_or(|found| found.login == Login::Shut)
    }
}

/// An account that a survey came across: with our mark, or looking like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    pub found: Present,
}
