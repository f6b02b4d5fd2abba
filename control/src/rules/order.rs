//! Orders as the control plane keeps them: what an agent is told, numbered within a connector's log.

use model::{
    AccessId, EntitlementSet, GranteeId, GranteeKey, Integration, IntegrationId, Policy, Revision, Timestamp,
};
use serde::{Deserialize, Serialize};

/// The full desired state of one access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessOrder {
    pub access: AccessId,
    pub revision: Revision,
    pub integration: IntegrationId,
    pub grantee: GranteeId,
    /// What the readable part of the account's name is made from.
    pub hint: String,
    /// Where new credentials are sealed to.
    pub key: GranteeKey,
    pub entitlements: EntitlementSet,
    pub from: Timestamp,
    pub until: Timestamp,
    /// Names the decision, where a person made one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    PutIntegration { integration: Integration },
    RetireIntegration { integration: IntegrationId },
    PutAccess(AccessOrder),
    EndAccess { access: AccessId },
    RotateAccount { integration: IntegrationId, grantee: GranteeId, key: Option<GranteeKey> },
    DeleteAccount { integration: IntegrationId, grantee: GranteeId },
    CheckNow { integration: IntegrationId },
    DiscoverNow { integration: IntegrationId },
    SurveyNow { integration: IntegrationId },
    CancelEnding { access: AccessId },
    Pause,
    Resume,
    SetPolicy { policy: Policy },
}

/// Returns what the readable part of an account's name is made from: the part of the e-mail before the at
/// sign, at most 256 bytes.
pub fn hint(email: &str) -> String {
    let local = email.split('@').next().unwrap_or_default();
    local.char_indices().take_while(|(at, c)| at + c.len_utf8() <= 256).map(|(_, c)| c).collect()
}
