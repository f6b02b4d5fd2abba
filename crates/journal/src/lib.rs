//! The journal: the agent's durable memory, and the only maker of [`Durable`].
//!
//! A port with several implementations under one contract suite ([`contract`]): [`memory`] for tests and
//! simulations, [`sqlite`] as the embedded default. The journal does not know what its rows mean; the
//! rules do. No clear-text secret ever comes here.
//!
//! What it promises: a batch is on disk whole or not at all; a [`Durable`] is given only after it is; what
//! [`Journal::load`] returns is exactly what was appended, in a fixed order; after a fault of `append`
//! the batch is surely absent or the fault is [`JournalFault::Lost`].

pub mod contract;
pub mod memory;
pub mod sqlite;

use async_trait::async_trait;
use model::durable::{Batch, Table};
use model::{Durable, Incarnation, IntegrationId, Position};

/// A row as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub table: Table,
    pub key: String,
    /// A JSON object.
    pub body: String,
}

/// A report that the control plane has not committed yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredReport {
    pub position: Position,
    pub body: String,
}

/// A receipt in its integration's chain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredReceipt {
    pub integration: IntegrationId,
    pub number: u64,
    pub body: String,
}

/// What the journal knows when it is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// This journal's life. A journal that turns out to be an old copy gets a new one.
    pub incarnation: Incarnation,
    /// All rows, by table and key.
    pub rows: Vec<Row>,
    /// The position of the last report ever written in this incarnation.
    pub last_report: Position,
    /// The number of the last receipt of each integration is in its own row; this is how many there are.
    pub receipts: u64,
}

/// Why the journal did not do it, and so what the caller must do.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    /// Surely not written: go close-only, keep memory as it was.
    #[error(
        "the journal refused the batch: {detail}; free space or mend the volume, closing goes on meanwhile"
    )]
    NotWritten { detail: String },
    /// Nobody knows whether it was written: reload before believing anything.
    #[error("the journal did not answer: {detail}; it must be read again before it is used")]
    Lost { detail: String },
    /// The file is damaged: never written to again.
    #[error(
        "the journal `{path}` is damaged: {detail}; restore a backup, or move it away and run `tidegate journal rebuild`"
    )]
    Damaged { path: String, detail: String },
    /// A newer build wrote it: read what is understood, close only.
    #[error(
        "the journal needs reader version {needed}, this build is {ours}: run the newer build; until then only closing is done"
    )]
    TooNew { needed: u32, ours: u32 },
    /// Another process holds it.
    #[error("the journal `{path}` is in use by another process: one connector runs one agent on one journal")]
    InUse { path: String },
    /// The path cannot be used at all.
    #[error("cannot open the journal `{path}`: {detail}")]
    Unusable { path: String, detail: String },
}

/// The agent's durable memory.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Reads everything that the rules need.
    ///
    /// # Errors
    /// [`JournalFault::Damaged`] when a row cannot be read back as it was written.
    async fn load(&self) -> Result<Loaded, JournalFault>;

    /// Puts a batch on disk, whole or not at all. Calls that wait at the same time share one sync.
    ///
    /// # Errors
    /// [`JournalFault::NotWritten`] when the batch is surely absent, [`JournalFault::Lost`] when not sure.
    async fn append(&self, batch: &Batch) -> Result<Durable, JournalFault>;

    /// Returns up to `limit` uncommitted reports after `after`, in order.
    ///
    /// # Errors
    /// As [`Self::load`].
    async fn reports(&self, after: Position, limit: u32) -> Result<Vec<StoredReport>, JournalFault>;

    /// Returns up to `limit` receipts of a chain with numbers above `after`, in order.
    ///
    /// # Errors
    /// As [`Self::load`].
    async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault>;

    /// Begins a new life: a fresh incarnation, positions from 1, uncommitted reports renumbered in order.
    /// For a journal that turned out to be an old copy.
    ///
    /// # Errors
    /// As [`Self::append`].
    async fn begin_incarnation(&self, new: Incarnation) -> Result<(), JournalFault>;

    /// Ends writing and releases the file; later calls are refused.
    ///
    /// # Errors
    /// When what was appended could not be flushed.
    async fn close(&self) -> Result<(), JournalFault>;
}
