//! How the process ends: stable exit codes, and a failure with its causes in one line.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Why the process ended. The numbers are for scripts and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// It could not, for a reason that is none of the others.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration, or a file that it names, is wrong.
    Config = 3,
    /// The identity is missing, exposed or damaged.
    Identity = 4,
    /// The journal is in use, damaged or cannot be written.
    Journal = 5,
    /// The agent is not ready, or a target failed its check.
    NotReady = 6,
    /// Receipts do not verify.
    NotVerified = 7,
    /// Another instance of the connector took over: start this one again, as a standby.
    Superseded = 8,
    /// A second signal ended it before it had stopped in good order.
    AtOnce = 130,
}

impl Exit {
    /// Every code with its meaning, for `--help` and the manual.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Done, "it did what was asked"),
        (Self::Failed, "it could not, for a reason that is none of the others"),
        (Self::Usage, "the command line is wrong"),
        (Self::Config, "the configuration, or a file that it names, is wrong"),
        (Self::Identity, "the identity is missing, exposed or damaged"),
        (Self::Journal, "the journal is in use, damaged or cannot be written"),
        (Self::NotReady, "the agent is not ready, or a target failed its check"),
        (Self::NotVerified, "receipts do not verify"),
        (Self::Superseded, "another instance of the connector took over; started again it stands by"),
        (Self::AtOnce, "a second signal ended it before it had stopped in good order"),
    ];

    /// Returns the number.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Writes a failure and its causes in one line, each once.
pub fn chain(fault: &(dyn Error + 'static)) -> String {
    let mut line = fault.to_string();
    let mut cause = fault.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !line.ends_with(&text) {
            // Writing to a String does not fail.
            write!(line, ": {text}").ok();
        }
        cause = next.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer failed")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the inner failed")]
    struct Inner;

    #[test]
    fn causes_are_told_in_one_line() {
        assert_eq!(chain(&Outer(Inner)), "the outer failed: the inner failed");
        assert_eq!(chain(&Inner), "the inner failed");
    }

    #[test]
    fn codes_are_distinct_and_in_order() {
        let codes: Vec<_> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }
}
