//! The audit log.

use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::query::{Query, after_number, limit, page};
use crate::http::view::Page;
use crate::http::view::misc::{AuditEntry, AuditFilter};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::role::Doing;
use crate::store::rows::AuditQuery;
use axum::Json;
use axum::extract::State;

/// Lists the audit log, newest first.
#[utoipa::path(
    get,
    path = "/audit",
    tag = "audit",
    operation_id = "audit_list",
    params(
        AuditFilter,
    ),
    responses(
        (status = 200, description = "A page of entries", body = Page<AuditEntry>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn audit_list(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<AuditFilter>,
) -> Result<Json<Page<AuditEntry>>, Refusal> {
    caller.may(Doing::ReadAudit)?;
    let limit = limit(filter.limit)?;
    let query = AuditQuery {
        who: filter.who,
        what: filter.what,
        subject: filter.subject,
        before: after_number(filter.cursor.as_deref())?,
        limit: limit + 1,
    };
    let mut rows = office.read().await?;
    let found = rows.audit(&query).await?;
    let show = |(number, entry): (u64, crate::record::AuditEntry)| AuditEntry {
        number,
        at: entry.at.to_string(),
        who: entry.who,
        what: entry.what,
        subject: entry.subject,
        origin: entry.origin,
        before: entry.before,
        after: entry.after,
    };
    Ok(Json(page(found, limit, |(number, _)| number.to_string(), show)))
}
