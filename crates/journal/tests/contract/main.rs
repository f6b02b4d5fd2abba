//! Both journals under the one suite, and what is particular to the file: locks, damage, kills, formats.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod figures;
mod files;
mod formats;
mod kill;
mod loss;
mod room;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use journal::contract::{JournalWorld, Storage, run};
use journal::memory::{Fate, Memory};
use journal::sqlite::{Sqlite, SqliteOptions};
use journal::{Journal, JournalFault};
use model::durable::{Batch, Table, Write};
use model::{BatchId, Incarnation, Position};
use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

struct MemoryWorld {
    made: AtomicU64,
}

struct MemoryStorage(Arc<Memory>);

#[async_trait]
impl JournalWorld for MemoryWorld {
    async fn fresh(&self) -> Box<dyn Storage> {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        let incarnation = Incarnation::from_uuid(Uuid::from_u64_pair(1, number));
        Box::new(MemoryStorage(Arc::new(Memory::new(incarnation))))
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn open(&mut self) -> Arc<dyn Journal> {
        self.0 = Arc::new(self.0.snapshot());
        Arc::clone(&self.0) as Arc<dyn Journal>
    }

    async fn reopen(&mut self, _killed: Arc<dyn Journal>) -> Arc<dyn Journal> {
        self.open().await
    }

    async fn break_writes(&mut self) {
        self.0.break_writes(Fate::NotWritten);
    }

    async fn mend(&mut self) {
        self.0.mend();
    }
}

struct SqliteWorld;

struct SqliteStorage {
    folder: TempDir,
    /// Holds the file's write lock, as a hand that edits it would.
    foreign: Mutex<Option<Connection>>,
}

#[async_trait]
impl JournalWorld for SqliteWorld {
    async fn fresh(&self) -> Box<dyn Storage> {
        Box::new(SqliteStorage { folder: TempDir::new().unwrap(), foreign: Mutex::default() })
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn open(&mut self) -> Arc<dyn Journal> {
        Arc::new(opened(&options(self.folder.path())).await.unwrap())
    }

    async fn reopen(&mut self, killed: Arc<dyn Journal>) -> Arc<dyn Journal> {
        drop(killed);
        self.open().await
    }

    async fn break_writes(&mut self) {
        let foreign = foreign(self.folder.path());
        foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
        *self.foreign.get_mut().unwrap() = Some(foreign);
    }

    async fn mend(&mut self) {
        self.foreign.get_mut().unwrap().take().unwrap().execute_batch("ROLLBACK").unwrap();
    }
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    run(&MemoryWorld { made: AtomicU64::new(0) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    run(&SqliteWorld).await;
}

/// Options for a journal in a folder within `base`: impatient with foreign writers, patient with a busy
/// machine, without reserve.
fn options(base: &Path) -> SqliteOptions {
    SqliteOptions {
        busy: Duration::from_millis(50),
        deadline: Duration::from_secs(30),
        reserve_bytes: 0,
        ..SqliteOptions::new(folder(base))
    }
}

fn folder(base: &Path) -> PathBuf {
    base.join("journal")
}

fn database(base: &Path) -> PathBuf {
    folder(base).join("journal.db")
}

/// Opens a journal, waiting for its last holder in this process to let go: a dropped writer ends a little
/// later, and a process that is just being started by another test holds copies of all that is open here.
async fn opened(options: &SqliteOptions) -> Result<Sqlite, JournalFault> {
    once_free(options, false).await
}

/// Opens a journal to read it, as [`opened`] does.
async fn opened_close_only(options: &SqliteOptions) -> Result<Sqlite, JournalFault> {
    once_free(options, true).await
}

async fn once_free(options: &SqliteOptions, close_only: bool) -> Result<Sqlite, JournalFault> {
    let opening = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let options = options.clone();
            let tried =
                if close_only { Sqlite::open_close_only(options).await } else { Sqlite::open(options).await };
            match tried {
                Err(JournalFault::InUse { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
                other => return other,
            }
        }
    });
    opening.await.expect("the last holder lets go")
}

/// Connects to the file beside the journal, as a person with a tool would.
fn foreign(base: &Path) -> Connection {
    Connection::open(database(base)).unwrap()
}

/// Changes a closed journal's file.
fn meddle(base: &Path, statement: &str) {
    let conn = foreign(base);
    conn.execute_batch(statement).unwrap();
    conn.close().unwrap();
}

fn batch(id: u64, writes: Vec<Write>) -> Batch {
    Batch { id: BatchId(id), writes }
}

fn put(key: &str, body: &str) -> Write {
    Write::Put { table: Table::Account, key: key.into(), body: body.into() }
}

fn report(position: u64) -> Write {
    Write::Report { position: Position(position), body: format!("{{\"report\":{position}}}") }
}

async fn keys(journal: &dyn Journal) -> Vec<String> {
    journal.load().await.unwrap().rows.into_iter().map(|row| row.key).collect()
}
