//! Dialling out: one TLS connection to the control plane, with the connector's token on the call.

use std::path::PathBuf;
use std::time::Duration;

use model::{ConnectorId, Secret};
use proto::{limits, v1};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use tonic::{Request, Streaming};

use crate::config::{ControlPlane, token};

/// Messages that wait for the wire.
const WAITING: usize = 64;
/// HTTP/2 keepalive: a dead path is noticed within the sum of both.
const KEEPALIVE: Duration = Duration::from_secs(8);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(5);

/// Why no session came about, or why one ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkFault {
    #[error("the CA file `{path}` cannot be read: name a readable PEM file in `control_plane.ca_file`")]
    Ca {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("the token cannot be used: {reason}")]
    Token { reason: String },
    #[error("the control plane cannot be reached")]
    Unreachable(#[source] tonic::transport::Error),
    #[error("the control plane refused the session: {}", .0.message())]
    Refused(#[source] Box<tonic::Status>),
    #[error("the control plane did not answer in {0:?}")]
    NoAnswer(Duration),
    #[error("the control plane broke the rules of a session: {0}")]
    Malformed(String),
    #[error("the control plane said goodbye ({reason}): {detail}")]
    Goodbye { reason: &'static str, detail: String, retry_after: Option<Duration> },
    #[error("nothing was heard for {0:?}")]
    Silence(Duration),
    #[error("the connection ended")]
    Ended,
    #[error("the session begins anew: {0}")]
    Anew(&'static str),
    #[error("the agent is stopping")]
    Stopping,
}

/// Both directions of a session.
pub(crate) struct Line {
    pub(crate) out: mpsc::Sender<v1::AgentMessage>,
    pub(crate) inward: Streaming<v1::ControlMessage>,
}

/// Dials and opens the stream with its first message.
///
/// # Errors
/// What kept it from coming about.
pub(crate) async fn dial(
    settings: &ControlPlane,
    token_file: &std::path::Path,
    connector: &ConnectorId,
    hello: v1::AgentMessage,
) -> Result<Line, LinkFault> {
    let patience = settings.connect_deadline;
    let token = token::read(token_file).map_err(|fault| LinkFault::Token { reason: fault.to_string() })?;
    let opening = open(settings, &token, connector, hello);
    tokio::time::timeout(patience, opening).await.unwrap_or(Err(LinkFault::NoAnswer(patience)))
}

async fn open(
    settings: &ControlPlane,
    token: &Secret,
    connector: &ConnectorId,
    hello: v1::AgentMessage,
) -> Result<Line, LinkFault> {
    let mut endpoint = Endpoint::from(settings.url.clone())
        .connect_timeout(settings.connect_deadline)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        .keep_alive_while_idle(true)
        .tcp_keepalive(Some(KEEPALIVE))
        .tcp_nodelay(true);
    if settings.url.scheme_str() == Some("https") {
        let tls = match &settings.ca_file {
            Some(path) => {
                let read = tokio::fs::read(path).await;
                let pem = read.map_err(|cause| LinkFault::Ca { path: path.clone(), cause })?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
            None => ClientTlsConfig::new().with_native_roots(),
        };
        endpoint = endpoint.tls_config(tls).map_err(LinkFault::Unreachable)?;
    }
    let channel = endpoint.connect().await.map_err(LinkFault::Unreachable)?;
    let mut client = v1::connector_service_client::ConnectorServiceClient::new(channel)
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES);
    let (out, waiting) = mpsc::channel(WAITING);
    out.send(hello).await.map_err(|_| LinkFault::Ended)?;
    let mut request = Request::new(ReceiverStream::new(waiting));
    request.metadata_mut().insert("authorization", bearer(token)?);
    if let Ok(value) = connector.as_str().parse() {
        request.metadata_mut().insert("tidegate-connector", value);
    }
    let answer = client.connect(request).await.map_err(|status| LinkFault::Refused(Box::new(status)))?;
    Ok(Line { out, inward: answer.into_inner() })
}

fn bearer(token: &Secret) -> Result<MetadataValue<tonic::metadata::Ascii>, LinkFault> {
    let unfit =
        |_| LinkFault::Token { reason: "it has characters that no token has: write the file anew".into() };
    let text = model::Secret::new(format!("Bearer {}", token.expose()));
    let mut value: MetadataValue<_> = text.expose().parse().map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}
