//! `kill -9` at any moment: what was called durable is there, whole; the rest is whole or absent.
//!
//! The child is this test binary again, running the ignored test [`child`]. It prints a line for each
//! [`Durable`](model::Durable) it gets. Many kills hit the same folder, so that recovery meets what earlier
//! recoveries left. A kill does not lose what the system was given; that a sync was asked for is seen in
//! the settings that the journal confirms when it opens.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use journal::sqlite::{Sqlite, SqliteOptions};
use journal::{Journal, JournalFault};
use model::durable::{Table, Write};
use model::{IntegrationId, Position};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{batch, options};

/// Says where the child's journal is, and from which batch it goes on.
const FOLDER: &str = "TIDEGATE_TEST_JOURNAL";
const CALLERS: u64 = 6;
const KILLS: u64 = 60;

/// A small generator whose seed replays a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// The writes of one batch: several rows of several sizes and tables, a link of the caller's own chain,
/// and from the first caller a report.
fn writes(caller: u64, n: u64) -> Vec<Write> {
    let size = [10, 3000, 500, 9000][n as usize % 4];
    let body = |part: u64| format!("{{\"part\":{part},\"n\":{n},\"pad\":\"{}\"}}", "x".repeat(size));
    let mut writes: Vec<Write> = (0..3)
        .map(|part| Write::Put {
            table: [Table::Account, Table::Meta, Table::Tombstone][part as usize],
            key: format!("{caller}/{n}"),
            body: body(part),
        })
        .collect();
    // Overwritten by each batch and dropped by the next: the usual life of a row.
    writes.push(Write::Put { table: Table::Integration, key: format!("{caller}/last"), body: n.to_string() });
    let integration = chain(caller);
    writes.push(Write::Receipt { integration, number: n, body: body(9) });
    if caller == 0 {
        writes.push(Write::Report { position: Position(n), body: body(8) });
        if n > 20 && n.is_multiple_of(10) {
            writes.push(Write::ReportsCommitted { through: Position(n - 20) });
        }
    }
    writes
}

fn chain(caller: u64) -> IntegrationId {
    IntegrationId::parse(format!("chain-{caller}")).unwrap()
}

/// Appends until it is killed, from several callers at once, and says what it was promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of the kill tests; does nothing by itself"]
async fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let journal = Arc::new(
        Sqlite::open(SqliteOptions { reserve_bytes: 50_000, ..SqliteOptions::new(folder) }).await.unwrap(),
    );
    said("open");
    let mut calls = JoinSet::new();
    for caller in 0..CALLERS {
        let journal = Arc::clone(&journal);
        calls.spawn(async move {
            let last = journal.receipts(&chain(caller), 0, u32::MAX).await.unwrap().len() as u64;
            for n in last + 1.. {
                let durable = journal.append(&batch(n, writes(caller, n))).await.unwrap();
                said(&format!("durable {caller} {}", durable.batch().0));
            }
        });
    }
    calls.join_all().await;
}

fn said(line: &str) {
    let mut out = std::io::stdout().lock();
    // One write, so that a kill cannot leave half a line.
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn spawned(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child after it said so many lines and some more microseconds, and returns all it said.
fn killed(mut child: Child, lines: u64, then: Duration) -> Vec<String> {
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = vec![];
    while (said.len() as u64) < lines {
        match out.next() {
            Some(line) => said.push(line.unwrap()),
            None => {
                let output = child.wait_with_output().unwrap();
                panic!("the child ended by itself: {}", String::from_utf8_lossy(&output.stderr));
            }
        }
    }
    std::thread::sleep(then);
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(out.map(|line| line.unwrap()));
    said.into_iter().filter(|line| !line.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_durable_survives_kill_9() {
    let seed: u64 = env::var("TIDEGATE_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut dice = Dice(seed);
    let base = TempDir::new().unwrap();
    let folder = super::folder(base.path());
    let mut promised: BTreeMap<u64, u64> = BTreeMap::new();
    let mut incarnation = None;
    for kill in 1..=KILLS {
        // Now and then before it has said anything: while it opens, recovers or makes its files.
        let lines = if dice.roll(4) == 0 { 0 } else { dice.roll(120) };
        let then = Duration::from_micros(dice.roll(if lines == 0 { 40_000 } else { 3_000 }));
        let child = spawned(&folder);
        let said = tokio::task::spawn_blocking(move || killed(child, lines, then)).await.unwrap();
        for line in &said {
            if let Some(rest) = line.strip_prefix("durable ") {
                let (caller, n) = rest.split_once(' ').unwrap();
                promised.insert(caller.parse().unwrap(), n.parse().unwrap());
            }
        }
        let at = format!("seed {seed}, kill {kill}");
        // The lock went with the process: no waiting, no stale holder.
        let journal =
            Sqlite::open(options(base.path())).await.unwrap_or_else(|fault| panic!("{at}: {fault}"));
        let life = journal.load().await.unwrap().incarnation;
        if !promised.is_empty() {
            assert_eq!(*incarnation.get_or_insert(life), life, "{at}: another life");
        }
        whole(&journal, &promised, &at).await;
        journal.close().await.unwrap();
    }
    let total: u64 = promised.values().sum();
    println!("journal: {total} promised batches survived {KILLS} kills");
    assert!(total > KILLS, "hardly anything was written: {total}");
}

/// Checks every batch: promised ones are there, and what is there is there with all its parts.
async fn whole(journal: &dyn Journal, promised: &BTreeMap<u64, u64>, at: &str) {
    let loaded = journal.load().await.unwrap();
    let rows: BTreeMap<(Table, &str), &str> =
        loaded.rows.iter().map(|row| ((row.table, row.key.as_str()), row.body.as_str())).collect();
    let mut seen = 0;
    for caller in 0..CALLERS {
        let receipts = journal.receipts(&chain(caller), 0, u32::MAX).await.unwrap();
        let last = receipts.len() as u64;
        let least = promised.get(&caller).copied().unwrap_or(0);
        assert!(last >= least, "{at}: caller {caller} was promised {least}, there are {last}");
        for n in 1..=last {
            for write in writes(caller, n) {
                match write {
                    Write::Put { table: Table::Integration, key, .. } => {
                        assert_eq!(
                            rows.get(&(Table::Integration, key.as_str())),
                            Some(&last.to_string().as_str()),
                            "{at}"
                        );
                    }
                    Write::Put { table, key, body } => {
                        assert_eq!(
                            rows.get(&(table, key.as_str())),
                            Some(&body.as_str()),
                            "{at}: {key} in {table:?}"
                        );
                        seen += 1;
                    }
                    Write::Receipt { number, body, .. } => {
                        assert_eq!(
                            receipts[number as usize - 1].body,
                            body,
                            "{at}: receipt {number} of {caller}"
                        );
                    }
                    Write::Forget { .. } | Write::Report { .. } | Write::ReportsCommitted { .. } => {}
                }
            }
        }
        if caller == 0 {
            assert_eq!(loaded.last_report, Position(last), "{at}: reports and receipts differ");
            let reports = journal.reports(Position(0), u32::MAX).await.unwrap();
            let there: BTreeSet<u64> = reports.iter().map(|report| report.position.0).collect();
            let committed = (21..=last).rfind(|n| n % 10 == 0).map_or(0, |n| n - 20);
            assert_eq!(there, (committed + 1..=last).collect(), "{at}: reports");
        }
    }
    let parts = rows.keys().filter(|(table, _)| *table != Table::Integration).count();
    assert_eq!(parts, seen, "{at}: parts of batches that are not there");
}

#[tokio::test]
async fn a_second_process_is_refused_and_a_dead_one_holds_nothing() {
    let base = TempDir::new().unwrap();
    let folder = super::folder(base.path());
    let child = spawned(&folder);
    let (hold, held) = std::sync::mpsc::sync_channel::<()>(0);
    let (tell, told) = tokio::sync::oneshot::channel();
    let watch = tokio::task::spawn_blocking(move || {
        let mut child = child;
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        let opened = out.by_ref().map_while(Result::ok).any(|line| line == "open");
        tell.send(opened).unwrap();
        // Read on, or the child would wait for its pipe.
        let drain = std::thread::spawn(move || out.map_while(Result::ok).count());
        held.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        drain.join().unwrap()
    });
    assert!(told.await.unwrap(), "the child did not open the journal");
    let refused = Sqlite::open(options(base.path())).await.unwrap_err();
    assert!(matches!(refused, JournalFault::InUse { .. }), "{refused}");
    hold.send(()).unwrap();
    watch.await.unwrap();
    let journal = Sqlite::open(options(base.path())).await.unwrap();
    journal.load().await.unwrap();
}
