//! Changes: each leaves its record, its order and its audit entry in one transaction, or nothing at all.

mod everything;
mod people;
mod receipts;
mod reports;
mod requests;

use control::changes::{Deed, Who};
use control::office::Office;
use control::record::AuditEntry;
use control::refusal::Refusal;
use control::rules::order::Order;
use control::rules::request::Request;
use control::store::rows::AuditQuery;
use model::{AccessId, ConnectorId, Position};

/// Everything that a change may leave, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traces {
    orders: usize,
    audit: usize,
}

pub(crate) async fn orders(office: &Office, connector: &ConnectorId) -> Vec<Order> {
    let mut rows = office.read().await.unwrap();
    let found = rows.orders(connector, Position(0), 10_000).await.unwrap();
    found.into_iter().map(|numbered| numbered.order).collect()
}

/// Newest first.
pub(crate) async fn audit(office: &Office) -> Vec<AuditEntry> {
    let mut rows = office.read().await.unwrap();
    let query = AuditQuery { limit: 10_000, ..AuditQuery::default() };
    rows.audit(&query).await.unwrap().into_iter().map(|(_, entry)| entry).collect()
}

pub(crate) async fn alarms(office: &Office) -> Vec<String> {
    let entries = audit(office).await.into_iter().map(|entry| entry.what);
    entries.filter(|what| what.starts_with("alarm.")).collect()
}

pub(crate) async fn traces(office: &Office, connector: &ConnectorId) -> Traces {
    Traces { orders: orders(office, connector).await.len(), audit: audit(office).await.len() }
}

pub(crate) async fn request(office: &Office, id: &AccessId) -> Request {
    office.read().await.unwrap().request(id).await.unwrap().unwrap()
}

/// Does a deed.
pub(crate) async fn deed<T, F>(office: &Office, who: &Who, work: F) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: for<'a, 'r> FnOnce(&'a mut Deed<'r>) -> futures_util::future::BoxFuture<'a, Result<T, Refusal>>
        + Send
        + 'static,
{
    office.write(who.clone(), work).await
}
