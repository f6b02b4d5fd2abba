//! A COMMIT that breaks: the batch is lost, and what a load then says stays true, also after a crash.
//!
//! The child is this test binary again, running the ignored test [`child`] in surroundings where writing
//! or syncing really fails.

use std::env;
use std::path::Path;
use std::process::Command;

use journal::sqlite::{Sqlite, SqliteOptions};
use journal::{Journal as _, JournalFault};
use tempfile::TempDir;

use super::{batch, folder, keys, opened, options, put};

const FOLDER: &str = "TIDEGATE_TEST_JOURNAL";

/// Appends until a batch is lost, loads, says what is there, and crashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child process of the loss tests; does nothing by itself"]
async fn child() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let journal =
        Sqlite::open(SqliteOptions { reserve_bytes: 0, ..SqliteOptions::new(folder) }).await.unwrap();
    // As an agent does; from here on the reader keeps the log alive when the writer connects anew.
    assert!(keys(&journal).await.is_empty());
    let mut id = 0_u64;
    let body = |id: u64| format!("{id:06}").repeat(10_000);
    let fault = loop {
        id += 1;
        match journal.append(&batch(id, vec![put(&format!("{id:04}"), &body(id))])).await {
            Ok(_) if id < 1000 => {}
            Ok(_) => panic!("nothing failed"),
            Err(fault) => break fault,
        }
    };
    assert!(fault.is_lost(), "{fault}");
    let refused = journal.append(&batch(id + 1, vec![put("after", "{}")])).await.unwrap_err();
    assert!(refused.is_lost(), "an append went on after a loss: {refused}");
    let there = keys(&journal).await;
    let kept = there.len() as u64;
    assert!(kept == id - 1 || kept == id, "{kept} rows after {id} batches");
    println!("\nlost {id} kept {kept}");
    std::process::abort();
}

/// Runs the child by a command line that ends with its own, and compares what it saw with what is there.
async fn survives(base: &Path, surroundings: &[&str]) {
    let output = Command::new(surroundings[0])
        .args(&surroundings[1..])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "loss::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder(base))
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let line = out.lines().find_map(|line| line.strip_prefix("lost "));
    let Some((_, kept)) = line.and_then(|line| line.split_once(" kept ")) else {
        panic!("{surroundings:?}: {out}\n{}", String::from_utf8_lossy(&output.stderr));
    };
    let journal = opened(&options(base)).await.unwrap();
    let there = keys(&journal).await.len();
    assert_eq!(there.to_string(), kept, "a load said {kept} rows, and after a crash there are {there}");
    journal.append(&batch(1, vec![put("after", "{}")])).await.unwrap();
}

#[tokio::test]
async fn a_write_that_breaks_at_commit_is_a_loss() {
    let base = TempDir::new().unwrap();
    // The signal is ignored, so that writing beyond the limit is an error, as from a sick disk.
    let limited = "trap '' XFSZ; ulimit -c 0; ulimit -f 1024; exec \"$@\"";
    survives(base.path(), &["sh", "-c", limited, "sh"]).await;
}

#[tokio::test]
#[ignore = "needs strace, which makes a sync fail: run with `--ignored a_sync`"]
async fn a_sync_that_fails_is_a_loss() {
    for when in [24, 25, 26, 27] {
        let base = TempDir::new().unwrap();
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
        survives(
            base.path(),
            &["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &inject],
        )
        .await;
    }
}

#[tokio::test]
async fn the_fault_says_what_to_do() {
    let said = JournalFault::Lost { detail: "the disk is gone".into() }.to_string();
    assert!(said.contains("the disk is gone") && said.contains("read again"), "{said}");
}
