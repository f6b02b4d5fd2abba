//! One writing connection: transactions, and what is known about the file because of them.
//!
//! It writes its own BEGIN and COMMIT, because what an error means depends on which of the two it answered.
//! After any error it is thrown away by its owner: whether a transaction is still open, and what is on
//! disk, is then read anew.

use std::path::{Path, PathBuf};

use model::durable::{Batch, Table, Write};
use model::{Incarnation, Position};
use rusqlite::{Connection, Params, params};

use super::faults;
use super::options::Settings;
use super::reader::{self, stored};
use crate::chains::Chains;
use crate::{JournalFault, sums};

/// How many reports are renumbered at a time.
const RENUMBERED_AT_ONCE: u32 = 500;

/// Where a transaction broke.
#[derive(Debug)]
pub(super) enum Broke {
    /// Before it began: no batch is to blame.
    Before(JournalFault),
    /// While it was open: a batch may be to blame, and nothing is on disk.
    Within(JournalFault),
    /// In the answer to COMMIT.
    AtCommit(JournalFault),
}

impl Broke {
    pub(super) fn fault(self) -> JournalFault {
        match self {
            Self::Before(fault) | Self::Within(fault) | Self::AtCommit(fault) => fault,
        }
    }
}

/// A connection that writes, with where the chains stand behind its last transaction.
#[derive(Debug)]
pub(super) struct Session {
    conn: Connection,
    path: PathBuf,
    incarnation: Incarnation,
    pub(super) chains: Chains,
}

impl Session {
    /// Connects and reads where the chains stand.
    pub(super) fn open(settings: &Settings) -> Result<Self, JournalFault> {
        let path = &settings.database;
        let conn = settings.connect().map_err(|error| faults::writing(path, &error))?;
        Self::over(conn, path)
    }

    /// Takes a connection that was already looked at.
    pub(super) fn over(conn: Connection, path: &Path) -> Result<Self, JournalFault> {
        let (incarnation, chains) = reader::chains(&conn, path)?;
        Ok(Self { conn, path: path.into(), incarnation, chains })
    }

    /// Writes batches, which were checked and by which the chains have advanced, in one transaction.
    pub(super) fn write(&mut self, batches: &[&Batch]) -> Result<(), Broke> {
        self.begin()?;
        self.put_all(batches).map_err(|error| self.within(&error))?;
        self.commit()
    }

    /// Begins a new life; see the port.
    pub(super) fn begin_incarnation(&mut self, new: Incarnation) -> Result<(), Broke> {
        if new == self.incarnation {
            return Err(Broke::Before(crate::same_incarnation(new)));
        }
        self.begin()?;
        self.renumber()?;
        let (renamed, after) = (new.to_string(), self.chains.renumbered());
        self.run(
            "UPDATE head SET incarnation = ?, committed = 0, sum = ? WHERE one = 1",
            params![renamed, sums::of_head(&renamed, 0)],
        )
        .map_err(|error| self.within(&error))?;
        self.commit()?;
        self.incarnation = new;
        self.chains = after;
        Ok(())
    }

    /// Makes it sure whether the batch of a broken COMMIT is there. The log may end in its frames although
    /// nobody is shown them, and the next process to recover the log would believe them; a commit that
    /// surely writes takes their place. Only then is what can be read what will be read.
    pub(super) fn settle(&mut self) -> Result<(), Broke> {
        self.begin()?;
        self.change_version().map_err(|error| self.within(&error))?;
        self.commit()
    }

    /// Moves the log's pages into the database and empties the log. Returns false when a reader was in
    /// the way.
    pub(super) fn empty_log(&mut self) -> rusqlite::Result<bool> {
        let busy: i64 = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(busy == 0)
    }

    pub(super) fn close(self) -> Result<(), JournalFault> {
        self.conn.close().map_err(|(_, error)| faults::committing(&self.path, &error))
    }

    fn begin(&self) -> Result<(), Broke> {
        // Takes the write lock now, so that a foreign writer is met before anything is done.
        reader::run(&self.conn, "BEGIN IMMEDIATE")
            .map_err(|error| Broke::Before(faults::writing(&self.path, &error)))
    }

    fn commit(&self) -> Result<(), Broke> {
        reader::run(&self.conn, "COMMIT")
            .map_err(|error| Broke::AtCommit(faults::committing(&self.path, &error)))
    }

    fn within(&self, error: &rusqlite::Error) -> Broke {
        Broke::Within(faults::writing(&self.path, error))
    }

    fn run(&self, statement: &'static str, values: impl Params) -> rusqlite::Result<()> {
        self.conn.prepare_cached(statement)?.execute(values).map(drop)
    }

    fn put_all(&self, batches: &[&Batch]) -> rusqlite::Result<()> {
        let mut committed = false;
        for write in batches.iter().flat_map(|batch| &batch.writes) {
            committed |= matches!(write, Write::ReportsCommitted { .. });
            self.put(write)?;
        }
        if committed { self.drop_committed() } else { Ok(()) }
    }

    fn put(&self, write: &Write) -> rusqlite::Result<()> {
        match write {
            Write::Put { table, key, body } => {
                self.run(put(*table), params![key, body, sums::of_row(*table, key, body)])
            }
            Write::Forget { table, key } => self.run(forget(*table), [key]),
            Write::Report { position, body } => {
                self.run(REPORT, params![stored(position.0), body, sums::of_report(*position, body)])
            }
            Write::Receipt { integration, number, body } => {
                let (integration, sum) =
                    (integration.as_str(), sums::of_receipt(integration.as_str(), *number, body));
                self.run(RECEIPT, params![stored(*number), integration, body, sum])
            }
            // Done once for the whole transaction.
            Write::ReportsCommitted { .. } => Ok(()),
        }
    }

    fn drop_committed(&self) -> rusqlite::Result<()> {
        let committed = self.chains.committed.0;
        let sum = sums::of_head(&self.incarnation.to_string(), committed);
        self.run("DELETE FROM report WHERE position <= ?", [stored(committed)])?;
        self.run("UPDATE head SET committed = ?, sum = ? WHERE one = 1", [stored(committed), sum])
    }

    /// Changes what means nothing but that it changed: an unchanged page would not be written.
    fn change_version(&self) -> rusqlite::Result<()> {
        let settled: i64 = self.conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        self.run(if settled == 1 { "PRAGMA user_version = 2" } else { "PRAGMA user_version = 1" }, [])
    }

    /// Gives the uncommitted reports the numbers from 1, in order. Each goes to a lower number, which is
    /// free by then.
    fn renumber(&self) -> Result<(), Broke> {
        let committed = self.chains.committed.0;
        let mut last = committed;
        while committed > 0 && last < self.chains.last_report.0 {
            let page = reader::reports(&self.conn, &self.path, Position(last), RENUMBERED_AT_ONCE)
                .map_err(|fault| Broke::Within(unwritten(fault)))?;
            if page.is_empty() {
                return Err(Broke::Within(faults::damaged(&self.path, "uncommitted reports are missing")));
            }
            for report in page {
                last = report.position.0;
                let position = Position(last.saturating_sub(committed));
                let sum = sums::of_report(position, &report.body);
                self.run(
                    "UPDATE report SET position = ?, sum = ? WHERE position = ?",
                    [stored(position.0), sum, stored(last)],
                )
                .map_err(|error| self.within(&error))?;
            }
        }
        Ok(())
    }
}

/// Sorts a fault met by reading before COMMIT: nothing was written, whatever it is.
pub(super) fn unwritten(fault: JournalFault) -> JournalFault {
    if let JournalFault::Lost { detail } = fault { JournalFault::NotWritten { detail } } else { fault }
}

const REPORT: &str = "INSERT INTO report (position, body, sum) VALUES (?, ?, ?)";
const RECEIPT: &str = "INSERT INTO receipt (number, integration, body, sum) VALUES (?, ?, ?, ?)";

const fn put(table: Table) -> &'static str {
    macro_rules! put {
        ($table:literal) => {
            concat!(
                "INSERT INTO ",
                $table,
                " (key, body, sum) VALUES (?, ?, ?) ",
                "ON CONFLICT (key) DO UPDATE SET body = excluded.body, sum = excluded.sum"
            )
        };
    }
    match table {
        Table::Account => put!("account"),
        Table::Integration => put!("integration"),
        Table::Tombstone => put!("tombstone"),
        Table::Meta => put!("meta"),
    }
}

const fn forget(table: Table) -> &'static str {
    match table {
        Table::Account => "DELETE FROM account WHERE key = ?",
        Table::Integration => "DELETE FROM integration WHERE key = ?",
        Table::Tombstone => "DELETE FROM tombstone WHERE key = ?",
        Table::Meta => "DELETE FROM meta WHERE key = ?",
    }
}
