//! Rows of the control plane itself.

use async_trait::async_trait;
use model::{GranteeId, Incarnation, Policy, Timestamp};
use rusqlite::Connection;

use super::{SqliteRows, Through, encode, one, run};
use crate::record::Remembered;
use crate::store::StoreFault;
use crate::store::rows::Selves;

/// Gives a store that was just made its life.
pub(super) fn first_life(connection: &mut Connection, fresh: Incarnation) -> Result<(), StoreFault> {
    let rows = SqliteRows(connection);
    let body = encode(&fresh)?;
    run!(rows, "INSERT INTO self (name, body) VALUES ('incarnation', ?) ON CONFLICT DO NOTHING", body)
        .map(drop)
}

#[async_trait]
impl<C: Through> Selves for SqliteRows<C> {
    async fn incarnation(&mut self) -> Result<Incarnation, StoreFault> {
        let found: Option<Incarnation> = one!(self, "SELECT body FROM self WHERE name = 'incarnation'")?;
        found.ok_or_else(|| StoreFault::Damaged { detail: "it has no incarnation".into() })
    }

    async fn put_incarnation(&mut self, incarnation: Incarnation) -> Result<(), StoreFault> {
        let body = encode(&incarnation)?;
        run!(self, "UPDATE self SET body = ? WHERE name = 'incarnation'", body).map(drop)
    }

    async fn policy(&mut self) -> Result<Policy, StoreFault> {
        let found: Option<Policy> = one!(self, "SELECT body FROM self WHERE name = 'policy'")?;
        Ok(found.unwrap_or_default())
    }

    async fn put_policy(&mut self, policy: &Policy) -> Result<(), StoreFault> {
        let body = encode(policy)?;
        run!(
            self,
            "INSERT INTO self (name, body) VALUES ('policy', ?) ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            body
        )
        .map(drop)
    }

    async fn remembered(&mut self, actor: &GranteeId, key: &str) -> Result<Option<Remembered>, StoreFault> {
        one!(self, "SELECT body FROM remembered WHERE actor = ? AND name = ?", actor.as_str(), key)
    }

    async fn remember(
        &mut self,
        actor: &GranteeId,
        key: &str,
        answer: &Remembered,
    ) -> Result<(), StoreFault> {
        let body = encode(answer)?;
        run!(
            self,
            "INSERT INTO remembered (actor, name, at, body) VALUES (?, ?, ?, ?)
             ON CONFLICT (actor, name) DO UPDATE SET at = excluded.at, body = excluded.body",
            actor.as_str(),
            key,
            answer.at.as_millis(),
            body
        )
        .map(drop)
    }

    async fn forget(&mut self, before: Timestamp) -> Result<(), StoreFault> {
        run!(self, "DELETE FROM remembered WHERE at < ?", before.as_millis()).map(drop)
    }
}
