//! What PostgreSQL's errors mean for the journal's caller, in one place.
//!
//! Before COMMIT is sent nothing lasts, whatever went wrong: a transaction whose client is gone is rolled back.
//! To COMMIT an ERROR says that it was rolled back; after anything else (no answer, a server that stops) it may
//! be there.

use journal::JournalFault;
use pg::{Cut, DialFault, TlsFault};
use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

/// What kept an exchange from its answer.
#[derive(Debug)]
pub(crate) enum Met {
    /// No answer in time, on our side.
    Late,
    Said(Error),
}

impl From<Error> for Met {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

/// Says what PostgreSQL said: its code, and its words as far as one line goes.
fn said(met: &Met) -> String {
    let error = match met {
        Met::Late => return "PostgreSQL did not answer in time".into(),
        Met::Said(error) => error,
    };
    match error.as_db_error() {
        Some(answer) => {
            let words: String =
                answer.message().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
            format!("PostgreSQL says: {words} (SQLSTATE {})", answer.code().code())
        }
        None if error.is_closed() => "the connection to PostgreSQL is closed".into(),
        None => format!("the connection to PostgreSQL broke ({error})"),
    }
}

fn state(met: &Met) -> Option<&SqlState> {
    match met {
        Met::Late => None,
        Met::Said(error) => error.as_db_error().map(tokio_postgres::error::DbError::code),
    }
}

fn is_damage(met: &Met) -> bool {
    matches!(state(met), Some(code) if *code == SqlState::DATA_CORRUPTED || *code == SqlState::INDEX_CORRUPTED)
}

fn is_no_room(met: &Met) -> bool {
    state(met).is_some_and(|code| *code == SqlState::DISK_FULL)
}

pub(crate) fn damaged(name: &str, detail: impl ToString) -> JournalFault {
    JournalFault::Damaged { path: name.into(), detail: detail.to_string() }
}

pub(crate) fn unusable(name: &str, detail: impl ToString) -> JournalFault {
    JournalFault::Unusable { path: name.into(), detail: detail.to_string() }
}

/// Sorts what was met before the journal was open.
pub(crate) fn opening(name: &str, met: &Met) -> JournalFault {
    if is_damage(met) { damaged(name, said(met)) } else { unusable(name, said(met)) }
}

/// Sorts what was met in a transaction before its COMMIT was sent.
pub(crate) fn writing(name: &str, met: &Met) -> JournalFault {
    if is_damage(met) {
        damaged(name, said(met))
    } else if is_no_room(met) {
        JournalFault::Full { detail: said(met) }
    } else {
        JournalFault::NotWritten { detail: said(met) }
    }
}

/// Sorts what came as the answer to COMMIT.
pub(crate) fn committing(name: &str, met: &Met) -> JournalFault {
    let rolled_back = match met {
        Met::Late => false,
        Met::Said(error) => {
            error.as_db_error().is_some_and(|answer| answer.parsed_severity() == Some(Severity::Error))
        }
    };
    if rolled_back { writing(name, met) } else { JournalFault::Lost { detail: said(met) } }
}

/// Sorts what was met while reading.
pub(crate) fn reading(name: &str, met: &Met) -> JournalFault {
    if is_damage(met) { damaged(name, said(met)) } else { JournalFault::Lost { detail: said(met) } }
}

/// Says why there is no connection, and the way out. Nothing was asked of the database.
pub(crate) fn dialling(fault: DialFault) -> String {
    match fault {
        DialFault::Late => "its server did not answer in time: look at host, port and firewall".into(),
        DialFault::Unreachable(kind) => {
            format!("no connection to its server ({kind}): look at host, port and firewall")
        }
        DialFault::NoTls => "its server has no TLS: turn it on there, or set another `journal.sslmode`".into(),
        DialFault::Handshake(cause) => format!(
            "TLS with its server failed, {cause}: look at `journal.ca_file`, the host's name in the certificate, and \
             its dates"
        ),
        DialFault::Cut(Cut::PasswordUnverified) => {
            "its server asks for the password in clear text or as MD5, and its certificate was not verified: use \
             `journal.sslmode` verify-full, or SCRAM on the server"
                .into()
        }
        DialFault::Alert => "its server ended TLS with an alert: it may ask for a client certificate, which a journal does \
                             not show"
            .into(),
        DialFault::Cut(cut) => format!("{cut}: look at host and port"),
        DialFault::Answer(error) => said(&Met::Said(error)),
    }
}

/// Says why TLS cannot be set up.
pub(crate) fn no_tls(fault: TlsFault) -> String {
    match fault {
        TlsFault::Unreadable => "`journal.ca_file` has no readable certificate: name a PEM file".into(),
        TlsFault::NoRoots => {
            "there is no root certificate on this system: install ca-certificates, or give `journal.ca_file`"
                .into()
        }
        // No certificate of ours is shown there.
        TlsFault::OwnChain | TlsFault::OwnKey | TlsFault::OwnPair => fault.to_string(),
        TlsFault::NoVersion => "this build has no TLS version to offer".into(),
    }
}
