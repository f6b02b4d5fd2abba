//! Asking a running agent on its local socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::words::{self, Answer, LARGEST_ANSWER, Question};

/// How long question and answer may take together: more than the agent takes at most.
const DEADLINE: Duration = Duration::from_secs(45);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskFault {
    #[error("no agent answers at {}: start it, or name the socket of one that runs with `--set admin.socket=PATH`", .path.display())]
    NoAgent {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} cannot be opened by this user: run the command as the agent's user or as root", .path.display())]
    NotAllowed { path: PathBuf },
    #[error("the agent at {} broke off before it had answered: look at its log", .path.display())]
    BrokenOff {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the agent at {} did not answer within {DEADLINE:?}: look at its log", .path.display())]
    Late { path: PathBuf },
    #[error("what the agent at {} answered cannot be read: use the agent's own build", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: serde_json::Error,
    },
}

/// Asks one question.
///
/// # Errors
/// When nobody answers, not in time, or not in words that this build knows.
pub async fn ask(path: &Path, question: &Question) -> Result<Answer, AskFault> {
    match timeout(DEADLINE, asked(path, question)).await {
        Ok(answer) => answer,
        Err(_) => Err(AskFault::Late { path: path.into() }),
    }
}

async fn asked(path: &Path, question: &Question) -> Result<Answer, AskFault> {
    let mut stream = UnixStream::connect(path).await.map_err(|cause| {
        if cause.kind() == io::ErrorKind::PermissionDenied {
            AskFault::NotAllowed { path: path.into() }
        } else {
            AskFault::NoAgent { path: path.into(), cause }
        }
    })?;
    let unreadable = |cause| AskFault::Unreadable { path: path.into(), cause };
    let broken_off = |cause| AskFault::BrokenOff { path: path.into(), cause };
    let line = words::line(question).map_err(unreadable)?;
    stream.write_all(&line).await.map_err(broken_off)?;
    let mut answer = vec![];
    let most = u64::try_from(LARGEST_ANSWER).unwrap_or(u64::MAX);
    stream.take(most).read_to_end(&mut answer).await.map_err(broken_off)?;
    if answer.is_empty() {
        return Err(broken_off(io::ErrorKind::UnexpectedEof.into()));
    }
    Answer::read(&answer).map_err(unreadable)
}
