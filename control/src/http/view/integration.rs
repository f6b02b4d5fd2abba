//! Connectors, drivers, integrations and resources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::record::{Drift, Health, Pulse, Unlisted};
use crate::rules::terms::Approval;

/// One logical agent.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Connector {
    pub id: String,
    pub description: Option<String>,
    #[schema(format = "date-time")]
    pub created_at: String,
    #[schema(format = "date-time")]
    pub revoked_at: Option<String>,
    /// Whether its agent is connected now.
    pub connected: bool,
    #[schema(format = "date-time")]
    pub last_seen_at: Option<String>,
    /// The agent's version, as it told.
    pub version: Option<String>,
    /// The running process.
    pub instance: Option<String>,
    /// The life of its journal.
    pub journal_incarnation: Option<String>,
    /// Where it runs, as it told.
    pub place: BTreeMap<String, String>,
    /// Its public keys, pinned when it first said hello.
    pub keys: Vec<ConnectorKey>,
    /// Keys that it offered later and that no admin has accepted: what they sign counts as not verified.
    pub keys_offered: Vec<ConnectorKey>,
    /// Set while no access is opened by order of an admin.
    pub paused: bool,
    /// Orders that it has not committed yet.
    pub orders_waiting: u64,
    /// The life of the log of its orders; another after a restore.
    pub log_incarnation: String,
    /// The last order in that log.
    pub last_order: u64,
    pub pulse: Option<Pulse>,
    /// What became of the last standing list: `taken` or `misread`. One that the agent withheld comes as an
    /// alarm and needs an admin's word.
    pub standing: Option<String>,
}

/// A connector's public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectorKey {
    /// `sealing` or `receipts`.
    pub purpose: String,
    /// As seals and receipts name it.
    pub key_id: String,
    /// Standard base64.
    pub public_key: String,
    /// What people compare by eye.
    pub fingerprint: String,
    /// False: kept only so that what is old can be verified or opened.
    pub current: bool,
}

/// A connector to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConnector {
    /// 1 to 64 characters of a-z, A-Z, 0-9, `-`, `_`, `.`.
    pub id: String,
    #[serde(default)]
    pub description: Option<String>,
}

/// A connector's new token. It is shown this once and kept only as a hash.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct IssuedConnectorToken {
    pub connector: String,
    pub token: String,
    /// Until then the token before is taken, too.
    #[schema(format = "date-time")]
    pub previous_until: Option<String>,
}

/// How to change a connector's token.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenRotation {
    /// How long the old token is still taken, 0 to 604800; 3600 when missing.
    pub grace_seconds: Option<u64>,
}

/// A standing list that an admin sends on purpose.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StandingOrder {
    /// States that what is absent from the list is meant to end, however much it is.
    pub confirmed: bool,
}

/// An access that an agent told of and this control plane does not know.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Stray {
    pub access: String,
    pub connector: String,
    pub integration: String,
    pub account: String,
    /// The agent's word for its state.
    pub state: String,
    #[schema(format = "date-time")]
    pub at: String,
}

/// A driver, as a connector's agent told.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Driver {
    pub connector: String,
    pub kind: String,
    /// The manifest: fields, secret keys, kinds of resources, permissions, and so on.
    #[schema(value_type = Object)]
    pub manifest: serde_json::Value,
}

/// How long accounts are kept, and how often their credentials change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyView {
    /// Days after which a shut account's credential is changed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_rotation_period_in_days: Option<u32>,
    /// Days after the last revocation after which the account is deleted; 0 = at each close.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_cleanup_period_in_days: Option<u32>,
}

/// An integration to be applied.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntegrationSpec {
    pub connector: String,
    /// The driver, for example `postgres`.
    pub kind: String,
    #[serde(default)]
    pub title: Option<String>,
    /// The driver's settings, by key, as text.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// Where the agent finds the admin secret, never what it is: `scheme://…#field`.
    pub secret: String,
    #[serde(default)]
    pub policy: PolicyView,
    #[serde(default)]
    pub approval: Approval,
    /// What grantees are told besides how to connect, at most 400 characters.
    #[serde(default)]
    pub access_details: Option<String>,
    /// The longest access here; the server's own limit holds, too.
    #[serde(default)]
    pub max_duration_seconds: Option<u64>,
}

/// An integration.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Integration {
    pub id: String,
    pub revision: u64,
    pub connector: String,
    pub kind: String,
    pub title: Option<String>,
    /// `live`, `retiring` or `retired`.
    pub lifecycle: String,
    pub approval: Approval,
    pub max_duration_seconds: u64,
    pub access_details: Option<String>,
    /// Whether its connector's agent is connected now.
    pub connected: bool,
    pub health: Option<Health>,
    /// For admins only: what the last survey found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Vec<Drift>>,
    /// Resources of the last whole discovery.
    pub resources: u64,
    #[schema(format = "date-time")]
    pub discovered_at: Option<String>,
    /// How many pages have come of a discovery that has not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovering_pages: Option<u32>,
    /// What the last whole discovery could not look into.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlisted: Option<Unlisted>,
    #[schema(format = "date-time")]
    pub updated_at: String,
    /// For admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<String, String>>,
    /// For admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// For admins only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyView>,
}

/// An order that was written for an agent; it acts when it is connected.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Ordered {
    pub connector: String,
    pub position: u64,
    /// Whether the agent is connected now.
    pub connected: bool,
}

/// Which integrations.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IntegrationFilter {
    pub connector: Option<String>,
    pub kind: Option<String>,
    /// Also those that are retired.
    pub retired: Option<bool>,
    #[param(default = 50, minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Something that a driver discovered, and what can be had on it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    pub integration: String,
    /// For example `postgresql-table`.
    pub kind: String,
    /// Names as the target spells them, outermost first.
    pub path: Vec<String>,
    pub permissions: Vec<String>,
    pub tags: BTreeMap<String, String>,
}

/// Which resources, in the order of integration, kind and path.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResourceFilter {
    pub integration: Option<String>,
    pub kind: Option<String>,
    /// Words that all stand in the path, in any case.
    pub search: Option<String>,
    #[param(default = 50, minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}
