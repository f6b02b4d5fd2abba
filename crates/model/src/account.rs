//! An account: a grantee's user on one target. What drivers act on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, GranteeId, IntegrationId};

/// Whether the account is ours to shut and delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// We made it.
    Owned,
    /// It existed before us. Only what we added is removed; it is never shut, scrambled or deleted.
    Borrowed,
}

/// Where an account stands, as far as the journal knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not on the target, or never seen there.
    #[default]
    Absent,
    /// Being made and opened; what is on the target is not sure.
    Opening,
    /// Open.
    Open,
    /// On the closing ladder.
    Closing,
    /// Shut, stripped and seen so; kept for the cleanup period.
    Suspended,
    /// Being deleted.
    Deleting,
}

/// An account's name on the target: derived once, then frozen in journal and mark.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountName(pub String);

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_debug())
    }
}

/// The target's own identity of an account, that no rename changes: OID, SID, uid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImmutableId(pub String);

/// An account that may not exist yet: what a driver needs in order to make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub integration: IntegrationId,
    pub grantee: GranteeId,
    pub name: AccountName,
    pub ownership: Ownership,
    /// What the journal knows the account by, once it has been seen.
    pub immutable: Option<ImmutableId>,
}

impl Account {
    /// Returns what a driver needs to find it again.
    pub fn to_ref(&self) -> AccountRef {
        AccountRef { id: self.id, name: self.name.clone(), immutable: self.immutable.clone() }
    }
}

/// An account that a driver is to find on the target.
///
/// With an immutable id, that id is the account, whatever its name and mark say now. Without one, or when
/// no account has that id any more, the account is the one of that name *if* its mark verifies and carries
/// `id`: an opening whose answer was lost may have made it anew after somebody had dropped the old one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountRef {
    pub id: AccountId,
    pub name: AccountName,
    pub immutable: Option<ImmutableId>,
}
