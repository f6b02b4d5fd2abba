//! Rows of requests, their history and credentials.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::{AccessId, ConnectorId, Revision, Timestamp};

use super::question::Question;
use super::{SqliteRows, Through, all, encode, one, rows, run, signed, unsigned};
use crate::record::Credential;
use crate::rules::live;
use crate::rules::request::{Event, Request, Stage};
use crate::store::StoreFault;
use crate::store::rows::{RequestQuery, Requests};

#[async_trait]
impl<C: Through> Requests for SqliteRows<C> {
    async fn request(&mut self, id: &AccessId) -> Result<Option<Request>, StoreFault> {
        one!(self, "SELECT body FROM requests WHERE id = ?", id.as_str())
    }

    async fn requests(&mut self, query: &RequestQuery) -> Result<Vec<Request>, StoreFault> {
        let mut sql = Question::new("SELECT body FROM requests WHERE 1");
        if let Some(grantee) = &query.grantee {
            sql.push(" AND grantee = ").bind(grantee.as_str());
        }
        if let Some(integration) = &query.integration {
            sql.push(" AND offer = ").bind(integration.as_str());
        }
        if let Some(connector) = &query.connector {
            sql.push(" AND connector = ").bind(connector.as_str());
        }
        if !query.words.is_empty() {
            sql.push(" AND word IN (");
            for (n, word) in query.words.iter().enumerate() {
                sql.push(if n == 0 { "" } else { ", " }).bind(*word);
            }
            sql.push(")");
        }
        if let Some(over) = query.over {
            sql.push(" AND over = ").bind(over);
        }
        if let Some(before) = &query.before {
            sql.push(" AND id < ").bind(before.as_str());
        }
        sql.push(" ORDER BY id DESC LIMIT ").bind(query.limit);
        sql.bodies(self)
    }

    async fn put_request(&mut self, request: &Request) -> Result<(), StoreFault> {
        let over = request.is_over();
        let ordered = request.stage == Stage::Accepted && !over;
        let until = request.window.map_or(0, |window| window.until.as_millis());
        let body = encode(request)?;
        run!(
            self,
            "INSERT INTO requests
                 (id, grantee, offer, connector, word, over, ordered, live, revision, until, body)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET word = excluded.word, over = excluded.over,
                 ordered = excluded.ordered, live = excluded.live, revision = excluded.revision,
                 until = excluded.until, body = excluded.body",
            request.id.as_str(),
            request.grantee.as_str(),
            request.integration.as_str(),
            request.connector.as_str(),
            request.word(),
            over,
            ordered,
            live::should_live(request, Timestamp::ZERO),
            signed(request.revision.0)?,
            until,
            body
        )
        .map(drop)
    }

    async fn ordered(&mut self, connector: &ConnectorId) -> Result<Vec<Request>, StoreFault> {
        all!(
            self,
            "SELECT body FROM requests WHERE connector = ? AND ordered = 1 ORDER BY id",
            connector.as_str()
        )
    }

    async fn living(
        &mut self,
        connector: &ConnectorId,
        now: Timestamp,
    ) -> Result<BTreeMap<AccessId, Revision>, StoreFault> {
        let found: Vec<(String, i64)> = rows!(
            self,
            |row| Ok((row.get(0)?, row.get(1)?)),
            "SELECT id, revision FROM requests
             WHERE connector = ? AND ordered = 1 AND live = 1 AND until > ? ORDER BY id",
            connector.as_str(),
            now.as_millis()
        )?;
        found
            .into_iter()
            .map(|(id, revision)| {
                let id =
                    AccessId::parse(id).map_err(|fault| StoreFault::Damaged { detail: fault.to_string() })?;
                Ok((id, Revision(unsigned(revision))))
            })
            .collect()
    }

    async fn events(&mut self, id: &AccessId) -> Result<Vec<Event>, StoreFault> {
        all!(self, "SELECT body FROM events WHERE request = ? ORDER BY number", id.as_str())
    }

    async fn add_event(&mut self, id: &AccessId, event: &Event) -> Result<(), StoreFault> {
        let body = encode(event)?;
        run!(
            self,
            "INSERT INTO events (request, number, body)
             VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM events WHERE request = ?1), ?2)",
            id.as_str(),
            body
        )
        .map(drop)
    }

    async fn credential(&mut self, id: &AccessId) -> Result<Option<Credential>, StoreFault> {
        one!(self, "SELECT body FROM credentials WHERE request = ?", id.as_str())
    }

    async fn put_credential(&mut self, id: &AccessId, credential: &Credential) -> Result<(), StoreFault> {
        let body = encode(credential)?;
        run!(
            self,
            "INSERT INTO credentials (request, body) VALUES (?, ?)
             ON CONFLICT (request) DO UPDATE SET body = excluded.body",
            id.as_str(),
            body
        )
        .map(drop)
    }

    async fn drop_credential(&mut self, id: &AccessId) -> Result<(), StoreFault> {
        run!(self, "DELETE FROM credentials WHERE request = ?", id.as_str()).map(drop)
    }
}
