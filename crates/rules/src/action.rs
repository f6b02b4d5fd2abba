//! Actions: what the shell is to do for one account, and what it answers. Each is convergent, so doing it
//! again is the way out of every doubt; each that touches the target ends with a read-back.

use model::mark::MarkDraft;
use model::{
    AccessId, Account, AccountId, EntitlementSet, Failure, Generation, GranteeId, GranteeKey, IntegrationId,
    Observed, Ownership, SealedCredential, Timestamp, Verifier,
};

use crate::ladder::Climb;
use crate::report::ConnectionLine;

/// Which try of which action: an answer with another ticket is late or repeated and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One action on one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub ticket: Ticket,
    pub integration: IntegrationId,
    pub account: AccountId,
    pub act: Act,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Make a credential and seal it to the grantee; nothing leaves the agent.
    Mint {
        generation: Generation,
        /// The access to seal it for; `None` for a shut account, whose credential is nobody's.
        access: Option<AccessId>,
        grantee: GranteeId,
        key: GranteeKey,
    },
    /// Make the account, converge it, set the credential, open it; then read back.
    Open {
        account: Account,
        mark: MarkDraft,
        expires: Option<Timestamp>,
        wanted: EntitlementSet,
        generation: Generation,
        /// `None`: this target needs the clear text, which the shell keeps since minting.
        verifier: Option<Verifier>,
    },
    /// Bring an open account to exactly this, mark and native expiry included; then read back.
    Converge {
        account: Account,
        mark: MarkDraft,
        expires: Option<Timestamp>,
        wanted: EntitlementSet,
        /// Something is being taken away: end sessions where rights would survive in them.
        shrinks: bool,
    },
    /// Climb the ladder; then read back.
    Close { account: Account, mark: MarkDraft },
    /// Set a credential; a shut account stays shut, an open one stays open. Then read back.
    Rotate { account: Account, mark: MarkDraft, generation: Generation, verifier: Option<Verifier> },
    /// Delete an account that has been seen shut; then read back.
    Delete { account: Account },
    /// Read the account.
    Observe { account: Account },
}

impl Act {
    /// Returns the word for logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Mint { .. } => "mint",
            Self::Open { .. } => "open",
            Self::Converge { .. } => "converge",
            Self::Close { .. } => "close",
            Self::Rotate { .. } => "rotate",
            Self::Delete { .. } => "delete",
            Self::Observe { .. } => "observe",
        }
    }

    /// Returns true when it only takes away: allowed in close-only mode, in the reserved slot, before all else.
    pub const fn closes(&self) -> bool {
        matches!(self, Self::Close { .. })
    }

    /// Returns true when nothing is added: it may be done where the target answered last, when the integration
    /// leads elsewhere since.
    pub const fn adds_nothing(&self) -> bool {
        match self {
            Self::Converge { shrinks, .. } => *shrinks,
            Self::Close { .. } | Self::Delete { .. } | Self::Observe { .. } => true,
            Self::Mint { .. } | Self::Open { .. } | Self::Rotate { .. } => false,
        }
    }

    /// Returns true when nothing outside the agent is touched.
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Mint { .. })
    }

    /// Returns whose account it is, for those that touch one.
    pub const fn ownership(&self) -> Option<Ownership> {
        match self {
            Self::Mint { .. } => None,
            Self::Open { account, .. }
            | Self::Converge { account, .. }
            | Self::Close { account, .. }
            | Self::Rotate { account, .. }
            | Self::Delete { account }
            | Self::Observe { account } => Some(account.ownership),
        }
    }
}

/// What the shell answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Minted {
        sealed: Option<SealedCredential>,
        verifier: Option<Verifier>,
        /// The key that the grantee had before, when the present one is another.
        key_before: Option<GranteeKey>,
    },
    /// Opened, converged or rotated, and read back. A convergence that could do only a part says why, and
    /// is read back all the same: what was to be taken away may well be gone.
    Done {
        observed: Observed,
        lines: Vec<ConnectionLine>,
        failure: Option<Failure>,
    },
    Closed(Climb),
    Deleted {
        observed: Observed,
    },
    Observed(Observed),
    Failed(Failure),
}
