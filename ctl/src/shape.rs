//! What commands need of the server's answers. Fields that they do not need are passed over, so that a newer
//! server is understood; machines get the whole answer as it came.

use std::collections::BTreeMap;

use model::{AccountId, EntitlementSet, GranteeId, SealedCredential};
use serde::Deserialize;

use crate::resource;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) email: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) disabled: bool,
    #[serde(default)]
    pub(crate) has_key: bool,
    #[serde(default)]
    pub(crate) created_at: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    #[serde(default)]
    pub(crate) last_used_at: Option<String>,
    #[serde(default)]
    pub(crate) revoked_at: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Session {
    pub(crate) user: User,
    pub(crate) token: Token,
    pub(crate) server_time: String,
    pub(crate) version: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct GranteeKey {
    pub(crate) public_key: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Person {
    pub(crate) email: String,
}

/// What a connected agent can guard.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Driver {
    pub(crate) connector: String,
    pub(crate) kind: String,
    pub(crate) manifest: Manifest,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Manifest {
    #[serde(default)]
    pub(crate) fields: Vec<Field>,
    #[serde(default)]
    pub(crate) secret_keys: Vec<Field>,
}

/// A setting, or a part of the secret.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Field {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) help: String,
}

/// A request and the access that it becomes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) change: u64,
    /// What people see, for example `Pending Approval`.
    pub(crate) label: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) warning: Option<String>,
    #[serde(default)]
    pub(crate) note: Option<String>,
    #[serde(default)]
    pub(crate) over: bool,
    pub(crate) grantee: Person,
    pub(crate) integration: String,
    pub(crate) entitlements: EntitlementSet,
    #[serde(default)]
    pub(crate) justification: String,
    #[serde(default)]
    pub(crate) requested_at: String,
    #[serde(default)]
    pub(crate) duration_seconds: u64,
    #[serde(default)]
    pub(crate) from: Option<String>,
    #[serde(default)]
    pub(crate) until: Option<String>,
    #[serde(default)]
    pub(crate) decision: Option<Decision>,
    #[serde(default)]
    pub(crate) agent: Option<AgentWord>,
    #[serde(default)]
    pub(crate) credential_ready: bool,
    #[serde(default)]
    pub(crate) can: Vec<String>,
    #[serde(default)]
    pub(crate) history: Vec<HistoryLine>,
}

impl Request {
    /// Returns what is asked for, in one line.
    pub(crate) fn entitlement_line(&self) -> String {
        let mut all = self.entitlements.iter();
        let first = all.next().map_or_else(|| "nothing".into(), resource::entitlement_text);
        match all.count() {
            0 => first,
            more => format!("{first} (+{more})"),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Decision {
    pub(crate) approved: bool,
    pub(crate) by: String,
    pub(crate) at: String,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// What the agent told last.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AgentWord {
    #[serde(default)]
    pub(crate) account: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) contained: bool,
    #[serde(default)]
    pub(crate) attempts: u32,
    #[serde(default)]
    pub(crate) residual: Vec<Residual>,
}

/// What may outlive a close.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Residual {
    pub(crate) kind: String,
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) ends_at: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HistoryLine {
    pub(crate) at: String,
    pub(crate) by: String,
    pub(crate) what: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Integration {
    pub(crate) id: String,
    pub(crate) revision: u64,
    pub(crate) connector: String,
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) title: Option<String>,
    pub(crate) lifecycle: String,
    #[serde(default)]
    pub(crate) approval: Approval,
    #[serde(default)]
    pub(crate) connected: bool,
    #[serde(default)]
    pub(crate) health: Option<Health>,
    #[serde(default)]
    pub(crate) resources: u64,
    #[serde(default)]
    pub(crate) discovered_at: Option<String>,
    #[serde(default)]
    pub(crate) discovering_pages: Option<u32>,
    #[serde(default)]
    pub(crate) unlisted: Option<Unlisted>,
    #[serde(default)]
    pub(crate) access_details: Option<String>,
    #[serde(default)]
    pub(crate) settings: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) secret: Option<String>,
    #[serde(default)]
    pub(crate) drift: Option<Vec<Drift>>,
}

/// What a discovery could not look into.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Unlisted {
    pub(crate) count: u64,
    #[serde(default)]
    pub(crate) parts: Vec<UnlistedPart>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct UnlistedPart {
    pub(crate) kind: String,
    pub(crate) path: Vec<String>,
    pub(crate) code: String,
    pub(crate) detail: String,
}

/// What a survey found that should not be.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Drift {
    pub(crate) kind: String,
    pub(crate) count: u64,
    /// Names on the target.
    #[serde(default)]
    pub(crate) examples: Vec<String>,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Approval {
    #[serde(default)]
    pub(crate) mode: String,
    #[serde(default)]
    pub(crate) self_approval: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Health {
    /// `good`, `warning`, `bad`, `unreachable` and so on.
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) checked_at: Option<String>,
    #[serde(default)]
    pub(crate) product: Option<String>,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) probes: Vec<Probe>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Probe {
    pub(crate) name: String,
    pub(crate) grade: String,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Resource {
    pub(crate) integration: String,
    pub(crate) kind: String,
    pub(crate) path: Vec<String>,
    #[serde(default)]
    pub(crate) permissions: Vec<String>,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
}

/// A credential that only the grantee can open.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Credential {
    pub(crate) account: AccountId,
    pub(crate) account_name: String,
    pub(crate) integration: String,
    pub(crate) grantee: GranteeId,
    pub(crate) sealed: SealedCredential,
    #[serde(default)]
    pub(crate) lines: Vec<ConnectionLine>,
    /// Whose certificates the agent believes at the target, in PEM form.
    #[serde(default)]
    pub(crate) ca_certificates: Option<String>,
    #[serde(default)]
    pub(crate) access_details: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ConnectionLine {
    pub(crate) label: String,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Connector {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default)]
    pub(crate) connected: bool,
    #[serde(default)]
    pub(crate) last_seen_at: Option<String>,
    #[serde(default)]
    pub(crate) version: Option<String>,
    #[serde(default)]
    pub(crate) revoked_at: Option<String>,
    #[serde(default)]
    pub(crate) paused: bool,
    #[serde(default)]
    pub(crate) keys: Vec<ConnectorKey>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ConnectorKey {
    /// `sealing` or `receipts`.
    pub(crate) purpose: String,
    pub(crate) public_key: String,
    #[serde(default)]
    pub(crate) current: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) integration: String,
    pub(crate) number: u64,
    #[serde(default)]
    pub(crate) access: Option<String>,
    pub(crate) deed: String,
    pub(crate) verified: bool,
    #[serde(default)]
    pub(crate) fault: Option<String>,
    #[serde(default)]
    pub(crate) received_at: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AuditEntry {
    pub(crate) number: u64,
    pub(crate) at: String,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) subject: String,
}
