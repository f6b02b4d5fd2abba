//! Room: a full disk refuses what does not fit and nothing else; the reserve; the log's bound; backups.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use journal::sqlite::SqliteOptions;
use journal::{Journal as _, JournalFault};
use model::Position;
use model::durable::{Table, Write};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{batch, folder, foreign, keys, opened, options, put, report};

const MIB: usize = 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_and_its_neighbours_are_kept() {
    let base = TempDir::new().unwrap();
    let bound = SqliteOptions { most_bytes: Some(2 * MIB as u64), ..options(base.path()) };
    let journal = Arc::new(opened(&bound).await.unwrap());
    for round in 0..5_u64 {
        let mut calls = JoinSet::new();
        for id in 0..40_u64 {
            let journal = Arc::clone(&journal);
            let body = "x".repeat(if id % 8 == 3 { 4 * MIB } else { 50 });
            let writes = vec![put(&format!("{round}.{id}"), &body)];
            calls.spawn(async move { (id, journal.append(&batch(id, writes)).await) });
        }
        while let Some(done) = calls.join_next().await {
            match done.unwrap() {
                (id, Ok(_)) => assert_ne!(id % 8, 3, "{id} cannot have fitted"),
                (id, Err(JournalFault::Full { .. })) => assert_eq!(id % 8, 3, "{id} would have fitted"),
                (id, Err(other)) => panic!("{id}: {other}"),
            }
        }
    }
    assert_eq!(keys(journal.as_ref()).await.len(), 5 * 35);
    // Room that is given back can be used again.
    let large = "x".repeat(MIB);
    journal.append(&batch(1, vec![put("large", &large)])).await.unwrap();
    assert!(matches!(
        journal.append(&batch(2, vec![put("more", &large)])).await,
        Err(JournalFault::Full { .. })
    ));
    let forget = Write::Forget { table: Table::Account, key: "large".into() };
    journal.append(&batch(3, vec![forget])).await.unwrap();
    journal.append(&batch(4, vec![put("more", &large)])).await.unwrap();
}

#[tokio::test]
async fn the_reserve_is_kept_released_and_restored() {
    let base = TempDir::new().unwrap();
    let path = folder(base.path()).join("journal.reserve");
    let with = SqliteOptions { reserve_bytes: 1_000_001, ..options(base.path()) };
    let journal = opened(&with).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 1_000_001);
    assert_eq!(journal.statistics().await.unwrap().reserve_bytes, 1_000_001);
    assert_eq!(journal.release_reserve().await, Ok(1_000_001));
    assert_eq!(journal.release_reserve().await, Ok(0));
    assert!(!path.exists());
    journal.restore_reserve().await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 1_000_001);
    let bytes = fs::read(&path).unwrap();
    assert!(
        bytes.iter().filter(|byte| **byte == 0).count() < 10_000,
        "a file system may store zeros in no room"
    );
    journal.close().await.unwrap();

    let resized = opened(&SqliteOptions { reserve_bytes: 5, ..with.clone() }).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 5);
    resized.close().await.unwrap();
    opened(&SqliteOptions { reserve_bytes: 0, ..with }).await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn the_log_is_emptied_once_readers_let_it() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    journal.append(&batch(1, vec![put("a", "{}")])).await.unwrap();
    let reader = foreign(base.path());
    reader.execute_batch("BEGIN").unwrap();
    let _: i64 = reader.query_row("SELECT count(*) FROM account", [], |row| row.get(0)).unwrap();
    // Differs each time: SQLite does not write a page that would be as it was.
    let body = |id: u64| format!("{id:08}").repeat(MIB / 8);
    for id in 0..40 {
        journal.append(&batch(id, vec![put("a", &body(id))])).await.unwrap();
    }
    let grown = journal.statistics().await.unwrap().log_bytes;
    assert!(grown > 40 * MIB as u64, "the reader held nothing: {grown}");
    reader.execute_batch("COMMIT").unwrap();
    for id in 40..80 {
        journal.append(&batch(id, vec![put("a", &body(id))])).await.unwrap();
    }
    let bound = journal.statistics().await.unwrap().log_bytes;
    assert!(bound <= 20 * MIB as u64, "the log stays at {bound} bytes");
}

#[tokio::test]
async fn a_backup_is_whole_closed_to_others_and_never_written_over() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    for id in 1..=20_u64 {
        journal.append(&batch(id, vec![put(&format!("{id:02}"), "{}"), report(id)])).await.unwrap();
    }
    let restored = TempDir::new().unwrap();
    fs::create_dir(folder(restored.path())).unwrap();
    fs::set_permissions(folder(restored.path()), fs::Permissions::from_mode(0o700)).unwrap();
    let copy = folder(restored.path()).join("journal.db");
    journal.backup(&copy).await.unwrap();
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let names = fs::read_dir(folder(restored.path())).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["journal.db"]);
    let again = journal.backup(&copy).await.unwrap_err();
    assert!(matches!(&again, JournalFault::Unusable { detail, .. } if detail.contains("already")), "{again}");
    assert!(journal.backup(Path::new("/nowhere/at/all.db")).await.is_err());

    let then = journal.load().await.unwrap();
    journal.append(&batch(21, vec![put("later", "{}"), report(21)])).await.unwrap();
    let old = opened(&options(restored.path())).await.unwrap();
    assert_eq!(old.load().await.unwrap(), then, "same life, same rows: an old copy");
    old.append(&batch(22, vec![report(21)])).await.unwrap();
}

#[tokio::test]
async fn statistics_count() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    for id in 1..=9_u64 {
        journal.append(&batch(id, vec![put(&id.to_string(), "{}"), report(id)])).await.unwrap();
    }
    journal.append(&batch(10, vec![Write::ReportsCommitted { through: Position(4) }])).await.unwrap();
    let found = journal.statistics().await.unwrap();
    assert_eq!(found.rows[&Table::Account], 9);
    assert_eq!(found.rows[&Table::Meta], 0);
    assert_eq!((found.last_report, found.uncommitted_reports, found.receipts), (Position(9), 5, 0));
    assert!(found.database_bytes > 0 && found.log_bytes > 0);
}

/// A small disk, gone with the value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mounted(size: &str) -> Self {
        let base = TempDir::new().unwrap();
        let settings = format!("size={size},mode=0700");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &settings, "tmpfs"]).arg(base.path()).status();
        assert!(mount.unwrap().success(), "cannot mount: run it as root");
        Self(base)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, because a failed test may still hold files open.
        let unmount = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmount.unwrap().success());
    }
}

/// A disk that is really full, instead of a bound that says so.
#[tokio::test]
#[ignore = "mounts a small tmpfs, which needs root: run with `--ignored a_full_disk`"]
async fn a_full_disk_refuses_and_the_reserve_helps() {
    let disk = SmallDisk::mounted("12m");
    let base = disk.0.path();
    let with = SqliteOptions { reserve_bytes: 4 * MIB as u64, ..options(base) };
    let journal = opened(&with).await.unwrap();
    let body = "x".repeat(64 * 1024);
    let mut kept = 0_u64;
    let full = loop {
        match journal.append(&batch(kept, vec![put(&format!("{kept:05}"), &body)])).await {
            Ok(_) => kept += 1,
            Err(fault) => break fault,
        }
    };
    assert!(matches!(full, JournalFault::Full { .. }), "{full}");
    assert_eq!(keys(&journal).await.len() as u64, kept);
    assert!(journal.append(&batch(0, vec![put("closing", &body)])).await.is_err());
    assert_eq!(journal.release_reserve().await, Ok(4 * MIB as u64));
    journal.append(&batch(0, vec![put("closing", &body)])).await.unwrap();
    assert!(matches!(journal.restore_reserve().await, Err(JournalFault::Full { .. })));
    drop(journal);
    let journal = opened(&with).await.unwrap();
    assert_eq!(keys(&journal).await.len() as u64, kept + 1);
    journal.close().await.unwrap();
}
