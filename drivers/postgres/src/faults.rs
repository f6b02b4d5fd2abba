//! What PostgreSQL answers, sorted: SQLSTATE → [`Failure`], one table.
//!
//! An error that the server sends means that the transaction was rolled back: surely not done. A connection
//! that is lost, or a deadline that passes, is told by [`Stage`]: before the commit was sent nothing has
//! lasted, after it nobody knows. The server's own text is never passed on, it may repeat the statement.

use model::{Certainty, Code, Failure, Retry};
use tokio_postgres::error::SqlState;

/// How far a transaction had come when its connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing that was sent lasts without a commit, or nothing changes anything.
    Harmless,
    /// The commit, or a deed that needs none, was on its way.
    Lasting,
}

/// A failure, with the SQLSTATE behind it for those who know what to do about it.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) state: Option<SqlState>,
    /// The connection is of no more use.
    pub(crate) lost: bool,
}

impl Fault {
    /// Returns true when the server answered with this SQLSTATE.
    pub(crate) fn is(&self, state: &SqlState) -> bool {
        self.state.as_ref() == Some(state)
    }

    /// Sorts what the client library says.
    pub(crate) fn of(error: &tokio_postgres::Error, stage: Stage) -> Self {
        if let Some(answer) = error.as_db_error() {
            let state = answer.code().clone();
            let failure = sorted(state.code(), answer.message(), stage);
            tracing::debug!(sqlstate = state.code(), code = %failure.code, routine = answer.routine(), "Refused by PostgreSQL");
            return Self { failure, lost: ends_session(&state), state: Some(state) };
        }
        let failure = match (&error.code(), error.is_closed() || is_io(error)) {
            (_, true) => lost(stage, Code::UNREACHABLE, "the connection to PostgreSQL broke"),
            (_, false) => lost(stage, Code::TARGET_FAULT, "PostgreSQL answered outside its protocol"),
        };
        Self { failure, state: None, lost: true }
    }

    /// A deadline passed on our side.
    pub(crate) fn late(stage: Stage) -> Self {
        let failure = lost(stage, Code::TIMED_OUT, "PostgreSQL did not answer in time");
        Self { failure, state: None, lost: true }
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { failure, state: None, lost: false }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        fault.failure
    }
}

/// The assertions inside our transactions divide by zero when they do not hold.
pub(crate) const ASSERTION: &SqlState = &SqlState::DIVISION_BY_ZERO;

fn lost(stage: Stage, code: Code, detail: &str) -> Failure {
    match stage {
        Stage::Harmless => Failure::not_done(code, detail),
        Stage::Lasting => Failure::unknown(code, detail),
    }
}

/// Whether the connection broke. A message that cannot be read is told in the same way, as bad input.
fn is_io(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() != std::io::ErrorKind::InvalidInput)
}

/// Returns true for answers after which the server closes the session.
fn ends_session(state: &SqlState) -> bool {
    matches!(state.code(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" | "28000" | "28P01")
        || state.code().starts_with("08")
}

/// What each SQLSTATE means; doubt means unknown.
fn sorted(state: &str, message: &str, stage: Stage) -> Failure {
    use Certainty::{NotDone, Refused};
    let (certainty, retry, code, detail) = match state {
        "28P01" => (
            Refused,
            Retry::AfterNewSecret,
            Code::LOGIN_REFUSED,
            "the admin's user name or password is wrong: correct the secret",
        ),
        "28000" => (
            Refused,
            Retry::NeedsHuman,
            Code::LOGIN_REFUSED,
            "the admin may not log in from here: look at pg_hba.conf and the role's LOGIN",
        ),
        "42501" => (
            Refused,
            Retry::NeedsHuman,
            Code::RIGHT_MISSING,
            "the admin lacks a right: run `check`, it names what is missing",
        ),
        "0LP01" => (
            Refused,
            Retry::NeedsHuman,
            Code::RIGHT_MISSING,
            "the admin may not give this membership, or it would close a circle",
        ),
        "3D000" => (Refused, Retry::Never, Code::RESOURCE_MISSING, "there is no such database"),
        "3F000" => (Refused, Retry::Never, Code::RESOURCE_MISSING, "there is no such schema"),
        "42P01" | "42704" | "42883" => {
            (Refused, Retry::Never, Code::RESOURCE_MISSING, "there is no such object")
        }
        "2BP01" => (
            Refused,
            Retry::NeedsHuman,
            Code::OWNED_OBJECTS,
            "objects depend on the account that cannot be handed over",
        ),
        "42710" | "23505" | "42P04" => {
            (NotDone, Retry::Backoff, Code::BUSY, "somebody else made it at the same time")
        }
        "22012" => {
            (NotDone, Retry::Backoff, Code::BUSY, "the target changed while it was acted on, or was too slow")
        }
        "40001" | "40P01" | "55P03" | "55006" => {
            (NotDone, Retry::Backoff, Code::BUSY, "another transaction holds a lock")
        }
        "53300" | "53400" => (NotDone, Retry::Backoff, Code::BUSY, "PostgreSQL has no connection left"),
        "53000" | "53100" | "53200" => {
            (NotDone, Retry::Backoff, Code::BUSY, "PostgreSQL is short of disk or memory")
        }
        "25006" => (
            NotDone,
            Retry::Backoff,
            Code::READ_ONLY,
            "PostgreSQL is read-only or a standby: point the integration at the primary",
        ),
        "55000" => (
            NotDone,
            Retry::NeedsHuman,
            Code::TARGET_FAULT,
            "the database or transaction is not in a state for this",
        ),
        "57014" => {
            (NotDone, Retry::Backoff, Code::TIMED_OUT, "PostgreSQL stopped the statement at its time limit")
        }
        "57P03" => (NotDone, Retry::Backoff, Code::UNREACHABLE, "PostgreSQL is starting or stopping"),
        "57P01" | "57P02" | "57P05" => return lost(stage, Code::UNREACHABLE, "PostgreSQL ended the session"),
        "25P03" | "25P04" => {
            return lost(stage, Code::TIMED_OUT, "PostgreSQL ended the session at its time limit");
        }
        "42939" => (Refused, Retry::Never, Code::NAME_REFUSED, "PostgreSQL keeps such names for itself"),
        "22021" | "22P05" => {
            (Refused, Retry::Never, Code::NAME_REFUSED, "a name cannot be written in the database's encoding")
        }
        "42601" | "22023" | "42622" | "42703" | "42P02" | "42804" | "0A000" | "25P02" => (
            Refused,
            Retry::Never,
            Code::DRIVER_FAULT,
            "the driver made a statement that this server does not take",
        ),
        // What `elog` calls an internal error is never translated.
        "XX000" if message == "tuple concurrently updated" || message == "tuple concurrently deleted" => {
            (NotDone, Retry::Backoff, Code::BUSY, "another transaction changed the same row")
        }
        state if state.starts_with("08") => {
            return lost(stage, Code::UNREACHABLE, "the connection to PostgreSQL failed");
        }
        _ => (
            Certainty::Unknown,
            Retry::Backoff,
            Code::TARGET_FAULT,
            "PostgreSQL answered something unforeseen",
        ),
    };
    Failure { certainty, retry, code, detail: format!("{detail} (SQLSTATE {})", plain(state)) }
}

/// A SQLSTATE as it may stand in a message, whatever the target sent in its place.
fn plain(state: &str) -> String {
    state.chars().filter(char::is_ascii_alphanumeric).take(5).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_tells_what_is_known_of_the_target() {
        use Certainty::{NotDone, Refused, Unknown};
        let table = [
            ("wrong password", "28P01", "", Refused, Code::LOGIN_REFUSED),
            ("right missing", "42501", "", Refused, Code::RIGHT_MISSING),
            ("owned objects", "2BP01", "", Refused, Code::OWNED_OBJECTS),
            ("no database", "3D000", "", Refused, Code::RESOURCE_MISSING),
            ("lock", "55P03", "", NotDone, Code::BUSY),
            ("deadlock", "40P01", "", NotDone, Code::BUSY),
            ("full house", "53300", "", NotDone, Code::BUSY),
            ("same row", "XX000", "tuple concurrently updated", NotDone, Code::BUSY),
            ("another internal error", "XX000", "cache lookup failed", Unknown, Code::TARGET_FAULT),
            ("standby", "25006", "", NotDone, Code::READ_ONLY),
            ("shut down at the commit", "57P01", "", Unknown, Code::UNREACHABLE),
            ("nobody knows", "99999", "", Unknown, Code::TARGET_FAULT),
            ("bad statement", "42601", "", Refused, Code::DRIVER_FAULT),
            ("assertion", "22012", "", NotDone, Code::BUSY),
        ];
        for (name, state, message, certainty, code) in table {
            let failure = sorted(state, message, Stage::Lasting);
            assert_eq!((failure.certainty, failure.code), (certainty, code), "{name}");
        }
        assert_eq!(sorted("57P01", "", Stage::Harmless).certainty, NotDone, "nothing was to last");
        assert_eq!(Fault::late(Stage::Lasting).failure.certainty, Unknown);
        assert_eq!(Fault::late(Stage::Harmless).failure.certainty, NotDone);
    }

    #[test]
    fn the_servers_text_is_not_passed_on() {
        let failure = sorted("4'2", "role \"ann\" with SCRAM-SHA-256$…", Stage::Lasting);
        assert!(!failure.detail.contains("ann") && !failure.detail.contains("SCRAM"), "{}", failure.detail);
        assert!(failure.detail.ends_with("(SQLSTATE 42)"), "{}", failure.detail);
    }
}
