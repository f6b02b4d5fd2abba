//! The sealed credential of an access.

use crate::changes::requests as change;
use crate::http::caller::{Caller, Once};
use crate::http::once::{Answer, once};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::show;
use crate::http::view::access::Credential;
use crate::http::view::integration::Ordered;
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::AccessId;

/// Shows the sealed credential and how to connect. For the grantee only.
#[utoipa::path(
    get,
    path = "/requests/{request}/credential",
    tag = "requests",
    operation_id = "credential_show",
    params(
        ("request" = String, Path, description = "The request's id"),
    ),
    responses(
        (status = 200, description = "The credential", body = Credential),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn credential_show(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
) -> Result<Json<Credential>, Refusal> {
    let missing = || Refusal::missing("request", &request);
    let id = AccessId::parse(request.as_str()).map_err(|_| missing())?;
    let mut rows = office.read().await?;
    let found = rows.request(&id).await?.ok_or_else(missing)?;
    caller.may(Doing::SeeRequest(&found.grantee)).map_err(|_| missing())?;
    caller.may(Doing::TakeCredential(&found.grantee))?;
    let Some(credential) = rows.credential(&id).await? else {
        let detail = format!("the access is `{}`: it has no credential now", found.word());
        return Err(Refusal::conflict("credential_not_ready", detail));
    };
    let offer = rows.offer(&found.integration).await?;
    Ok(Json(show::access::credential(&found, credential, offer)))
}

/// Asks for a new credential, sealed to one's current key; the old one stops. For the grantee only.
#[utoipa::path(
    post,
    path = "/requests/{request}/credential/rotate",
    tag = "requests",
    operation_id = "credential_rotate",
    params(
        ("request" = String, Path, description = "The request's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn credential_rotate(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let alive = office.alive.clone();
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let (connector, position) = change::rotate_credential(deed, &request).await?;
            Ok(Ordered {
                connected: alive.is_connected(&connector),
                connector: connector.to_string(),
                position: position.0,
            })
        })
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
