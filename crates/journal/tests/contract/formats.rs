//! Formats: files of every older build open, newer ones are only read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use journal::{Journal, JournalFault};
use model::durable::{Table, Write};
use model::{Incarnation, IntegrationId, Position};
use rusqlite::types::Value;
use rusqlite::{Connection, Row};
use tempfile::TempDir;
use uuid::Uuid;

use super::{
    batch, database, folder, foreign, keys, meddle, opened, opened_close_only, options, put, report,
};

const INCARNATION: u128 = 0x5449_4445;

fn old(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/old/format-{format}.db"))
}

/// Writes what every kept file holds.
async fn fill(journal: &dyn Journal) {
    let pg = IntegrationId::parse("pg").unwrap();
    journal.begin_incarnation(Incarnation::from_uuid(Uuid::from_u128(INCARNATION))).await.unwrap();
    for id in 1..=6_u64 {
        let receipt =
            Write::Receipt { integration: pg.clone(), number: id, body: format!("{{\"receipt\":{id}}}") };
        journal
            .append(&batch(id, vec![put(&format!("ключ {id}"), "{\"a\":1}"), report(id), receipt]))
            .await
            .unwrap();
    }
    let put = |table| Write::Put { table, key: "k".into(), body: "{\"n\":null}".into() };
    let rest = vec![
        put(Table::Integration),
        put(Table::Tombstone),
        put(Table::Meta),
        Write::ReportsCommitted { through: Position(2) },
    ];
    journal.append(&batch(7, rest)).await.unwrap();
}

/// Checks that a journal holds what [`fill`] wrote, and goes on from there.
async fn check(journal: &dyn Journal, name: &str) {
    let loaded = journal.load().await.unwrap();
    assert_eq!(loaded.incarnation, Incarnation::from_uuid(Uuid::from_u128(INCARNATION)), "{name}");
    assert_eq!((loaded.rows.len(), loaded.last_report, loaded.receipts), (9, Position(6), 6), "{name}");
    assert_eq!(loaded.rows[5].key, "ключ 6", "{name}");
    let reports = journal.reports(Position(0), 10).await.unwrap();
    assert_eq!(reports.iter().map(|report| report.position.0).collect::<Vec<_>>(), [3, 4, 5, 6], "{name}");
    let receipts = journal.receipts(&IntegrationId::parse("pg").unwrap(), 0, 10).await.unwrap();
    assert_eq!(receipts.len(), 6, "{name}");
}

/// Puts a copy of a kept file in place.
fn placed(base: &Path, from: &Path) {
    fs::create_dir(folder(base)).unwrap();
    fs::set_permissions(folder(base), fs::Permissions::from_mode(0o700)).unwrap();
    fs::copy(from, database(base)).unwrap();
    fs::set_permissions(database(base), fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn files_of_every_format_open_and_go_on() {
    let kept = fs::read_dir(old(1).parent().unwrap()).unwrap().count();
    assert_eq!(kept, 1, "name every kept format here");
    for format in [1] {
        let base = TempDir::new().unwrap();
        placed(base.path(), &old(format));
        let journal = opened(&options(base.path())).await.unwrap();
        check(&journal, &format!("format {format}")).await;
        journal.append(&batch(8, vec![report(7)])).await.unwrap();
    }
}

/// Says what another build hangs on in a file, besides its rows.
fn shape(conn: &Connection) -> Vec<String> {
    let look = "SELECT (SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)),
                (SELECT page_size FROM pragma_page_size), (SELECT encoding FROM pragma_encoding),
                (SELECT auto_vacuum FROM pragma_auto_vacuum),
                (SELECT application_id FROM pragma_application_id),
                (SELECT version || ' ' || min_reader FROM format), (SELECT count(*) FROM head)";
    let columns =
        |row: &Row<'_>| (0..7).map(|at| row.get::<_, Value>(at).map(|value| format!("{value:?}"))).collect();
    conn.query_row(look, [], columns).unwrap()
}

#[tokio::test]
async fn a_new_file_is_like_the_kept_one() {
    let base = TempDir::new().unwrap();
    opened(&options(base.path())).await.unwrap().close().await.unwrap();
    let kept = TempDir::new().unwrap();
    placed(kept.path(), &old(1));
    assert_eq!(shape(&foreign(base.path())), shape(&foreign(kept.path())));
    let header = fs::read(database(base.path())).unwrap();
    assert_eq!(header.get(18..20), Some([2, 2].as_slice()), "its header says WAL to reader and writer");
}

#[tokio::test]
#[ignore = "writes the kept file of the present format: run once, when a format is new"]
async fn keep_a_file_of_this_format() {
    if old(1).exists() {
        return;
    }
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    fill(&journal).await;
    journal.backup(&old(1)).await.unwrap();
}

#[tokio::test]
async fn a_newer_format_that_still_serves_us_is_used() {
    let base = TempDir::new().unwrap();
    placed(base.path(), &old(1));
    let expanded = "ALTER TABLE account ADD COLUMN owner TEXT; CREATE TABLE lease (one INTEGER) STRICT; \
                    UPDATE format SET version = 7";
    meddle(base.path(), expanded);
    let journal = opened(&options(base.path())).await.unwrap();
    check(&journal, "expanded").await;
    journal.append(&batch(8, vec![put("more", "{}")])).await.unwrap();
    journal.close().await.unwrap();
    meddle(base.path(), "UPDATE format SET version = 7 WHERE version = 7");
    let journal = opened(&options(base.path())).await.unwrap();
    assert!(keys(&journal).await.contains(&"more".into()));
}

#[tokio::test]
async fn a_format_that_is_too_new_is_only_read() {
    let base = TempDir::new().unwrap();
    placed(base.path(), &old(1));
    meddle(base.path(), "UPDATE format SET version = 9, min_reader = 9");
    let before = fs::read(database(base.path())).unwrap();
    let refused = opened(&options(base.path())).await.unwrap_err();
    assert_eq!(refused, JournalFault::TooNew { needed: 9, ours: 1 });

    let journal = opened_close_only(&options(base.path())).await.unwrap();
    check(&journal, "too new").await;
    assert_eq!(journal.append(&batch(8, vec![report(7)])).await, Err(refused.clone()));
    assert_eq!(journal.begin_incarnation(Incarnation::from_uuid(Uuid::from_u128(2))).await, Err(refused));
    journal.close().await.unwrap();
    assert_eq!(fs::read(database(base.path())).unwrap(), before, "it was written to");
}

#[tokio::test]
async fn close_only_reads_what_a_kill_left_and_never_makes_a_journal() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    fill(&journal).await;
    // The file with its log, as a killed process leaves them.
    let killed = TempDir::new().unwrap();
    placed(killed.path(), &database(base.path()));
    let log = database(killed.path()).with_extension("db-wal");
    fs::copy(database(base.path()).with_extension("db-wal"), &log).unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
    let read = opened_close_only(&options(killed.path())).await.unwrap();
    check(&read, "after a kill").await;
    let refused = read.append(&batch(8, vec![report(7)])).await;
    assert!(matches!(refused, Err(JournalFault::NotWritten { .. })), "{refused:?}");

    let empty = TempDir::new().unwrap();
    let refused = opened_close_only(&options(empty.path())).await.unwrap_err();
    assert!(matches!(refused, JournalFault::Unusable { .. }), "{refused}");
}
