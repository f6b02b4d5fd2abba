//! Receipts: signed statements of what was done.

use crate::changes::integrations::parse;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::query::{Query, after_number, limit, page};
use crate::http::view::Page;
use crate::http::view::misc::{Receipt, ReceiptExport, ReceiptFilter};
use crate::office::Office;
use crate::record::ReceiptRecord;
use crate::refusal::Refusal;
use crate::rules::role::Doing;
use crate::store::rows::ReceiptQuery;
use axum::Json;
use axum::body::Body as Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use model::{AccessId, IntegrationId};

/// Receipts that are read at a time for an export.
const AT_A_TIME: u32 = 500;

/// Lists receipts in the order in which they came.
#[utoipa::path(
    get,
    path = "/receipts",
    tag = "receipts",
    operation_id = "receipt_list",
    params(
        ReceiptFilter,
    ),
    responses(
        (status = 200, description = "A page of receipts", body = Page<Receipt>),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn receipt_list(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<ReceiptFilter>,
) -> Result<Json<Page<Receipt>>, Refusal> {
    let limit = limit(filter.limit)?;
    let access = filter.access.map(AccessId::parse).transpose();
    let access = access.map_err(|fault| Refusal::invalid("access", fault.to_string(), "name an access"))?;
    let mut rows = office.read().await?;
    if let Err(denied) = caller.may(Doing::SeeAllRequests) {
        let Some(access) = &access else { return Err(denied) };
        let missing = || Refusal::missing("request", access);
        let request = rows.request(access).await?.ok_or_else(missing)?;
        caller.may(Doing::SeeRequest(&request.grantee)).map_err(|_| missing())?;
    }
    let query = ReceiptQuery {
        integration: filter.integration.as_deref().map(parse).transpose()?,
        access,
        after: after_number(filter.cursor.as_deref())?.unwrap_or_default(),
        limit: limit + 1,
    };
    let found = rows.receipts(&query).await?;
    Ok(Json(page(found, limit, |(place, _)| place.to_string(), |(_, receipt)| show(receipt))))
}

/// Exports one integration's chain: one signed receipt a line, exactly as signed, in the order in which they came.
#[utoipa::path(
    get,
    path = "/receipts/export",
    tag = "receipts",
    operation_id = "receipt_export",
    params(
        ReceiptExport,
    ),
    responses(
        (status = 200, description = "The chain", body = String, content_type = "application/x-ndjson"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(in crate::http) async fn receipt_export(
    State(office): State<Office>,
    caller: Caller,
    Query(filter): Query<ReceiptExport>,
) -> Result<Response, Refusal> {
    caller.may(Doing::SeeAllRequests)?;
    let integration = parse(&filter.integration)?;
    let mut rows = office.read().await?;
    if rows.offer(&integration).await?.is_none() {
        return Err(Refusal::missing("integration", integration));
    }
    drop(rows);
    let lines = futures_util::stream::try_unfold(Some(0), move |after| {
        let (office, integration) = (office.clone(), integration.clone());
        async move {
            let Some(after) = after else { return Ok::<_, Refusal>(None) };
            let (text, next) =
                some_lines(&office, integration, after, filter.after.unwrap_or_default()).await?;
            Ok(Some((text, next)))
        }
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Bytes::from_stream(lines)).into_response())
}

/// Returns some lines of a chain, and after which place the next are; none after the last.
async fn some_lines(
    office: &Office,
    integration: IntegrationId,
    after: u64,
    number: u64,
) -> Result<(String, Option<u64>), Refusal> {
    let query = ReceiptQuery { integration: Some(integration), access: None, after, limit: AT_A_TIME };
    let mut rows = office.read().await?;
    let found = rows.receipts(&query).await?;
    let whole = u32::try_from(found.len()).is_ok_and(|length| length < AT_A_TIME);
    let next = found.last().map(|(place, _)| *place).filter(|_| !whole);
    let mut text = String::new();
    for (_, receipt) in found.iter().filter(|(_, receipt)| receipt.number > number) {
        text.push_str(&receipt.signed);
        text.push('\n');
    }
    Ok((text, next))
}

fn show(receipt: ReceiptRecord) -> Receipt {
    Receipt {
        connector: receipt.connector.to_string(),
        integration: receipt.integration.to_string(),
        number: receipt.number,
        access: receipt.access.map(|access| access.to_string()),
        deed: receipt.deed,
        verified: receipt.fault.is_none(),
        fault: receipt.fault,
        received_at: receipt.received_at.to_string(),
        signed: receipt.signed,
    }
}
