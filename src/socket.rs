//! The local socket: where the agent's own commands reach a running agent, also when the control plane
//! does not.
//!
//! A Unix socket in a folder that only the agent's user can enter. Whoever connects is asked who they are:
//! the agent's user or root, nobody else. One question and one answer for each connection, one line of JSON
//! each ([`words`]), with a bound on every size and time. What it promises: an answer that says that
//! something was done comes after it is on disk. What a question means is for the clerk and the engine to
//! say.

pub mod ask;
pub(crate) mod clerk;
mod place;
pub mod words;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use clerk::{Clerk, Peer};
use place::Place;
pub use place::{SocketFault, examine};
use words::{Answer, LARGEST_QUESTION, Question, Why};

/// How many are served at once; who finds no seat waits outside.
const SEATS: usize = 8;
/// How long a question may take to come in whole, and an answer to go out.
const TRANSIT: Duration = Duration::from_secs(5);
/// How long answers under way may take when the agent stops.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The socket, not yet bound.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) path: PathBuf,
    /// The folder is the agent's own by its name: it is closed to others, not refused.
    pub(crate) own_folder: bool,
    pub(crate) clerk: Clerk,
}

impl Socket {
    /// Binds the socket and serves until `stop`; removes it then. May be called again after it failed.
    ///
    /// # Errors
    /// When it cannot be bound, or is lost.
    pub(crate) async fn serve(self: Arc<Self>, stop: CancellationToken) -> Result<(), SocketFault> {
        let (path, own_folder) = (self.path.clone(), self.own_folder);
        let taken = tokio::task::spawn_blocking(move || Place::take(&path, own_folder)).await;
        let place = taken.map_err(|fault| SocketFault::unusable(&self.path, io::Error::other(fault)))??;
        let listener = place.listener().map_err(|fault| SocketFault::unusable(&self.path, fault))?;
        let seats = Arc::new(Semaphore::new(SEATS));
        let mut guests = JoinSet::new();
        loop {
            // The semaphore is never closed.
            let seat = Arc::clone(&seats).acquire_owned().await.ok();
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            while guests.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let clerk = self.clerk.clone();
                    guests.spawn(async move {
                        if let Err(fault) = serve(stream, &clerk).await {
                            tracing::debug!(%fault, "A question on the local socket was not answered");
                        }
                        drop(seat);
                    });
                }
                // Out of descriptors, or a guest that left while waiting: the next one may fare better.
                Err(fault) => {
                    tracing::warn!(%fault, "The local socket could not take a connection");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        // Who has asked gets the answer, if it comes soon.
        let answered = async { while guests.join_next().await.is_some() {} };
        drop(timeout(LAST_ANSWERS, answered).await);
        Ok(())
    }
}

async fn serve(mut stream: UnixStream, clerk: &Clerk) -> io::Result<()> {
    let credentials = stream.peer_cred()?;
    let peer = Peer { user: credentials.uid(), process: credentials.pid() };
    if !peer.is_welcome() {
        let reason = format!("user {} may not ask: only the agent's own user and root may", peer.user);
        return say(&mut stream, &Answer::refused(Why::NotAllowed, reason)).await;
    }
    let mut line = Vec::new();
    let most = u64::try_from(LARGEST_QUESTION + 1).unwrap_or(u64::MAX);
    let mut from = BufReader::new(&mut stream).take(most);
    timeout(TRANSIT, from.read_until(b'\n', &mut line)).await??;
    let answer = match Question::read(&line) {
        Ok(question) => clerk.answer(question, peer).await,
        Err(refusal) => refusal,
    };
    say(&mut stream, &answer).await
}

async fn say<T: Serialize>(stream: &mut UnixStream, answer: &T) -> io::Result<()> {
    let line = words::line(answer).map_err(io::Error::other)?;
    timeout(TRANSIT, async {
        stream.write_all(&line).await?;
        stream.shutdown().await
    })
    .await?
}

#[cfg(test)]
mod tests;
