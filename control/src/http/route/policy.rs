//! The policy that holds for all integrations, and what the agents' drivers offer.

use axum::Json;
use axum::extract::State;
use model::Policy;

use crate::changes::connectors as change;
use crate::http::body::Body;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::show;
use crate::http::view::integration::{Driver, PolicyView};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;

/// Lists the drivers of all connectors, as their agents told.
#[utoipa::path(
    get,
    path = "/drivers",
    tag = "connectors",
    operation_id = "driver_list",
    responses(
        (status = 200, description = "The drivers", body = Vec<Driver>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn driver_list(
    State(office): State<Office>,
    caller: Caller,
) -> Result<Json<Vec<Driver>>, Refusal> {
    caller.may(Doing::Browse)?;
    let mut rows = office.read().await?;
    let found = rows.drivers(None).await?;
    let shown = found.into_iter().map(|driver| Driver {
        connector: driver.connector.to_string(),
        kind: driver.kind,
        manifest: driver.manifest,
    });
    Ok(Json(shown.collect()))
}

/// Shows the policy that holds for all integrations; of it and an integration's own the stricter wins.
#[utoipa::path(
    get,
    path = "/policy",
    tag = "connectors",
    operation_id = "policy_show",
    responses(
        (status = 200, description = "The policy", body = PolicyView),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn policy_show(
    State(office): State<Office>,
    caller: Caller,
) -> Result<Json<PolicyView>, Refusal> {
    caller.may(Doing::ReadSettings)?;
    let mut rows = office.read().await?;
    Ok(Json(show::integration::policy(rows.policy().await?)))
}

/// Replaces the policy that holds for all integrations.
#[utoipa::path(
    put,
    path = "/policy",
    tag = "connectors",
    operation_id = "policy_apply",
    request_body = PolicyView,
    responses(
        (status = 200, description = "The policy", body = PolicyView),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn policy_apply(
    State(office): State<Office>,
    caller: Caller,
    Body(body): Body<PolicyView>,
) -> Result<Json<PolicyView>, Refusal> {
    let policy = Policy {
        credentials_rotation_period_in_days: body.credentials_rotation_period_in_days,
        credentials_cleanup_period_in_days: body.credentials_cleanup_period_in_days,
    };
    let answer = office
        .write(caller.who(), move |deed| {
            Box::pin(async move {
                let policy = change::set_policy(deed, policy).await?;
                Ok(show::integration::policy(policy))
            })
        })
        .await?;
    Ok(Json(answer))
}
