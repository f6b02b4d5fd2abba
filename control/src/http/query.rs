//! The query of a request: filters whose faults come back as problem details, pages and cursors.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use super::view::Page;
use crate::refusal::Refusal;

/// Items of a page when nobody says.
const USUAL_LIMIT: u32 = 50;
/// Most items of a page.
const MOST: u32 = 500;

/// The query of a request.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(found)) => Ok(Self(found)),
            Err(fault) => Err(Refusal::invalid(
                "query",
                fault.body_text(),
                "see the OpenAPI description for the filters",
            )),
        }
    }
}

/// Returns how many items a page has.
pub(super) fn limit(asked: Option<u32>) -> Result<u32, Refusal> {
    match asked.unwrap_or(USUAL_LIMIT) {
        limit @ 1..=MOST => Ok(limit),
        limit => {
            Err(Refusal::invalid("limit", format!("{limit} is not between 1 and {MOST}"), "choose another"))
        }
    }
}

/// Returns the key after which a page begins.
pub(super) fn after(cursor: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.map(Some).ok_or_else(cursor_fault)
}

/// States that a cursor is none of ours.
pub(super) fn cursor_fault() -> Refusal {
    Refusal::invalid("cursor", "it is not one of ours", "take `next_cursor` of the page before as it is")
}

/// Returns the number after which a page begins.
pub(super) fn after_number(cursor: Option<&str>) -> Result<Option<u64>, Refusal> {
    after(cursor)?.map(|key| key.parse().map_err(|_| cursor_fault())).transpose()
}

/// Makes a page of one item more than the limit at most: the one too many says that there are more.
pub(super) fn page<T, V>(
    mut found: Vec<T>,
    limit: u32,
    key: impl Fn(&T) -> String,
    show: impl FnMut(T) -> V,
) -> Page<V> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next_cursor = found.last().filter(|_| more).map(|last| to_cursor(&key(last)));
    Page { items: found.into_iter().map(show).collect(), next_cursor }
}

/// Writes a key as a cursor.
pub(super) fn to_cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}
