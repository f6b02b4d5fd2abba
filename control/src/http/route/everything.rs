//! Ending everything at once.

use axum::Json;
use axum::extract::State;

use crate::changes::everything::{self as change, Scope};
use crate::http::body::Body;
use crate::http::caller::{Caller, Once};
use crate::http::once::{Answer, once};
use crate::http::problem::Problem;
use crate::http::view::access::{EndEverything, EverythingEnded};
use crate::office::Office;
use crate::refusal::Refusal;

/// Ends all accesses and pending requests of a connector, of an integration, or all there are; a page at a time.
/// Unless it is about one integration, the first page stops opening, too.
#[utoipa::path(
    post,
    path = "/end-everything",
    tag = "requests",
    operation_id = "everything_end",
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated call answer as the first did, for 24 hours; 1 to 128 characters of your choice"),
    ),
    request_body = EndEverything,
    responses(
        (status = 200, description = "What was ended, and where to go on", body = EverythingEnded),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn everything_end(
    State(office): State<Office>,
    caller: Caller,
    key: Once,
    Body(body): Body<EndEverything>,
) -> Result<Json<EverythingEnded>, Refusal> {
    let asked = body.clone();
    let answer = once(&office, &caller, key, &body, Answer::Plain, move |deed| {
        Box::pin(async move {
            let EndEverything { connector, integration, reason, after } = asked;
            let connector = connector.as_deref().map(crate::changes::connectors::parse).transpose()?;
            let integration = match integration {
                None => None,
                Some(id) => Some(crate::changes::integrations::offer_of(deed, &id).await?.integration.id),
            };
            let done = change::end_page(deed, &Scope { connector, integration }, after, &reason).await?;
            Ok(EverythingEnded {
                ended: done.ended,
                ending: done.ending,
                paused: done.paused.iter().map(ToString::to_string).collect(),
                next: done.next,
            })
        })
    })
    .await?;
    Ok(Json(answer))
}
