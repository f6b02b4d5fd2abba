//! Write, then act, as a type: what is to be written, and the proof that it is on disk.
//!
//! The rules hand out actions only against the [`Durable`] of the batch that carries their intent. Only a
//! journal makes one: a clippy ban and `cargo xtask floors` keep [`Durable::attest`] inside
//! `crates/journal`.

use serde::{Deserialize, Serialize};

use crate::id::{IntegrationId, Position};

/// Which batch of writes, counted by the writer from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// A table of the journal. Bodies are JSON objects, so that an operator can read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row an account, with its accesses.
    Account,
    /// One row an integration.
    Integration,
    /// One row an ended access id that must never open again.
    Tombstone,
    /// Single rows: clock, cursors, receipt chain heads.
    Meta,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Account, Self::Integration, Self::Tombstone, Self::Meta];

    /// Returns the name under which a journal keeps it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Integration => "integration",
            Self::Tombstone => "tombstone",
            Self::Meta => "meta",
        }
    }
}

/// One thing to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "write")]
pub enum Write {
    /// The row is now this.
    Put { table: Table, key: String, body: String },
    /// The row is gone.
    Forget { table: Table, key: String },
    /// A report for the control plane, kept until it is committed there. Positions are given by the
    /// writer, without gaps, within the journal's incarnation.
    Report { position: Position, body: String },
    /// The control plane has committed all reports through this one: they may be dropped.
    ReportsCommitted { through: Position },
    /// A receipt: the number rises by one within its integration's chain.
    Receipt { integration: IntegrationId, number: u64, body: String },
}

/// What is written together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub id: BatchId,
    pub writes: Vec<Write>,
}

/// The proof that one batch is on disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Durable {
    batch: BatchId,
}

impl Durable {
    /// States that the batch is on disk. For journals only.
    pub const fn attest(batch: BatchId) -> Self {
        Self { batch }
    }

    /// Returns the batch that is on disk.
    pub const fn batch(&self) -> BatchId {
        self.batch
    }
}

/// The proof that the journal could not be written, under which closing, and nothing else, may go on.
///
/// It is made from the journal's refusal, so nobody closes unrecorded while writing works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseOnly {
    reason: String,
}

impl CloseOnly {
    /// Takes the journal's refusal as the reason to go on without it.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// Returns why the journal could not be written.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
