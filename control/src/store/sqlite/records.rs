//! Rows that are only added to: receipts and the audit log.

use async_trait::async_trait;
use model::{AccessId, ConnectorId, IntegrationId};

use super::question::Question;
use super::{SqliteRows, Through, all, encode, run, signed};
use crate::record::{AuditEntry, ReceiptRecord};
use crate::store::StoreFault;
use crate::store::rows::{AuditQuery, ReceiptQuery, Records};

#[async_trait]
impl<C: Through> Records for SqliteRows<C> {
    async fn receipts_numbered(
        &mut self,
        connector: &ConnectorId,
        integration: &IntegrationId,
        number: u64,
        limit: u32,
    ) -> Result<Vec<ReceiptRecord>, StoreFault> {
        all!(
            self,
            "SELECT body FROM receipts WHERE connector = ? AND offer = ? AND number = ? ORDER BY place LIMIT ?",
            connector.as_str(),
            integration.as_str(),
            signed(number)?,
            limit
        )
    }

    async fn add_receipt(&mut self, receipt: &ReceiptRecord) -> Result<(), StoreFault> {
        let body = encode(receipt)?;
        run!(
            self,
            "INSERT INTO receipts (connector, offer, number, access, body) VALUES (?, ?, ?, ?, ?)",
            receipt.connector.as_str(),
            receipt.integration.as_str(),
            signed(receipt.number)?,
            receipt.access.as_ref().map(AccessId::as_str),
            body
        )
        .map(drop)
    }

    async fn receipts(&mut self, query: &ReceiptQuery) -> Result<Vec<(u64, ReceiptRecord)>, StoreFault> {
        let mut sql = Question::new("SELECT place, body FROM receipts WHERE place > ");
        sql.bind(signed(query.after)?);
        if let Some(integration) = &query.integration {
            sql.push(" AND offer = ").bind(integration.as_str());
        }
        if let Some(access) = &query.access {
            sql.push(" AND access = ").bind(access.as_str());
        }
        sql.push(" ORDER BY place LIMIT ").bind(query.limit);
        sql.numbered_bodies(self)
    }

    async fn add_audit(&mut self, entry: &AuditEntry) -> Result<(), StoreFault> {
        let body = encode(entry)?;
        run!(
            self,
            "INSERT INTO audit (who, what, subject, body) VALUES (?, ?, ?, ?)",
            entry.who.as_str(),
            entry.what.as_str(),
            entry.subject.as_str(),
            body
        )
        .map(drop)
    }

    async fn audit(&mut self, query: &AuditQuery) -> Result<Vec<(u64, AuditEntry)>, StoreFault> {
        let mut sql = Question::new("SELECT number, body FROM audit WHERE number < ");
        sql.bind(query.before.map_or(Ok(i64::MAX), signed)?);
        if let Some(who) = &query.who {
            sql.push(" AND who = ").bind(who.as_str());
        }
        if let Some(what) = &query.what {
            sql.push(" AND substr(what, 1, length(").bind(what.as_str());
            sql.push(")) = ").bind(what.as_str());
        }
        if let Some(subject) = &query.subject {
            sql.push(" AND subject = ").bind(subject.as_str());
        }
        sql.push(" ORDER BY number DESC LIMIT ").bind(query.limit);
        sql.numbered_bodies(self)
    }
}
