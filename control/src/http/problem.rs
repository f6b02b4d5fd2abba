//! Problem details (RFC 9457): what every refusal looks like on the wire.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::refusal::Refusal;
use crate::rules::fault::Fault;

/// What went wrong, as `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct Problem {
    /// `urn:tidegate:problem:` and the code.
    #[serde(rename = "type")]
    pub(in crate::http) kind: String,
    /// The code in words.
    pub(in crate::http) title: String,
    pub(in crate::http) status: u16,
    /// A stable name, `snake_case`.
    pub(in crate::http) code: String,
    /// This time: what, why, and the way out.
    pub(in crate::http) detail: String,
    /// Everything that is wrong with the body, field by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::http) faults: Vec<Fault>,
    /// Wait so long before the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http) retry_after_seconds: Option<u64>,
}

impl Problem {
    /// Names a problem.
    pub(in crate::http) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tidegate:problem:{code}"),
            title: code.replace('_', " "),
            status: status.as_u16(),
            code: code.into(),
            detail: detail.into(),
            faults: vec![],
            retry_after_seconds: None,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::NotFound { .. } => StatusCode::NOT_FOUND,
            Refusal::Denied { .. } => StatusCode::FORBIDDEN,
            Refusal::Conflict { .. } => StatusCode::CONFLICT,
            Refusal::Stale { .. } => StatusCode::PRECONDITION_FAILED,
            Refusal::Unauthenticated => StatusCode::UNAUTHORIZED,
            Refusal::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut problem = Self::new(status, refusal.code(), refusal.to_string());
        match refusal {
            Refusal::Invalid { faults } => problem.faults = faults,
            Refusal::Throttled { wait } => {
                problem.retry_after_seconds = Some(wait.as_std().as_secs().max(1));
            }
            Refusal::Store(_) => problem.retry_after_seconds = Some(1),
            Refusal::NotFound { .. }
            | Refusal::Denied { .. }
            | Refusal::Conflict { .. }
            | Refusal::Stale { .. }
            | Refusal::Unauthenticated => {}
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let wait = self.retry_after_seconds;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
