//! The store in a SQLite file: WAL, a full sync at each commit, one writer, several readers.
//!
//! A lock file keeps a second process out. The writer takes what waits, runs each piece in a savepoint of
//! one transaction and commits once; a piece that fails takes nothing of the others with it.

mod connectors;
mod offers;
mod people;
mod question;
mod readers;
mod records;
mod requests;
mod selves;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::Incarnation;
use rusqlite::{Connection, OpenFlags, Params, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::{Rows, Store, StoreFault, Work};
use readers::Readers;
use writer::Writer;

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
    readers: Readers,
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
        migrate(&path).await?;
        let mut connection = connect(&path).map_err(|fault| unusable(fault.to_string()))?;
        selves::first_life(&mut connection, fresh)?;
        let writer = Writer::start(connection);
        Ok(Self { writer, readers: Readers::new(path), lock: Mutex::new(Some(lock)) })
    }
}

/// Makes the file if there is none, and brings it up to date.
async fn migrate(path: &Path) -> Result<(), StoreFault> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE);
    let damaged = |detail: String| StoreFault::Damaged { detail };
    let mut connection =
        SqliteConnection::connect_with(&options).await.map_err(|fault| damaged(fault.to_string()))?;
    MIGRATIONS.run_direct(None, &mut connection, false).await.map_err(|fault| {
        let detail = fault.to_string();
        if matches!(fault, sqlx::migrate::MigrateError::VersionMissing(_)) {
            StoreFault::TooNew { detail }
        } else {
            StoreFault::Damaged { detail }
        }
    })?;
    connection.close().await.map_err(|fault| damaged(fault.to_string()))
}

/// Opens a connection: a full sync at each commit, relations between tables kept.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Each connection has one user at a time: SQLite's own lock around every call is not needed.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
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

    async fn hand_in(&self, work: Box<dyn Work>) -> Result<(), StoreFault> {
        self.writer.hand_in(work).await.map(drop)
    }

    async fn read(&self) -> Result<Box<dyn Rows>, StoreFault> {
        Ok(Box::new(SqliteRows(self.readers.begin().await?)))
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
pub(super) trait Through: Send {
    /// The connection, which is there for as long as the transaction.
    fn connection(&self) -> Option<&Connection>;

    /// Does what may take long where it keeps nobody else from their work.
    fn aside<T>(work: impl FnOnce() -> T) -> T;
}

/// The writer has a thread of its own.
impl Through for &mut Connection {
    fn connection(&self) -> Option<&Connection> {
        Some(self)
    }

    fn aside<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
}

impl<C: Through> SqliteRows<C> {
    /// Asks, and reads the answer row by row.
    fn ask<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreFault> {
        let ask = |connection: &Connection| {
            connection.prepare_cached(sql)?.query_map(values, read)?.collect::<rusqlite::Result<Vec<T>>>()
        };
        ask(self.0.connection().ok_or_else(gone)?).map_err(fault)
    }

    /// Changes rows, and returns how many.
    fn change(&self, sql: &str, values: impl Params) -> Result<usize, StoreFault> {
        let change = |connection: &Connection| connection.prepare_cached(sql)?.execute(values);
        change(self.0.connection().ok_or_else(gone)?).map_err(fault)
    }
}

impl<C: Through> Rows for SqliteRows<C> {}

fn gone() -> StoreFault {
    StoreFault::Unavailable { detail: "the transaction is over".into() }
}

fn fault(fault: rusqlite::Error) -> StoreFault {
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

/// Reads what a statement gives, row by row.
macro_rules! rows {
    ($rows:expr, $read:expr, $sql:literal $(, $bind:expr)* $(,)?) => {
        $rows.ask($sql, rusqlite::params![$($bind),*], $read)
    };
}

/// Reads bodies in the statement's order.
macro_rules! all {
    ($rows:expr, $sql:literal $(, $bind:expr)* $(,)?) => {
        $rows.ask($sql, rusqlite::params![$($bind),*], |row| row.get::<_, String>(0)).and_then(|found| {
            found.iter().map(|body| $crate::store::sqlite::decode(body)).collect::<Result<Vec<_>, _>>()
        })
    };
}

/// Reads at most one body.
macro_rules! one {
    ($rows:expr, $sql:literal $(, $bind:expr)* $(,)?) => {
        $rows.ask($sql, rusqlite::params![$($bind),*], |row| row.get::<_, String>(0)).and_then(|found| {
            found.first().map(|body| $crate::store::sqlite::decode(body)).transpose()
        })
    };
}

/// Runs a statement that returns nothing; gives the number of rows that it touched.
macro_rules! run {
    ($rows:expr, $sql:literal $(, $bind:expr)* $(,)?) => {
        $rows.change($sql, rusqlite::params![$($bind),*])
    };
}

use {all, one, rows, run};
