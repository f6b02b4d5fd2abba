//! Reading a journal back: every body against its sum, every chain for gaps.
//!
//! The reader has a connection of its own, so that long reads and appends do not wait for each other. A whole read
//! is of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use journal::chains::Chains;
use journal::{JournalFault, Loaded, StoredReceipt, StoredReport, sums};
use model::durable::Table;
use model::{Incarnation, IntegrationId, Position};
use tokio::sync::Mutex;
use tokio_postgres::Row;

use crate::faults::{self, Met, damaged};
use crate::line::{Line, Parameter};
use crate::options::Options;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = '60s'";
const HEAD: &str = "SELECT incarnation, committed, sum FROM head";
const REPORT_ENDS: &str = "SELECT count(*), min(position), max(position) FROM report";
const REPORTS: &str = "SELECT position, body, sum FROM report WHERE position > $1 ORDER BY position LIMIT $2";
const RECEIPTS: &str = "SELECT number, body, sum FROM receipt \
                        WHERE integration = $1 AND number > $2 ORDER BY number LIMIT $3";
/// The last number of every chain: one step down the index for each, however long the chains are.
const RECEIPT_HEADS: &str = "WITH RECURSIVE chain (integration) AS ( \
        SELECT min(integration) FROM receipt UNION ALL \
        SELECT (SELECT min(integration) FROM receipt WHERE integration > chain.integration) \
        FROM chain WHERE chain.integration IS NOT NULL) \
    SELECT integration, (SELECT max(number) FROM receipt WHERE receipt.integration = chain.integration) \
    FROM chain WHERE integration IS NOT NULL";
const BYTES: &str = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 FROM pg_class AS c \
    WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'r'";

/// The reading connection, made anew after it failed.
pub(crate) struct Reader {
    options: Arc<Options>,
    line: Mutex<Option<Line>>,
}

impl Reader {
    pub(crate) fn new(options: Arc<Options>) -> Self {
        Self { options, line: Mutex::default() }
    }

    /// Reads; all that is read is of one moment.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut Line, &str) -> Result<T, JournalFault>,
    ) -> Result<T, JournalFault> {
        let name = self.options.name();
        let sort = |met: Met| faults::reading(&name, &met);
        let mut place = self.line.lock().await;
        // Taken out, so that a read which fails or is given up leaves no open transaction behind.
        let mut line = match place.take().filter(|line| !line.is_closed()) {
            Some(line) => line,
            None => {
                Line::open(&self.options, "journal").await.map_err(|detail| JournalFault::Lost { detail })?
            }
        };
        line.run(BEGIN).await.map_err(sort)?;
        let found = work(&mut line, &name).await?;
        line.run("COMMIT").await.map_err(sort)?;
        *place = Some(line);
        Ok(found)
    }

    pub(crate) async fn load(&self) -> Result<Loaded, JournalFault> {
        self.read(async |line, name| {
            let Head { incarnation, chains } = head(line, name).await?;
            let mut rows = vec![];
            for table in Table::ALL {
                let nothing: [Parameter<'_>; 0] = [];
                let found = line.client().query_raw(all(table), nothing).await;
                let found = found.map_err(|error| faults::reading(name, &error.into()))?;
                let mut found = std::pin::pin!(found);
                while let Some(row) =
                    found.try_next().await.map_err(|error| faults::reading(name, &error.into()))?
                {
                    rows.push(row_of(table, &row, name)?);
                }
            }
            let receipts = chains.receipt_count();
            Ok(Loaded { incarnation, rows, last_report: chains.last_report, receipts })
        })
        .await
    }

    pub(crate) async fn reports(
        &self,
        after: Position,
        limit: u32,
    ) -> Result<Vec<StoredReport>, JournalFault> {
        self.read(async |line, name| reports(line, name, after, limit).await).await
    }

    pub(crate) async fn receipts(
        &self,
        integration: &IntegrationId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StoredReceipt>, JournalFault> {
        self.read(async |line, name| {
            let rows = line
                .rows(RECEIPTS, &[&integration.as_str(), &stored(after), &i64::from(limit)])
                .await
                .map_err(|met| faults::reading(name, &met))?;
            let mut receipts = vec![];
            let mut last = after;
            for row in rows {
                let receipt = receipt_of(integration, &row, name)?;
                let expected = last.saturating_add(1);
                if receipt.number != expected {
                    return Err(damaged(name, format!("receipt {expected} of `{integration}` is missing")));
                }
                last = receipt.number;
                receipts.push(receipt);
            }
            Ok(receipts)
        })
        .await
    }

    /// Counts the rows of every table, and says where the chains stand and how many bytes there are.
    pub(crate) async fn count(&self) -> Result<(BTreeMap<Table, u64>, Chains, u64), JournalFault> {
        self.read(async |line, name| {
            let sort = |met: Met| faults::reading(name, &met);
            let mut counts = BTreeMap::new();
            for table in Table::ALL {
                let rows = line.rows(count(table), &[]).await.map_err(sort)?;
                counts.insert(table, number(rows.first(), 0, name)?);
            }
            let bytes = line.rows(BYTES, &[&self.options.schema]).await.map_err(sort)?;
            let bytes = number(bytes.first(), 0, name)?;
            Ok((counts, head(line, name).await?.chains, bytes))
        })
        .await
    }

    /// Ends the connection; a later read would make a new one.
    pub(crate) async fn close(&self) {
        drop(self.line.lock().await.take());
    }
}

/// What the head says, and where the chains stand.
pub(crate) struct Head {
    pub(crate) incarnation: Incarnation,
    pub(crate) chains: Chains,
}

/// Reads a page of uncommitted reports, which has no gap.
pub(crate) async fn reports(
    line: &mut Line,
    name: &str,
    after: Position,
    limit: u32,
) -> Result<Vec<StoredReport>, JournalFault> {
    let rows = line
        .rows(REPORTS, &[&stored(after.0), &i64::from(limit)])
        .await
        .map_err(|met| faults::reading(name, &met))?;
    let mut reports: Vec<StoredReport> = vec![];
    for row in rows {
        let report = report_of(&row, name)?;
        if reports.last().is_some_and(|last| last.position.next() != report.position) {
            return Err(damaged(name, format!("the report before {} is missing", report.position)));
        }
        reports.push(report);
    }
    Ok(reports)
}

/// Reads the head and where the chains stand.
pub(crate) async fn head(line: &mut Line, name: &str) -> Result<Head, JournalFault> {
    let sort = |met: Met| faults::reading(name, &met);
    let head = line.rows(HEAD, &[]).await.map_err(sort)?;
    let row = head.first().ok_or_else(|| damaged(name, "it has no head"))?;
    let incarnation: String = column(row, 0, name)?;
    let committed = unsigned(column(row, 1, name)?);
    let sum: i64 = column(row, 2, name)?;
    let parsed: Option<Incarnation> = incarnation.parse().ok();
    let Some(incarnation) = parsed.filter(|_| sum == sums::of_head(&incarnation, committed)) else {
        return Err(damaged(name, "its head does not match its sum"));
    };
    let ends = line.rows(REPORT_ENDS, &[]).await.map_err(sort)?;
    let count = number(ends.first(), 0, name)?;
    let end = |at| -> Result<Option<u64>, JournalFault> {
        match ends.first() {
            Some(row) => Ok(column::<Option<i64>>(row, at, name)?.map(unsigned)),
            None => Ok(None),
        }
    };
    let first = end(1)?.unwrap_or_else(|| committed.saturating_add(1));
    let last_report = end(2)?.unwrap_or(committed);
    let gapless = first == committed.saturating_add(1) && last_report.checked_sub(committed) == Some(count);
    if !gapless {
        return Err(damaged(name, "uncommitted reports are missing"));
    }
    let mut receipts = BTreeMap::new();
    for row in line.rows(RECEIPT_HEADS, &[]).await.map_err(sort)? {
        let integration: String = column(&row, 0, name)?;
        let integration = IntegrationId::parse(integration).map_err(|fault| damaged(name, fault))?;
        receipts.insert(integration, unsigned(column(&row, 1, name)?));
    }
    let chains = Chains { last_report: Position(last_report), committed: Position(committed), receipts };
    Ok(Head { incarnation, chains })
}

fn column<T: for<'r> tokio_postgres::types::FromSql<'r>>(
    row: &Row,
    at: usize,
    name: &str,
) -> Result<T, JournalFault> {
    row.try_get(at).map_err(|error| damaged(name, format!("a column cannot be read: {error}")))
}

fn number(row: Option<&Row>, at: usize, name: &str) -> Result<u64, JournalFault> {
    row.map_or(Ok(0), |row| column::<i64>(row, at, name).map(unsigned))
}

fn row_of(table: Table, row: &Row, name: &str) -> Result<journal::Row, JournalFault> {
    let key: String = column(row, 0, name)?;
    let body: String = column(row, 1, name)?;
    if column::<i64>(row, 2, name)? != sums::of_row(table, &key, &body) {
        return Err(damaged(name, format!("the {} row {key:?} does not match its sum", table.word())));
    }
    Ok(journal::Row { table, key, body })
}

fn report_of(row: &Row, name: &str) -> Result<StoredReport, JournalFault> {
    let position = Position(unsigned(column(row, 0, name)?));
    let body: String = column(row, 1, name)?;
    if column::<i64>(row, 2, name)? != sums::of_report(position, &body) {
        return Err(damaged(name, format!("report {position} does not match its sum")));
    }
    Ok(StoredReport { position, body })
}

fn receipt_of(integration: &IntegrationId, row: &Row, name: &str) -> Result<StoredReceipt, JournalFault> {
    let number = unsigned(column(row, 0, name)?);
    let body: String = column(row, 1, name)?;
    if column::<i64>(row, 2, name)? != sums::of_receipt(integration.as_str(), number, &body) {
        return Err(damaged(name, format!("receipt {number} of `{integration}` does not match its sum")));
    }
    Ok(StoredReceipt { integration: integration.clone(), number, body })
}

/// Returns a number as the database keeps it; no chain outgrows 63 bits.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns a number of the database's; a negative one, which nobody of us wrote, breaks its chain or its sum.
pub(crate) const fn unsigned(number: i64) -> u64 {
    number.unsigned_abs()
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
