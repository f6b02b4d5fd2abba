//! What surrounds every call: its limits, its deadline, the headers of its answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::describe::{BASE, openapi_json, routes};
use super::problem::Problem;
use crate::office::Office;

/// Most bytes of a body.
const BODY: usize = 1024 * 1024;
/// How long a call may take; longer than the longest wait for a change.
const DEADLINE: Duration = Duration::from_secs(30);
/// Calls that may be under way, those that wait for a change included.
const UNDER_WAY: usize = 1_024;

/// Headers of every answer: nothing here is for a browser to guess at, frame, keep or pass on.
const HEADERS: [(HeaderName, &str); 7] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Returns the whole API, ready to be served.
pub fn router(office: Office) -> Router {
    let (api, _) = routes().split_for_parts();
    let description = openapi_json();
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    api.route(
        &format!("{BASE}/openapi.json"),
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], description) }),
    )
    .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))
    .method_not_allowed_fallback(async || {
        let detail = "this path does not take this method: see the OpenAPI description";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    })
    .layer(DefaultBodyLimit::max(BODY))
    .layer(middleware::from_fn_with_state(places, limited))
    .with_state(office)
}

async fn limited(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = match places.try_acquire() {
        Ok(_place) => match tokio::time::timeout(DEADLINE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let detail = "the call took too long; read how things are before trying again";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "deadline_passed", detail).into_response()
            }
        },
        Err(_) => {
            let detail = "too many calls are under way: try again";
            let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail);
            problem.retry_after_seconds = Some(1);
            problem.into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    tracing::debug!(%method, path, status = response.status().as_u16(), "Answered");
    response
}
