//! The standing list on demand, and accesses that nobody here knows.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::changes::connectors as change;
use crate::http::body::Body;
use crate::http::caller::{Caller, Once};
use crate::http::once::{Answer, once};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::show;
use crate::http::view::integration::{Connector, Ordered, StandingOrder, Stray};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;

/// Sends the standing list now; confirmed, it ends everything that is absent from it.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/standing",
    tag = "connectors",
    operation_id = "connector_standing",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = StandingOrder,
    responses(
        (status = 202, description = "Will be sent", body = Connector),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn connector_standing(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
    key: Once,
    Body(body): Body<StandingOrder>,
) -> Result<(StatusCode, Json<Connector>), Refusal> {
    let id = change::parse(&connector)?;
    if !office.alive.is_connected(&id) {
        let detail = format!("the agent of `{id}` is not connected: it gets the list when it needs it");
        return Err(Refusal::conflict("connector_offline", detail));
    }
    let alive = office.alive.clone();
    let confirmed = body.confirmed;
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let connector = change::standing_asked(deed, &connector, confirmed).await?;
            Ok(show::integration::connector(deed.rows, &alive, &connector).await?)
        })
    })
    .await?;
    office.alive.ask_standing(&id, confirmed);
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Lists accesses that the agent told of and nobody here knows; the first 1,000.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/strays",
    tag = "connectors",
    operation_id = "stray_list",
    params(
        ("connector" = String, Path, description = "The connector's id"),
    ),
    responses(
        (status = 200, description = "The strays", body = Vec<Stray>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn stray_list(
    State(office): State<Office>,
    caller: Caller,
    Path(connector): Path<String>,
) -> Result<Json<Vec<Stray>>, Refusal> {
    caller.may(Doing::ReadSettings)?;
    let mut rows = office.read().await?;
    let found = rows.strays(&change::parse(&connector)?).await?;
    Ok(Json(found.iter().map(show::integration::stray).collect()))
}

/// Ends an access that nobody here knows.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/strays/{access}/end",
    tag = "connectors",
    operation_id = "stray_end",
    params(
        ("connector" = String, Path, description = "The connector's id"),
        ("access" = String, Path, description = "The access's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn stray_end(
    State(office): State<Office>,
    caller: Caller,
    Path((connector, access)): Path<(String, String)>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let connected = office.alive.is_connected(&change::parse(&connector)?);
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let position = change::end_stray(deed, &connector, &access).await?;
            Ok(Ordered { connector, position: position.0, connected })
        })
    })
    .await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
