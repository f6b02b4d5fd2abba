//! Opening a journal: who may have the folder, what the file is, and what is still to be done to it.
//!
//! All of it waits for the disk, on a thread that may. Nothing is changed before the file was looked at
//! through a connection that cannot change it.

use rusqlite::Connection;

use super::faults::{opening, unusable};
use super::format::{self, Found};
use super::options::{Settings, SqliteOptions};
use super::place::{self, Paths, Place};
use super::session::Session;
use super::writer::Writer;
use crate::JournalFault;

/// What a journal is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Whole,
    CloseOnly,
    Beside,
}

/// A journal that was looked at and brought up, before its writer runs.
pub(super) struct Prepared {
    pub(super) options: SqliteOptions,
    pub(super) paths: Paths,
    pub(super) refusal: Option<JournalFault>,
    pub(super) read: Settings,
    pub(super) writer: Writer,
}

/// Holds or visits the folder, looks at the file, and brings it up if it is to be written to.
pub(super) fn prepared(options: SqliteOptions, meant: Use) -> Result<Prepared, JournalFault> {
    let folder = options.folder.as_path();
    let place = if meant == Use::Beside { Place::visit(folder)? } else { Place::take(folder)? };
    let close_only = meant != Use::Whole;
    let paths = place.paths.clone();
    let (read, write) = (options.reading(&paths.database), options.writing(&paths.database));
    let refusal = match (looked_at(&read)?, close_only) {
        (Found::TooNew { needed }, true) => Some(JournalFault::TooNew { needed, ours: format::NEWEST }),
        (Found::TooNew { needed }, false) => {
            return Err(JournalFault::TooNew { needed, ours: format::NEWEST });
        }
        (Found::Fresh, true) => return Err(unusable(&paths.database, "there is no journal to read")),
        (Found::Usable { .. }, true) => {
            Some(JournalFault::NotWritten { detail: "it was opened for closing only".into() })
        }
        (Found::Fresh | Found::Usable { .. }, false) => None,
    };
    let session = if refusal.is_some() { None } else { Some(ready(&write)?) };
    if refusal.is_none() {
        keep_reserve(&paths, options.reserve_bytes)?;
    }
    let writer = Writer::new(write, session, place);
    Ok(Prepared { options, paths, refusal, read, writer })
}

/// Looks at the file through a connection that cannot change it.
fn looked_at(read: &Settings) -> Result<Found, JournalFault> {
    let database = read.database.as_path();
    let conn = connected(read)?;
    let found = format::examine(&conn, database)?;
    if found != Found::Fresh {
        format::check(&conn, database, place::length(database))?;
    }
    conn.close().map_err(|(_, error)| opening(database, &error))?;
    Ok(found)
}

/// Connects the writer and brings the file up to this build's format.
fn ready(write: &Settings) -> Result<Session, JournalFault> {
    let database = write.database.as_path();
    let mut conn = connected(write)?;
    format::confirm_settings(&conn, database)?;
    let version = match format::examine(&conn, database)? {
        Found::Fresh => 0,
        Found::Usable { version } => version,
        Found::TooNew { needed } => return Err(JournalFault::TooNew { needed, ours: format::NEWEST }),
    };
    format::bring_up(&mut conn, database, version)?;
    match Session::over(conn, database) {
        Err(JournalFault::Lost { detail }) => Err(unusable(database, detail)),
        other => other,
    }
}

fn connected(settings: &Settings) -> Result<Connection, JournalFault> {
    settings.connect().map_err(|error| opening(&settings.database, &error))
}

/// Keeps room back, and goes on without when there is none: a journal without a reserve can still close.
fn keep_reserve(paths: &Paths, bytes: u64) -> Result<(), JournalFault> {
    match paths.keep_reserve(bytes) {
        Err(fault @ JournalFault::Full { .. }) => {
            tracing::warn!(error = %fault, "Journal has no reserve");
            Ok(())
        }
        other => other,
    }
}
