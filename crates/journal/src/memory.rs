//! A journal in memory, for tests and simulations.
//!
//! It keeps the port's promises but outlives nothing. Its core is synchronous ([`Memory::append_now`] and
//! the like), so that a simulation needs no runtime; the async port calls the same core. Writes can be
//! scripted to fail ([`Memory::fail_on`], [`Memory::break_writes`]), and [`Memory::snapshot`] is the copy
//! that a careless restore brings back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use model::durable::{Batch, Table, Write};
use model::{BatchId, Durable, Incarnation, IntegrationId, Position};

use crate::chains::Chains;
use crate::{Journal, JournalFault, Loaded, Row, StoredReceipt, StoredReport};

/// How a scripted write ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Refused, and surely absent.
    NotWritten,
    /// Refused for want of room, and surely absent.
    Full,
    /// No answer, but it is there.
    LostButWritten,
    /// No answer, and it is not there.
    LostAndNotWritten,
}

/// A journal that lives as long as the value.
#[derive(Debug)]
pub struct Memory {
    core: Mutex<Core>,
}

#[derive(Debug)]
struct Core {
    kept: Kept,
    script: BTreeMap<u64, Fate>,
    broken: Option<Fate>,
    writes: u64,
    lost: bool,
    closed: bool,
}

/// What a copy of the storage would hold. Texts are shared between copies.
#[derive(Debug, Clone)]
struct Kept {
    incarnation: Incarnation,
    rows: BTreeMap<Table, BTreeMap<Arc<str>, Arc<str>>>,
    chains: Chains,
    reports: BTreeMap<Position, Arc<str>>,
    receipts: BTreeMap<IntegrationId, Vec<Arc<str>>>,
}

impl Memory {
    /// Makes an empty journal.
    pub fn new(incarnation: Incarnation) -> Self {
        Self::with(Kept {
            incarnation,
            rows: BTreeMap::new(),
            chains: Chains::default(),
            reports: BTreeMap::new(),
            receipts: BTreeMap::new(),
        })
    }

    fn with(kept: Kept) -> Self {
        Self {
            core: Mutex::new(Core {
                kept,
                script: BTreeMap::new(),
                broken: None,
                writes: 0,
                lost: false,
                closed: false,
            }),
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a second journal that holds what this one holds now, without its script: what a process
    /// finds after a crash, or an old copy when it is kept for later.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self::with(self.core().kept.clone())
    }

    /// Lets the `nth` write from now end so; 1 is the next one. Appends and new incarnations are writes.
    pub fn fail_on(&self, nth: u64, fate: Fate) {
        let mut core = self.core();
        let write = core.writes.saturating_add(nth);
        core.script.insert(write, fate);
    }

    /// Lets every write end so until [`Self::mend`].
    pub fn break_writes(&self, fate: Fate) {
        self.core().broken = Some(fate);
    }

    /// Lets writes succeed again and forgets the script.
    pub fn mend(&self) {
        let mut core = self.core();
        core.broken = None;
        core.script.clear();
    }

    /// Returns how many writes were tried.
    pub fn writes(&self) -> u64 {
        self.core().writes
    }

    /// Does [`Journal::load`] at once.
    ///
    /// # Errors
    /// [`JournalFault::Closed`].
    pub fn load_now(&self) -> Result<Loaded, JournalFault> {
        let mut core = self.core();
        core.open()?;
        core.lost = false;
        let rows = core.kept.rows.iter().flat_map(|(table, rows)| {
            rows.iter().map(|(key, body)| Row {
                table: *table,
                key: key.as_ref().into(),
                body: body.as_ref().into(),
            })
        });
        Ok(Loaded {
            incarnation: core.kept.incarnation,
            rows: rows.collect(),
            last_report: core.kept.chains.last_report,
            receipts: core.kept.chains.receipt_count(),
        })
    }

    /// Reads the journal again as [`Self::load_now`] does, for its incarnation and its last report alone.
    ///
    /// # Errors
    /// [`JournalFault::Closed`].
    pub fn place_now(&self) -> Result<(Incarnation, Position), JournalFault> {
        let mut core = self.core();
        core.open()?;
        core.lost = false;
        Ok((core.kept.incarnation, core.kept.chains.last_report))
    }

    /// Does [`Journal::append`] at once.
    ///
    /// # Errors
    /// As the port; the script decides.
    pub fn append_now(&self, batch: &Batch) -> Result<Durable, JournalFault> {
        let mut core = self.core();
        core.writable()?;
        let after = core.kept.chains.check(batch)?;
        core.write(|kept| {
            kept.chains.advance(after);
            kept.put(batch);
        })?;
        Ok(attest(batch.id))
    }

    /// Does [`Journal::reports`] at once.
    ///
    /// # Errors
    /// [`JournalFault::Closed`].
    pub fn reports_now(&self, after: Position, limit: u32) -> Result<Vec<StoredReport>, JournalFault> {
        let core = self.core();
        core.open()?;
        let found = core.kept.reports.range(after.next()..).take(limit as usize);
        Ok(found
            .map(|(position, body)| StoredReport { position: *position, body: body.as_ref().into() })
            .collect())
    }

    /// Does [`Journal::receipts`] at once.
    ///
    /// # Errors
    /// [`JournalFault::Closed`].
    pub fn receipts_now(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        let core = self.core();
        core.open()?;
        let chain = core.kept.receipts.get(integration).map(Vec::as_slice).unwrap_or_default();
        let numbered = (1_u64..).zip(chain).filter(|(number, _)| *number > after).take(limit as usize);
        Ok(numbered
            .map(|(number, body)| StoredReceipt {
                integration: integration.clone(),
                number,
                body: body.as_ref().into(),
            })
            .collect())
    }

    /// Does [`Journal::begin_incarnation`] at once.
    ///
    /// # Errors
    /// As the port; the script decides.
    pub fn begin_incarnation_now(&self, new: Incarnation) -> Result<(), JournalFault> {
        let mut core = self.core();
        core.writable()?;
        core.kept.may_become(new)?;
        core.write(|kept| kept.begin(new))
    }
}

impl Core {
    const fn open(&self) -> Result<(), JournalFault> {
        if self.closed { Err(JournalFault::Closed) } else { Ok(()) }
    }

    fn writable(&self) -> Result<(), JournalFault> {
        self.open()?;
        if self.lost {
            return Err(JournalFault::Lost { detail: "an earlier write was lost".into() });
        }
        Ok(())
    }

    /// Counts a write and does it, as the script says.
    fn write(&mut self, change: impl FnOnce(&mut Kept)) -> Result<(), JournalFault> {
        self.writes = self.writes.saturating_add(1);
        let detail = || format!("write {} was scripted to fail", self.writes);
        match self.script.remove(&self.writes).or(self.broken) {
            None => {
                change(&mut self.kept);
                Ok(())
            }
            Some(Fate::NotWritten) => Err(JournalFault::NotWritten { detail: detail() }),
            Some(Fate::Full) => Err(JournalFault::Full { detail: detail() }),
            Some(Fate::LostAndNotWritten) => {
                self.lost = true;
                Err(JournalFault::Lost { detail: detail() })
            }
            Some(Fate::LostButWritten) => {
                self.lost = true;
                let fault = JournalFault::Lost { detail: detail() };
                change(&mut self.kept);
                Err(fault)
            }
        }
    }
}

impl Kept {
    fn put(&mut self, batch: &Batch) {
        for write in &batch.writes {
            match write {
                Write::Put { table, key, body } => {
                    self.rows.entry(*table).or_default().insert(key.as_str().into(), body.as_str().into());
                }
                Write::Forget { table, key } => {
                    if let Some(rows) = self.rows.get_mut(table) {
                        rows.remove(key.as_str());
                    }
                }
                Write::Report { position, body } => {
                    self.reports.insert(*position, body.as_str().into());
                }
                Write::ReportsCommitted { through } => {
                    self.reports = self.reports.split_off(&through.next());
                }
                Write::Receipt { integration, body, .. } => {
                    self.receipts.entry(integration.clone()).or_default().push(body.as_str().into());
                }
            }
        }
    }

    fn may_become(&self, new: Incarnation) -> Result<(), JournalFault> {
        if new == self.incarnation {
            return Err(crate::same_incarnation(new));
        }
        Ok(())
    }

    fn begin(&mut self, new: Incarnation) {
        self.incarnation = new;
        self.chains = self.chains.renumbered();
        let bodies = std::mem::take(&mut self.reports).into_values();
        self.reports = (1..).map(Position).zip(bodies).collect();
    }
}

#[expect(clippy::disallowed_methods, reason = "the batch is in the map that is this journal's storage")]
const fn attest(batch: BatchId) -> Durable {
    Durable::attest(batch)
}

#[async_trait]
impl Journal for Memory {
    async fn load(&self) -> Result<Loaded, JournalFault> {
        self.load_now()
    }

    async fn append(&self, batch: &Batch) -> Result<Durable, JournalFault> {
        self.append_now(batch)
    }

    async fn reports(&self, after: Position, limit: u32) -> Result<Vec<StoredReport>, JournalFault> {
        self.reports_now(after, limit)
    }

    async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        self.receipts_now(integration, after, limit)
    }

    async fn begin_incarnation(&self, new: Incarnation) -> Result<(), JournalFault> {
        self.begin_incarnation_now(new)
    }

    async fn close(&self) -> Result<(), JournalFault> {
        self.core().closed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incarnation(n: u128) -> Incarnation {
        Incarnation::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn batch(id: u64) -> Batch {
        let put =
            Write::Put { table: Table::Account, key: format!("a{id}"), body: format!("{{\"n\":{id}}}") };
        Batch { id: BatchId(id), writes: vec![put] }
    }

    fn keys(journal: &Memory) -> Vec<String> {
        journal.load_now().unwrap().rows.into_iter().map(|row| row.key).collect()
    }

    #[test]
    fn a_scripted_write_ends_as_scripted_and_the_next_one_does_not() {
        let table = [
            ("refused", Fate::NotWritten, false, false),
            ("full", Fate::Full, false, false),
            ("lost but there", Fate::LostButWritten, true, true),
            ("lost and gone", Fate::LostAndNotWritten, true, false),
        ];
        for (name, fate, lost, there) in table {
            let journal = Memory::new(incarnation(1));
            journal.fail_on(2, fate);
            journal.append_now(&batch(1)).unwrap();
            let fault = journal.append_now(&batch(2)).unwrap_err();
            assert_eq!(fault.is_lost(), lost, "{name}");
            assert_eq!(journal.append_now(&batch(3)).is_err(), lost, "{name}: a loss stops all until a load");
            assert_eq!(keys(&journal).contains(&"a2".into()), there, "{name}");
            journal.append_now(&batch(4)).unwrap();
            assert_eq!(journal.writes(), if lost { 3 } else { 4 }, "{name}");
        }
    }

    #[test]
    fn a_snapshot_is_apart_from_its_origin_and_has_no_script() {
        let journal = Memory::new(incarnation(1));
        journal.append_now(&batch(1)).unwrap();
        journal.break_writes(Fate::Full);
        let copy = journal.snapshot();
        copy.append_now(&batch(2)).unwrap();
        assert_eq!(keys(&journal), ["a1"]);
        assert_eq!(keys(&copy), ["a1", "a2"]);
        assert_eq!(
            journal.append_now(&batch(3)),
            Err(JournalFault::Full { detail: "write 2 was scripted to fail".into() })
        );
        journal.mend();
        journal.append_now(&batch(3)).unwrap();
    }
}
