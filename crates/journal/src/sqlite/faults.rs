//! What SQLite's errors mean for the caller, in one place.
//!
//! Before COMMIT nothing is on disk, whatever went wrong. At COMMIT only "no room" is sure: the frame that
//! commits is written last, so it is not there. With any other error the frame may be in the log, and the
//! next process that recovers the log may find the batch.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::JournalFault;

enum Ailment {
    Damage,
    NoRoom,
    Other,
}

fn ailment(error: &Error) -> Ailment {
    let code = error.sqlite_error_code();
    if matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) || is_unreadable(error) {
        Ailment::Damage
    } else if matches!(code, Some(ErrorCode::DiskFull)) {
        Ailment::NoRoom
    } else {
        Ailment::Other
    }
}

/// Returns true for a text that is no UTF-8, a number that is a text.
const fn is_unreadable(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::InvalidColumnType(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::Utf8Error(..)
    )
}

/// Says what SQLite said, with the extended code, which tells which call of the system failed.
fn said(error: &Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("{error} (SQLite code {})", code.extended_code),
        None => error.to_string(),
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
        Ailment::Damage => damaged(path, said(error)),
        Ailment::NoRoom => JournalFault::Full { detail: said(error) },
        Ailment::Other => unusable(path, said(error)),
    }
}

/// Sorts an error met in a transaction before its COMMIT.
pub(super) fn writing(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, said(error)),
        Ailment::NoRoom => JournalFault::Full { detail: said(error) },
        Ailment::Other => JournalFault::NotWritten { detail: said(error) },
    }
}

/// Sorts an error that came as the answer to COMMIT.
pub(super) fn committing(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, said(error)),
        Ailment::NoRoom => JournalFault::Full { detail: said(error) },
        Ailment::Other => JournalFault::Lost { detail: said(error) },
    }
}

/// Sorts an error met while reading.
pub(super) fn reading(path: &Path, error: &Error) -> JournalFault {
    match ailment(error) {
        Ailment::Damage => damaged(path, said(error)),
        Ailment::NoRoom | Ailment::Other => JournalFault::Lost { detail: said(error) },
    }
}
