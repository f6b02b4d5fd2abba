//! Receipts, the audit log, health.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A signed statement of what was done and what was read back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    pub connector: String,
    pub integration: String,
    /// Its place in the integration's chain.
    pub number: u64,
    /// The access it is about; missing for deeds on a whole account or target.
    pub access: Option<String>,
    /// For example `opened`, `ended`, `deleted`.
    pub deed: String,
    /// Whether signature and chain were found good when it came.
    pub verified: bool,
    /// Why not.
    pub fault: Option<String>,
    #[schema(format = "date-time")]
    pub received_at: String,
    /// Exactly as it was signed.
    pub signed: String,
}

/// Which receipts, in the order in which they came.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReceiptFilter {
    pub integration: Option<String>,
    /// Only those of this access. Requesters must name one of their own.
    pub access: Option<String>,
    #[param(default = 50, minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Which chain to export.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReceiptExport {
    pub integration: String,
    /// Only those after this number.
    pub after: Option<u64>,
}

/// One entry of the audit log; nothing in it is ever changed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    pub number: u64,
    #[schema(format = "date-time")]
    pub at: String,
    /// An e-mail address, `policy`, `agent:…` or `system`.
    pub who: String,
    /// For example `request.approved`; what needs attention begins with `alarm.`.
    pub what: String,
    /// What it was done to, for example `request/acc-…`.
    pub subject: String,
    /// The address it came from.
    pub origin: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub before: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    pub after: Option<serde_json::Value>,
}

/// Which entries, newest first.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditFilter {
    /// As `who` of an entry.
    pub who: Option<String>,
    /// The beginning of `what`, for example `alarm.`.
    pub what: Option<String>,
    pub subject: Option<String>,
    #[param(default = 50, minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

/// Whether the server can do its work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// `ok`, or `failing` with a detail.
    pub status: String,
    pub version: String,
    pub detail: Option<String>,
}
