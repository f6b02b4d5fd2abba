//! The journal in one SQLite file, the embedded default.
//!
//! A write-ahead log synced at every commit, one writer that serves all who wait with one sync, one
//! process at a time. See the crate's README for the files, the tables and what survives what.
//!
//! What it leaves to others: when to give up the reserve, when to make a backup, and where: a folder on a
//! local disk, because locks and syncs of network file systems do not keep the promises made here.

mod faults;
mod format;
mod opening;
mod options;
mod place;
mod reader;
mod session;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use model::durable::{Batch, Table};
use model::{Durable, Incarnation, IntegrationId, Position};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::queue::{Desk, Order, Waiting, within};
use crate::{Journal, JournalFault, Loaded, StoredReceipt, StoredReport};
use faults::unusable;
use opening::{Prepared, Use, prepared};
use options::Settings;
use place::Paths;
use reader::Reader;

pub use options::SqliteOptions;

/// How full the journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    pub rows: BTreeMap<Table, u64>,
    pub receipts: u64,
    pub last_report: Position,
    pub uncommitted_reports: u64,
    pub database_bytes: u64,
    pub log_bytes: u64,
    /// 0 when the reserve was given up or could not be kept.
    pub reserve_bytes: u64,
}

/// A journal in a folder of its own.
#[derive(Debug)]
pub struct Sqlite {
    options: SqliteOptions,
    paths: Paths,
    reader: Reader,
    desk: Desk,
    // The writer ends when nobody can order any more.
    _writer: JoinSet<()>,
}

impl Sqlite {
    /// Opens the journal in the folder, or makes one.
    ///
    /// # Errors
    /// [`JournalFault::InUse`], [`JournalFault::Damaged`], [`JournalFault::TooNew`] (then
    /// [`Self::open_close_only`] still reads it) or [`JournalFault::Unusable`], each with the way out.
    pub async fn open(options: SqliteOptions) -> Result<Self, JournalFault> {
        Self::opened(options, Use::Whole).await
    }

    /// Opens a journal to read it and close what it knows: nothing is ever written, also if a newer build
    /// wrote it. Every append is refused.
    ///
    /// # Errors
    /// As [`Self::open`], but never [`JournalFault::TooNew`].
    pub async fn open_close_only(options: SqliteOptions) -> Result<Self, JournalFault> {
        Self::opened(options, Use::CloseOnly).await
    }

    /// Opens a journal that another process uses, to read it beside that process: nothing is ever written, made
    /// or held, and every append is refused. What is read is of one moment for each call.
    ///
    /// # Errors
    /// As [`Self::open_close_only`], but never [`JournalFault::InUse`].
    pub async fn open_beside(options: SqliteOptions) -> Result<Self, JournalFault> {
        Self::opened(options, Use::Beside).await
    }

    async fn opened(options: SqliteOptions, meant: Use) -> Result<Self, JournalFault> {
        let (patience, folder) = (options.slow_deadline, options.folder.clone());
        let preparing = blocking(&folder, move || prepared(options, meant));
        let Ok(journal) = timeout(patience, preparing).await else {
            return Err(unusable(&folder, format!("its volume did not answer within {patience:?}")));
        };
        let Prepared { options, paths, refusal, read, writer } = journal?;
        let (desk, waiting) = Desk::new(Arc::clone(writer.losses()), refusal);
        let mut crew = JoinSet::new();
        crew.spawn_blocking(move || writer.run(waiting));
        Ok(Self { options, paths, reader: Reader::new(read), desk, _writer: crew })
    }

    /// Returns how full the journal is.
    ///
    /// # Errors
    /// As [`Journal::load`].
    pub async fn statistics(&self) -> Result<Statistics, JournalFault> {
        self.desk.check_open()?;
        let (rows, chains) = within(self.options.slow_deadline, self.reader.count()).await?;
        Ok(Statistics {
            rows,
            receipts: chains.receipt_count(),
            last_report: chains.last_report,
            uncommitted_reports: chains.uncommitted(),
            database_bytes: place::length(&self.paths.database),
            log_bytes: place::length(&self.paths.log),
            reserve_bytes: self.paths.reserve_bytes(),
        })
    }

    /// Writes a copy of this moment to a new file, while the journal is used. Put back in place, such a
    /// copy is an old journal: it must be given a new incarnation before anything opens.
    ///
    /// # Errors
    /// [`JournalFault::Unusable`] when there is a file already or it cannot be written.
    pub async fn backup(&self, path: &Path) -> Result<(), JournalFault> {
        self.desk.check_open()?;
        let (to, settings) = (path.to_path_buf(), self.options.copying(&self.paths.database));
        match timeout(self.options.slow_deadline, blocking(path, move || copy(&settings, &to))).await {
            Ok(copied) => copied,
            Err(_) => Err(unusable(path, "the backup took too long; what is there is not whole")),
        }
    }
}

#[async_trait]
impl Journal for Sqlite {
    async fn load(&self) -> Result<Loaded, JournalFault> {
        self.desk.check_open()?;
        let seen = self.desk.losses().seen();
        let patience = self.options.slow_deadline;
        self.desk.ask(patience, Order::Barrier).await?;
        let loaded = within(patience, self.reader.load()).await?;
        self.desk.losses().heal(seen);
        Ok(loaded)
    }

    async fn append(&self, batch: &Batch) -> Result<Durable, JournalFault> {
        self.desk.check_writable()?;
        let batch = batch.clone();
        self.desk.ask(self.options.deadline, |reply| Order::Append(Waiting { batch, reply })).await
    }

    async fn reports(&self, after: Position, limit: u32) -> Result<Vec<StoredReport>, JournalFault> {
        self.desk.check_open()?;
        within(self.options.deadline, self.reader.reports(after, limit)).await
    }

    async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        self.desk.check_open()?;
        within(self.options.deadline, self.reader.receipts(integration, after, limit)).await
    }

    async fn begin_incarnation(&self, new: Incarnation) -> Result<(), JournalFault> {
        self.desk.check_writable()?;
        self.desk.ask(self.options.slow_deadline, |reply| Order::BeginIncarnation { new, reply }).await
    }

    async fn release_reserve(&self) -> Result<u64, JournalFault> {
        self.desk.check_writable()?;
        let paths = self.paths.clone();
        let freed = blocking(&self.paths.folder, move || paths.release_reserve()).await?;
        if freed > 0 {
            tracing::warn!(freed, "Journal gave up its reserve");
        }
        Ok(freed)
    }

    async fn restore_reserve(&self) -> Result<(), JournalFault> {
        self.desk.check_writable()?;
        let (paths, bytes) = (self.paths.clone(), self.options.reserve_bytes);
        blocking(&self.paths.folder, move || paths.keep_reserve(bytes)).await
    }

    async fn close(&self) -> Result<(), JournalFault> {
        if !self.desk.shut() {
            return Ok(());
        }
        // The reader first, so that the writer is the last to leave and empties the log.
        let reader = within(self.options.slow_deadline, self.reader.close()).await;
        match self.desk.ask(self.options.slow_deadline, Order::Close).await {
            Ok(()) | Err(JournalFault::Closed) => reader,
            Err(fault) => Err(fault),
        }
    }
}

/// Writes a copy of this moment to a new file.
fn copy(settings: &Settings, path: &Path) -> Result<(), JournalFault> {
    let fault = |error: &dyn ToString| unusable(path, error.to_string());
    let partial = place::begin_copy(path).map_err(|error| fault(&error))?;
    let name = partial.to_str().ok_or_else(|| fault(&"its name is not UTF-8"))?;
    let conn = settings.connect().map_err(|error| fault(&error))?;
    conn.execute("VACUUM INTO ?", [name]).map_err(|error| fault(&error))?;
    conn.close().map_err(|(_, error)| fault(&error))?;
    place::finish_copy(&partial, path).map_err(|error| fault(&error))
}

/// Does work that may wait for the disk on a thread that may.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, JournalFault> + Send + 'static,
) -> Result<T, JournalFault> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(unusable(path, error)),
    }
}
