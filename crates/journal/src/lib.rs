//! The journal: the agent's durable memory, and the only maker of [`Durable`].
//!
//! A port with several implementations under one contract suite ([`contract`]): [`memory`] for tests and
//! simulations, [`sqlite`] as the embedded default; one on PostgreSQL, which several agents share by a
//! [`lease`], has a package of its own. The journal does not know what its rows mean; the
//! rules do. No clear-text secret ever comes here.
//!
//! What it promises: a batch is on disk whole or not at all; a [`Durable`] is given only after it is; what
//! [`Journal::load`] returns is exactly what was appended, in a fixed order; after a fault of `append`
//! the batch is surely absent or the fault is [`JournalFault::Lost`]. Reports are numbered without gaps
//! within the incarnation, receipts without gaps from 1 within their integration; a batch that breaks a
//! chain is refused. After a loss every append is refused until the journal was loaded again, and a load
//! sees every batch that was handed in before it.
//!
//! What it leaves to others: what rows mean, who retries, when the reserve is given up.

pub mod chains;
pub mod contract;
pub mod identity;
pub mod lease;
pub mod memory;
pub mod queue;
pub mod sqlite;
pub mod sums;

use std::fmt;

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

/// The longest key of a row, in bytes.
pub const LONGEST_KEY: usize = 1024;
/// The largest body of a row, a report or a receipt, in bytes.
pub const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// A numbered chain within a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chain {
    /// The reports of this incarnation.
    Reports,
    /// What the control plane has committed of them.
    Committed,
    /// The receipts of one integration.
    Receipts(IntegrationId),
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reports => f.write_str("reports"),
            Self::Committed => f.write_str("committed reports"),
            Self::Receipts(integration) => write!(f, "receipts of `{integration}`"),
        }
    }
}

/// Why the journal did not do it, and so what the caller must do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    /// Surely not written: go close-only, keep memory as it was.
    #[error(
        "the journal refused the batch: {detail}; free space or mend the volume, closing goes on meanwhile"
    )]
    NotWritten { detail: String },
    /// Surely not written, for want of room: go close-only and release the reserve, so that closing can
    /// still be recorded.
    #[error(
        "the journal has no room for the batch: {detail}; free space or enlarge the volume, closing goes on from the reserve"
    )]
    Full { detail: String },
    /// Surely not written, because the caller's numbers do not continue what is there: read the journal
    /// again and number anew.
    #[error(
        "the batch does not continue the {chain}: it brought {found} where {expected} is next; nothing was written, read the journal again"
    )]
    OutOfOrder { chain: Chain, expected: u64, found: u64 },
    /// Surely not written, because it can never be kept as it is: mend the caller, do not retry.
    #[error("the journal cannot keep {what}: {reason}; nothing was written")]
    Unfit { what: String, reason: String },
    /// Nobody knows whether it was written: reload before believing anything.
    #[error("the journal did not answer: {detail}; it must be read again before it is used")]
    Lost { detail: String },
    /// The file is damaged: never written to again.
    #[error(
        "the journal `{path}` is damaged: {detail}; restore a backup, or move it away and start with an empty one: what carries our mark is then found by the survey of each target"
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
    /// Surely not written: another instance holds the lease since. Nothing of this process is ever written
    /// again: end it, so that it begins anew as a standby.
    #[error(
        "another instance took over: the journal is at epoch {held}, this instance is of epoch {ours}; start it anew as a standby"
    )]
    Superseded { held: u64, ours: u64 },
    /// It was closed by this process: open it again.
    #[error("the journal is closed: open it again before it is used")]
    Closed,
}

impl JournalFault {
    /// Returns true when the batch may or may not be on disk, so that only a load can tell.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }
}

/// The agent's durable memory.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Reads everything that the rules need, and lets appending go on after a loss. Waits for what was
    /// handed in before.
    ///
    /// # Errors
    /// [`JournalFault::Damaged`] when a row cannot be read back as it was written, [`JournalFault::Lost`]
    /// when it does not answer.
    async fn load(&self) -> Result<Loaded, JournalFault>;

    /// Puts a batch on disk, whole or not at all. Calls that wait at the same time share one sync and are
    /// written in the order they were handed in; a refused one does not hinder the next. A call that is
    /// dropped half-way counts as lost.
    ///
    /// # Errors
    /// [`JournalFault::Lost`] when nobody knows, [`JournalFault::Damaged`] when it no longer matters; with
    /// every other fault the batch is surely absent.
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

    /// Gives back the room that was kept for closing, so that closing can be recorded though there is none else, and
    /// returns how many bytes that freed. Opening must have stopped before.
    ///
    /// # Errors
    /// [`JournalFault::Unusable`] when it cannot be given back.
    async fn release_reserve(&self) -> Result<u64, JournalFault> {
        Ok(0)
    }

    /// Keeps that room back again, once there is enough.
    ///
    /// # Errors
    /// [`JournalFault::Full`] when there is not yet.
    async fn restore_reserve(&self) -> Result<(), JournalFault> {
        Ok(())
    }

    /// Ends writing and releases the file; later calls are refused.
    ///
    /// # Errors
    /// When what was appended could not be flushed.
    async fn close(&self) -> Result<(), JournalFault>;
}

/// Returns the refusal of a new life under the old name, in which two logs would bear the same numbers.
pub fn same_incarnation(new: Incarnation) -> JournalFault {
    JournalFault::Unfit {
        what: format!("the incarnation {new}"),
        reason: "it is the present one, and a new life needs a new one".into(),
    }
}
