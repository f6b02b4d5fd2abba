//! Requests, the accesses they become, and their sealed credentials.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::people::UserBrief;
use crate::rules::label::Label;

/// A resource by kind and path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    #[schema(example = "postgresql-table")]
    pub kind: String,
    #[schema(example = json!(["shop", "public", "orders"]))]
    pub path: Vec<String>,
}

/// One permission on one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntitlementView {
    pub resource: ResourceRef,
    #[schema(example = "READ_ONLY")]
    pub permission: String,
}

/// A request to be made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRequest {
    pub integration: String,
    /// 1 to 1,000.
    pub entitlements: Vec<EntitlementView>,
    /// How long, counted from approval, or from `from` when that is given.
    #[schema(minimum = 1)]
    pub duration_seconds: u64,
    /// What it is for, 1 to 2,000 characters.
    pub justification: String,
    /// Not before; at once when missing.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub from: Option<String>,
}

/// A request and the access it becomes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Request {
    pub id: String,
    /// Rises with every change: give it as `after_change` to wait for the next.
    pub change: u64,
    pub label: Label,
    /// `pending`, `rejected`, `withdrawn`, `accepted`, `granting`, `active`, `interrupted`, `ending`,
    /// `ended`, `refused`, `failed` or `canceled`: what was decided here or what the agent told last.
    pub state: String,
    /// Something is not as it should be.
    pub warning: Option<String>,
    /// Why it is as it is.
    pub note: Option<String>,
    /// The deadline passed and the agent has not told the end yet.
    pub deadline_passed: bool,
    /// Nothing can change it any more.
    pub over: bool,
    pub grantee: UserBrief,
    pub integration: String,
    pub connector: String,
    pub entitlements: Vec<EntitlementView>,
    pub justification: String,
    #[schema(format = "date-time")]
    pub requested_at: String,
    pub duration_seconds: u64,
    /// Fixed at approval; before that the start that was asked for.
    #[schema(format = "date-time")]
    pub from: Option<String>,
    /// Fixed at approval; earlier where the agent's guardrails say so.
    #[schema(format = "date-time")]
    pub until: Option<String>,
    pub decision: Option<DecisionView>,
    /// Somebody asked for its end.
    pub end_asked: Option<AskedView>,
    /// Somebody asked to stop waiting for the close.
    pub cancel_asked: Option<AskedView>,
    pub agent: Option<AgentWord>,
    /// A sealed credential is there for the grantee.
    pub credential_ready: bool,
    /// What the asker may do with it now: `approve`, `reject`, `revoke`, `cancel`, `reopen`, `credential`.
    pub can: Vec<String>,
}

/// What the agent told last.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgentWord {
    pub state: String,
    /// The agent's time.
    #[schema(format = "date-time")]
    pub at: String,
    /// Since when it is so, where the state has a beginning.
    #[schema(format = "date-time")]
    pub since: Option<String>,
    pub account: Option<String>,
    pub code: Option<String>,
    pub detail: Option<String>,
    /// While ending: the login is shut.
    pub contained: bool,
    /// While ending: tries so far.
    pub attempts: u32,
    /// While ending: an admin may stop waiting.
    pub cancel_possible: bool,
    /// When ended: what may outlive the close.
    pub residual: Vec<ResidualView>,
}

/// Something that may outlive a close, and until when.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ResidualView {
    pub kind: String,
    pub detail: String,
    #[schema(format = "date-time")]
    pub ends_at: Option<String>,
}

/// The decision on a request.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DecisionView {
    pub approved: bool,
    /// `policy` when the integration decides by itself; else the approver's e-mail.
    pub by: String,
    #[schema(format = "date-time")]
    pub at: String,
    pub reason: Option<String>,
}

/// Who asked for something, and why.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AskedView {
    pub by: String,
    #[schema(format = "date-time")]
    pub at: String,
    pub reason: Option<String>,
}

/// A request with all that happened to it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RequestDetail {
    #[serde(flatten)]
    pub request: Request,
    /// Oldest first.
    pub history: Vec<HistoryLine>,
}

/// One line of a request's history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistoryLine {
    #[schema(format = "date-time")]
    pub at: String,
    /// An e-mail address, `policy`, `agent:…` or `system`.
    pub by: String,
    /// `requested`, `approved`, `auto_approved`, `rejected`, `withdrawn`, `revoke_asked`, `cancel_asked`,
    /// `reopen_asked`, or the agent's word.
    pub what: String,
    pub detail: Option<String>,
}

/// Which requests.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RequestFilter {
    /// Only one's own. Requesters see only their own in any case.
    pub mine: Option<bool>,
    /// As `state` of a request.
    pub state: Option<String>,
    pub label: Option<Label>,
    /// `true`: only those that can still change; `false`: only those that are over.
    pub open: Option<bool>,
    pub integration: Option<String>,
    /// The grantee's id.
    pub grantee: Option<String>,
    #[param(default = 50, minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Whether to wait for a change.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Waiting {
    /// The `change` that is known already: answers at once when it is another, else when it changes.
    pub after_change: Option<u64>,
    /// Waits at most so long, 0 to 25.
    #[param(default = 0, maximum = 25)]
    pub wait_seconds: Option<u64>,
}

/// Why something is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptionalReason {
    /// At most 2,000 characters.
    pub reason: Option<String>,
}

/// Why something is done.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// 1 to 2,000 characters.
    pub reason: String,
}

/// What is to be ended at once.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndEverything {
    /// Only on this connector.
    #[serde(default)]
    pub connector: Option<String>,
    /// Only on this integration.
    #[serde(default)]
    pub integration: Option<String>,
    /// 1 to 2,000 characters.
    pub reason: String,
    /// `next` of the page before; none for the first page.
    #[serde(default)]
    pub after: Option<String>,
}

/// What a page of ending everything came to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EverythingEnded {
    /// Accesses and pending requests whose end was asked for just now.
    pub ended: u64,
    /// Those whose end had been asked for before, and that are not over.
    pub ending: u64,
    /// Connectors that open nothing from now on, until they are resumed.
    pub paused: Vec<String>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// A credential that only the grantee can open, and how to connect.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Credential {
    /// The account on the target.
    pub account: String,
    pub account_name: String,
    pub integration: String,
    pub grantee: String,
    pub sealed: Sealed,
    /// How to connect; never with a credential inside.
    pub lines: Vec<ConnectionLineView>,
    /// Certificates of the authorities that the agent believes at the target, in PEM form; none when it believes
    /// those of its system, or any.
    pub ca_certificates: Option<String>,
    /// What the admin of the integration adds.
    pub access_details: Option<String>,
    #[schema(format = "date-time")]
    pub sealed_at: String,
}

/// HPKE: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM; bound to access, account, grantee and
/// generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sealed {
    pub generation: u32,
    /// The access it was sealed for; an earlier one when this access joined an open account.
    pub access: String,
    /// The public key it is sealed to, standard base64.
    pub key: String,
    pub encapsulated: String,
    pub ciphertext: String,
}

/// One way to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionLineView {
    /// For example `psql` or `uri`.
    pub label: String,
    pub text: String,
}
