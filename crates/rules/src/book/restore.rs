//! From the journal's rows to a book.

use std::collections::{BTreeMap, BTreeSet};

use model::durable::Table;
use model::{ConnectorId, Position, Timestamp};

use super::lanes::Lanes;
use super::{Book, IntegrationRecord, Meta, Office, Tombstone, step};
use crate::account::{AccountRecord, Unsure};
use crate::answer::LANDS_WITHIN;
use crate::box_map::BoxMap;
use crate::clock::{Clock, Reading};
use crate::guard::Guard;

/// Why the rows do not make a book.
#[derive(Debug, thiserror::Error)]
#[error("the journal's row `{key}` of `{table}` cannot be read: {detail}; restore a backup, or run the build that wrote it", table = .table.word())]
pub struct RestoreFault {
    pub table: Table,
    pub key: String,
    pub detail: String,
}

impl Book {
    /// Begins from what the journal holds. `first_ticket` must differ from life to life, so that answers
    /// to an earlier life are known as late.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn restore<'r>(
        connector: ConnectorId,
        office: Box<dyn Office>,
        rows: impl IntoIterator<Item = (Table, &'r str, &'r str)>,
        last_report: Position,
        first_ticket: u64,
        reading: Reading,
    ) -> Result<Self, RestoreFault> {
        let mut book = Self {
            connector,
            office,
            accounts: BoxMap::new(),
            by_access: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            integrations: BTreeMap::new(),
            meta: Meta::default(),
            clock: Clock::default(),
            last_report,
            lanes: Lanes::starting_at(first_ticket),
            staged: step::Staged::default(),
            next_batch: 1,
            close_only: None,
            guard: Guard::Off,
            tampered: BTreeSet::new(),
            standing: None,
            surveyed: BTreeSet::new(),
            met: BTreeMap::new(),
            drifting: BTreeMap::new(),
            drifted: BTreeMap::new(),
            stood: false,
            strange: BTreeSet::new(),
            current: false,
            lost: Unsure::default(),
            tombs_purged: Timestamp::ZERO,
        };
        for (table, key, body) in rows {
            let fault = |detail: String| RestoreFault { table, key: key.into(), detail };
            match table {
                Table::Account => {
                    let record: AccountRecord =
                        serde_json::from_str(body).map_err(|cause| fault(cause.to_string()))?;
                    for id in record.accesses.keys() {
                        book.by_access.insert(id.clone(), record.account.id);
                    }
                    book.accounts.insert(record.account.id, record);
                }
                Table::Integration => {
                    let record: IntegrationRecord =
                        serde_json::from_str(body).map_err(|cause| fault(cause.to_string()))?;
                    book.integrations.insert(record.integration.id.clone(), record);
                }
                Table::Tombstone => {
                    let id = model::AccessId::parse(key).map_err(|cause| fault(cause.to_string()))?;
                    let tombstone: Tombstone =
                        serde_json::from_str(body).map_err(|cause| fault(cause.to_string()))?;
                    book.tombstones.insert(id, tombstone);
                }
                Table::Meta => {
                    book.meta = serde_json::from_str(body).map_err(|cause| fault(cause.to_string()))?;
                }
            }
        }
        book.clock = Clock::restore(book.meta.clock);
        let now = book.clock.read(reading);
        book.lost.note_all(now.plus(LANDS_WITHIN));
        // What was under way when the last life ended may still land.
        let stopped = model::Timestamp::from_millis(book.meta.clock.high_water_ms);
        for record in book.accounts.values_mut() {
            // How long it was off, only the wall clock says: what had not landed then still may.
            let Unsure { growing, shrinking } = record.unsure;
            for (closes, until) in [(false, growing), (true, shrinking)] {
                if until.is_some_and(|until| until > stopped) {
                    record.unsure.note(closes, now.plus(LANDS_WITHIN));
                }
            }
            if let Some(intent) = &record.intent {
                let closes = matches!(intent.act.as_str(), "close" | "delete");
                record.unsure.note(closes, now.plus(LANDS_WITHIN));
            }
        }
        book.reconsider_all(now);
        book.spread(now);
        Ok(book)
    }
}
