//! Who is asking, one's own key, logging out.

use crate::changes::people as change;
use crate::http::body::Body;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::show;
use crate::http::show::integration::seconds;
use crate::http::view::people::{GranteeKeyView, KeyRegistration, Session};
use crate::office::Office;
use crate::refusal::Refusal;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

/// Tells who is asking, and where.
#[utoipa::path(
    get,
    path = "/session",
    tag = "session",
    operation_id = "session_show",
    responses(
        (status = 200, description = "The session", body = Session),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn session_show(
    State(office): State<Office>,
    caller: Caller,
) -> Result<Json<Session>, Refusal> {
    let mut rows = office.read().await?;
    let user = show::people::user(rows.as_mut(), &caller.user).await?;
    Ok(Json(Session {
        user,
        token: show::people::token(&caller.token),
        server_time: office.now().to_string(),
        incarnation: rows.incarnation().await?.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        max_duration_seconds: seconds(office.limits.longest),
    }))
}

/// Revokes the token that is used.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "session",
    operation_id = "session_end",
    responses(
        (status = 204, description = "Revoked"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn session_end(
    State(office): State<Office>,
    caller: Caller,
) -> Result<StatusCode, Refusal> {
    let (user, token) = (caller.user.id.clone(), caller.token.id.clone());
    office
        .write(caller.who(), move |deed| {
            Box::pin(async move { change::revoke_token(deed, user.as_str(), &token).await })
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows one's own public key.
#[utoipa::path(
    get,
    path = "/me/key",
    tag = "session",
    operation_id = "my_key_show",
    responses(
        (status = 200, description = "The current key", body = GranteeKeyView),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn my_key_show(
    State(office): State<Office>,
    caller: Caller,
) -> Result<Json<GranteeKeyView>, Refusal> {
    let mut rows = office.read().await?;
    let key = rows.key(&caller.user.id).await?.ok_or_else(|| Refusal::missing("key", "of yours"))?;
    Ok(Json(show::people::key(&key)))
}

/// Registers one's own public key, to which credentials are sealed from now on.
///
/// Another key than before is an alarm; credentials of open accounts stay sealed to the old one.
#[utoipa::path(
    put,
    path = "/me/key",
    tag = "session",
    operation_id = "my_key_register",
    request_body = KeyRegistration,
    responses(
        (status = 200, description = "The current key", body = GranteeKeyView),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn my_key_register(
    State(office): State<Office>,
    caller: Caller,
    Body(body): Body<KeyRegistration>,
) -> Result<Json<GranteeKeyView>, Refusal> {
    let answer = office
        .write(caller.who(), move |deed| {
            Box::pin(async move {
                let key = change::register_key(deed, &body.public_key).await?;
                Ok(show::people::key(&key))
            })
        })
        .await?;
    Ok(Json(answer))
}
