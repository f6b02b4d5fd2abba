//! The files: who may look, who holds them, and what damage is found.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use journal::sqlite::{Sqlite, SqliteOptions};
use journal::{Journal as _, JournalFault};
use model::durable::Write;
use model::{IntegrationId, Position};
use tempfile::TempDir;

use super::{batch, database, folder, foreign, keys, meddle, opened, options, put, report};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a journal with something of everything in it, and closes it.
async fn filled(base: &Path) {
    let journal = opened(&options(base)).await.unwrap();
    let chain = IntegrationId::parse("pg").unwrap();
    for id in 1..=40_u64 {
        let body = format!("{{\"number\":{id},\"pad\":\"{}\"}}", "marker".repeat(100));
        let receipt = Write::Receipt { integration: chain.clone(), number: id, body: body.clone() };
        let writes = vec![put(&format!("row {id:02}"), &body), report(id), receipt];
        journal.append(&batch(id, writes)).await.unwrap();
    }
    journal.append(&batch(41, vec![Write::ReportsCommitted { through: Position(10) }])).await.unwrap();
    journal.close().await.unwrap();
}

#[tokio::test]
async fn only_the_owner_may_look() {
    let base = TempDir::new().unwrap();
    let journal = opened(&SqliteOptions { reserve_bytes: 100_000, ..options(base.path()) }).await.unwrap();
    journal.append(&batch(1, vec![put("a", "{}")])).await.unwrap();
    assert_eq!(mode(&folder(base.path())), 0o700);
    let mut seen = vec![];
    for entry in fs::read_dir(folder(base.path())).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.file_name());
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["journal.db", "journal.db-shm", "journal.db-wal", "journal.lock", "journal.reserve"]);
    journal.close().await.unwrap();

    for (path, open, closed) in [
        (folder(base.path()), 0o755, 0o700),
        (folder(base.path()), 0o703, 0o700),
        (database(base.path()), 0o644, 0o600),
        (database(base.path()), 0o602, 0o600),
        (folder(base.path()).join("journal.reserve"), 0o604, 0o600),
    ] {
        chmod(&path, open);
        let refused = opened(&options(base.path())).await.unwrap_err();
        assert!(
            matches!(&refused, JournalFault::Unusable { detail, .. } if detail.contains("chmod o-rwx")),
            "{path:?} {open:o}: {refused}"
        );
        chmod(&path, closed);
    }
    // What a Kubernetes volume with fsGroup looks like after a mount.
    chmod(&database(base.path()), 0o660);
    chmod(&folder(base.path()), 0o770);
    let journal = opened(&options(base.path())).await.unwrap();
    assert_eq!(keys(&journal).await, ["a"]);
}

#[tokio::test]
async fn a_link_in_place_of_the_file_is_refused() {
    let base = TempDir::new().unwrap();
    filled(base.path()).await;
    fs::rename(database(base.path()), base.path().join("elsewhere.db")).unwrap();
    std::os::unix::fs::symlink(base.path().join("elsewhere.db"), database(base.path())).unwrap();
    let refused = opened(&options(base.path())).await.unwrap_err();
    assert!(
        matches!(&refused, JournalFault::Unusable { detail, .. } if detail.contains("link")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_second_open_is_refused_until_the_first_lets_go() {
    let base = TempDir::new().unwrap();
    let first = opened(&options(base.path())).await.unwrap();
    let second = Sqlite::open(options(base.path())).await.unwrap_err();
    assert!(matches!(second, JournalFault::InUse { .. }), "{second}");
    let reading = Sqlite::open_close_only(options(base.path())).await.unwrap_err();
    assert!(matches!(reading, JournalFault::InUse { .. }), "{reading}");
    first.append(&batch(1, vec![put("a", "{}")])).await.unwrap();
    first.close().await.unwrap();
    let second = opened(&options(base.path())).await.unwrap();
    drop(second);
    opened(&options(base.path())).await.unwrap();
}

#[tokio::test]
async fn damage_is_found_at_open_or_at_the_first_read() {
    type Harm = fn(&Path);
    fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
    let table: [(&str, Harm); 7] = [
        ("no database at all", |path| change(path, |bytes| bytes.fill(b'x'))),
        ("a header of another kind", |path| change(path, |bytes| bytes[..16].fill(0))),
        ("half of it gone", |path| change(path, |bytes| bytes.truncate(bytes.len() / 2))),
        ("a page of zeros", |path| change(path, |bytes| bytes[4 * 4096..5 * 4096].fill(0))),
        ("all but the first page zeros", |path| change(path, |bytes| bytes[4096..].fill(0))),
        ("one bit in a body", |path| {
            change(path, |bytes| {
                let at = bytes.windows(6).position(|found| found == b"marker").unwrap();
                bytes[at] ^= 0x04;
            });
        }),
        ("the file gone, its log left", |path| {
            fs::copy(path, path.with_extension("db-wal")).unwrap();
            chmod(&path.with_extension("db-wal"), 0o600);
            fs::remove_file(path).unwrap();
        }),
    ];
    for (name, harm) in table {
        let base = TempDir::new().unwrap();
        filled(base.path()).await;
        harm(&database(base.path()));
        let found = read_all(base.path()).await;
        assert!(matches!(found, Err(JournalFault::Damaged { .. })), "{name}: {found:?}");
        let said = found.unwrap_err().to_string();
        assert!(said.contains("journal.db") && said.contains("restore a backup"), "{name}: {said}");
    }
}

#[tokio::test]
async fn what_was_changed_by_hand_is_damage() {
    let table = [
        ("a body", "UPDATE account SET body = '{\"until\":\"9999-01-01\"}' WHERE key = 'row 03'"),
        ("a key", "UPDATE account SET key = 'row 99' WHERE key = 'row 03'"),
        ("a row in another table", "INSERT INTO meta SELECT * FROM account WHERE key = 'row 03'"),
        ("a body that is no text", "UPDATE account SET body = CAST(x'ff00fe' AS TEXT) WHERE key = 'row 03'"),
        ("a report", "UPDATE report SET body = '{}' WHERE position = 20"),
        ("a report away", "DELETE FROM report WHERE position = 20"),
        ("the first report away", "DELETE FROM report WHERE position = 11"),
        ("a receipt", "UPDATE receipt SET body = '{}' WHERE number = 20"),
        ("a receipt away", "DELETE FROM receipt WHERE number = 20"),
        ("the first receipt away", "DELETE FROM receipt WHERE number = 1"),
        ("the head", "UPDATE head SET incarnation = '00000000-0000-4000-8000-000000000000'"),
        ("what is committed", "UPDATE head SET committed = 12"),
        ("no head", "DELETE FROM head"),
        ("no format", "DELETE FROM format"),
    ];
    for (name, statement) in table {
        let base = TempDir::new().unwrap();
        filled(base.path()).await;
        meddle(base.path(), statement);
        let found = read_all(base.path()).await;
        assert!(matches!(found, Err(JournalFault::Damaged { .. })), "{name}: {found:?}");
    }
}

/// Opens a journal and reads all that is in it.
async fn read_all(base: &Path) -> Result<(), JournalFault> {
    let journal = opened(&options(base)).await?;
    journal.load().await?;
    journal.reports(Position(10), 1000).await?;
    journal.receipts(&IntegrationId::parse("pg").unwrap(), 0, 1000).await?;
    journal.close().await
}

#[tokio::test]
async fn a_read_that_finds_damage_does_not_hinder_the_next() {
    let base = TempDir::new().unwrap();
    filled(base.path()).await;
    let journal = opened(&options(base.path())).await.unwrap();
    journal.load().await.unwrap();
    foreign(base.path()).execute_batch("UPDATE report SET body = '{}' WHERE position = 20").unwrap();
    for _ in 0..3 {
        let found = journal.reports(Position(10), 1000).await;
        assert!(matches!(found, Err(JournalFault::Damaged { .. })), "{found:?}");
        assert_eq!(journal.reports(Position(20), 5).await.unwrap().len(), 5, "what is whole is read");
        journal.load().await.unwrap();
    }
}

#[tokio::test]
async fn an_undamaged_journal_is_not_called_damaged() {
    let base = TempDir::new().unwrap();
    filled(base.path()).await;
    assert_eq!(read_all(base.path()).await, Ok(()));
}

#[tokio::test]
async fn a_foreign_database_is_refused_and_left_as_it_was() {
    let base = TempDir::new().unwrap();
    filled(base.path()).await;
    fs::remove_file(database(base.path())).unwrap();
    fs::write(database(base.path()), b"").unwrap();
    chmod(&database(base.path()), 0o600);
    meddle(base.path(), "CREATE TABLE invoice (number INTEGER)");
    let before = fs::read(database(base.path())).unwrap();
    let refused = opened(&options(base.path())).await.unwrap_err();
    assert!(
        matches!(&refused, JournalFault::Unusable { detail, .. } if detail.contains("no journal")),
        "{refused}"
    );
    assert_eq!(fs::read(database(base.path())).unwrap(), before);
}

#[tokio::test]
async fn a_file_removed_while_in_use_is_noticed() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    journal.append(&batch(1, vec![put("a", "{}")])).await.unwrap();
    let aside = base.path().join("aside.db");
    fs::rename(database(base.path()), &aside).unwrap();
    let refused = journal.append(&batch(2, vec![put("b", "{}")])).await.unwrap_err();
    assert!(
        matches!(&refused, JournalFault::NotWritten { detail } if detail.contains("removed")),
        "{refused}"
    );
    fs::rename(&aside, database(base.path())).unwrap();
    journal.append(&batch(3, vec![put("c", "{}")])).await.unwrap();
    assert_eq!(keys(&journal).await, ["a", "c"]);
}

#[tokio::test]
async fn people_may_look_inside_while_it_runs() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    journal.append(&batch(1, vec![put("a", "{\"state\":\"open\"}")])).await.unwrap();
    let conn = foreign(base.path());
    let look = "SELECT json_extract(body, '$.state') FROM account";
    let seen: String = conn.query_row(look, [], |row| row.get(0)).unwrap();
    assert_eq!(seen, "open");
    journal.append(&batch(2, vec![put("b", "{}")])).await.unwrap();
}

#[tokio::test]
async fn a_journal_in_use_is_read_beside_its_process_and_never_written_to() {
    let base = TempDir::new().unwrap();
    let reading = Sqlite::open_beside(options(base.path())).await.unwrap_err();
    assert!(matches!(reading, JournalFault::Unusable { .. }), "{reading}");
    assert!(!folder(base.path()).exists(), "looking makes nothing");
    filled(base.path()).await;

    let journal = opened(&options(base.path())).await.unwrap();
    journal.append(&batch(50, vec![put("later", "{}")])).await.unwrap();
    let beside = Sqlite::open_beside(options(base.path())).await.unwrap();
    assert_eq!(keys(&beside).await.len(), 41);
    let chain = IntegrationId::parse("pg").unwrap();
    assert_eq!(beside.receipts(&chain, 38, 10).await.unwrap().len(), 2);
    assert!(matches!(beside.append(&batch(51, vec![])).await, Err(JournalFault::NotWritten { .. })));
    let copy = base.path().join("copy.db");
    beside.backup(&copy).await.unwrap();
    assert!(copy.exists());
    // What is appended meanwhile is read by the next call, and nobody waits for anybody.
    journal.append(&batch(52, vec![put("latest", "{}")])).await.unwrap();
    assert_eq!(keys(&beside).await.len(), 42);
    beside.close().await.unwrap();
    journal.append(&batch(53, vec![put("last", "{}")])).await.unwrap();
    journal.close().await.unwrap();
    let again = opened(&options(base.path())).await.unwrap();
    assert_eq!(keys(&again).await.len(), 43);
}
