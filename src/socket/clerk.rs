//! The clerk: answers what is asked on the local socket, from what the app and the engine know.

use std::sync::Arc;
use std::time::Duration;

use model::{ConnectorId, InstanceId, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::words::{Answer, Question};
use crate::admin::{Readiness, Report};
use crate::clock::Clock;
use crate::engine::asked::Asked;
use crate::engine::published::{Desk, Message};
use crate::status::{Status, Work};
use crate::telemetry::Telemetry;

/// How long the engine may take to tell how it stands: it may wait for a slow disk.
const LOOK: Duration = Duration::from_secs(10);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) user: u32,
    pub(crate) process: Option<i32>,
}

impl Peer {
    /// The agent's own user and root may ask.
    pub(crate) fn is_welcome(self) -> bool {
        self.user == rustix::process::geteuid().as_raw() || self.user == 0
    }
}

/// What the clerk knows and whom it asks. Copies are the same clerk.
#[derive(Clone)]
pub(crate) struct Clerk {
    pub(crate) connector: ConnectorId,
    pub(crate) instance: InstanceId,
    pub(crate) started: Timestamp,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) desk: Desk,
    pub(crate) readiness: watch::Receiver<Readiness>,
    pub(crate) telemetry: Telemetry,
}

impl std::fmt::Debug for Clerk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clerk").field("connector", &self.connector).finish_non_exhaustive()
    }
}

impl Clerk {
    /// Answers a question of somebody who may ask.
    pub(super) async fn answer(&self, question: Question, peer: Peer) -> Answer {
        tracing::debug!(user = peer.user, process = peer.process, ?question, "Asked on the local socket");
        match question {
            Question::Status => Answer::Status(Box::new(self.status().await)),
        }
    }

    async fn status(&self) -> Status {
        let work = self.work().await;
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            connector: self.connector.clone(),
            instance: self.instance,
            process: std::process::id(),
            started: self.started,
            now: self.clock.wall(),
            log_level: self.telemetry.level().to_string().to_ascii_lowercase(),
            report: Report::from(self.readiness.borrow().clone()),
            work,
        }
    }

    async fn work(&self) -> Option<Work> {
        let (tell, told) = oneshot::channel();
        let asked = async {
            self.desk.messages.send(Message::Asked(Asked::Look(tell))).await.ok()?;
            told.await.ok()
        };
        timeout(LOOK, asked).await.ok().flatten()
    }
}
