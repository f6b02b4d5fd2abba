//! The guardrails' file: read, looked at again and again, and handed to the engine.
//!
//! What it promises: a file that cannot be had, or that somebody other than its owner could have written, is a
//! fault that is told and lets nothing open; never the policies of before, never none.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use guardrails::{LoadFault, MOST_BYTES, Policies};
use model::ConnectorId;
use rules::{Guard, Guardrails as _, Living};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::engine::published::Message;
use crate::exit::chain;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Mode bits of everybody but the owner.
const OTHERS_WRITE: u32 = 0o022;

/// Why there are no guardrails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardrailsFault {
    #[error("the guardrails {} cannot be read: put the file there, for the agent's user", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the guardrails {} are not a plain file: name the file itself", .path.display())]
    NotAFile { path: PathBuf },
    #[error("the guardrails {} can be written by others than their owner (mode {mode:04o}): run `chmod go-w {}`, and read what they say", .path.display(), .path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the guardrails {} are not text in UTF-8: write them anew", .path.display())]
    NotText { path: PathBuf },
    #[error("the guardrails {} are refused", .path.display())]
    Refused {
        path: PathBuf,
        #[source]
        cause: LoadFault,
    },
}

/// Reads a file's policies. Blocks on the disk.
///
/// # Errors
/// When it is not there, open to others, or makes no sense.
pub(crate) fn read(connector: &ConnectorId, from: &config::Guardrails) -> Result<Policies, GuardrailsFault> {
    let text = text(&from.file)?;
    Policies::parse(connector, &text, &from.time_zone)
        .map_err(|cause| GuardrailsFault::Refused { path: from.file.clone(), cause })
}

fn text(path: &Path) -> Result<String, GuardrailsFault> {
    let unreadable = |cause| GuardrailsFault::Unreadable { path: path.into(), cause };
    // Looked at before it is opened: opening a pipe would wait.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(GuardrailsFault::NotAFile { path: path.into() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(GuardrailsFault::Exposed { path: path.into(), mode });
    }
    let mut bytes = vec![];
    // One byte more than is allowed, so that too much is seen to be too much.
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| GuardrailsFault::NotText { path: path.into() })
}

/// Where the guardrails are read, again and again.
#[derive(Clone)]
pub(crate) struct Watch {
    connector: ConnectorId,
    from: config::Guardrails,
    /// Rung when somebody wants it looked at now.
    ring: Arc<Notify>,
    /// What the first look came to.
    seen: Option<Found>,
}

impl Watch {
    pub(crate) fn new(connector: ConnectorId, from: config::Guardrails, ring: Arc<Notify>) -> Self {
        Self { connector, from, ring, seen: None }
    }

    /// Reads them for the first time, and says so in the log.
    pub(crate) async fn first(&mut self) -> Guard {
        let found = self.look().await;
        tell(&found);
        self.seen.insert(found).guard(self.from.living)
    }

    async fn look(&self) -> Found {
        let watch = self.clone();
        match tokio::task::spawn_blocking(move || read(&watch.connector, &watch.from)).await {
            Ok(Ok(policies)) => Found::Read(Arc::new(policies)),
            Ok(Err(fault)) => Found::Broken(chain(&fault)),
            Err(fault) => Found::Broken(format!("reading the guardrails broke off: {fault}")),
        }
    }

    /// Hands on what changes, until it is stopped.
    pub(crate) async fn run(self, messages: mpsc::Sender<Message>, stop: CancellationToken) {
        // What a worker that is begun again had handed on is not known here: then it hands on once too often.
        let mut last = self.seen.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.ring.notified() => {}
            }
            let found = self.look().await;
            if last.as_ref() == Some(&found) {
                continue;
            }
            tell(&found);
            if messages.send(Message::Guard(found.guard(self.from.living))).await.is_err() {
                return;
            }
            last = Some(found);
        }
    }
}

/// What a look came to.
#[derive(Debug, Clone)]
enum Found {
    Read(Arc<Policies>),
    Broken(String),
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Read(one), Self::Read(another)) => one.digest() == another.digest(),
            (Self::Broken(one), Self::Broken(another)) => one == another,
            (Self::Read(_), Self::Broken(_)) | (Self::Broken(_), Self::Read(_)) => false,
        }
    }
}

impl Found {
    fn guard(&self, living: Living) -> Guard {
        match self {
            Self::Read(policies) => {
                let guardrails = Arc::clone(policies) as Arc<dyn rules::Guardrails>;
                Guard::On { guardrails, living }
            }
            Self::Broken(reason) => Guard::Broken { reason: reason.clone() },
        }
    }
}

fn tell(found: &Found) {
    match found {
        Found::Read(policies) => tracing::info!(
            policies = policies.list().len(),
            digest = policies.digest(),
            "Guardrails are in force"
        ),
        Found::Broken(fault) => {
            tracing::error!(
                fault,
                "The guardrails cannot be used: nothing opens until they can; closing goes on"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn only_a_whole_file_that_nobody_else_can_write_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("guardrails.cedar");
        let connector = ConnectorId::parse("c").unwrap();
        let good = b"@id(\"all\") permit (principal, action, resource);";
        let table: [(&str, &[u8], u32, &str); 7] = [
            ("good", good, 0o600, ""),
            ("others may read", good, 0o444, ""),
            (
                "group may write",
                good,
                0o664,
                "can be written by others than their owner (mode 0664): run `chmod go-w",
            ),
            ("all may write", good, 0o606, "can be written by others"),
            ("not text", &[0xff, 0xfe], 0o600, "not text in UTF-8"),
            ("empty", b"", 0o600, "without one that permits"),
            ("too long", &[b' '; MOST_BYTES + 10], 0o600, "make them shorter"),
        ];
        let from = config::Guardrails { file: file.clone(), time_zone: "UTC".into(), living: Living::Ends };
        for (name, content, mode, expected) in table {
            fs::remove_file(&file).ok();
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let told = read(&connector, &from).map_err(|fault| chain(&fault)).err().unwrap_or_default();
            assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{name}: {told}");
        }
        fs::remove_file(&file).unwrap();
        assert!(matches!(read(&connector, &from), Err(GuardrailsFault::Unreadable { .. })));
        let from = config::Guardrails { file: dir.path().into(), ..from };
        assert!(matches!(read(&connector, &from), Err(GuardrailsFault::NotAFile { .. })));
    }
}
