//! Reading a journal back: every body against its sum, every chain for gaps.
//!
//! The reader has a connection of its own that cannot write, so that long reads and appends do not wait
//! for each other. A whole read is done at once on a thread that may wait for the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::durable::Table;
use model::{Incarnation, IntegrationId, Position};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::faults::{damaged, reading};
use super::options::Settings;
use crate::chains::Chains;
use crate::{JournalFault, Loaded, Row, StoredReceipt, StoredReport, sums};

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
    settings: Arc<Settings>,
    conn: Arc<Mutex<Option<Connection>>>,
}

impl Reader {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings), conn: Arc::default() }
    }

    /// Reads; all that is read is of one moment. A read whose caller no longer waits comes to its end, and
    /// the next one waits for it.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Path) -> Result<T, JournalFault> + Send + 'static,
    ) -> Result<T, JournalFault> {
        let settings = Arc::clone(&self.settings);
        let mut place = Arc::clone(&self.conn).lock_owned().await;
        let read = spawn_blocking(move || {
            let path = settings.database.as_path();
            let sort = |error| reading(path, &error);
            // Taken out, so that a read which fails leaves no open transaction behind.
            let conn = match place.take() {
                Some(conn) => conn,
                None => settings.connect().map_err(sort)?,
            };
            run(&conn, "BEGIN").map_err(sort)?;
            let found = work(&conn, path)?;
            run(&conn, "COMMIT").map_err(sort)?;
            *place = Some(conn);
            Ok(found)
        });
        read.await.unwrap_or_else(|error| Err(JournalFault::Lost { detail: error.to_string() }))
    }

    pub(super) async fn load(&self) -> Result<Loaded, JournalFault> {
        self.read(|conn, path| {
            let sort = |error| reading(path, &error);
            let (incarnation, chains) = chains(conn, path)?;
            let mut rows = vec![];
            for table in Table::ALL {
                let mut statement = conn.prepare_cached(all(table)).map_err(sort)?;
                let mut found = statement.query([]).map_err(sort)?;
                while let Some(row) = found.next().map_err(sort)? {
                    rows.push(row_of(table, row, path)?);
                }
            }
            let receipts = chains.receipt_count();
            Ok(Loaded { incarnation, rows, last_report: chains.last_report, receipts })
        })
        .await
    }

    pub(super) async fn reports(
        &self,
        after: Position,
        limit: u32,
    ) -> Result<Vec<StoredReport>, JournalFault> {
        self.read(move |conn, path| reports(conn, path, after, limit)).await
    }

    pub(super) async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        let integration = integration.clone();
        self.read(move |conn, path| {
            let sort = |error| reading(path, &error);
            let mut receipts = vec![];
            let mut last = after;
            let mut statement = conn.prepare_cached(RECEIPTS).map_err(sort)?;
            let mut found =
                statement.query(params![integration.as_str(), stored(after), limit]).map_err(sort)?;
            while let Some(row) = found.next().map_err(sort)? {
                let receipt = receipt_of(&integration, row, path)?;
                let expected = last.saturating_add(1);
                if receipt.number != expected {
                    return Err(damaged(path, format!("receipt {expected} of `{integration}` is missing")));
                }
                last = receipt.number;
                receipts.push(receipt);
            }
            Ok(receipts)
        })
        .await
    }

    /// Counts the rows of every table, and says where the chains stand.
    pub(super) async fn count(&self) -> Result<(BTreeMap<Table, u64>, Chains), JournalFault> {
        self.read(|conn, path| {
            let mut counts = BTreeMap::new();
            for table in Table::ALL {
                let counted = conn.query_row(count(table), [], |row| row.get::<_, i64>(0));
                counts.insert(table, counted.map_err(|error| reading(path, &error))?.unsigned_abs());
            }
            Ok((counts, chains(conn, path)?.1))
        })
        .await
    }

    /// Ends the connection; a later read would make a new one.
    pub(super) async fn close(&self) -> Result<(), JournalFault> {
        let settings = Arc::clone(&self.settings);
        let mut place = Arc::clone(&self.conn).lock_owned().await;
        let closed = spawn_blocking(move || match place.take() {
            Some(conn) => conn.close().map_err(|(_, error)| reading(&settings.database, &error)),
            None => Ok(()),
        });
        closed.await.unwrap_or_else(|error| Err(JournalFault::Lost { detail: error.to_string() }))
    }
}

/// Runs a statement that takes and returns nothing, and keeps it prepared.
pub(super) fn run(conn: &Connection, statement: &'static str) -> rusqlite::Result<()> {
    conn.prepare_cached(statement)?.execute([]).map(drop)
}

/// Reads a page of uncommitted reports, which has no gap.
pub(super) fn reports(
    conn: &Connection,
    path: &Path,
    after: Position,
    limit: u32,
) -> Result<Vec<StoredReport>, JournalFault> {
    let sort = |error| reading(path, &error);
    let mut reports: Vec<StoredReport> = vec![];
    let mut statement = conn.prepare_cached(REPORTS).map_err(sort)?;
    let mut found = statement.query(params![stored(after.0), limit]).map_err(sort)?;
    while let Some(row) = found.next().map_err(sort)? {
        let report = report_of(row, path)?;
        if reports.last().is_some_and(|last| last.position.next() != report.position) {
            return Err(damaged(path, format!("the report before {} is missing", report.position)));
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Reads the incarnation and where the chains stand.
pub(super) fn chains(conn: &Connection, path: &Path) -> Result<(Incarnation, Chains), JournalFault> {
    let sort = |error| reading(path, &error);
    let head: Option<(String, i64, i64)> = conn
        .query_row("SELECT incarnation, committed, sum FROM head WHERE one = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()
        .map_err(sort)?;
    let (incarnation, committed, sum) = head.ok_or_else(|| damaged(path, "it has no head"))?;
    let committed = committed.unsigned_abs();
    let parsed: Option<Incarnation> = incarnation.parse().ok();
    let Some(parsed) = parsed.filter(|_| sum == sums::of_head(&incarnation, committed)) else {
        return Err(damaged(path, "its head does not match its sum"));
    };
    let (count, first, last): (i64, Option<i64>, Option<i64>) = conn
        .query_row("SELECT count(*), min(position), max(position) FROM report", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .map_err(sort)?;
    let last_report = last.map_or(committed, i64::unsigned_abs);
    let first = first.map_or_else(|| committed.saturating_add(1), i64::unsigned_abs);
    let gapless = first == committed.saturating_add(1)
        && last_report.checked_sub(committed) == Some(count.unsigned_abs());
    if !gapless {
        return Err(damaged(path, "uncommitted reports are missing"));
    }
    let mut receipts = BTreeMap::new();
    let mut statement = conn.prepare_cached(RECEIPT_HEADS).map_err(sort)?;
    let mut heads = statement.query([]).map_err(sort)?;
    while let Some(row) = heads.next().map_err(sort)? {
        let (integration, number): (String, i64) = (column(row, 0, path)?, column(row, 1, path)?);
        let integration = IntegrationId::parse(integration).map_err(|fault| damaged(path, fault))?;
        receipts.insert(integration, number.unsigned_abs());
    }
    let chains = Chains { last_report: Position(last_report), committed: Position(committed), receipts };
    Ok((parsed, chains))
}

fn column<T: FromSql>(row: &rusqlite::Row<'_>, number: usize, path: &Path) -> Result<T, JournalFault> {
    row.get(number).map_err(|error| reading(path, &error))
}

fn row_of(table: Table, row: &rusqlite::Row<'_>, path: &Path) -> Result<Row, JournalFault> {
    let key: String = column(row, 0, path)?;
    let body: String = column(row, 1, path)?;
    let sum: i64 = column(row, 2, path)?;
    if sum != sums::of_row(table, &key, &body) {
        return Err(damaged(path, format!("the {} row {key:?} does not match its sum", table.word())));
    }
    Ok(Row { table, key, body })
}

fn report_of(row: &rusqlite::Row<'_>, path: &Path) -> Result<StoredReport, JournalFault> {
    let position = Position(column::<i64>(row, 0, path)?.unsigned_abs());
    let body: String = column(row, 1, path)?;
    let sum: i64 = column(row, 2, path)?;
    if sum != sums::of_report(position, &body) {
        return Err(damaged(path, format!("report {position} does not match its sum")));
    }
    Ok(StoredReport { position, body })
}

fn receipt_of(
    integration: &IntegrationId,
    row: &rusqlite::Row<'_>,
    path: &Path,
) -> Result<StoredReceipt, JournalFault> {
    let number = column::<i64>(row, 0, path)?.unsigned_abs();
    let body: String = column(row, 1, path)?;
    let sum: i64 = column(row, 2, path)?;
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
