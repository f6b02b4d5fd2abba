//! Rows of integrations and their resources.

use async_trait::async_trait;
use model::{IntegrationId, ResourceId, Timestamp};

use super::question::Question;
use super::{SqliteRows, Through, decode, encode, one, rows, run};
use crate::record::{Condition, Resource, Snapshot, Unlisted};
use crate::rules::terms::Offer;
use crate::store::StoreFault;
use crate::store::rows::{FoundResource, OfferQuery, Offers, ResourceQuery};

/// Sorts resources by kind, then by path, part by part; unique within a snapshot.
fn place(id: &ResourceId) -> String {
    let mut place = id.kind.0.clone();
    for part in &id.path {
        place.push('\u{1f}');
        place.push_str(part);
    }
    place
}

/// What is searched: the path in lower case, its parts apart.
fn words(id: &ResourceId) -> String {
    id.path.join("\u{1f}").to_lowercase()
}

/// Makes a text match itself in LIKE.
fn literally(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[async_trait]
impl<C: Through> Offers for SqliteRows<C> {
    async fn offer(&mut self, id: &IntegrationId) -> Result<Option<Offer>, StoreFault> {
        one!(self, "SELECT body FROM offers WHERE id = ?", id.as_str())
    }

    async fn offers(&mut self, query: &OfferQuery) -> Result<Vec<Offer>, StoreFault> {
        let mut sql = Question::new("SELECT body FROM offers WHERE id > ");
        sql.bind(query.after.clone().unwrap_or_default());
        if !query.retired {
            sql.push(" AND retired = 0");
        }
        if let Some(connector) = &query.connector {
            sql.push(" AND connector = ").bind(connector.as_str());
        }
        if let Some(kind) = &query.kind {
            sql.push(" AND kind = ").bind(kind.as_str());
        }
        sql.push(" ORDER BY id LIMIT ").bind(query.limit);
        sql.bodies(self)
    }

    async fn put_offer(&mut self, offer: &Offer) -> Result<(), StoreFault> {
        let body = encode(offer)?;
        run!(
            self,
            "INSERT INTO offers (id, connector, kind, retired, body) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET connector = excluded.connector, kind = excluded.kind,
                 retired = excluded.retired, body = excluded.body",
            offer.integration.id.as_str(),
            offer.connector.as_str(),
            offer.integration.kind.0.as_str(),
            offer.retired_at.is_some(),
            body
        )
        .map(drop)
    }

    async fn condition(&mut self, id: &IntegrationId) -> Result<Condition, StoreFault> {
        let found: Option<Condition> =
            one!(self, "SELECT body FROM conditions WHERE offer = ?", id.as_str())?;
        Ok(found.unwrap_or_default())
    }

    async fn put_condition(&mut self, id: &IntegrationId, condition: &Condition) -> Result<(), StoreFault> {
        let body = encode(condition)?;
        run!(
            self,
            "INSERT INTO conditions (offer, body) VALUES (?, ?) ON CONFLICT (offer) DO UPDATE SET body = excluded.body",
            id.as_str(),
            body
        )
        .map(drop)
    }

    async fn pages_under_way(&mut self, id: &IntegrationId) -> Result<Option<u32>, StoreFault> {
        let pages: Vec<u32> = rows!(
            self,
            |row| row.get(0),
            "SELECT pages FROM snapshots WHERE offer = ? AND present = 0 ORDER BY snapshot DESC LIMIT 1",
            id.as_str()
        )?;
        Ok(pages.first().copied())
    }

    async fn snapshot(&mut self, id: &IntegrationId) -> Result<Option<Snapshot>, StoreFault> {
        one!(self, "SELECT body FROM snapshots WHERE offer = ? AND present = 1", id.as_str())
    }

    async fn add_page(
        &mut self,
        id: &IntegrationId,
        snapshot: &str,
        page: u32,
        resources: &[Resource],
    ) -> Result<bool, StoreFault> {
        if page == 1 {
            run!(
                self,
                "DELETE FROM snapshots WHERE offer = ? AND snapshot = ? AND present = 0",
                id.as_str(),
                snapshot
            )?;
            run!(
                self,
                "INSERT INTO snapshots (offer, snapshot, pages, present) VALUES (?, ?, 0, 0)
                 ON CONFLICT DO NOTHING",
                id.as_str(),
                snapshot
            )?;
        }
        let next = run!(
            self,
            "UPDATE snapshots SET pages = ? WHERE offer = ? AND snapshot = ? AND pages = ? AND present = 0",
            page,
            id.as_str(),
            snapshot,
            i64::from(page) - 1
        )?;
        if next == 0 {
            return Ok(false);
        }
        for resource in resources {
            let body = encode(resource)?;
            run!(
                self,
                "INSERT INTO resources (offer, snapshot, place, kind, words, body) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (offer, snapshot, place) DO UPDATE SET body = excluded.body",
                id.as_str(),
                snapshot,
                place(&resource.id),
                resource.id.kind.0.as_str(),
                words(&resource.id),
                body
            )?;
        }
        Ok(true)
    }

    async fn complete_snapshot(
        &mut self,
        id: &IntegrationId,
        snapshot: &str,
        unlisted: Unlisted,
        now: Timestamp,
    ) -> Result<(), StoreFault> {
        let count: Vec<i64> = rows!(
            self,
            |row| row.get(0),
            "SELECT count(*) FROM resources WHERE offer = ? AND snapshot = ?",
            id.as_str(),
            snapshot
        )?;
        let resources = count.first().copied().map_or(0, super::unsigned);
        let whole = Snapshot { id: snapshot.into(), completed_at: now, resources, unlisted };
        let body = encode(&whole)?;
        run!(self, "DELETE FROM snapshots WHERE offer = ? AND snapshot <> ?", id.as_str(), snapshot)?;
        run!(
            self,
            "UPDATE snapshots SET present = 1, body = ? WHERE offer = ? AND snapshot = ?",
            body,
            id.as_str(),
            snapshot
        )
        .map(drop)
    }

    async fn clear_snapshots(&mut self, id: &IntegrationId) -> Result<(), StoreFault> {
        run!(self, "DELETE FROM snapshots WHERE offer = ?", id.as_str()).map(drop)
    }

    async fn drop_snapshots(&mut self, id: &IntegrationId) -> Result<(), StoreFault> {
        run!(self, "DELETE FROM snapshots WHERE offer = ? AND present = 0", id.as_str()).map(drop)
    }

    async fn resources(&mut self, query: &ResourceQuery) -> Result<Vec<FoundResource>, StoreFault> {
        let mut sql = Question::new(
            "SELECT r.offer, r.place, r.body FROM snapshots s
             JOIN resources r ON r.offer = s.offer AND r.snapshot = s.snapshot
             JOIN offers o ON o.id = s.offer
             WHERE s.present = 1 AND o.retired = 0",
        );
        if let Some(integration) = &query.integration {
            sql.push(" AND s.offer = ").bind(integration.as_str());
        }
        if let Some(kind) = &query.kind {
            sql.push(" AND r.kind = ").bind(kind.as_str());
        }
        for word in &query.words {
            sql.push(" AND r.words LIKE ").bind(literally(word)).push(" ESCAPE '\\'");
        }
        if let Some((offer, place)) = &query.after {
            sql.push(" AND (r.offer, r.place) > (").bind(offer.as_str());
            sql.push(", ").bind(place.as_str()).push(")");
        }
        sql.push(" ORDER BY r.offer, r.place LIMIT ").bind(query.limit);
        let found: Vec<(String, String, String)> =
            sql.rows(self, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        found
            .into_iter()
            .map(|(offer, key, body)| {
                let integration = IntegrationId::parse(offer)
                    .map_err(|fault| StoreFault::Damaged { detail: fault.to_string() })?;
                Ok(FoundResource { integration, key, resource: decode(&body)? })
            })
            .collect()
    }
}
