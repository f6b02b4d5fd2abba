//! Rows of connectors, drivers, logs of orders, cursors of reports.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::{ConnectorId, Incarnation, Position, Timestamp};

use super::{SqliteRows, Through, all, decode, encode, one, rows, run, signed, unsigned};
use crate::record::{Connector, Driver, Log, NumberedOrder, Stray};
use crate::rules::order::Order;
use crate::rules::terms::Catalogue;
use crate::store::StoreFault;
use crate::store::rows::Connectors;
use crate::token::TokenHash;

fn life(text: &str) -> Result<Incarnation, StoreFault> {
    text.parse().map_err(|_| StoreFault::Damaged { detail: format!("`{text}` is not an incarnation") })
}

#[async_trait]
impl<C: Through> Connectors for SqliteRows<C> {
    async fn connector(&mut self, id: &ConnectorId) -> Result<Option<Connector>, StoreFault> {
        one!(self, "SELECT body FROM connectors WHERE id = ?", id.as_str())
    }

    async fn connector_by_token(&mut self, hash: &TokenHash) -> Result<Option<Connector>, StoreFault> {
        one!(
            self,
            "SELECT c.body FROM connector_tokens t JOIN connectors c ON c.id = t.connector WHERE t.hash = ?",
            hash.0.as_str()
        )
    }

    async fn connectors(&mut self, after: Option<&str>, limit: u32) -> Result<Vec<Connector>, StoreFault> {
        all!(self, "SELECT body FROM connectors WHERE id > ? ORDER BY id LIMIT ?", after.unwrap_or(""), limit)
    }

    async fn put_connector(&mut self, connector: &Connector, log: Incarnation) -> Result<(), StoreFault> {
        let body = encode(connector)?;
        run!(
            self,
            "INSERT INTO connectors (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            connector.id.as_str(),
            body
        )?;
        run!(self, "DELETE FROM connector_tokens WHERE connector = ?", connector.id.as_str())?;
        let previous = connector.previous.as_ref().map(|(hash, _)| hash);
        for hash in [Some(&connector.token), previous].into_iter().flatten() {
            run!(
                self,
                "INSERT INTO connector_tokens (hash, connector) VALUES (?, ?)",
                hash.0.as_str(),
                connector.id.as_str()
            )?;
        }
        run!(
            self,
            "INSERT INTO logs (connector, incarnation, last, taken, may_skip) VALUES (?, ?, 0, 0, 0)
             ON CONFLICT DO NOTHING",
            connector.id.as_str(),
            log.to_string()
        )
        .map(drop)
    }

    async fn drivers(&mut self, connector: Option<&ConnectorId>) -> Result<Vec<Driver>, StoreFault> {
        let connector = connector.map(ConnectorId::as_str);
        all!(
            self,
            "SELECT body FROM drivers WHERE ?1 IS NULL OR connector = ?1 ORDER BY connector, kind",
            connector
        )
    }

    async fn catalogue(
        &mut self,
        connector: &ConnectorId,
        kind: &str,
    ) -> Result<Option<Catalogue>, StoreFault> {
        one!(self, "SELECT catalogue FROM drivers WHERE connector = ? AND kind = ?", connector.as_str(), kind)
    }

    async fn put_drivers(&mut self, connector: &ConnectorId, drivers: &[Driver]) -> Result<(), StoreFault> {
        run!(self, "DELETE FROM drivers WHERE connector = ?", connector.as_str())?;
        for driver in drivers {
            let (catalogue, body) = (encode(&driver.catalogue)?, encode(driver)?);
            run!(
                self,
                "INSERT INTO drivers (connector, kind, catalogue, body) VALUES (?, ?, ?, ?)
                 ON CONFLICT (connector, kind) DO UPDATE SET catalogue = excluded.catalogue, body = excluded.body",
                connector.as_str(),
                driver.kind.as_str(),
                catalogue,
                body
            )?;
        }
        Ok(())
    }

    async fn log(&mut self, connector: &ConnectorId) -> Result<Option<Log>, StoreFault> {
        let found: Vec<(String, i64, i64, bool)> = rows!(
            self,
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            "SELECT incarnation, last, taken, may_skip FROM logs WHERE connector = ?",
            connector.as_str()
        )?;
        let Some((incarnation, last, taken, may_skip)) = found.into_iter().next() else { return Ok(None) };
        Ok(Some(Log {
            incarnation: life(&incarnation)?,
            last: Position(unsigned(last)),
            taken: Position(unsigned(taken)),
            may_skip,
        }))
    }

    async fn begin_log(
        &mut self,
        connector: &ConnectorId,
        incarnation: Incarnation,
    ) -> Result<(), StoreFault> {
        run!(self, "DELETE FROM orders WHERE connector = ?", connector.as_str())?;
        run!(
            self,
            "UPDATE logs SET incarnation = ?, last = 0, taken = 0, may_skip = 1 WHERE connector = ?",
            incarnation.to_string(),
            connector.as_str()
        )
        .map(drop)
    }

    async fn append_order(
        &mut self,
        connector: &ConnectorId,
        order: &Order,
        now: Timestamp,
    ) -> Result<Position, StoreFault> {
        let last: Vec<i64> = rows!(
            self,
            |row| row.get(0),
            "UPDATE logs SET last = last + 1 WHERE connector = ? RETURNING last",
            connector.as_str()
        )?;
        let last = last
            .first()
            .copied()
            .ok_or_else(|| StoreFault::Damaged { detail: format!("connector `{connector}` has no log") })?;
        let body = encode(order)?;
        run!(
            self,
            "INSERT INTO orders (connector, position, issued_at, body) VALUES (?, ?, ?, ?)",
            connector.as_str(),
            last,
            now.as_millis(),
            body
        )?;
        Ok(Position(unsigned(last)))
    }

    async fn orders(
        &mut self,
        connector: &ConnectorId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<NumberedOrder>, StoreFault> {
        let found: Vec<(i64, i64, String)> = rows!(
            self,
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            "SELECT position, issued_at, body FROM orders WHERE connector = ? AND position > ?
             ORDER BY position LIMIT ?",
            connector.as_str(),
            signed(after.0)?,
            limit
        )?;
        found
            .into_iter()
            .map(|(position, issued_at, body)| {
                Ok(NumberedOrder {
                    position: Position(unsigned(position)),
                    issued_at: Timestamp::from_millis(issued_at),
                    order: decode(&body)?,
                })
            })
            .collect()
    }

    async fn first_order(&mut self, connector: &ConnectorId) -> Result<Option<Position>, StoreFault> {
        let first: Vec<Option<i64>> = rows!(
            self,
            |row| row.get(0),
            "SELECT min(position) FROM orders WHERE connector = ?",
            connector.as_str()
        )?;
        Ok(first.first().copied().flatten().map(|first| Position(unsigned(first))))
    }

    async fn orders_taken(
        &mut self,
        connector: &ConnectorId,
        through: Position,
        forget: Position,
    ) -> Result<(), StoreFault> {
        run!(
            self,
            "UPDATE logs SET taken = max(taken, ?) WHERE connector = ?",
            signed(through.0)?,
            connector.as_str()
        )?;
        run!(
            self,
            "DELETE FROM orders WHERE connector = ? AND position <= ?",
            connector.as_str(),
            signed(forget.0)?
        )
        .map(drop)
    }

    async fn report_cursors(
        &mut self,
        connector: &ConnectorId,
    ) -> Result<BTreeMap<Incarnation, Position>, StoreFault> {
        let found: Vec<(String, i64)> = rows!(
            self,
            |row| Ok((row.get(0)?, row.get(1)?)),
            "SELECT journal, position FROM report_cursors WHERE connector = ?",
            connector.as_str()
        )?;
        found.into_iter().map(|(journal, at)| Ok((life(&journal)?, Position(unsigned(at))))).collect()
    }

    async fn commit_reports(
        &mut self,
        connector: &ConnectorId,
        journal: Incarnation,
        through: Position,
    ) -> Result<(), StoreFault> {
        run!(
            self,
            "INSERT INTO report_cursors (connector, journal, position) VALUES (?, ?, ?)
             ON CONFLICT (connector, journal) DO UPDATE SET position = max(position, excluded.position)",
            connector.as_str(),
            journal.to_string(),
            signed(through.0)?
        )?;
        run!(self, "UPDATE logs SET may_skip = 0 WHERE connector = ? AND may_skip = 1", connector.as_str())
            .map(drop)
    }

    async fn strays(&mut self, connector: &ConnectorId) -> Result<Vec<Stray>, StoreFault> {
        all!(
            self,
            "SELECT body FROM strays WHERE connector = ? ORDER BY access LIMIT 1000",
            connector.as_str()
        )
    }

    async fn put_stray(&mut self, stray: &Stray) -> Result<(), StoreFault> {
        let body = encode(stray)?;
        run!(
            self,
            "INSERT INTO strays (connector, access, body) VALUES (?, ?, ?)
             ON CONFLICT (connector, access) DO UPDATE SET body = excluded.body",
            stray.connector.as_str(),
            stray.access.as_str(),
            body
        )
        .map(drop)
    }
}
