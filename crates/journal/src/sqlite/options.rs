//! Where the journal is, how patient it is, and what that means for SQLite's connections.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

use super::writer::LOG_BYTES;

const PAGE_BYTES: u64 = 4096;

/// Where the journal is and how patient it is.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The journal's own folder; made if there is none.
    pub folder: PathBuf,
    /// How long an append or a page of reports may take.
    pub deadline: Duration,
    /// How long opening, loading, counting, a backup, a new incarnation and closing may take.
    pub slow_deadline: Duration,
    /// How long to wait for a foreign writer of the file before a batch is refused.
    pub busy: Duration,
    /// How much room is kept back on the volume for closing; 0 keeps none.
    pub reserve_bytes: u64,
    /// How large the database may grow; the log comes on top. `None` leaves it to the volume.
    pub most_bytes: Option<u64>,
}

impl SqliteOptions {
    /// Takes the defaults: 5 s, 60 s, 1 s, a reserve of 16 MiB, no bound.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            deadline: Duration::from_secs(5),
            slow_deadline: Duration::from_secs(60),
            busy: Duration::from_secs(1),
            reserve_bytes: 16 * 1024 * 1024,
            most_bytes: None,
        }
    }

    /// Settings of every connection: no memory map, nothing on disk but the journal, no trust in its schema.
    pub(super) fn connect(&self, database: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(database)
            .busy_timeout(self.busy)
            .thread_name(|number| format!("journal-{number}"))
            .row_buffer_size(256)
            .disable_statement_logging()
            .pragma("mmap_size", "0")
            .pragma("temp_store", "MEMORY")
            .pragma("trusted_schema", "OFF")
            .pragma("cell_size_check", "ON")
    }

    /// Settings of a connection that cannot change the file.
    pub(super) fn reading(&self, database: &Path) -> SqliteConnectOptions {
        self.connect(database).pragma("query_only", "ON")
    }

    /// Settings of the one that writes; what durability hangs on is confirmed after connecting.
    pub(super) fn writing(&self, database: &Path) -> SqliteConnectOptions {
        let options = self
            .connect(database)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("fullfsync", "ON")
            .pragma("checkpoint_fullfsync", "ON")
            .pragma("secure_delete", "FAST")
            .pragma("wal_autocheckpoint", "1000")
            .pragma("journal_size_limit", LOG_BYTES.to_string());
        match self.most_bytes {
            Some(bytes) => options.pragma("max_page_count", bytes.div_ceil(PAGE_BYTES).max(1).to_string()),
            None => options,
        }
    }
}
