//! Requests: asking, deciding, ending.

use crate::bells::Bell;
use crate::changes::requests as change;
use crate::http::body::Body;
use crate::http::caller::{Caller, Once};
use crate::http::once::{Answer, once};
use crate::http::path::Path;
use crate::http::problem::Problem;
use crate::http::query::{Query, after, limit, to_cursor};
use crate::http::show::access::{Shower, to_entitlement};
use crate::http::view::Page;
use crate::http::view::access::{
    NewRequest, OptionalReason, Reason, Request, RequestDetail, RequestFilter, Waiting,
};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::asking::Ask;
use crate::rules::label::shown;
use crate::rules::request::WORDS;
use crate::rules::role::Doing;
use crate::store::rows::RequestQuery;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use model::{AccessId, GranteeId, IntegrationId, Span, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// The longest that a call waits for a change.
const LONGEST_WAIT: u64 = 25;
/// Most requests that are looked at for one page.
const MOST_LOOKED_AT: usize = 5_000;

/// Lists requests, newest first. Requesters see their own, approvers and admins see all.
#[utoipa::path(
    get,
    path = "/requests",
    tag = "requests",
    operation_id = "request_list",
    params(
        RequestFilter,
    ),
    responses(
        (status = 200, description = "A page of requests", body = Page<Request>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_list(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<RequestFilter>,
) -> Result<Json<Page<Request>>, Refusal> {
    let limit = limit(filter.limit)?;
    let query = to_query(&filter, &caller, limit)?;
    let now = office.now();
    let mut rows = office.read().await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut found, mut looked_at, mut query) = (vec![], 0, query);
    // A label depends on the time, so it is looked at one by one; a page may be short and go on.
    let next_cursor = loop {
        let some = rows.requests(&query).await?;
        looked_at += some.len();
        let last = some.last().map(|request| request.id.to_string());
        let whole = u32::try_from(some.len()).is_ok_and(|length| length < query.limit);
        let mut full = None;
        for request in some {
            if filter.label.is_none_or(|label| shown(&request, now).label == label) {
                if found.len() == most {
                    full = found.last().map(|last: &crate::rules::request::Request| last.id.to_string());
                    break;
                }
                found.push(request);
            }
        }
        if full.is_some() || whole {
            break full;
        }
        query.before.clone_from(&last);
        if looked_at >= MOST_LOOKED_AT {
            break last;
        }
    };
    let mut shower = Shower::new(rows.as_mut(), &office.alive, caller.actor(), now);
    let mut items = Vec::with_capacity(found.len());
    for request in &found {
        items.push(shower.request(request).await?);
    }
    Ok(Json(Page { items, next_cursor: next_cursor.map(|key| to_cursor(&key)) }))
}

/// Asks for access.
#[utoipa::path(
    post,
    path = "/requests",
    tag = "requests",
    operation_id = "request_create",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = NewRequest,
    responses(
        (status = 201, description = "The request", body = Request),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_create(
    State(office): State<Office>,
    caller: Caller,
    key: Once,
    Body(body): Body<NewRequest>,
) -> Result<(StatusCode, Json<Request>), Refusal> {
    let (asker, integration) = (caller.actor(), body.integration.clone());
    let ask = to_ask(body.clone())?;
    let alive = Arc::clone(&office.alive);
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let request = change::create(deed, &integration, ask).await?;
            let now = deed.now;
            Ok(Shower::new(deed.rows, &alive, asker, now).request(&request).await?)
        })
    })
    .await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows a request with its history; waits for a change if told to.
#[utoipa::path(
    get,
    path = "/requests/{request}",
    tag = "requests",
    operation_id = "request_show",
    params(
        ("request" = String, Path, description = "The request's id"),
        Waiting,
    ),
    responses(
        (status = 200, description = "The request", body = RequestDetail),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_show(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    Query(filter): Query<Waiting>,
) -> Result<Json<RequestDetail>, Refusal> {
    let wait = filter.wait_seconds.unwrap_or_default().min(LONGEST_WAIT);
    let known = filter.after_change.filter(|_| wait > 0);
    let missing = || Refusal::missing("request", &request);
    let id = AccessId::parse(request.as_str()).map_err(|_| missing())?;
    let mut bell = office.bells.listen(Bell::Request(id.clone()));
    let patience = tokio::time::sleep(Duration::from_secs(wait));
    tokio::pin!(patience);
    loop {
        let mut rows = office.read().await?;
        let found = rows.request(&id).await?.ok_or_else(missing)?;
        caller.may(Doing::SeeRequest(&found.grantee)).map_err(|_| missing())?;
        if known != Some(found.changes) || patience.is_elapsed() || office.stopping.is_cancelled() {
            let mut shower = Shower::new(rows.as_mut(), &office.alive, caller.actor(), office.now());
            return Ok(Json(shower.detail(&found).await?));
        }
        drop(rows);
        tokio::select! {
            () = bell.rung() => {}
            () = &mut patience => {}
            () = office.stopping.cancelled() => {}
        }
    }
}

/// Approves a pending request.
#[utoipa::path(
    post,
    path = "/requests/{request}/approve",
    tag = "requests",
    operation_id = "request_approve",
    params(
        ("request" = String, Path, description = "The request's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = OptionalReason,
    responses(
        (status = 200, description = "The request", body = Request),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_approve(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    key: Once,
    Body(body): Body<OptionalReason>,
) -> Result<Json<Request>, Refusal> {
    let (asker, reason) = (caller.actor(), body.reason.clone());
    let alive = Arc::clone(&office.alive);
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let request = change::approve(deed, &request, reason).await?;
            let now = deed.now;
            Ok(Shower::new(deed.rows, &alive, asker, now).request(&request).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Rejects a pending request.
#[utoipa::path(
    post,
    path = "/requests/{request}/reject",
    tag = "requests",
    operation_id = "request_reject",
    params(
        ("request" = String, Path, description = "The request's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = Reason,
    responses(
        (status = 200, description = "The request", body = Request),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_reject(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    key: Once,
    Body(body): Body<Reason>,
) -> Result<Json<Request>, Refusal> {
    let (asker, reason) = (caller.actor(), body.reason.clone());
    let alive = Arc::clone(&office.alive);
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let request = change::reject(deed, &request, reason).await?;
            let now = deed.now;
            Ok(Shower::new(deed.rows, &alive, asker, now).request(&request).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Ends an access, or takes a pending request back. Ending twice is ending once.
#[utoipa::path(
    post,
    path = "/requests/{request}/revoke",
    tag = "requests",
    operation_id = "request_revoke",
    params(
        ("request" = String, Path, description = "The request's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = OptionalReason,
    responses(
        (status = 200, description = "The request", body = Request),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_revoke(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    key: Once,
    Body(body): Body<OptionalReason>,
) -> Result<Json<Request>, Refusal> {
    let (asker, reason) = (caller.actor(), body.reason.clone());
    let alive = Arc::clone(&office.alive);
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let request = change::end(deed, &request, reason).await?;
            let now = deed.now;
            Ok(Shower::new(deed.rows, &alive, asker, now).request(&request).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Stops waiting for a close that does not succeed: the access may remain. Possible only when the agent says so.
#[utoipa::path(
    post,
    path = "/requests/{request}/cancel",
    tag = "requests",
    operation_id = "request_cancel",
    params(
        ("request" = String, Path, description = "The request's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = Reason,
    responses(
        (status = 200, description = "The request", body = Request),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_cancel(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    key: Once,
    Body(body): Body<Reason>,
) -> Result<Json<Request>, Refusal> {
    let (asker, reason) = (caller.actor(), body.reason.clone());
    let alive = Arc::clone(&office.alive);
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let request = change::cancel(deed, &request, reason).await?;
            let now = deed.now;
            Ok(Shower::new(deed.rows, &alive, asker, now).request(&request).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

/// Opens an interrupted access again, within its time.
#[utoipa::path(
    post,
    path = "/requests/{request}/reopen",
    tag = "requests",
    operation_id = "request_reopen",
    params(
        ("request" = String, Path, description = "The request's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    responses(
        (status = 200, description = "The request", body = Request),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn request_reopen(
    State(office): State<Office>,
    caller: Caller,
    Path(request): Path<String>,
    key: Once,
) -> Result<Json<Request>, Refusal> {
    let asker = caller.actor();
    let alive = Arc::clone(&office.alive);
    let answer = once(&office, &caller, key, &(), Answer::Plain, move |deed| {
        Box::pin(async move {
            let request = change::reopen(deed, &request).await?;
            let now = deed.now;
            Ok(Shower::new(deed.rows, &alive, asker, now).request(&request).await?)
        })
    })
    .await?;
    Ok(Json(answer))
}

fn to_ask(body: NewRequest) -> Result<Ask, Refusal> {
    let from = body.from.as_deref().map(str::parse::<Timestamp>).transpose();
    Ok(Ask {
        entitlements: body.entitlements.into_iter().map(to_entitlement).collect(),
        duration: Span::from_secs(i64::try_from(body.duration_seconds).unwrap_or(i64::MAX)),
        from: from
            .map_err(|fault| Refusal::invalid("from", fault.to_string(), "give a time, or leave it out"))?,
        justification: body.justification,
    })
}

fn to_query(filter: &RequestFilter, caller: &Caller, limit: u32) -> Result<RequestQuery, Refusal> {
    let grantee = filter.grantee.as_deref().map(GranteeId::parse).transpose();
    let grantee =
        grantee.map_err(|fault| Refusal::invalid("grantee", fault.to_string(), "name a user's id"))?;
    let integration = filter.integration.as_deref().map(IntegrationId::parse).transpose();
    let integration = integration
        .map_err(|fault| Refusal::invalid("integration", fault.to_string(), "name an integration"))?;
    let words = match (filter.state.as_deref(), filter.label) {
        (None, None) => vec![],
        (None, Some(label)) => label.words().to_vec(),
        (Some(state), _) => {
            let word = WORDS.into_iter().find(|word| *word == state).ok_or_else(|| {
                Refusal::invalid(
                    "state",
                    "there is no such state",
                    format!("choose one of: {}", WORDS.join(", ")),
                )
            })?;
            vec![word]
        }
    };
    let own = filter.mine.unwrap_or_default() || caller.may(Doing::SeeAllRequests).is_err();
    let me = &caller.user.id;
    if own && grantee.as_ref().is_some_and(|grantee| grantee != me) {
        return Err(Refusal::invalid("grantee", "you may see only your own requests", "leave it out"));
    }
    Ok(RequestQuery {
        grantee: if own { Some(me.clone()) } else { grantee },
        integration,
        connector: None,
        words,
        over: filter.open.map(|open| !open),
        before: after(filter.cursor.as_deref())?,
        limit: limit + 1,
    })
}
