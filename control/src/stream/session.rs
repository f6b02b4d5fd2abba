//! One session with one agent: admission, greeting, and how it ends. What is said in between is in `talk`.

mod talk;

use std::net::IpAddr;
use std::time::Duration;

use model::{ConnectorId, Span};
use proto::v1::agent_message::Message as FromAgent;
use proto::v1::control_message::Message as ToAgent;
use proto::v1::{AgentMessage, ControlMessage, GoodbyeReason};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use self::talk::Talk;
use super::convert;
use crate::bells::Bell;
use crate::changes::Who;
use crate::changes::sessions::{self, Greeting};
use crate::office::Office;
use crate::refusal::Refusal;
use crate::rules::hello::Hello;
use crate::rules::pace::Pace;

/// How long an agent may take to say hello.
const GREETING: Duration = Duration::from_secs(10);
/// How long a message may wait for the agent to read.
const SENDING: Duration = Duration::from_secs(15);
/// When an agent may dial again after a refusal that passes.
const SOON: Span = Span::from_secs(5);

/// Why a session ends from this side.
#[derive(Debug)]
struct End {
    reason: GoodbyeReason,
    detail: String,
    wait: Option<Span>,
    /// The agent cannot be told any more.
    gone: bool,
}

impl End {
    fn malformed(detail: impl Into<String>) -> Self {
        Self { reason: GoodbyeReason::Malformed, detail: detail.into(), wait: None, gone: false }
    }

    fn gone(detail: impl Into<String>) -> Self {
        Self { reason: GoodbyeReason::Unspecified, detail: detail.into(), wait: None, gone: true }
    }

    fn passing(reason: GoodbyeReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), wait: Some(SOON), gone: false }
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::passing(GoodbyeReason::Overloaded, refusal.to_string())
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::gone(format!("the stream broke: {}", status.message()))
    }
}

/// A session that was admitted and has not said hello.
pub(super) struct Session {
    office: Office,
    connector: ConnectorId,
    who: Who,
    out: mpsc::Sender<Result<ControlMessage, Status>>,
}

impl Session {
    pub(super) fn new(
        office: Office,
        connector: ConnectorId,
        origin: Option<IpAddr>,
        out: mpsc::Sender<Result<ControlMessage, Status>>,
    ) -> Self {
        let who = Who::agent(connector.clone(), origin);
        Self { office, connector, who, out }
    }

    /// Holds the session until it ends.
    pub(super) async fn run(self, mut from: Streaming<AgentMessage>) {
        let (end, greeted) = match self.greet(&mut from).await {
            Ok(mut talk) => (talk.hold(&mut from).await, true),
            Err(end) => (end, false),
        };
        tracing::info!(connector = %self.connector, why = end.detail, "An agent's session ended");
        if !end.gone {
            let last = convert::goodbye(end.reason, &end.detail, end.wait);
            self.send(last).await.ok();
        }
        if greeted {
            let (connector, heard, why) = (self.connector.clone(), self.office.now(), end.detail);
            let noted = self
                .office
                .write(self.who.clone(), move |deed| {
                    Box::pin(async move { sessions::left(deed, &connector, heard, &why).await })
                })
                .await;
            if let Err(fault) = noted {
                tracing::warn!(error = %fault, "The end of a session could not be noted");
            }
        }
    }

    async fn send(&self, message: ToAgent) -> Result<(), End> {
        let message = ControlMessage { message: Some(message) };
        match tokio::time::timeout(SENDING, self.out.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::gone("the agent left")),
            Err(_) => Err(End::gone("the agent does not read")),
        }
    }

    async fn greet(&self, from: &mut Streaming<AgentMessage>) -> Result<Talk<'_>, End> {
        let first = tokio::select! {
            first = tokio::time::timeout(GREETING, from.message()) => first,
            () = self.office.stopping.cancelled() => {
                return Err(End::passing(GoodbyeReason::Stopping, "the control plane is stopping"));
            }
        };
        let first = first.map_err(|_| End::malformed("no Hello came in time"))??;
        let Some(AgentMessage { message: Some(FromAgent::Hello(hello)) }) = first else {
            return Err(End::malformed("the first message is not Hello"));
        };
        let hello = convert::hello(hello).map_err(|fault| End::malformed(fault.to_string()))?;
        if hello.connector != self.connector {
            let detail = format!("the token is not the connector `{}`'s", hello.connector);
            return Err(End::malformed(detail));
        }
        let (oldest, newest) = hello.protocols;
        if !(oldest..=newest).contains(&proto::PROTOCOL) {
            let detail = format!("this control plane speaks protocol {}", proto::PROTOCOL);
            return Err(End { reason: GoodbyeReason::Protocol, ..End::malformed(detail) });
        }
        let place = self.office.alive.enter(&self.connector, hello.instance, hello.epoch, self.office.now());
        let place = place.map_err(|instance| {
            let detail = format!(
                "instance {instance} of the connector `{}` is connected: one connector runs one active instance",
                self.connector
            );
            End::passing(GoodbyeReason::Duplicate, detail)
        })?;
        // From here on a ring is heard; what was written before is found by looking.
        let bell = self.office.bells.listen(Bell::Connector(self.connector.clone()));
        let journal = hello.journal;
        let greeting = self.greeting(hello).await?;
        self.send(convert::welcome(&greeting, self.office.now(), self.office.limits.heartbeat)).await?;
        tracing::info!(connector = %self.connector, "An agent is connected");
        let committed = greeting.committed.get(&journal).copied().unwrap_or_default();
        Ok(Talk {
            session: self,
            place,
            bell,
            journal,
            log: greeting.log.incarnation,
            last_order: greeting.log.last,
            sent: greeting.from,
            taken: greeting.from,
            noted: greeting.from,
            committed,
            standing_asked: greeting.standing.then_some(false),
            standing_ready: None,
            misreads: 0,
            look: true,
            heard: None,
            heard_at: Instant::now(),
            pace: Pace::default(),
        })
    }

    async fn greeting(&self, hello: Hello) -> Result<Greeting, End> {
        let greeting = self
            .office
            .write(self.who.clone(), move |deed| Box::pin(async move { sessions::greet(deed, hello).await }))
            .await?;
        Ok(greeting)
    }
}
