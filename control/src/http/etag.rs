//! Revisions as entity tags: on which revision a change stands.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use model::Revision;

use super::view::integration::Integration;
use crate::changes::integrations::Provided;
use crate::refusal::Refusal;

/// Answers with the integration and its revision as entity tag.
pub(super) fn with_etag(integration: Integration) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{}\"", integration.revision));
    let mut response = Json(integration).into_response();
    if let Ok(tag) = tag {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Reads on which revision a change stands.
pub(super) fn provided(headers: &HeaderMap) -> Result<Provided, Refusal> {
    if let Some(text) = headers.get(header::IF_MATCH) {
        let number =
            text.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        return number.map(|number| Provided::At(Revision(number))).ok_or_else(|| {
            Refusal::invalid(
                "If-Match",
                "it is not a revision in quotes",
                "take the `ETag` of the integration",
            )
        });
    }
    match headers.get(header::IF_NONE_MATCH) {
        None => Ok(Provided::Always),
        Some(any) if any == "*" => Ok(Provided::Absent),
        Some(_) => Err(Refusal::invalid("If-None-Match", "only `*` is known", "give `*`, or leave it out")),
    }
}
