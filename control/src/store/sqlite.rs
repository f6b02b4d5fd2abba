//! The store in a SQLite file: WAL, a full sync at each commit, one writer, several readers.
//!
//! A lock file keeps a second process out. The writer takes what waits, runs each piece in a savepoint of
//! one transaction and commits once; a piece that fails takes nothing of the others with it.

mod connectors;
mod offers;
mod people;
mod records;
mod requests;
mod selves;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::ops::DerefMut;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::Incarnation;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, Transaction};

use super::{Rows, Store, StoreFault, Work};
use writer::Writer;

/// Readers at a time.
const READERS: u32 = 8;
/// How long anything waits for a place or an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The file's name in the data folder.
const FILE: &str = "control.db";
/// The lock's name in the data folder.
const LOCK: &str = "control.lock";

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// The store in a SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// Held until the store is closed or dropped.
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// Opens the store in a folder, makes it there if there is none, and brings it up to date. `fresh` is
    /// the life of a store that is made.
    ///
    /// # Errors
    /// [`StoreFault::InUse`], [`StoreFault::TooNew`], [`StoreFault::Damaged`], [`StoreFault::Unusable`].
    pub async fn open(folder: &Path, fresh: Incarnation) -> Result<Self, StoreFault> {
        let unusable = |detail: String| StoreFault::Unusable { path: folder.display().to_string(), detail };
        make_folder(folder).map_err(|fault| unusable(fault.to_string()))?;
        let lock = lock(folder)?;
        let path = folder.join(FILE);
        private(&path).map_err(|fault| unusable(fault.to_string()))?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .statement_cache_capacity(256);
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .map_err(|fault| StoreFault::Damaged { detail: fault.to_string() })?;
        MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|fault| {
            let detail = fault.to_string();
            if matches!(fault, sqlx::migrate::MigrateError::VersionMissing(_)) {
                StoreFault::TooNew { detail }
            } else {
                StoreFault::Damaged { detail }
            }
        })?;
        selves::first_life(&mut connection, fresh).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(PATIENCE)
            .connect_with(options.pragma("query_only", "true"))
            .await
            .map_err(|fault| unusable(fault.to_string()))?;
        Ok(Self { writer: Writer::start(connection), readers, lock: Mutex::new(Some(lock)) })
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The file is readable by its owner alone, from its first byte on.
fn private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map(drop)
}

fn lock(folder: &Path) -> Result<File, StoreFault> {
    let path = folder.join(LOCK);
    let unusable = |detail: String| StoreFault::Unusable { path: path.display().to_string(), detail };
    private(&path).map_err(|fault| unusable(fault.to_string()))?;
    let file = File::open(&path).map_err(|fault| unusable(fault.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreFault::InUse { path: folder.display().to_string() }),
        Err(TryLockError::Error(fault)) => Err(unusable(fault.to_string())),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn write(&self, work: Box<dyn Work>) -> Result<(), StoreFault> {
        self.writer.write(work).await
    }

    async fn read(&self) -> Result<Box<dyn Rows>, StoreFault> {
        let transaction = self.readers.begin().await.map_err(fault)?;
        Ok(Box::new(SqliteRows(transaction)))
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A connection within a transaction, the writer's or a reader's.
pub(super) struct SqliteRows<C>(pub(super) C);

/// What rows can be read and written through.
pub(super) trait Through: DerefMut<Target = SqliteConnection> + Send {}
impl Through for Transaction<'static, Sqlite> {}
impl Through for &mut SqliteConnection {}

impl<C: Through> Rows for SqliteRows<C> {}

fn fault(fault: sqlx::Error) -> StoreFault {
    StoreFault::Unavailable { detail: fault.to_string() }
}

fn decode<T: DeserializeOwned>(body: &str) -> Result<T, StoreFault> {
    serde_json::from_str(body).map_err(|fault| StoreFault::Damaged { detail: fault.to_string() })
}

fn encode<T: Serialize>(value: &T) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(|fault| StoreFault::Unavailable { detail: fault.to_string() })
}

/// Numbers are unsigned here and signed in SQLite.
fn signed(number: u64) -> Result<i64, StoreFault> {
    i64::try_from(number).map_err(|_| StoreFault::Unavailable { detail: format!("{number} is too large") })
}

fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
}

/// Reads at most one body.
macro_rules! one {
    ($rows:expr, $sql:literal $(, $bind:expr)* $(,)?) => {{
        let found: Option<String> = sqlx::query_scalar($sql)
            $(.bind($bind))*
            .fetch_optional(&mut *$rows.0)
            .await
            .map_err($crate::store::sqlite::fault)?;
        found.as_deref().map($crate::store::sqlite::decode).transpose()
    }};
}

/// Reads bodies in the statement's order.
macro_rules! all {
    ($rows:expr, $sql:literal $(, $bind:expr)* $(,)?) => {{
        let found: Vec<String> = sqlx::query_scalar($sql)
            $(.bind($bind))*
            .fetch_all(&mut *$rows.0)
            .await
            .map_err($crate::store::sqlite::fault)?;
        found.iter().map(|body| $crate::store::sqlite::decode(body)).collect::<Result<Vec<_>, _>>()
    }};
}

/// Runs a statement that returns nothing; gives the number of rows that it touched.
macro_rules! run {
    ($rows:expr, $sql:literal $(, $bind:expr)* $(,)?) => {
        sqlx::query($sql)
            $(.bind($bind))*
            .execute(&mut *$rows.0)
            .await
            .map(|done| done.rows_affected())
            .map_err($crate::store::sqlite::fault)
    };
}

use {all, one, run};
