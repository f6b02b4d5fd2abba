//! Records: what the control plane keeps and passes around, besides requests and integrations, which the
//! rules name.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AccessId, AccessState, AccountId, AccountName, ConnectorId, GranteeId, GranteeKey, Incarnation,
    InstanceId, IntegrationId, Permission, Position, ResourceId, SealedCredential, Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rules::order::Order;
use crate::rules::request::By;
use crate::rules::role::Role;
use crate::rules::terms::Catalogue;
use crate::token::TokenHash;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: GranteeId,
    /// In lower case.
    pub email: String,
    pub name: Option<String>,
    pub roles: BTreeSet<Role>,
    pub disabled: bool,
    pub created_at: Timestamp,
}

/// A user's token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub id: String,
    pub user: GranteeId,
    pub name: String,
    pub hash: TokenHash,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

/// A grantee's public key, current or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    pub key: GranteeKey,
    pub fingerprint: String,
    pub registered_at: Timestamp,
    pub replaced_at: Option<Timestamp>,
}

/// A public key of a connector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pin {
    pub purpose: KeyUse,
    pub key_id: String,
    /// Standard base64.
    pub key: String,
    pub current: bool,
}

/// What a connector's public key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    Sealing,
    Receipts,
}

/// What an agent said of itself at its last hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub at: Timestamp,
    pub version: String,
    pub instance: InstanceId,
    pub journal: Incarnation,
    pub epoch: u64,
    pub place: BTreeMap<String, String>,
}

/// One logical agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connector {
    pub id: ConnectorId,
    pub description: Option<String>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub token: TokenHash,
    /// The token before, and until when it is still taken.
    pub previous: Option<(TokenHash, Timestamp)>,
    pub paused: bool,
    pub pins: BTreeSet<Pin>,
    /// Keys that were offered and are not pinned.
    pub offered: BTreeSet<Pin>,
    pub seen: Option<Seen>,
    /// What the agent made of the last standing list.
    pub standing: Option<String>,
}

/// A connector's log of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub incarnation: Incarnation,
    /// The last order written.
    pub last: Position,
    /// The agent has everything through here.
    pub taken: Position,
    /// The first report of a session may skip positions: this side went back, and the agent may have
    /// forgotten what was committed here before.
    pub may_skip: bool,
}

/// An order with its place in a connector's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedOrder {
    pub position: Position,
    pub issued_at: Timestamp,
    pub order: Order,
}

/// A driver of a connector, as its agent told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    pub connector: ConnectorId,
    pub kind: String,
    /// The manifest as JSON, for people and forms.
    pub manifest: serde_json::Value,
    /// What the rules need of it.
    pub catalogue: Catalogue,
}

/// What the agent told of an integration, beside its reports on accesses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub health: Option<Health>,
    /// What the last survey found; nothing before the first.
    pub drift: Option<Vec<Drift>>,
    pub surveyed_at: Option<Timestamp>,
}

/// What the agent told of an integration's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `unchecked`, `good`, `warning`, `bad`, `unreachable`, `refused` or `retiring`.
    pub state: String,
    /// When it was last looked at.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub checked_at: Option<Timestamp>,
    /// The revision of the integration that this is about.
    pub revision: u64,
    pub product: Option<String>,
    pub version: Option<String>,
    /// The stable code of what is wrong.
    pub code: Option<String>,
    pub detail: Option<String>,
    /// The fingerprint of the target itself.
    pub target_identity: Option<String>,
    pub probes: Vec<Probe>,
}

/// What the last survey found that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// `excess`, `ghost`, `vanished`, `tampered`, `foreign`, `wider_role`, `interrupted`, `renamed` or `other`.
    pub kind: String,
    pub count: u64,
    /// Names on the target.
    pub examples: Vec<String>,
    pub detail: String,
    pub being_removed: bool,
}

/// One thing that a check looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    pub name: String,
    /// `good`, `warning` or `bad`.
    pub grade: String,
    pub detail: String,
}

/// What the agent's last heartbeat said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pulse {
    pub active: u64,
    pub opening: u64,
    pub ending: u64,
    /// Of those that are ending, the ones whose deadline has passed.
    pub overdue: u64,
    pub queue: u64,
    /// What the agent does not do now, and why.
    pub hindrances: Vec<Hindrance>,
    /// How far the agent's clock is from ours; later is positive.
    pub clock_skew_milliseconds: i64,
}

/// One thing that the agent does not do now, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hindrance {
    /// `close_only`, `paused`, `clock`, `reconciling` or `other`.
    pub kind: String,
    pub code: String,
    pub detail: String,
}

/// Something that a driver discovered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    pub id: ResourceId,
    pub permissions: Vec<Permission>,
    pub tags: BTreeMap<String, String>,
}

/// The last whole snapshot of an integration's resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub id: String,
    pub completed_at: Timestamp,
    pub resources: u64,
    #[serde(default)]
    pub unlisted: Unlisted,
}

/// What a discovery could not look into: what is below these parts is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unlisted {
    /// How many parts.
    pub count: u64,
    /// The first of them.
    pub parts: Vec<UnlistedPart>,
}

/// A part of a target that a discovery could not look into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnlistedPart {
    pub kind: String,
    pub path: Vec<String>,
    pub code: String,
    pub detail: String,
}

/// A credential that only the grantee can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub account: AccountId,
    pub account_name: AccountName,
    pub sealed: SealedCredential,
    /// Label and text.
    pub lines: Vec<(String, String)>,
    pub sealed_at: Timestamp,
}

/// An access that an agent told of and nobody here knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    pub access: AccessId,
    pub connector: ConnectorId,
    pub integration: IntegrationId,
    pub account: AccountId,
    pub state: AccessState,
    pub at: Timestamp,
}

/// A receipt as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptRecord {
    pub connector: ConnectorId,
    pub integration: IntegrationId,
    pub number: u64,
    pub access: Option<AccessId>,
    pub deed: String,
    /// Why signature or chain are not good; nothing when they are.
    pub fault: Option<String>,
    pub received_at: Timestamp,
    /// One line of JSON, exactly as it was signed.
    pub signed: String,
}

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    pub by: By,
    /// An e-mail address, `policy`, `agent:…` or `system`.
    pub who: String,
    pub what: String,
    pub subject: String,
    pub origin: Option<String>,
    pub before: Option<serde_json::Value>,
    pub after: Option<serde_json::Value>,
}

/// An answer that a repeated call gets again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What was asked: method, path and body, hashed.
    pub asked: String,
    pub at: Timestamp,
    /// The answer's body; missing when it held a secret and was not kept.
    pub answer: Option<serde_json::Value>,
}

impl Pin {
    /// Returns true when both are the same key for the same use, whether current or not.
    pub fn same_key(&self, other: &Self) -> bool {
        self.purpose == other.purpose && self.key_id == other.key_id && self.key == other.key
    }
}

impl Connector {
    /// Returns the pinned keys by which its receipts are verified.
    pub fn receipt_keys(&self) -> Vec<seal::keys::ReceiptPublic> {
        let pinned = self.pins.iter().filter(|pin| pin.purpose == KeyUse::Receipts);
        pinned.filter_map(|pin| seal::keys::ReceiptPublic::from_base64(&pin.key).ok()).collect()
    }

    /// Returns true when the hash is of a token that is taken at a time.
    pub fn takes(&self, hash: &TokenHash, now: Timestamp) -> bool {
        let previous = self.previous.as_ref();
        self.token == *hash || previous.is_some_and(|(before, until)| before == hash && *until > now)
    }
}
