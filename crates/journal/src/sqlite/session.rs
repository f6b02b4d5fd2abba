//! One writing connection: transactions, and what is known about the file because of them.
//!
//! It writes its own BEGIN and COMMIT, because what an error means depends on which of the two it answered.
//! After any error it is thrown away by its owner: whether a transaction is still open, and what is on
//! disk, is then read anew.

use std::path::{Path, PathBuf};

use model::Incarnation;
use model::durable::{Batch, Table, Write};
use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Sqlite, SqliteConnection};

use super::reader::{self, report_of, stored};
use super::{faults, sums};
use crate::JournalFault;
use crate::chains::Chains;

/// How many writes go to SQLite in one call.
const WRITES_AT_ONCE: usize = 16;
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
    conn: SqliteConnection,
    path: PathBuf,
    incarnation: Incarnation,
    pub(super) chains: Chains,
}

impl Session {
    /// Connects and reads where the chains stand.
    pub(super) async fn open(options: &SqliteConnectOptions, path: &Path) -> Result<Self, JournalFault> {
        let conn = options.connect().await.map_err(|error| faults::writing(path, &error))?;
        Self::over(conn, path).await
    }

    /// Takes a connection that was already looked at.
    pub(super) async fn over(mut conn: SqliteConnection, path: &Path) -> Result<Self, JournalFault> {
        let (incarnation, chains) = reader::chains(&mut conn, path).await?;
        Ok(Self { conn, path: path.into(), incarnation, chains })
    }

    /// Writes batches, which were checked and by which the chains have advanced, in one transaction.
    pub(super) async fn write(&mut self, batches: &[&Batch]) -> Result<(), Broke> {
        self.begin().await?;
        for batch in batches {
            for writes in batch.writes.chunks(WRITES_AT_ONCE) {
                self.put(writes).await.map_err(|error| self.within(&error))?;
            }
        }
        let writes = batches.iter().flat_map(|batch| &batch.writes);
        let committed = writes.into_iter().any(|write| matches!(write, Write::ReportsCommitted { .. }));
        if committed {
            self.drop_committed().await.map_err(|error| self.within(&error))?;
        }
        self.commit().await
    }

    /// Begins a new life; see the port.
    pub(super) async fn begin_incarnation(&mut self, new: Incarnation) -> Result<(), Broke> {
        if new == self.incarnation {
            return Err(Broke::Before(crate::same_incarnation(new)));
        }
        self.begin().await?;
        self.renumber().await?;
        let (renamed, after) = (new.to_string(), self.chains.renumbered());
        sqlx::query("UPDATE head SET incarnation = ?, committed = 0, sum = ? WHERE one = 1")
            .bind(&renamed)
            .bind(sums::of_head(&renamed, 0))
            .execute(&mut self.conn)
            .await
            .map_err(|error| self.within(&error))?;
        self.commit().await?;
        self.incarnation = new;
        self.chains = after;
        Ok(())
    }

    /// Makes it sure whether the batch of a broken COMMIT is there. The log may end in its frames although
    /// nobody is shown them, and the next process to recover the log would believe them; a commit that
    /// surely writes takes their place. Only then is what can be read what will be read.
    pub(super) async fn settle(&mut self) -> Result<(), Broke> {
        self.begin().await?;
        let settled: i64 = match sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut self.conn).await {
            Ok(settled) => settled,
            Err(error) => return Err(self.within(&error)),
        };
        // It means nothing but that it changed: an unchanged page would not be written.
        let change = if settled == 1 { "PRAGMA user_version = 2" } else { "PRAGMA user_version = 1" };
        if let Err(error) = sqlx::query(change).execute(&mut self.conn).await {
            return Err(self.within(&error));
        }
        self.commit().await
    }

    /// Moves the log's pages into the database and empties the log. Returns false when a reader was in
    /// the way.
    pub(super) async fn empty_log(&mut self) -> Result<bool, sqlx::Error> {
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.conn).await?;
        Ok(busy == 0)
    }

    pub(super) async fn close(self) -> Result<(), JournalFault> {
        self.conn.close().await.map_err(|error| faults::committing(&self.path, &error))
    }

    async fn begin(&mut self) -> Result<(), Broke> {
        // Takes the write lock now, so that a foreign writer is met before anything is done.
        match sqlx::query("BEGIN IMMEDIATE").execute(&mut self.conn).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Broke::Before(faults::writing(&self.path, &error))),
        }
    }

    async fn commit(&mut self) -> Result<(), Broke> {
        match sqlx::query("COMMIT").execute(&mut self.conn).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Broke::AtCommit(faults::committing(&self.path, &error))),
        }
    }

    fn within(&self, error: &sqlx::Error) -> Broke {
        Broke::Within(faults::writing(&self.path, error))
    }

    /// Runs one statement a write, all in one call: each call is a walk to SQLite's thread and back. The
    /// shapes of batches are few, so the prepared texts are met again.
    async fn put(&mut self, writes: &[Write]) -> Result<(), sqlx::Error> {
        let mut text = String::new();
        let mut arguments = SqliteArguments::default();
        for write in writes {
            let statement = match write {
                Write::Put { table, .. } => put(*table),
                Write::Forget { table, .. } => forget(*table),
                Write::Report { .. } => REPORT,
                Write::Receipt { .. } => RECEIPT,
                // Done once for the whole transaction.
                Write::ReportsCommitted { .. } => continue,
            };
            text.push_str(statement);
            text.push(';');
            bind(&mut arguments, write).map_err(sqlx::Error::Encode)?;
        }
        if text.is_empty() {
            return Ok(());
        }
        // Put together from constants alone; every value is bound.
        let query = sqlx::query_with(AssertSqlSafe(text), arguments);
        query.execute(&mut self.conn).await.map(|_| ())
    }

    async fn drop_committed(&mut self) -> Result<(), sqlx::Error> {
        let committed = self.chains.committed.0;
        numbered("DELETE FROM report WHERE position <= ?", committed).execute(&mut self.conn).await?;
        numbered("UPDATE head SET committed = ?, sum = ? WHERE one = 1", committed)
            .bind(sums::of_head(&self.incarnation.to_string(), committed))
            .execute(&mut self.conn)
            .await
            .map(|_| ())
    }

    /// Gives the uncommitted reports the numbers from 1, in order. Each goes to a lower number, which is
    /// free by then.
    async fn renumber(&mut self) -> Result<(), Broke> {
        let committed = self.chains.committed.0;
        let mut last = committed;
        while committed > 0 && last < self.chains.last_report.0 {
            let page = numbered(
                "SELECT position, body, sum FROM report WHERE position > ? ORDER BY position LIMIT ?",
                last,
            )
            .bind(RENUMBERED_AT_ONCE)
            .fetch_all(&mut self.conn)
            .await
            .map_err(|error| self.within(&error))?;
            if page.is_empty() {
                return Err(Broke::Within(faults::damaged(&self.path, "uncommitted reports are missing")));
            }
            for row in page {
                let report = report_of(&row, &self.path).map_err(Broke::Within)?;
                last = report.position.0;
                let position = model::Position(last.saturating_sub(committed));
                numbered("UPDATE report SET position = ?, sum = ? WHERE position = ?", position.0)
                    .bind(sums::of_report(position, &report.body))
                    .bind(stored(last))
                    .execute(&mut self.conn)
                    .await
                    .map_err(|error| self.within(&error))?;
            }
        }
        Ok(())
    }
}

const REPORT: &str = "INSERT INTO report (position, body, sum) VALUES (?, ?, ?)";
const RECEIPT: &str = "INSERT INTO receipt (number, integration, body, sum) VALUES (?, ?, ?, ?)";

/// Binds a write's values in the order of its statement's question marks.
fn bind(arguments: &mut SqliteArguments, write: &Write) -> Result<(), BoxDynError> {
    match write {
        Write::Put { table, key, body } => {
            arguments.add(key.as_str())?;
            arguments.add(body.as_str())?;
            arguments.add(sums::of_row(*table, key, body))
        }
        Write::Forget { key, .. } => arguments.add(key.as_str()),
        Write::Report { position, body } => {
            arguments.add(stored(position.0))?;
            arguments.add(body.as_str())?;
            arguments.add(sums::of_report(*position, body))
        }
        Write::Receipt { integration, number, body } => {
            arguments.add(stored(*number))?;
            arguments.add(integration.as_str())?;
            arguments.add(body.as_str())?;
            arguments.add(sums::of_receipt(integration.as_str(), *number, body))
        }
        Write::ReportsCommitted { .. } => Ok(()),
    }
}

/// Begins a query whose first argument is a number of a chain.
fn numbered(statement: &'static str, number: u64) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    sqlx::query(statement).bind(stored(number))
}

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
