//! A receipt's body: what was done to an account, and what was read back. `seal` signs and chains it.

use serde::{Deserialize, Serialize};

use crate::access::{EndReason, Verdict};
use crate::account::{AccountName, ImmutableId};
use crate::credential::Generation;
use crate::entitlement::EntitlementSet;
use crate::failure::Code;
use crate::id::{AccessId, AccountId, GranteeId, Incarnation, IntegrationId};
use crate::observed::{Login, Observed, Residual, TargetIdentity};
use crate::time::Timestamp;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "deed")]
pub enum Deed {
    /// The access was opened and read back.
    Opened { until: Timestamp, entitlements: EntitlementSet, key_fingerprint: Option<String> },
    /// The deadline of an open access was moved later, by an order.
    Extended { before: Timestamp, until: Timestamp },
    /// An open account has another credential, sealed to that key.
    Rotated { generation: Generation, key_fingerprint: Option<String> },
    /// The access was ended and seen ended.
    Ended { verdict: Verdict, reason: EndReason, entitlements: EntitlementSet },
    /// What was begun for the access was undone and seen undone.
    Undone { code: Code },
    /// The account was deleted and seen absent.
    Deleted,
    /// An operator stopped waiting for the close: the access may remain.
    Canceled,
    /// Everything that is ours and shared was removed from the target.
    Retired { removed: Vec<String>, left: Vec<String> },
}

/// What was read back after the deed, in the least words that prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    pub present: bool,
    pub login: Option<Login>,
    pub held: EntitlementSet,
    pub excess: Vec<String>,
    pub sessions: u32,
    pub target_time: Option<Timestamp>,
}

impl From<&Observed> for ReadBack {
    fn from(observed: &Observed) -> Self {
        match &observed.account {
            None => Self {
                present: false,
                login: None,
                held: EntitlementSet::nothing(),
                excess: vec![],
                sessions: 0,
                target_time: observed.target_time,
            },
            Some(found) => Self {
                present: true,
                login: Some(found.login),
                held: found.entitlements.clone(),
                excess: found.excess.clone(),
                sessions: found.sessions,
                target_time: observed.target_time,
            },
        }
    }
}

/// What a receipt states, before it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBody {
    pub at: Timestamp,
    pub integration: IntegrationId,
    pub target: Option<TargetIdentity>,
    /// `None` for deeds on the integration as a whole, as are its name and the grantee then.
    pub account: Option<AccountId>,
    pub account_name: Option<AccountName>,
    pub immutable: Option<ImmutableId>,
    pub grantee: Option<GranteeId>,
    /// `None` for deeds on the account as a whole.
    pub access: Option<AccessId>,
    #[serde(flatten)]
    pub deed: Deed,
    pub read_back: Option<ReadBack>,
    /// What may outlive the deed. Empty is a claim.
    pub residual: Vec<Residual>,
    /// The deed was done while the journal could not be written.
    #[serde(default)]
    pub recorded_late: bool,
    /// The memory of the agent that signed it, in the first receipt of each: whether another receipt follows
    /// the same one already, it cannot know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Incarnation>,
}
