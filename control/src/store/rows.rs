//! What can be read and written within one transaction, one trait a subject.
//!
//! Lists are in a fixed order and begin after a key, so that a page can be read on. `put` replaces.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::{
    AccessId, ConnectorId, GranteeId, Incarnation, IntegrationId, Policy, Position, Revision, Timestamp,
};

use super::StoreFault;
use crate::record::{
    AuditEntry, Condition, Connector, Credential, Driver, KeyRecord, Log, NumberedOrder, ReceiptRecord,
    Remembered, Resource, Snapshot, Stray, Token, Unlisted, User,
};
use crate::rules::order::Order;
use crate::rules::request::{Event, Request};
use crate::rules::terms::{Catalogue, Offer};
use crate::token::TokenHash;

type Done<T> = Result<T, StoreFault>;

/// Users, their tokens and keys.
#[async_trait]
pub trait People: Send {
    async fn user(&mut self, id: &GranteeId) -> Done<Option<User>>;
    async fn user_by_email(&mut self, email: &str) -> Done<Option<User>>;
    /// By id, after one.
    async fn users(&mut self, after: Option<&str>, limit: u32) -> Done<Vec<User>>;
    async fn put_user(&mut self, user: &User) -> Done<()>;
    /// How many admins are not disabled.
    async fn admins(&mut self) -> Done<u64>;
    async fn token_by_hash(&mut self, hash: &TokenHash) -> Done<Option<Token>>;
    /// Newest first.
    async fn tokens(&mut self, user: &GranteeId) -> Done<Vec<Token>>;
    async fn put_token(&mut self, token: &Token) -> Done<()>;
    async fn key(&mut self, user: &GranteeId) -> Done<Option<KeyRecord>>;
    /// Newest first.
    async fn keys(&mut self, user: &GranteeId) -> Done<Vec<KeyRecord>>;
    /// The current key becomes a replaced one.
    async fn replace_key(&mut self, user: &GranteeId, key: &KeyRecord) -> Done<()>;
}

/// Connectors, their drivers and logs of orders.
#[async_trait]
pub trait Connectors: Send {
    async fn connector(&mut self, id: &ConnectorId) -> Done<Option<Connector>>;
    /// The connector that has the token, now or before its last rotation.
    async fn connector_by_token(&mut self, hash: &TokenHash) -> Done<Option<Connector>>;
    /// By id, after one.
    async fn connectors(&mut self, after: Option<&str>, limit: u32) -> Done<Vec<Connector>>;
    /// A connector that is new gets an empty log of the given life.
    async fn put_connector(&mut self, connector: &Connector, log: Incarnation) -> Done<()>;
    async fn drivers(&mut self, connector: Option<&ConnectorId>) -> Done<Vec<Driver>>;
    /// What the connector's driver of a kind offers.
    async fn catalogue(&mut self, connector: &ConnectorId, kind: &str) -> Done<Option<Catalogue>>;
    /// Replaces all drivers of the connector.
    async fn put_drivers(&mut self, connector: &ConnectorId, drivers: &[Driver]) -> Done<()>;
    async fn log(&mut self, connector: &ConnectorId) -> Done<Option<Log>>;
    /// Drops the connector's log and begins an empty one of another life.
    async fn begin_log(&mut self, connector: &ConnectorId, incarnation: Incarnation) -> Done<()>;
    /// Appends an order and returns its place: one more than the last.
    async fn append_order(
        &mut self,
        connector: &ConnectorId,
        order: &Order,
        now: Timestamp,
    ) -> Done<Position>;
    /// Orders after a place, in order.
    async fn orders(
        &mut self,
        connector: &ConnectorId,
        after: Position,
        limit: u32,
    ) -> Done<Vec<NumberedOrder>>;
    /// The first order that is still kept.
    async fn first_order(&mut self, connector: &ConnectorId) -> Done<Option<Position>>;
    /// The agent has everything through a place; orders through `forget` are dropped.
    async fn orders_taken(
        &mut self,
        connector: &ConnectorId,
        through: Position,
        forget: Position,
    ) -> Done<()>;
    /// Reports that are committed, by the journal's life.
    async fn report_cursors(&mut self, connector: &ConnectorId) -> Done<BTreeMap<Incarnation, Position>>;
    /// Everything through a place is committed; from here on no report may be skipped.
    async fn commit_reports(
        &mut self,
        connector: &ConnectorId,
        journal: Incarnation,
        through: Position,
    ) -> Done<()>;
    async fn strays(&mut self, connector: &ConnectorId) -> Done<Vec<Stray>>;
    async fn put_stray(&mut self, stray: &Stray) -> Done<()>;
}

/// Which integrations.
#[derive(Debug, Clone, Default)]
pub struct OfferQuery {
    pub connector: Option<ConnectorId>,
    pub kind: Option<String>,
    /// Also those that are retired.
    pub retired: bool,
    pub after: Option<String>,
    pub limit: u32,
}

/// Which resources.
#[derive(Debug, Clone, Default)]
pub struct ResourceQuery {
    pub integration: Option<IntegrationId>,
    pub kind: Option<String>,
    /// Words that all stand in the path; in lower case.
    pub words: Vec<String>,
    /// The integration and key of the last one.
    pub after: Option<(String, String)>,
    pub limit: u32,
}

/// A resource with its place in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundResource {
    pub integration: IntegrationId,
    pub key: String,
    pub resource: Resource,
}

/// Integrations and their resources.
#[async_trait]
pub trait Offers: Send {
    async fn offer(&mut self, id: &IntegrationId) -> Done<Option<Offer>>;
    /// By id, after one.
    async fn offers(&mut self, query: &OfferQuery) -> Done<Vec<Offer>>;
    async fn put_offer(&mut self, offer: &Offer) -> Done<()>;
    async fn condition(&mut self, id: &IntegrationId) -> Done<Condition>;
    async fn put_condition(&mut self, id: &IntegrationId, condition: &Condition) -> Done<()>;
    /// How many pages have come of the youngest snapshot that is under way.
    async fn pages_under_way(&mut self, id: &IntegrationId) -> Done<Option<u32>>;
    /// The last whole snapshot.
    async fn snapshot(&mut self, id: &IntegrationId) -> Done<Option<Snapshot>>;
    /// Adds a page to a snapshot under way; page 1 begins it anew. Returns false when pages are missing.
    async fn add_page(
        &mut self,
        id: &IntegrationId,
        snapshot: &str,
        page: u32,
        resources: &[Resource],
    ) -> Done<bool>;
    /// Makes a snapshot under way the present one, and drops every other.
    async fn complete_snapshot(
        &mut self,
        id: &IntegrationId,
        snapshot: &str,
        unlisted: Unlisted,
        now: Timestamp,
    ) -> Done<()>;
    /// Drops the present one with its resources, and all that is under way.
    async fn clear_snapshots(&mut self, id: &IntegrationId) -> Done<()>;
    /// Drops all that is under way.
    async fn drop_snapshots(&mut self, id: &IntegrationId) -> Done<()>;
    async fn resources(&mut self, query: &ResourceQuery) -> Done<Vec<FoundResource>>;
}

/// Which requests.
#[derive(Debug, Clone, Default)]
pub struct RequestQuery {
    pub grantee: Option<GranteeId>,
    pub integration: Option<IntegrationId>,
    pub connector: Option<ConnectorId>,
    /// Any of these words; all when empty.
    pub words: Vec<&'static str>,
    pub over: Option<bool>,
    /// Only those with a lower id.
    pub before: Option<String>,
    pub limit: u32,
}

/// Requests and their credentials.
#[async_trait]
pub trait Requests: Send {
    async fn request(&mut self, id: &AccessId) -> Done<Option<Request>>;
    /// Newest first.
    async fn requests(&mut self, query: &RequestQuery) -> Done<Vec<Request>>;
    async fn put_request(&mut self, request: &Request) -> Done<()>;
    /// Accesses of a connector that the agent may hold: ordered and not over, by id.
    async fn ordered(&mut self, connector: &ConnectorId) -> Done<Vec<Request>>;
    /// The accesses of a connector that should live at a time.
    async fn living(&mut self, connector: &ConnectorId, now: Timestamp)
    -> Done<BTreeMap<AccessId, Revision>>;
    /// Oldest first.
    async fn events(&mut self, id: &AccessId) -> Done<Vec<Event>>;
    async fn add_event(&mut self, id: &AccessId, event: &Event) -> Done<()>;
    async fn credential(&mut self, id: &AccessId) -> Done<Option<Credential>>;
    async fn put_credential(&mut self, id: &AccessId, credential: &Credential) -> Done<()>;
    async fn drop_credential(&mut self, id: &AccessId) -> Done<()>;
}

/// Which receipts.
#[derive(Debug, Clone, Default)]
pub struct ReceiptQuery {
    pub integration: Option<IntegrationId>,
    pub access: Option<AccessId>,
    /// Only those that came after this one.
    pub after: u64,
    pub limit: u32,
}

/// Which entries of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    pub who: Option<String>,
    /// The beginning of what was done.
    pub what: Option<String>,
    pub subject: Option<String>,
    /// Only those before this one.
    pub before: Option<u64>,
    pub limit: u32,
}

/// What is only ever added to: receipts and the audit log.
#[async_trait]
pub trait Records: Send {
    /// Those of one number, of all lives, in the order in which they came.
    async fn receipts_numbered(
        &mut self,
        connector: &ConnectorId,
        integration: &IntegrationId,
        number: u64,
        limit: u32,
    ) -> Done<Vec<ReceiptRecord>>;
    async fn add_receipt(&mut self, receipt: &ReceiptRecord) -> Done<()>;
    /// In the order in which they came, each with its place.
    async fn receipts(&mut self, query: &ReceiptQuery) -> Done<Vec<(u64, ReceiptRecord)>>;
    async fn add_audit(&mut self, entry: &AuditEntry) -> Done<()>;
    /// Newest first, each with its number.
    async fn audit(&mut self, query: &AuditQuery) -> Done<Vec<(u64, AuditEntry)>>;
}

/// The control plane itself.
#[async_trait]
pub trait Selves: Send {
    async fn incarnation(&mut self) -> Done<Incarnation>;
    async fn put_incarnation(&mut self, incarnation: Incarnation) -> Done<()>;
    async fn policy(&mut self) -> Done<Policy>;
    async fn put_policy(&mut self, policy: &Policy) -> Done<()>;
    async fn remembered(&mut self, actor: &GranteeId, key: &str) -> Done<Option<Remembered>>;
    async fn remember(&mut self, actor: &GranteeId, key: &str, answer: &Remembered) -> Done<()>;
    /// Drops what was remembered before a time.
    async fn forget(&mut self, before: Timestamp) -> Done<()>;
}

/// Everything within one transaction.
pub trait Rows: People + Connectors + Offers + Requests + Records + Selves {}
