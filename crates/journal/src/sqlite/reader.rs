//! Reading a journal back: every body against its sum, every chain for gaps.
//!
//! The reader has a connection of its own that cannot write, so that long reads and appends do not wait
//! for each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use model::durable::Table;
use model::{Incarnation, IntegrationId, Position};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tokio::sync::{Mutex, MutexGuard};

use super::faults::{damaged, reading};
use super::sums;
use crate::chains::Chains;
use crate::{JournalFault, Loaded, Row, StoredReceipt, StoredReport};

const REPORTS: &str = "SELECT position, body, sum FROM report WHERE position > ? ORDER BY position LIMIT ?";
const RECEIPTS: &str = "SELECT number, body, sum FROM receipt \
                        WHERE integration = ? AND number > ? ORDER BY number LIMIT ?";
/// The last number of every chain: one step down the index for each, however long the chains are.
const RECEIPT_HEADS: &str = "WITH RECURSIVE chain (integration) AS ( \
        SELECT min(integration) FROM receipt UNION ALL \
        SELECT (SELECT min(integration) FROM receipt WHERE integration > chain.integration) \
        FROM chain WHERE chain.integration IS NOT NULL) \
    SELECT integration, (SELECT max(number) FROM receipt WHERE integration = chain.integration) \
    FROM chain WHERE integration IS NOT NULL";

/// The reading connection, made anew after it failed.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    options: SqliteConnectOptions,
    conn: Mutex<Option<SqliteConnection>>,
}

/// One read under way.
struct Reading<'a> {
    place: MutexGuard<'a, Option<SqliteConnection>>,
    conn: SqliteConnection,
    path: &'a Path,
}

impl Reading<'_> {
    /// Ends the read and keeps the connection for the next.
    async fn finish(mut self) -> Result<(), JournalFault> {
        sqlx::query("COMMIT").execute(&mut self.conn).await.map_err(|error| reading(self.path, &error))?;
        *self.place = Some(self.conn);
        Ok(())
    }
}

impl Reader {
    pub(super) fn new(path: PathBuf, options: SqliteConnectOptions) -> Self {
        Self { path, options, conn: Mutex::new(None) }
    }

    /// Begins to read; all that is read until the end is of one moment.
    async fn begin(&self) -> Result<Reading<'_>, JournalFault> {
        let mut place = self.conn.lock().await;
        // Taken out, so that a call which is dropped half-way or fails leaves no open transaction behind.
        let mut conn = match place.take() {
            Some(conn) => conn,
            None => self.options.connect().await.map_err(|error| reading(&self.path, &error))?,
        };
        sqlx::query("BEGIN").execute(&mut conn).await.map_err(|error| reading(&self.path, &error))?;
        Ok(Reading { place, conn, path: &self.path })
    }

    pub(super) async fn load(&self) -> Result<Loaded, JournalFault> {
        let path = &self.path;
        let mut open = self.begin().await?;
        let (incarnation, chains) = chains(&mut open.conn, path).await?;
        let mut rows = vec![];
        for table in Table::ALL {
            let mut found = sqlx::query(all(table)).fetch(&mut open.conn);
            while let Some(row) = found.try_next().await.map_err(|error| reading(path, &error))? {
                rows.push(row_of(table, &row, path)?);
            }
        }
        open.finish().await?;
        Ok(Loaded { incarnation, rows, last_report: chains.last_report, receipts: chains.receipt_count() })
    }

    pub(super) async fn reports(
        &self,
        after: Position,
        limit: u32,
    ) -> Result<Vec<StoredReport>, JournalFault> {
        let path = &self.path;
        let mut open = self.begin().await?;
        let mut reports: Vec<StoredReport> = vec![];
        let mut found = sqlx::query(REPORTS).bind(stored(after.0)).bind(limit).fetch(&mut open.conn);
        while let Some(row) = found.try_next().await.map_err(|error| reading(path, &error))? {
            let report = report_of(&row, path)?;
            if reports.last().is_some_and(|last| last.position.next() != report.position) {
                return Err(damaged(path, format!("the report before {} is missing", report.position)));
            }
            reports.push(report);
        }
        drop(found);
        open.finish().await?;
        Ok(reports)
    }

    pub(super) async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        let path = &self.path;
        let mut open = self.begin().await?;
        let mut receipts = vec![];
        let mut last = after;
        let query = sqlx::query(RECEIPTS).bind(integration.as_str()).bind(stored(after)).bind(limit);
        let mut found = query.fetch(&mut open.conn);
        while let Some(row) = found.try_next().await.map_err(|error| reading(path, &error))? {
            let receipt = receipt_of(integration, &row, path)?;
            let expected = last.saturating_add(1);
            if receipt.number != expected {
                return Err(damaged(path, format!("receipt {expected} of `{integration}` is missing")));
            }
            last = receipt.number;
            receipts.push(receipt);
        }
        drop(found);
        open.finish().await?;
        Ok(receipts)
    }

    /// Counts the rows of every table, and says where the chains stand.
    pub(super) async fn count(&self) -> Result<(BTreeMap<Table, u64>, Chains), JournalFault> {
        let path = &self.path;
        let mut open = self.begin().await?;
        let mut counts = BTreeMap::new();
        for table in Table::ALL {
            let counted: Result<i64, _> = sqlx::query_scalar(count(table)).fetch_one(&mut open.conn).await;
            counts.insert(table, counted.map_err(|error| reading(path, &error))?.unsigned_abs());
        }
        let (_, chains) = chains(&mut open.conn, path).await?;
        open.finish().await?;
        Ok((counts, chains))
    }

    /// Ends the connection; a later read would make a new one.
    pub(super) async fn close(&self) -> Result<(), JournalFault> {
        match self.conn.lock().await.take() {
            Some(conn) => conn.close().await.map_err(|error| reading(&self.path, &error)),
            None => Ok(()),
        }
    }
}

/// Reads the incarnation and where the chains stand.
pub(super) async fn chains(
    conn: &mut SqliteConnection,
    path: &Path,
) -> Result<(Incarnation, Chains), JournalFault> {
    let sort = |error| reading(path, &error);
    let head: Option<(String, i64, i64)> =
        sqlx::query_as("SELECT incarnation, committed, sum FROM head WHERE one = 1")
            .fetch_optional(&mut *conn)
            .await
            .map_err(sort)?;
    let (incarnation, committed, sum) = head.ok_or_else(|| damaged(path, "it has no head"))?;
    let committed = committed.unsigned_abs();
    let parsed: Option<Incarnation> = incarnation.parse().ok();
    let Some(parsed) = parsed.filter(|_| sum == sums::of_head(&incarnation, committed)) else {
        return Err(damaged(path, "its head does not match its sum"));
    };
    let (count, first, last): (i64, Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT count(*), min(position), max(position) FROM report")
            .fetch_one(&mut *conn)
            .await
            .map_err(sort)?;
    let last_report = last.map_or(committed, i64::unsigned_abs);
    let first = first.map_or_else(|| committed.saturating_add(1), i64::unsigned_abs);
    let gapless = first == committed.saturating_add(1)
        && last_report.checked_sub(committed) == Some(count.unsigned_abs());
    if !gapless {
        return Err(damaged(path, "uncommitted reports are missing"));
    }
    let heads: Vec<(String, i64)> =
        sqlx::query_as(RECEIPT_HEADS).fetch_all(&mut *conn).await.map_err(sort)?;
    let mut receipts = BTreeMap::new();
    for (integration, number) in heads {
        let integration = IntegrationId::parse(integration).map_err(|fault| damaged(path, fault))?;
        receipts.insert(integration, number.unsigned_abs());
    }
    let chains = Chains { last_report: Position(last_report), committed: Position(committed), receipts };
    Ok((parsed, chains))
}

fn row_of(table: Table, row: &SqliteRow, path: &Path) -> Result<Row, JournalFault> {
    let sort = |error| reading(path, &error);
    let key: String = row.try_get(0).map_err(sort)?;
    let body: String = row.try_get(1).map_err(sort)?;
    let sum: i64 = row.try_get(2).map_err(sort)?;
    if sum != sums::of_row(table, &key, &body) {
        return Err(damaged(path, format!("the {} row {key:?} does not match its sum", table.word())));
    }
    Ok(Row { table, key, body })
}

pub(super) fn report_of(row: &SqliteRow, path: &Path) -> Result<StoredReport, JournalFault> {
    let sort = |error| reading(path, &error);
    let position = Position(row.try_get::<i64, _>(0).map_err(sort)?.unsigned_abs());
    let body: String = row.try_get(1).map_err(sort)?;
    let sum: i64 = row.try_get(2).map_err(sort)?;
    if sum != sums::of_report(position, &body) {
        return Err(damaged(path, format!("report {position} does not match its sum")));
    }
    Ok(StoredReport { position, body })
}

fn receipt_of(
    integration: &IntegrationId,
    row: &SqliteRow,
    path: &Path,
) -> Result<StoredReceipt, JournalFault> {
    let sort = |error| reading(path, &error);
    let number = row.try_get::<i64, _>(0).map_err(sort)?.unsigned_abs();
    let body: String = row.try_get(1).map_err(sort)?;
    let sum: i64 = row.try_get(2).map_err(sort)?;
    if sum != sums::of_receipt(integration.as_str(), number, &body) {
        return Err(damaged(path, format!("receipt {number} of `{integration}` does not match its sum")));
    }
    Ok(StoredReceipt { integration: integration.clone(), number, body })
}

/// Returns a number as SQLite keeps it; no chain outgrows 63 bits.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const fn all(table: Table) -> &'static str {
    match table {
        Table::Account => "SELECT key, body, sum FROM account ORDER BY key",
        Table::Integration => "SELECT key, body, sum FROM integration ORDER BY key",
        Table::Tombstone => "SELECT key, body, sum FROM tombstone ORDER BY key",
        Table::Meta => "SELECT key, body, sum FROM meta ORDER BY key",
    }
}

const fn count(table: Table) -> &'static str {
    match table {
        Table::Account => "SELECT count(*) FROM account",
        Table::Integration => "SELECT count(*) FROM integration",
        Table::Tombstone => "SELECT count(*) FROM tombstone",
        Table::Meta => "SELECT count(*) FROM meta",
    }
}
