//! Whether the server can do its work.

use crate::http::problem::Problem;
use crate::http::view::misc::HealthView;
use crate::office::Office;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Tells whether the server can do its work: 200, or 503 when it cannot.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    operation_id = "health_show",
    responses(
        (status = 200, description = "It can", body = HealthView),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
pub(in crate::http) async fn health_show(State(office): State<Office>) -> (StatusCode, Json<HealthView>) {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let looked = async {
        let mut rows = office.read().await?;
        rows.incarnation().await
    };
    match looked.await {
        Ok(_) => (StatusCode::OK, Json(HealthView { status: "ok".into(), version, detail: None })),
        Err(fault) => {
            let detail = Some(fault.to_string());
            (StatusCode::SERVICE_UNAVAILABLE, Json(HealthView { status: "failing".into(), version, detail }))
        }
    }
}
