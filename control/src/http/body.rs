//! A JSON body whose faults come back as problem details; an empty body stands for the default.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::rules::fault::Fault;

/// A JSON body.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = axum::body::Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.status();
            let code =
                if status == StatusCode::PAYLOAD_TOO_LARGE { "body_too_large" } else { "body_unreadable" };
            Problem::new(status, code, rejection.body_text())
        })?;
        let text: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        serde_json::from_slice(text).map(Self).map_err(|fault| {
            let fault = Fault::new("body", fault.to_string(), "see the OpenAPI description");
            let detail = format!("the body does not fit: {}", fault.reason);
            let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
            problem.faults = vec![fault];
            problem
        })
    }
}
