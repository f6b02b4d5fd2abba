//! Connectors: agents, their tokens, keys and pauses.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::Span;

use crate::changes::connectors as change;
use crate::http::body::Body;
use crate::http::caller::{Caller, Once};
use crate::http::once::{Answer, once};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::query::{Query, after, limit, page};
use crate::http::show;
use crate::http::view::integration::{Connector, IssuedConnectorToken, NewConnector, Ordered, TokenRotation};
use crate::http::view::{Page, Paging};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;

/// Lists connectors, by id.
#[utoipa::path(
    get,
    path = "/connectors",
    tag = "connectors",
    operation_id = "connector_list",
    params(
        Paging,
    ),
    responses(
        (status = 200, description = "A page of connectors", body = Page<Connector>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_list(
    State(office): State<Office>,
    caller: Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Connector>>, Refusal> {
    caller.may(Doing::ReadSettings)?;
    let limit = limit(paging.limit)?;
    let after = after(paging.cursor.as_deref())?;
    let mut rows = office.read().await?;
    let found = rows.connectors(after.as_deref(), limit + 1).await?;
    let mut shown = Vec::with_capacity(found.len());
    for connector in &found {
        shown.push(show::integration::connector(rows.as_mut(), &office.alive, connector).await?);
    }
    Ok(Json(page(shown, limit, |connector| connector.id.clone(), |connector| connector)))
}

/// Makes a connector and its token. The token is shown this once.
#[utoipa::path(
    post,
    path = "/connectors",
    tag = "connectors",
    operation_id = "connector_create",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = NewConnector,
    responses(
        (status = 201, description = "The token", body = IssuedConnectorToken),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_create(
    State(office): State<Office>,
    caller: Caller,
    key: Once,
    Body(body): Body<NewConnector>,
) -> Result<(StatusCode, Json<IssuedConnectorToken>), Refusal> {
    let new = body.clone();
    let answer = once(&office, &caller, key, &body, Answer::Secret, move |deed| {
        Box::pin(async move {
            let (connector, clear) = change::create(deed, &new.id, new.description).await?;
            Ok(IssuedConnectorToken {
                connector: connector.id.to_string(),
                token: clear.expose().to_owned(),
                previous_until: None,
            })
        })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows a connector.
#[utoipa::path(
    get,
    path = "/connectors/{connector}",
    tag = "connectors",
    operation_id = "connector_show",
    params(
        ("connector" = String, Path, description = "The connector's id"),
    ),
    responses(
        (status = 200, description = "The connector", body = Connector),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_show(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
) -> Result<Json<Connector>, Refusal> {
    caller.may(Doing::ReadSettings)?;
    let mut rows = office.read().await?;
    let id = change::parse(&connector)?;
    let found = rows.connector(&id).await?.ok_or_else(|| Refusal::missing("connector", &id))?;
    Ok(Json(show::integration::connector(rows.as_mut(), &office.alive, &found).await?))
}

/// Makes a new token; the old one is taken for a while longer. The token is shown this once.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/rotate-token",
    tag = "connectors",
    operation_id = "connector_rotate_token",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = TokenRotation,
    responses(
        (status = 200, description = "The token", body = IssuedConnectorToken),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_rotate_token(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
    key: Once,
    Body(body): Body<TokenRotation>,
) -> Result<Json<IssuedConnectorToken>, Refusal> {
    let rotation = body.clone();
    let answer = once(&office, &caller, key, &body, Answer::Secret, move |deed| {
        Box::pin(async move {
            let grace = rotation
                .grace_seconds
                .map(|seconds| Span::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)));
            let (connector, clear, until) = change::rotate_token(deed, &connector, grace).await?;
            Ok(IssuedConnectorToken {
                connector: connector.id.to_string(),
                token: clear.expose().to_owned(),
                previous_until: until.map(|at| at.to_string()),
            })
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Revokes a connector: its agent is refused from now on. What it opened still ends at its deadlines.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/revoke",
    tag = "connectors",
    operation_id = "connector_revoke",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 200, description = "The connector", body = Connector),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_revoke(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
    key: Once,
) -> Result<Json<Connector>, Refusal> {
    let alive = office.alive.clone();
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let connector = change::revoke(deed, &connector).await?;
            Ok(show::integration::connector(deed.rows, &alive, &connector).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Pins the public keys that the agent offers now, besides those pinned before.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/accept-keys",
    tag = "connectors",
    operation_id = "connector_accept_keys",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 200, description = "The connector", body = Connector),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_accept_keys(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
    key: Once,
) -> Result<Json<Connector>, Refusal> {
    let alive = office.alive.clone();
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let connector = change::accept_keys(deed, &connector).await?;
            Ok(show::integration::connector(deed.rows, &alive, &connector).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Opens nothing from now on; closing goes on.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/pause",
    tag = "connectors",
    operation_id = "connector_pause",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_pause(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let connected = office.alive.is_connected(&change::parse(&connector)?);
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let position = change::pause(deed, &connector, true).await?;
            Ok(Ordered { connector, position: position.0, connected })
        })
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Ends a pause.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/resume",
    tag = "connectors",
    operation_id = "connector_resume",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_resume(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let connected = office.alive.is_connected(&change::parse(&connector)?);
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let position = change::pause(deed, &connector, false).await?;
            Ok(Ordered { connector, position: position.0, connected })
        })
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
