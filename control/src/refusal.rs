//! Why something that was asked for is not done: the decision that the caller must make of it.

use model::Span;

use crate::rules::approval::NotNow;
use crate::rules::fault::{Fault, told_back};
use crate::rules::role::Denied;
use crate::store::StoreFault;

/// Why it is not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// What was sent is wrong; all faults at once.
    #[error("{}", sentence(faults))]
    Invalid { faults: Vec<Fault> },
    #[error("there is no {what} `{id}`, or you may not see it")]
    NotFound { what: &'static str, id: String },
    #[error("{reason}")]
    Denied { reason: Denied },
    /// It does not fit how things are now.
    #[error("{detail}")]
    Conflict { code: &'static str, detail: String },
    /// The caller knows an older revision.
    #[error("the integration has revision {current}: read it again and apply your change to that")]
    Stale { current: u64 },
    /// No token, or one that is not taken. Never says which.
    #[error("the token is missing or not taken: log in again")]
    Unauthenticated,
    #[error("too many wrong tokens from this address: wait {wait}")]
    Throttled { wait: Span },
    #[error("the store did not do it: {0}")]
    Store(#[from] StoreFault),
}

impl Refusal {
    /// States that there is no such thing, or that the asker may not see it.
    pub fn missing(what: &'static str, id: impl ToString) -> Self {
        Self::NotFound { what, id: told_back(&id.to_string()) }
    }

    /// States that it does not fit how things are now.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// States a single fault.
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self::Invalid { faults: vec![Fault::new(field, reason, way_out)] }
    }

    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::NotFound { .. } => "not_found",
            Self::Denied { .. } => "denied",
            Self::Conflict { code, .. } => code,
            Self::Stale { .. } => "stale_revision",
            Self::Unauthenticated => "unauthenticated",
            Self::Throttled { .. } => "throttled",
            Self::Store(_) => "store_unavailable",
        }
    }
}

impl From<Denied> for Refusal {
    fn from(reason: Denied) -> Self {
        Self::Denied { reason }
    }
}

impl From<NotNow> for Refusal {
    fn from(reason: NotNow) -> Self {
        Self::Conflict { code: reason.code(), detail: reason.to_string() }
    }
}

fn sentence(faults: &[Fault]) -> String {
    match faults {
        [] => "it is not valid".into(),
        [fault] => format!("{}: {}; {}", fault.field, fault.reason, fault.way_out),
        [fault, rest @ ..] => {
            format!("{}: {}; {} (and {} more)", fault.field, fault.reason, fault.way_out, rest.len())
        }
    }
}
