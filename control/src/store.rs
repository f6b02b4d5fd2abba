//! The store: the control plane's durable memory, as a port with a SQLite implementation.
//!
//! [`Store::write`] runs one piece of work in one transaction, whole or not at all; pieces that wait at the
//! same time share one sync to disk. Work is serial: what a piece reads nobody else changes before it is
//! committed. Reads see one consistent state. What rows mean is for `rules` and `changes`; this room keeps
//! them. [`contract`] holds every implementation to the same promises.

pub mod contract;
pub mod rows;
pub mod sqlite;

use async_trait::async_trait;

pub use rows::Rows;

/// Why the store did not do it, and so what the caller must do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreFault {
    /// Surely not done: try again later.
    #[error("the store is not available: {detail}; free space or mend the volume, then try again")]
    Unavailable { detail: String },
    /// Nobody knows whether it was done: read before trying again.
    #[error("the store did not answer: {detail}; read how things are before trying again")]
    Lost { detail: String },
    /// A row cannot be read back.
    #[error("the store is damaged: {detail}; restore a backup, then run `tidegate-control new-incarnation`")]
    Damaged { detail: String },
    /// A newer build wrote it.
    #[error("the store was written by a newer build: {detail}; run that build")]
    TooNew { detail: String },
    /// Another process holds it.
    #[error("the folder `{path}` is in use by another process: stop that one first")]
    InUse { path: String },
    /// The path cannot be used at all.
    #[error("cannot open the store in `{path}`: {detail}")]
    Unusable { path: String, detail: String },
}

/// Whether what a piece of work wrote is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Commit,
    Rollback,
}

/// A piece of work: reads and writes in one transaction.
#[async_trait]
pub trait Work: Send {
    /// Does the work once.
    ///
    /// # Errors
    /// A fault of the rows; nothing is kept then.
    async fn run(&mut self, rows: &mut dyn Rows) -> Result<Keep, StoreFault>;
}

/// The control plane's durable memory.
#[async_trait]
pub trait Store: Send + Sync {
    /// Runs the work in one transaction and returns when it is on disk, or surely not. The work is done
    /// even when the caller stops waiting.
    ///
    /// # Errors
    /// [`StoreFault::Unavailable`] when surely nothing was kept, [`StoreFault::Lost`] when not sure.
    async fn write(&self, work: Box<dyn Work>) -> Result<(), StoreFault>;

    /// Hands the work in without waiting for its outcome: for what nobody needs to be sure of.
    ///
    /// # Errors
    /// [`StoreFault::Unavailable`] when it could not be handed in.
    async fn hand_in(&self, work: Box<dyn Work>) -> Result<(), StoreFault>;

    /// Opens one consistent view; writing through it is refused.
    ///
    /// # Errors
    /// [`StoreFault::Unavailable`].
    async fn read(&self) -> Result<Box<dyn Rows>, StoreFault>;

    /// Ends writing, closes the files and lets another process have them; later calls are refused.
    async fn close(&self);
}
