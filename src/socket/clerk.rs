//! The clerk: answers what is asked on the local socket, from what the app and the engine know.

use std::sync::Arc;
use std::time::Duration;

use model::{ConnectorId, InstanceId, IntegrationId, Timestamp};
use rules::book::Which;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::words::{Answer, LONGEST_REASON, Question, Why};
use crate::admin::{Readiness, Report};
use crate::clock::Clock;
use crate::config;
use crate::engine::asked::Asked;
use crate::engine::published::{Desk, Message};
use crate::status::{Ends, Status, Work};
use crate::telemetry::Telemetry;

/// How long the engine may take to answer: it may wait for a slow disk.
const PATIENCE: Duration = Duration::from_secs(20);

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
            Question::Pause { integration } => self.pause(integration, true).await,
            Question::Resume { integration } => self.pause(integration, false).await,
            Question::LogLevel { level } => self.log_level(level.as_deref()),
            Question::WouldClose { which } => {
                let asked = self.ask(|tell| Asked::WouldClose { which: which.clone(), tell }).await;
                known(&which, asked)
            }
            Question::Close { which, reason } => match note(peer, &reason) {
                Err(refusal) => refusal,
                Ok(note) => {
                    let asked = |tell| Asked::Close { which: which.clone(), note, tell };
                    known(&which, self.ask(asked).await)
                }
            },
            Question::Closing { which } => match self.ask(|tell| Asked::Closing { which, tell }).await {
                Some(left) => Answer::Left(left),
                None => busy(),
            },
            Question::CheckNow => {
                let asked = self.ask(|tell| Asked::CheckNow { tell }).await;
                asked.map_or_else(busy, |integrations| Answer::Checking { integrations })
            }
        }
    }

    async fn pause(&self, integration: Option<IntegrationId>, paused: bool) -> Answer {
        let on = integration.clone();
        match self.ask(|tell| Asked::Pause { integration, paused, tell }).await {
            Some(Some(paused)) if paused.recorded => Answer::Paused(paused),
            Some(Some(_)) => Answer::refused(
                Why::NotWritten,
                "the journal did not take it: nothing opens before it can be written again; mend it, then run this again",
            ),
            Some(None) => Answer::refused(Why::NotKnown, unknown(on.as_ref().map_or("", |id| id.as_str()))),
            None => busy(),
        }
    }

    fn log_level(&self, wanted: Option<&str>) -> Answer {
        let word = |level: tracing::Level| level.to_string().to_ascii_lowercase();
        let before = self.telemetry.level();
        let Some(wanted) = wanted else {
            return Answer::LogLevel { level: word(before), before: word(before) };
        };
        let Some(level) = config::level(wanted) else {
            let reason = format!("`{wanted}` is no log level: give error, warn, info, debug or trace");
            return Answer::refused(Why::NotKnown, reason);
        };
        // Told before it may be silenced.
        tracing::info!(level = word(level), before = word(before), "An operator changes the log level");
        match self.telemetry.set_level(level) {
            Ok(()) => Answer::LogLevel { level: word(level), before: word(before) },
            Err(fault) => Answer::refused(Why::NotNow, crate::exit::chain(&fault)),
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
        self.ask(Asked::Look).await
    }

    /// Asks the engine; `None` when it does not answer in time, or is gone.
    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Option<T> {
        let (tell, told) = oneshot::channel();
        let asked = async {
            self.desk.messages.send(Message::Asked(question(tell))).await.ok()?;
            told.await.ok()
        };
        timeout(PATIENCE, asked).await.ok().flatten()
    }
}

fn busy() -> Answer {
    let reason =
        "the engine did not answer: it waits for its disk, or the agent is stopping; look at the log";
    Answer::refused(Why::NotNow, reason)
}

fn known(which: &Which, ends: Option<Option<Ends>>) -> Answer {
    let reason = match which {
        Which::All => return ends.flatten().map_or_else(busy, Answer::Ends),
        Which::Integration(id) => unknown(id.as_str()),
        Which::Access(id) => format!("there is no access `{id}` here that has not ended"),
    };
    match ends {
        Some(Some(ends)) => Answer::Ends(ends),
        Some(None) => Answer::refused(Why::NotKnown, reason),
        None => busy(),
    }
}

fn unknown(integration: &str) -> String {
    format!("there is no integration `{integration}`: `tidegate status` lists those that are known")
}

/// Says who breaks the glass, and why, in one line.
fn note(peer: Peer, reason: &str) -> Result<String, Answer> {
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > LONGEST_REASON {
        let told = format!("the reason has {} bytes: give one of 1 to {LONGEST_REASON}", reason.len());
        return Err(Answer::refused(Why::NotUnderstood, told));
    }
    let line: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Ok(format!("user {}: {line}", peer.user))
}
