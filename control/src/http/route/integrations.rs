//! Integrations: configured targets.

use crate::changes::integrations::{self as change, Look, Wish};
use crate::http::body::Body;
use crate::http::caller::{Caller, Once};
use crate::http::etag::{provided, with_etag};
use crate::http::once::{Answer, once};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::query::{Query, after, limit, page};
use crate::http::show;
use crate::http::view::Page;
use crate::http::view::integration::{Integration, IntegrationFilter, IntegrationSpec, Ordered};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;
use crate::store::rows::OfferQuery;
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::Response;
use model::{ConnectorId, Policy, Span};

/// Lists integrations, by id.
#[utoipa::path(
    get,
    path = "/integrations",
    tag = "integrations",
    operation_id = "integration_list",
    params(
        IntegrationFilter,
    ),
    responses(
        (status = 200, description = "A page of integrations", body = Page<Integration>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_list(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<IntegrationFilter>,
) -> Result<Json<Page<Integration>>, Refusal> {
    let settings = caller.may(Doing::ReadSettings).is_ok();
    let limit = limit(filter.limit)?;
    let connector = filter.connector.map(ConnectorId::parse).transpose();
    let query = OfferQuery {
        connector: connector
            .map_err(|fault| Refusal::invalid("connector", fault.to_string(), "name a connector"))?,
        kind: filter.kind,
        retired: filter.retired.unwrap_or_default(),
        after: after(filter.cursor.as_deref())?,
        limit: limit + 1,
    };
    let mut rows = office.read().await?;
    let found = rows.offers(&query).await?;
    let mut shown = Vec::with_capacity(found.len());
    for offer in &found {
        shown.push(
            show::integration::integration(rows.as_mut(), &office.alive, office.limits, offer, settings)
                .await?,
        );
    }
    Ok(Json(page(shown, limit, |integration| integration.id.clone(), |integration| integration)))
}

/// Shows an integration.
#[utoipa::path(
    get,
    path = "/integrations/{integration}",
    tag = "integrations",
    operation_id = "integration_show",
    params(
        ("integration" = String, Path, description = "The integration's id"),
    ),
    responses(
        (status = 200, description = "The integration", body = Integration, headers(("ETag" = String, description = "The revision, in quotes"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_show(
    State(office): State<Office>,
    caller: Caller,
    Path(integration): Path<String>,
) -> Result<Response, Refusal> {
    let settings = caller.may(Doing::ReadSettings).is_ok();
    let id = change::parse(&integration)?;
    let mut rows = office.read().await?;
    let offer = rows.offer(&id).await?.ok_or_else(|| Refusal::missing("integration", &id))?;
    let shown =
        show::integration::integration(rows.as_mut(), &office.alive, office.limits, &offer, settings).await?;
    Ok(with_etag(shown))
}

/// Makes an integration, or replaces it whole. The same again changes nothing.
#[utoipa::path(
    put,
    path = "/integrations/{integration}",
    tag = "integrations",
    operation_id = "integration_apply",
    params(
        ("integration" = String, Path, description = "The integration's id"),
        ("If-Match" = Option<String>, Header, description = "Only when this is the current revision, for example `\"3\"`"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only when there is none yet"),
    ),
    request_body = IntegrationSpec,
    responses(
        (status = 200, description = "The integration", body = Integration, headers(("ETag" = String, description = "The revision, in quotes"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_apply(
    State(office): State<Office>,
    caller: Caller,
    Path(integration): Path<String>,
    headers: HeaderMap,
    Body(body): Body<IntegrationSpec>,
) -> Result<Response, Refusal> {
    let provided = provided(&headers)?;
    let wish = Wish {
        connector: body.connector,
        kind: body.kind,
        title: body.title,
        settings: body.settings,
        secret: body.secret,
        policy: Policy {
            credentials_rotation_period_in_days: body.policy.credentials_rotation_period_in_days,
            credentials_cleanup_period_in_days: body.policy.credentials_cleanup_period_in_days,
        },
        approval: body.approval,
        access_details: body.access_details,
        longest: body
            .max_duration_seconds
            .map(|seconds| Span::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))),
    };
    let (alive, limits) = (office.alive.clone(), office.limits);
    let shown = office
        .write(caller.who(), move |deed| {
            Box::pin(async move {
                let offer = change::apply(deed, &integration, wish, provided).await?;
                Ok(show::integration::integration(deed.rows, &alive, limits, &offer, true).await?)
            })
        })
        .await?;
    Ok(with_etag(shown))
}

/// Retires an integration: everything on it is closed, what is ours is removed. The id never comes back.
#[utoipa::path(
    delete,
    path = "/integrations/{integration}",
    tag = "integrations",
    operation_id = "integration_retire",
    params(
        ("integration" = String, Path, description = "The integration's id"),
        ("If-Match" = Option<String>, Header, description = "Only when this is the current revision, for example `\"3\"`"),
    ),
    responses(
        (status = 202, description = "Being retired", body = Integration),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_retire(
    State(office): State<Office>,
    caller: Caller,
    Path(integration): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Integration>), Refusal> {
    let provided = provided(&headers)?;
    let (alive, limits) = (office.alive.clone(), office.limits);
    let shown = office
        .write(caller.who(), move |deed| {
            Box::pin(async move {
                let offer = change::retire(deed, &integration, provided).await?;
                Ok(show::integration::integration(deed.rows, &alive, limits, &offer, true).await?)
            })
        })
        .await?;
    Ok((StatusCode::ACCEPTED, Json(shown)))
}

/// Checks now; the answer comes as `health`.
#[utoipa::path(
    post,
    path = "/integrations/{integration}/check",
    tag = "integrations",
    operation_id = "integration_check",
    params(
        ("integration" = String, Path, description = "The integration's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_check(
    State(office): State<Office>,
    caller: Caller,
    Path(integration): Path<String>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let alive = office.alive.clone();
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let (connector, position) = change::look(deed, &integration, Look::Check).await?;
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

/// Discovers resources now.
#[utoipa::path(
    post,
    path = "/integrations/{integration}/discover",
    tag = "integrations",
    operation_id = "integration_discover",
    params(
        ("integration" = String, Path, description = "The integration's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_discover(
    State(office): State<Office>,
    caller: Caller,
    Path(integration): Path<String>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let alive = office.alive.clone();
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let (connector, position) = change::look(deed, &integration, Look::Discover).await?;
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

/// Looks over the accounts now; the answer comes as `drift`.
#[utoipa::path(
    post,
    path = "/integrations/{integration}/survey",
    tag = "integrations",
    operation_id = "integration_survey",
    params(
        ("integration" = String, Path, description = "The integration's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 202, description = "Ordered", body = Ordered),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn integration_survey(
    State(office): State<Office>,
    caller: Caller,
    Path(integration): Path<String>,
    key: Once,
) -> Result<(StatusCode, Json<Ordered>), Refusal> {
    let alive = office.alive.clone();
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let (connector, position) = change::look(deed, &integration, Look::Survey).await?;
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
