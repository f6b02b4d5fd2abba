//! The service that agents dial: admission, then one task a session.

use async_trait::async_trait;
use model::Span;
use proto::limits;
use proto::v1::connector_service_server::{ConnectorService, ConnectorServiceServer};
use proto::v1::{AgentMessage, ControlMessage, GoodbyeReason};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::convert;
use super::session::Session;
use crate::changes::sessions::{Admission, admission};
use crate::office::Office;

/// Sessions that may be alive at a time.
const MOST_SESSIONS: usize = 10_000;
/// Messages that wait to be sent in one session.
const WAITING: usize = 64;
/// Longer texts are no tokens.
const LONGEST_TOKEN: usize = 256;
/// When a revoked agent may ask again, in case an operator changed it.
const REVOKED_WAIT: Span = Span::from_mins(5);

/// The agents' side of the house.
#[derive(Clone)]
pub struct Agents {
    office: Office,
    sessions: TaskTracker,
}

impl Agents {
    /// Opens the house to agents.
    pub fn new(office: Office) -> Self {
        Self { office, sessions: TaskTracker::new() }
    }

    /// Returns the service, with the wire's own limits.
    pub fn service(&self) -> ConnectorServiceServer<Self> {
        ConnectorServiceServer::new(self.clone())
            .max_decoding_message_size(limits::MESSAGE_BYTES)
            .max_encoding_message_size(limits::MESSAGE_BYTES)
    }

    /// Waits until every session has ended; they end when the office stops.
    pub async fn ended(&self) {
        self.sessions.close();
        self.sessions.wait().await;
    }

    async fn admit<T>(&self, request: &Request<T>) -> Result<Admission, Status> {
        let origin = request.remote_addr().map(|address| address.ip().to_canonical());
        let refused = || Status::unauthenticated("the token is missing or not taken");
        let token = request.metadata().get("authorization").and_then(|text| text.to_str().ok());
        let token = token.and_then(|text| text.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token);
        let token = token.filter(|token| token.len() <= LONGEST_TOKEN).ok_or_else(refused)?;
        let busy = |fault: crate::store::StoreFault| Status::unavailable(fault.to_string());
        let mut rows = self.office.read().await.map_err(busy)?;
        let admission = admission(rows.as_mut(), token, self.office.now()).await.map_err(busy)?;
        if admission == Admission::Unknown {
            let Some(origin) = origin else { return Err(refused()) };
            let wait = self.office.throttled(origin);
            self.office.missed(origin);
            return Err(wait.map_or_else(refused, |wait| {
                Status::resource_exhausted(format!("too many wrong tokens from this address: wait {wait}"))
            }));
        }
        Ok(admission)
    }
}

#[async_trait]
impl ConnectorService for Agents {
    type ConnectStream = ReceiverStream<Result<ControlMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        if self.office.stopping.is_cancelled() {
            return Err(Status::unavailable("the control plane is stopping"));
        }
        if self.sessions.len() >= MOST_SESSIONS {
            return Err(Status::resource_exhausted("too many agents are connected: try again later"));
        }
        let admission = self.admit(&request).await?;
        let origin = request.remote_addr().map(|address| address.ip().to_canonical());
        let (out, answers) = mpsc::channel(WAITING);
        match admission {
            Admission::Unknown => return Err(Status::unauthenticated("the token is missing or not taken")),
            Admission::Revoked(connector) => {
                tracing::info!(%connector, "Refused a revoked connector");
                let detail = "the connector is revoked";
                let last = convert::goodbye(GoodbyeReason::Revoked, detail, Some(REVOKED_WAIT));
                // The channel is empty and has room.
                out.try_send(Ok(ControlMessage { message: Some(last) })).ok();
            }
            Admission::Taken(connector) => {
                let session = Session::new(self.office.clone(), connector, origin, out);
                self.sessions.spawn(session.run(request.into_inner()));
            }
        }
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
