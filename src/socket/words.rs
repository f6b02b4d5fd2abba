//! What is said on the local socket: one line of JSON each way, with the version of these words.
//!
//! Words are only added. A question that this build does not know is refused, and says so: the command may
//! be newer than the agent that still runs.

use serde::{Deserialize, Serialize};

use model::IntegrationId;
use rules::book::Which;

use crate::status::{Ends, Left, Paused, Status};

/// The version of these words.
pub const VERSION: u32 = 1;
/// The largest question, in bytes.
pub const LARGEST_QUESTION: usize = 64 * 1024;
/// The longest reason of an operator, in bytes.
pub const LONGEST_REASON: usize = 1024;
/// The largest answer, in bytes.
pub const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Question {
    /// How does everything stand?
    Status,
    /// Stop opening, on one integration or on all.
    Pause { integration: Option<IntegrationId> },
    /// Allow it again.
    Resume { integration: Option<IntegrationId> },
    /// What is the log level, or make it this one.
    LogLevel { level: Option<String> },
    /// What would breaking the glass end?
    WouldClose { which: Which },
    /// End these accesses, for good and whatever the control plane says.
    Close { which: Which, reason: String },
    /// What of these is being ended and not seen ended yet?
    Closing { which: Which },
    /// Look at every target now.
    CheckNow,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    Status(Box<Status>),
    Paused(Paused),
    LogLevel {
        level: String,
        before: String,
    },
    /// What would end, or what ends now.
    Ends(Ends),
    Left(Left),
    /// So many targets are looked at now.
    Checking {
        integrations: u64,
    },
    /// Nothing was changed.
    Refused {
        why: Why,
        reason: String,
    },
}

/// Why a question is refused, as far as a command's exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Whoever asks is neither the agent's user nor root.
    NotAllowed,
    /// The agent does not understand the question.
    NotUnderstood,
    /// What is named is not known here.
    NotKnown,
    /// The journal does not take it.
    NotWritten,
    /// The agent did not come to it in time, or is stopping.
    NotNow,
}

#[derive(Debug, Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    said: T,
}

impl Question {
    /// Reads a question from its line.
    ///
    /// # Errors
    /// The answer to one that cannot be read.
    pub fn read(line: &[u8]) -> Result<Self, Answer> {
        let refused = |reason: String| Answer::refused(Why::NotUnderstood, reason);
        if line.len() > LARGEST_QUESTION {
            return Err(refused(format!("the question has more than {LARGEST_QUESTION} bytes")));
        }
        let version = env!("CARGO_PKG_VERSION");
        match read::<Self>(line) {
            Ok(Versioned { v: VERSION, said }) => Ok(said),
            Ok(Versioned { v, .. }) => Err(refused(format!(
                "the question is in version {v} of the words and this agent ({version}) knows {VERSION}: use the agent's own build"
            ))),
            Err(fault) => Err(refused(format!(
                "the question cannot be read by this agent ({version}): use its own build ({fault})"
            ))),
        }
    }
}

impl Answer {
    /// Reads an answer from its line.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        read::<Self>(line).map(|versioned| versioned.said)
    }

    /// Refuses.
    pub fn refused(why: Why, reason: impl Into<String>) -> Self {
        Self::Refused { why, reason: reason.into() }
    }
}

fn read<T: for<'de> Deserialize<'de>>(line: &[u8]) -> Result<Versioned<T>, serde_json::Error> {
    serde_json::from_slice(line)
}

/// Returns what is said as a line, with its version.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn line<T: Serialize>(said: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(&Versioned { v: VERSION, said })?;
    line.push(b'\n');
    Ok(line)
}
