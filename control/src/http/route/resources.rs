//! Resources that can be asked for.

use crate::changes::integrations::parse;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::query::{Query, after, cursor_fault, limit, page};
use crate::http::show;
use crate::http::view::Page;
use crate::http::view::integration::{Resource, ResourceFilter};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;
use crate::store::rows::{FoundResource, ResourceQuery};
use axum::Json;
use axum::extract::State;

/// Most words of a search.
const MOST_WORDS: usize = 16;

/// Lists resources of the last whole discovery of each integration, by integration, kind and path.
#[utoipa::path(
    get,
    path = "/resources",
    tag = "resources",
    operation_id = "resource_list",
    params(
        ResourceFilter,
    ),
    responses(
        (status = 200, description = "A page of resources", body = Page<Resource>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn resource_list(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<ResourceFilter>,
) -> Result<Json<Page<Resource>>, Refusal> {
    caller.may(Doing::Browse)?;
    let limit = limit(filter.limit)?;
    let search = filter.search.unwrap_or_default().to_lowercase();
    let words: Vec<_> = search.split_whitespace().map(str::to_owned).collect();
    if words.len() > MOST_WORDS {
        return Err(Refusal::invalid(
            "search",
            format!("it has {} words", words.len()),
            format!("use at most {MOST_WORDS}"),
        ));
    }
    let after = match after(filter.cursor.as_deref())? {
        None => None,
        Some(key) => {
            let (integration, place) = key.split_once('\n').ok_or_else(cursor_fault)?;
            Some((integration.to_owned(), place.to_owned()))
        }
    };
    let query = ResourceQuery {
        integration: filter.integration.as_deref().map(parse).transpose()?,
        kind: filter.kind,
        words,
        after,
        limit: limit + 1,
    };
    let mut rows = office.read().await?;
    let found = rows.resources(&query).await?;
    let key = |found: &FoundResource| format!("{}\n{}", found.integration, found.key);
    Ok(Json(page(found, limit, key, show::integration::resource)))
}
