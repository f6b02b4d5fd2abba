//! How fast it is on this machine; printed, never asserted.

use std::sync::Arc;
use std::time::Instant;

use journal::Journal as _;
use model::durable::{Table, Write};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{batch, opened, options, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "a figure is taken with a clock")]
async fn appends_each_second() {
    // Differs each time: SQLite does not write, and so not sync, what would be as it was.
    let body = |caller: u64, n: u64| format!("{{\"pad\":\"{}\"}}", format!("{caller:04}{n:04}").repeat(100));
    for callers in [1_u64, 8, 64] {
        let base = TempDir::new().unwrap();
        let journal = Arc::new(opened(&options(base.path())).await.unwrap());
        let each = 1600 / callers;
        let mut calls = JoinSet::new();
        let begun = Instant::now();
        for caller in 0..callers {
            let journal = Arc::clone(&journal);
            calls.spawn(async move {
                for n in 0..each {
                    let clock = Write::Put { table: Table::Meta, key: "clock".into(), body: n.to_string() };
                    let writes = vec![put(&format!("{caller}.{}", n % 50), &body(caller, n)), clock];
                    journal.append(&batch(n, writes)).await.unwrap();
                }
            });
        }
        while let Some(done) = calls.join_next().await {
            done.unwrap();
        }
        let took = begun.elapsed();
        let rate = (each * callers) as f64 / took.as_secs_f64();
        println!("journal: {rate:.0} appends/s at {callers} callers, 2 rows each");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a figure is taken with a clock")]
async fn time_to_open_and_load() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    let body = format!("{{\"pad\":\"{}\"}}", "x".repeat(1000));
    for id in 0..40_u64 {
        let writes = (0..500).map(|n| put(&format!("{id:04}.{n:04}"), &body)).collect();
        journal.append(&batch(id, writes)).await.unwrap();
    }
    journal.close().await.unwrap();
    let begun = Instant::now();
    let journal = opened(&options(base.path())).await.unwrap();
    let opened = begun.elapsed();
    let rows = journal.load().await.unwrap().rows.len();
    let took = begun.elapsed();
    let mib = journal.statistics().await.unwrap().database_bytes / 1024 / 1024;
    println!("journal: {rows} rows, {mib} MiB, checked in {opened:?}, loaded after {took:?}");
}
