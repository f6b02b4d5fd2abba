//! The writing connection: transactions, and what is known about the journal because of them.
//!
//! A transaction locks the head first. So whoever writes next, after a lost COMMIT too, waits until that one is over;
//! and nobody writes under an epoch that is over, since taking the lease raises the epoch under the same lock. After any
//! error the connection is thrown away by its owner.

use std::collections::BTreeMap;

use journal::chains::Chains;
use journal::{JournalFault, sums};
use model::durable::{Batch, Table, Write};
use model::{Incarnation, Position};
use tokio_postgres::Row;

use crate::faults::{self, Met};
use crate::line::{Line, Parameter, Step};
use crate::options::Options;
use crate::reader::{self, stored, unsigned};

/// How many reports are renumbered at a time.
const RENUMBERED_AT_ONCE: u32 = 500;
const FENCE: &str = "SELECT epoch FROM head FOR UPDATE";
/// A COMMIT is not to be broken off in the middle: it takes as long as the server's disks and standbys do.
const PATIENT: &str = "SET LOCAL statement_timeout = 0";
const REPORT: &str = "INSERT INTO report (position, body, sum) \
                      SELECT * FROM unnest($1::int8[], $2::text[], $3::int8[])";
const RECEIPT: &str = "INSERT INTO receipt (integration, number, body, sum) \
                       SELECT * FROM unnest($1::text[], $2::int8[], $3::text[], $4::int8[])";
const DROP_COMMITTED: &str = "DELETE FROM report WHERE position <= $1";
const COMMITTED: &str = "UPDATE head SET committed = $1, sum = $2";
const RENUMBER: &str = "UPDATE report SET position = n.position, sum = n.sum \
     FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS n (before, position, sum) WHERE report.position = n.before";
const RENAME: &str = "UPDATE head SET incarnation = $1, committed = 0, sum = $2";

/// Where a transaction broke.
#[derive(Debug)]
pub(crate) enum Broke {
    /// Before it began: no batch is to blame.
    Before(JournalFault),
    /// While it was open: a batch may be to blame, and nothing lasts.
    Within(JournalFault),
    /// In the answer to COMMIT.
    AtCommit(JournalFault),
}

impl Broke {
    pub(crate) fn fault(self) -> JournalFault {
        match self {
            Self::Before(fault) | Self::Within(fault) | Self::AtCommit(fault) => fault,
        }
    }
}

/// A connection that writes, with where the chains stand behind its last transaction.
pub(crate) struct Session {
    line: Line,
    name: String,
    epoch: u64,
    incarnation: Incarnation,
    pub(crate) chains: Chains,
}

impl Session {
    /// Connects, waits until an earlier transaction is over, and reads where the chains stand.
    pub(crate) async fn open(options: &Options, epoch: u64) -> Result<Self, JournalFault> {
        let name = options.name();
        let mut line =
            Line::open(options, "journal").await.map_err(|detail| JournalFault::NotWritten { detail })?;
        let sort = |met: Met| faults::writing(&name, &met);
        let begun =
            line.exchange(vec![Step::Bare("BEGIN"), Step::Prepared(FENCE, vec![])]).await.map_err(sort)?;
        fenced(begun.get(1), epoch)?;
        let head = reader::head(&mut line, &name).await.map_err(unwritten)?;
        line.run("COMMIT").await.map_err(sort)?;
        Ok(Self { line, name, epoch, incarnation: head.incarnation, chains: head.chains })
    }

    /// Writes batches, which were checked and by which the chains have advanced, in one transaction.
    pub(crate) async fn write(&mut self, batches: &[&Batch]) -> Result<(), Broke> {
        let work = Work::of(batches);
        let committed = stored(self.chains.committed.0);
        let sum = sums::of_head(&self.incarnation.to_string(), self.chains.committed.0);
        let mut steps = vec![Step::Bare("BEGIN"), Step::Prepared(FENCE, vec![])];
        work.steps(&mut steps);
        if work.commits {
            steps.push(Step::Prepared(DROP_COMMITTED, vec![&committed]));
            steps.push(Step::Prepared(COMMITTED, vec![&committed, &sum]));
        }
        steps.push(Step::Bare(PATIENT));
        let done = self.line.exchange(steps).await.map_err(|met| within(&self.name, &met))?;
        fenced(done.get(1), self.epoch).map_err(Broke::Within)?;
        self.commit().await
    }

    /// Begins a new life; see the port.
    pub(crate) async fn begin_incarnation(&mut self, new: Incarnation) -> Result<(), Broke> {
        if new == self.incarnation {
            return Err(Broke::Before(journal::same_incarnation(new)));
        }
        let begun = self.line.exchange(vec![Step::Bare("BEGIN"), Step::Prepared(FENCE, vec![])]).await;
        let begun = begun.map_err(|met| within(&self.name, &met))?;
        fenced(begun.get(1), self.epoch).map_err(Broke::Within)?;
        self.renumber().await?;
        let (renamed, after) = (new.to_string(), self.chains.renumbered());
        let sum = sums::of_head(&renamed, 0);
        let steps = vec![Step::Prepared(RENAME, vec![&renamed, &sum]), Step::Bare(PATIENT)];
        self.line.exchange(steps).await.map_err(|met| within(&self.name, &met))?;
        self.commit().await?;
        self.incarnation = new;
        self.chains = after;
        Ok(())
    }

    async fn commit(&self) -> Result<(), Broke> {
        self.line.run("COMMIT").await.map_err(|met| Broke::AtCommit(faults::committing(&self.name, &met)))
    }

    /// Gives the uncommitted reports the numbers from 1, in order.
    async fn renumber(&mut self) -> Result<(), Broke> {
        let committed = self.chains.committed.0;
        let mut last = committed;
        while committed > 0 && last < self.chains.last_report.0 {
            let page = reader::reports(&mut self.line, &self.name, Position(last), RENUMBERED_AT_ONCE)
                .await
                .map_err(|fault| Broke::Within(unwritten(fault)))?;
            let Some(end) = page.last() else {
                return Err(Broke::Within(faults::damaged(&self.name, "uncommitted reports are missing")));
            };
            last = end.position.0;
            let (mut before, mut after, mut sums) = (vec![], vec![], vec![]);
            for report in &page {
                let position = Position(report.position.0.saturating_sub(committed));
                before.push(stored(report.position.0));
                after.push(stored(position.0));
                sums.push(sums::of_report(position, &report.body));
            }
            self.line
                .rows(RENUMBER, &[&before, &after, &sums])
                .await
                .map_err(|met| within(&self.name, &met))?;
        }
        Ok(())
    }
}

fn within(name: &str, met: &Met) -> Broke {
    Broke::Within(faults::writing(name, met))
}

/// Refuses to go on under an epoch that is over.
fn fenced(rows: Option<&Vec<Row>>, ours: u64) -> Result<(), JournalFault> {
    let held: Option<i64> = rows.and_then(|rows| rows.first()).and_then(|row| row.try_get(0).ok());
    match held.map(unsigned) {
        Some(held) if held == ours => Ok(()),
        Some(held) => Err(JournalFault::Superseded { held, ours }),
        None => Err(JournalFault::NotWritten { detail: "it has no head".into() }),
    }
}

/// Sorts a fault met by reading before COMMIT: nothing was written, whatever it is.
fn unwritten(fault: JournalFault) -> JournalFault {
    if let JournalFault::Lost { detail } = fault { JournalFault::NotWritten { detail } } else { fault }
}

/// What a transaction does in all: the last write to a key counts.
#[derive(Default)]
struct Work {
    puts: BTreeMap<Table, Puts>,
    forgets: BTreeMap<Table, Vec<String>>,
    reports: (Vec<i64>, Vec<String>, Vec<i64>),
    receipts: (Vec<String>, Vec<i64>, Vec<String>, Vec<i64>),
    commits: bool,
}

#[derive(Default)]
struct Puts {
    keys: Vec<String>,
    bodies: Vec<String>,
    sums: Vec<i64>,
}

impl Work {
    fn of(batches: &[&Batch]) -> Self {
        let mut work = Self::default();
        let mut rows: BTreeMap<(Table, &str), Option<&str>> = BTreeMap::new();
        for write in batches.iter().flat_map(|batch| &batch.writes) {
            match write {
                Write::Put { table, key, body } => {
                    rows.insert((*table, key), Some(body));
                }
                Write::Forget { table, key } => {
                    rows.insert((*table, key), None);
                }
                Write::Report { position, body } => {
                    work.reports.0.push(stored(position.0));
                    work.reports.1.push(body.clone());
                    work.reports.2.push(sums::of_report(*position, body));
                }
                Write::Receipt { integration, number, body } => {
                    work.receipts.0.push(integration.as_str().to_owned());
                    work.receipts.1.push(stored(*number));
                    work.receipts.2.push(body.clone());
                    work.receipts.3.push(sums::of_receipt(integration.as_str(), *number, body));
                }
                Write::ReportsCommitted { .. } => work.commits = true,
            }
        }
        for ((table, key), body) in rows {
            match body {
                Some(body) => {
                    let puts = work.puts.entry(table).or_default();
                    puts.keys.push(key.to_owned());
                    puts.bodies.push(body.to_owned());
                    puts.sums.push(sums::of_row(table, key, body));
                }
                None => work.forgets.entry(table).or_default().push(key.to_owned()),
            }
        }
        work
    }

    fn steps<'w>(&'w self, steps: &mut Vec<Step<'w>>) {
        for (table, puts) in &self.puts {
            let values: Vec<Parameter<'w>> = vec![&puts.keys, &puts.bodies, &puts.sums];
            steps.push(Step::Prepared(put(*table), values));
        }
        for (table, keys) in &self.forgets {
            steps.push(Step::Prepared(forget(*table), vec![keys]));
        }
        let (positions, bodies, sums) = &self.reports;
        if !positions.is_empty() {
            steps.push(Step::Prepared(REPORT, vec![positions, bodies, sums]));
        }
        let (integrations, numbers, bodies, sums) = &self.receipts;
        if !numbers.is_empty() {
            steps.push(Step::Prepared(RECEIPT, vec![integrations, numbers, bodies, sums]));
        }
    }
}

const fn put(table: Table) -> &'static str {
    macro_rules! put {
        ($table:literal) => {
            concat!(
                "INSERT INTO ",
                $table,
                " (key, body, sum) SELECT * FROM unnest($1::text[], $2::text[], $3::int8[]) ",
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
        Table::Account => "DELETE FROM account WHERE key = ANY($1::text[])",
        Table::Integration => "DELETE FROM integration WHERE key = ANY($1::text[])",
        Table::Tombstone => "DELETE FROM tombstone WHERE key = ANY($1::text[])",
        Table::Meta => "DELETE FROM meta WHERE key = ANY($1::text[])",
    }
}
