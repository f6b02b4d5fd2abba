//! What SQLite's errors mean for the caller, in one place.
//!
//! Before COMMIT nothing is on disk, whatever went wrong. At COMMIT only "no room" is sure: the frame that
//! commits is written last, so it is not there. With any other error the frame may be in the log, and the
//! next process that recovers the log may find the batch.

use std::path::Path;

use sqlx::Error;

use crate::JournalFault;

const SQLITE_CORRUPT: i64 = 11;
const SQLITE_FULL: i64 = 13;
const SQLITE_NOTADB: i64 = 26;

enum Ailment {
    Damage,
    NoRoom,
    Other,
}

fn ailment(error: &Error) -> Ailment {
    if matches!(error, Error::ColumnDecode { .. } | Error::Decode(_)) {
        // A text that is no UTF-8, a number that is a text.
        return Ailment::Damage;
    }
    let code = error.as_database_error().and_then(|database| database.code());
    // The low byte of an extended code is the primary one.
    match code.and_then(|code| code.parse::<i64>().ok()).map(|code| code & 0xff) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Ailment::Damage,
        Some(SQLITE_FULL) => Ailment::NoRoom,
        _ => Ailment::Other,
    }
}

pub(super) fn damaged(path: &Path, detail: impl ToString) -> JournalFault {
    JournalFault::Damaged { path: path.display().to_string(), detail: detail.to_string() }
}

pub(super) fn unusable(path: &Path, detail: impl ToString) -> JournalFault {
    JournalFault::Unusable { path: path.display().to_string(), detail: detail.to_string() }
}

/// Sorts an error met before the journal was open.
pub(super) fn opening(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, error),
        Ailment::NoRoom => JournalFault::Full { detail: error.to_string() },
        Ailment::Other => unusable(path, error),
    }
}

/// Sorts an error met in a transaction before its COMMIT.
pub(super) fn writing(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, error),
        Ailment::NoRoom => JournalFault::Full { detail: error.to_string() },
        Ailment::Other => JournalFault::NotWritten { detail: error.to_string() },
    }
}

/// Sorts an error that came as the answer to COMMIT.
pub(super) fn committing(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, error),
        Ailment::NoRoom => JournalFault::Full { detail: error.to_string() },
        Ailment::Other => JournalFault::Lost { detail: error.to_string() },
    }
}

/// Sorts an error met while reading.
pub(super) fn reading(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, error),
        Ailment::NoRoom | Ailment::Other => JournalFault::Lost { detail: error.to_string() },
    }
}
