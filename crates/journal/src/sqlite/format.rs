//! The file's format: what it is, which build may use it, and how an older one is brought up.
//!
//! Formats expand and contract: a step adds what the next build needs while the last build still runs, and
//! only a later one takes away, raising `min_reader`. A build uses any file whose `min_reader` it reaches,
//! also one with a newer version; below that it only reads.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection};
use uuid::Uuid;

use super::faults::{damaged, opening, unusable};
use super::sums;
use crate::JournalFault;

/// The newest format this build knows.
pub(super) const NEWEST: u32 = 1;
/// "TIDE", in the file's header.
const APPLICATION: i64 = 0x5449_4445;
/// Every step, with the version that it leads to.
const STEPS: [(u32, &str); 1] = [(1, include_str!("../../migrations/sqlite/0001.sql"))];
/// Above this many bytes the receipts, which only grow, are not walked at every start.
const WHOLE_CHECK_BYTES: u64 = 256 * 1024 * 1024;

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was ever written to it.
    Fresh,
    /// A journal that this build may use.
    Usable { version: u32 },
    /// A journal that asks for a newer build.
    TooNew { needed: u32 },
}

/// Finds out what the file is, without changing it.
pub(super) async fn examine(conn: &mut SqliteConnection, path: &Path) -> Result<Found, JournalFault> {
    let sort = |error| opening(path, &error);
    let application: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *conn).await.map_err(sort)?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *conn).await.map_err(sort)?;
    if application != APPLICATION {
        return if application == 0 && tables == 0 {
            Ok(Found::Fresh)
        } else {
            Err(unusable(path, "it is an SQLite database, but no journal; name another folder"))
        };
    }
    let row: Option<(i64, i64)> = sqlx::query_as("SELECT version, min_reader FROM format WHERE one = 1")
        .fetch_optional(&mut *conn)
        .await
        .map_err(sort)?;
    let numbers =
        row.and_then(|(version, needed)| Some((u32::try_from(version).ok()?, u32::try_from(needed).ok()?)));
    match numbers {
        None => Err(damaged(path, "it does not say which format it has")),
        Some((_, needed)) if needed > NEWEST => Ok(Found::TooNew { needed }),
        Some((version, _)) => Ok(Found::Usable { version }),
    }
}

/// Walks the file's trees, so that damage is found before anything is believed.
pub(super) async fn check(conn: &mut SqliteConnection, path: &Path, bytes: u64) -> Result<(), JournalFault> {
    let whole = ["PRAGMA quick_check(1)"].as_slice();
    let lives = [
        "PRAGMA quick_check(head)",
        "PRAGMA quick_check(account)",
        "PRAGMA quick_check(integration)",
        "PRAGMA quick_check(tombstone)",
        "PRAGMA quick_check(meta)",
        "PRAGMA quick_check(report)",
    ];
    for statement in if bytes <= WHOLE_CHECK_BYTES { whole } else { lives.as_slice() } {
        let found: String = sqlx::query_scalar(*statement)
            .fetch_one(&mut *conn)
            .await
            .map_err(|error| opening(path, &error))?;
        if found != "ok" {
            return Err(damaged(path, found));
        }
    }
    Ok(())
}

/// Makes sure that the settings which durability hangs on were taken: a file system may refuse them
/// silently.
pub(super) async fn confirm_settings(conn: &mut SqliteConnection, path: &Path) -> Result<(), JournalFault> {
    let sort = |error| opening(path, &error);
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *conn).await.map_err(sort)?;
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *conn).await.map_err(sort)?;
    if mode != "wal" || synchronous != 2 {
        return Err(unusable(
            path,
            format!(
                "its file system gives journal mode `{mode}` and sync level {synchronous} instead of `wal` and 2; \
                 put the journal on a local disk"
            ),
        ));
    }
    Ok(())
}

/// Runs the steps that lead from `version` to the newest one, each whole or not at all.
pub(super) async fn bring_up(
    conn: &mut SqliteConnection,
    path: &Path,
    version: u32,
) -> Result<(), JournalFault> {
    for (next, step) in STEPS {
        if next <= version {
            continue;
        }
        let sort = |error| opening(path, &error);
        let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await.map_err(sort)?;
        sqlx::raw_sql(step).execute(&mut *transaction).await.map_err(sort)?;
        if next == 1 {
            let incarnation = Uuid::new_v4().to_string();
            sqlx::query("INSERT INTO head (one, incarnation, committed, sum) VALUES (1, ?, 0, ?)")
                .bind(&incarnation)
                .bind(sums::of_head(&incarnation, 0))
                .execute(&mut *transaction)
                .await
                .map_err(sort)?;
        }
        sqlx::query("UPDATE format SET version = ? WHERE one = 1")
            .bind(next)
            .execute(&mut *transaction)
            .await
            .map_err(sort)?;
        transaction.commit().await.map_err(sort)?;
        tracing::info!(version = next, path = %path.display(), "Journal format brought up");
    }
    Ok(())
}
