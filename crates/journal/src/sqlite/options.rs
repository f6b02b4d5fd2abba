//! Where the journal is, how patient it is, and what that means for SQLite's connections.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::writer::LOG_BYTES;

const PAGE_BYTES: u64 = 4096;
/// How many prepared statements a connection keeps: all that there are.
const STATEMENTS: usize = 64;
/// No memory map, nothing on disk but the journal, no trust in its schema.
const EVERY: &str = "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; \
                     PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;";
const READING: &str = "PRAGMA query_only = ON;";
/// What durability hangs on is confirmed after connecting.
const WRITING: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; \
                       PRAGMA checkpoint_fullfsync = ON; PRAGMA secure_delete = FAST; \
                       PRAGMA wal_autocheckpoint = 1000;";

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

    /// Returns how to connect for a copy.
    pub(super) fn copying(&self, database: &Path) -> Settings {
        self.settings(database, "")
    }

    /// Returns how to connect without being able to change the file.
    pub(super) fn reading(&self, database: &Path) -> Settings {
        self.settings(database, READING)
    }

    /// Returns how the one that writes connects.
    pub(super) fn writing(&self, database: &Path) -> Settings {
        let mut own = format!("{WRITING} PRAGMA journal_size_limit = {LOG_BYTES};");
        if let Some(bytes) = self.most_bytes {
            let pages = bytes.div_ceil(PAGE_BYTES).max(1);
            own.push_str(&format!(" PRAGMA max_page_count = {pages};"));
        }
        self.settings(database, &own)
    }

    fn settings(&self, database: &Path, own: &str) -> Settings {
        Settings { database: database.into(), busy: self.busy, pragmas: format!("{EVERY} {own}") }
    }
}

/// How a connection is made.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) database: PathBuf,
    busy: Duration,
    pragmas: String,
}

impl Settings {
    /// Connects to the file, which must be there.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        // Each connection has one user at a time: SQLite's own lock around every call is not needed.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.database, flags)?;
        conn.busy_timeout(self.busy)?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        conn.execute_batch(&self.pragmas)?;
        Ok(conn)
    }
}
