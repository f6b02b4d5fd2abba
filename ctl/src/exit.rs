//! How a command ends: stable codes that scripts may rely on.

use std::process::ExitCode;

/// The last word to the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Ok,
    /// The server, the network or this machine did not do it.
    Failed,
    /// The command line, or a file that it names, is wrong.
    Usage,
    /// Not logged in, or not allowed.
    Denied,
    NotFound,
    /// What was waited for did not happen in time.
    TimedOut,
    /// The access was rejected, refused, failed or ended instead of what was waited for.
    Access,
    /// Ended by this signal, which was passed on.
    Signal(u8),
}

impl Exit {
    /// Returns the code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::NotFound => 4,
            Self::TimedOut => 5,
            Self::Access => 6,
            Self::Signal(number) => 128_u8.saturating_add(number),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  the server, the network or this machine did not do it
  2  the command line, or a file that it names, is wrong
  3  not logged in, or not allowed
  4  not found
  5  what was waited for did not happen in time
  6  the access was rejected, refused, failed, or ended before it was active
  128+n  ended by signal n (connect)";
