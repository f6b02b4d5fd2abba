//! Orders: what the control plane asks for, numbered within its incarnation.

use model::{
    AccessId, EntitlementSet, GranteeId, GranteeKey, Incarnation, Integration, IntegrationId, Policy,
    Position, Revision, Timestamp,
};
use serde::{Deserialize, Serialize};

/// An order with its place in the control plane's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedOrder {
    /// The control plane's incarnation.
    pub incarnation: Incarnation,
    pub position: Position,
    pub order: Order,
}

/// Who asked, as far as the agent needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grantee {
    pub id: GranteeId,
    /// What the readable part of the account's name is made from, for example an e-mail's local part.
    pub hint: String,
    /// Where new credentials are sealed to.
    pub key: GranteeKey,
}

/// The full desired state of one access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessOrder {
    pub id: AccessId,
    /// A later revision replaces an earlier one: an extension, fewer or more entitlements, a renewed opening.
    pub revision: Revision,
    pub integration: IntegrationId,
    pub grantee: Grantee,
    pub entitlements: EntitlementSet,
    pub from: Timestamp,
    pub until: Timestamp,
    /// The decision that allowed it, as the control plane names it.
    #[serde(default)]
    pub approval: Option<String>,
}

/// What the control plane asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "order")]
pub enum Order {
    PutIntegration(Integration),
    RetireIntegration {
        integration: IntegrationId,
    },
    PutAccess(AccessOrder),
    EndAccess {
        access: AccessId,
    },
    /// A new credential; on an open account the old one stops.
    RotateAccount {
        integration: IntegrationId,
        grantee: GranteeId,
        key: Option<GranteeKey>,
    },
    /// Everything of this grantee closes and the account is deleted at once.
    DeleteAccount {
        integration: IntegrationId,
        grantee: GranteeId,
    },
    CheckNow {
        integration: IntegrationId,
    },
    DiscoverNow {
        integration: IntegrationId,
    },
    SurveyNow {
        integration: IntegrationId,
    },
    /// Stop waiting for a close that does not succeed.
    CancelEnding {
        access: AccessId,
    },
    /// No opening, on one integration or on all.
    Pause {
        integration: Option<IntegrationId>,
    },
    Resume {
        integration: Option<IntegrationId>,
    },
    /// Policies of the whole connector; the stricter of these and an integration's wins.
    SetPolicy {
        policy: Policy,
    },
}

/// The accesses that should live, as the control plane sees it at one place of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub incarnation: Incarnation,
    pub position: Position,
    pub accesses: Vec<(AccessId, Revision)>,
    /// A person has confirmed that many accesses are meant to end.
    pub confirmed: bool,
}
