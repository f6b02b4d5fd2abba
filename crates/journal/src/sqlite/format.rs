//! The file's format: what it is, which build may use it, and how an older one is brought up.
//!
//! Formats expand and contract: a step adds what the next build needs while the last build still runs, and
//! only a later one takes away, raising `min_reader`. A build uses any file whose `min_reader` it reaches,
//! also one with a newer version; below that it only reads.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use uuid::Uuid;

use super::faults::{damaged, opening, unusable};
use crate::{JournalFault, sums};

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
pub(super) fn examine(conn: &Connection, path: &Path) -> Result<Found, JournalFault> {
    let sort = |error| opening(path, &error);
    let number = |statement| conn.query_row(statement, [], |row| row.get::<_, i64>(0)).map_err(sort);
    let application = number("PRAGMA application_id")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application != APPLICATION {
        return if application == 0 && tables == 0 {
            Ok(Found::Fresh)
        } else {
            Err(unusable(path, "it is an SQLite database, but no journal; name another folder"))
        };
    }
    let row: Option<(i64, i64)> = conn
        .query_row("SELECT version, min_reader FROM format WHERE one = 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
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
pub(super) fn check(conn: &Connection, path: &Path, bytes: u64) -> Result<(), JournalFault> {
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
        let found: String =
            conn.query_row(statement, [], |row| row.get(0)).map_err(|error| opening(path, &error))?;
        if found != "ok" {
            return Err(damaged(path, found));
        }
    }
    Ok(())
}

/// Makes sure that the settings which durability hangs on were taken: a file system may refuse them
/// silently.
pub(super) fn confirm_settings(conn: &Connection, path: &Path) -> Result<(), JournalFault> {
    let sort = |error| opening(path, &error);
    let mode: String = conn.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(sort)?;
    let synchronous: i64 = conn.query_row("PRAGMA synchronous", [], |row| row.get(0)).map_err(sort)?;
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
pub(super) fn bring_up(conn: &mut Connection, path: &Path, version: u32) -> Result<(), JournalFault> {
    for (next, step) in STEPS {
        if next > version {
            take_step(conn, next, step).map_err(|error| opening(path, &error))?;
            tracing::info!(version = next, path = %path.display(), "Journal format brought up");
        }
    }
    Ok(())
}

fn take_step(conn: &mut Connection, next: u32, step: &str) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(step)?;
    if next == 1 {
        let incarnation = Uuid::new_v4().to_string();
        transaction.execute(
            "INSERT INTO head (one, incarnation, committed, sum) VALUES (1, ?, 0, ?)",
            params![incarnation, sums::of_head(&incarnation, 0)],
        )?;
    }
    transaction.execute("UPDATE format SET version = ? WHERE one = 1", [next])?;
    transaction.commit()
}
