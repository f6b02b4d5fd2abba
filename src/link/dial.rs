//! Dialling out: one TLS connection to the control plane, with the connector's token on the call.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{ConnectorId, Secret};
use proto::{limits, v1};
use rustls::CertificateError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Uri};
use tonic::{Request, Status, Streaming};

use super::proxy::{ProxyFault, tunnel};
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
    #[error("the control plane cannot be reached through the proxy")]
    Proxy(#[source] Box<ProxyFault>),
    #[error("the control plane at {url} (`control_plane.url`) cannot be reached")]
    Unreachable {
        url: String,
        #[source]
        cause: tonic::transport::Error,
    },
    #[error(
        "the certificate of the control plane at {url} is of no authority that {by}: name the PEM file of its authority in `control_plane.ca_file`"
    )]
    Untrusted {
        url: String,
        by: String,
        #[source]
        cause: tonic::transport::Error,
    },
    #[error(
        "the control plane takes no session with the token in {} (`token_file`): make a new one with `tidegatectl connectors rotate-token {connector} --token-file FILE` and put it there ({reason})", .file.display()
    )]
    TokenRefused { file: PathBuf, connector: ConnectorId, reason: String },
    #[error("the control plane has revoked the connector: {0}")]
    Revoked(String),
    #[error(
        "what answers there is no control plane's service for connectors: correct `control_plane.url`; `tidegate-control serve` listens for connectors where --grpc says, not where --http says ({0})"
    )]
    NoService(String),
    #[error("the control plane refused the session: {0}")]
    Refused(String),
    #[error("the connection to the control plane broke off ({0})")]
    Broken(String),
    #[error("the control plane did not answer in {0:?}")]
    NoAnswer(Duration),
    #[error("the control plane broke the rules of a session: {0}")]
    Malformed(String),
    #[error("the control plane said goodbye ({reason}): {detail}")]
    Goodbye { reason: String, detail: String, retry_after: Option<Duration> },
    #[error("nothing was heard for {0:?}")]
    Silence(Duration),
    #[error("the connection ended")]
    Ended,
    #[error("the session begins anew: {0}")]
    Anew(&'static str),
    #[error("the agent is stopping")]
    Stopping,
}

impl LinkFault {
    /// Whether it lasts until a person beside the agent, or beside the control plane, does something about it.
    pub(crate) const fn needs_person(&self) -> bool {
        match self {
            Self::Ca { .. } | Self::Token { .. } | Self::TokenRefused { .. } | Self::Revoked(_) => true,
            Self::Proxy(fault) => matches!(**fault, ProxyFault::Login(_)),
            Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NoService(_)
            | Self::Refused(_)
            | Self::Broken(_)
            | Self::NoAnswer(_)
            | Self::Malformed(_)
            | Self::Goodbye { .. }
            | Self::Silence(_)
            | Self::Ended
            | Self::Anew(_)
            | Self::Stopping => false,
        }
    }
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
    token_file: &Path,
    connector: &ConnectorId,
    hello: v1::AgentMessage,
) -> Result<Line, LinkFault> {
    let patience = settings.connect_deadline;
    let opening = async {
        let (out, waiting) = mpsc::channel(WAITING);
        out.send(hello).await.map_err(|_| LinkFault::Ended)?;
        let inward = open(settings, token_file, connector, waiting).await?;
        Ok(Line { out, inward })
    };
    tokio::time::timeout(patience, opening).await.unwrap_or(Err(LinkFault::NoAnswer(patience)))
}

/// Looks once whether a session would come about: dials, and shows the token, without a word of its own. A session
/// that stands is not disturbed.
///
/// # Errors
/// What would keep it from coming about.
pub(crate) async fn look(
    settings: &ControlPlane,
    token_file: &Path,
    connector: &ConnectorId,
) -> Result<(), LinkFault> {
    let patience = settings.connect_deadline;
    let looking = async {
        // Nothing is said: the other side ends a session that does not begin.
        let (_, nothing) = mpsc::channel(1);
        let mut inward = open(settings, token_file, connector, nothing).await?;
        // Some say only now that there is nothing here.
        let said = inward.message().await.map_err(|status| ended_by(&status))?;
        let said = said.and_then(|said| said.message);
        match said {
            Some(v1::control_message::Message::Goodbye(last))
                if last.reason() == v1::GoodbyeReason::Revoked =>
            {
                Err(LinkFault::Revoked(last.detail))
            }
            _ => Ok(()),
        }
    };
    tokio::time::timeout(patience, looking).await.unwrap_or(Err(LinkFault::NoAnswer(patience)))
}

async fn open(
    settings: &ControlPlane,
    token_file: &Path,
    connector: &ConnectorId,
    waiting: mpsc::Receiver<v1::AgentMessage>,
) -> Result<Streaming<v1::ControlMessage>, LinkFault> {
    let token = token::read(token_file).map_err(|fault| LinkFault::Token { reason: fault.to_string() })?;
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
        endpoint = endpoint.tls_config(tls).map_err(|cause| unreachable(settings, cause))?;
    }
    let channel = match &settings.proxy {
        None => endpoint.connect().await,
        Some(proxy) => {
            let tunnel = tunnel(proxy, &settings.url).await;
            let tunnel = tunnel.map_err(|fault| LinkFault::Proxy(Box::new(fault)))?;
            // One tunnel, one session: the next session makes its own.
            let mut tunnel = Some(tunnel);
            let connector = tower::service_fn(move |_: Uri| {
                let tunnel = tunnel.take();
                async move { tunnel.ok_or_else(|| io::Error::other("the tunnel was used up")) }
            });
            endpoint.connect_with_connector(connector).await
        }
    };
    let channel = channel.map_err(|cause| unreachable(settings, cause))?;
    let mut client = v1::connector_service_client::ConnectorServiceClient::new(channel)
        .max_decoding_message_size(limits::MESSAGE_BYTES)
        .max_encoding_message_size(limits::MESSAGE_BYTES);
    let mut request = Request::new(ReceiverStream::new(waiting));
    request.metadata_mut().insert("authorization", bearer(&token)?);
    if let Ok(value) = connector.as_str().parse() {
        request.metadata_mut().insert("tidegate-connector", value);
    }
    let answer = client.connect(request).await.map_err(|status| {
        if status.code() == tonic::Code::Unauthenticated {
            let reason = status.message().to_owned();
            LinkFault::TokenRefused { file: token_file.into(), connector: connector.clone(), reason }
        } else {
            ended_by(&status)
        }
    })?;
    // A web server's page would be told as a broken message.
    let kind = answer.metadata().get("content-type").and_then(|kind| kind.to_str().ok());
    if let Some(kind) = kind.filter(|kind| !kind.starts_with("application/grpc")) {
        return Err(LinkFault::NoService(format!("it answers with {kind}")));
    }
    Ok(answer.into_inner())
}

/// Tells a connection that broke from a refusal in the other side's words.
pub(super) fn ended_by(status: &Status) -> LinkFault {
    if status.code() == tonic::Code::Unimplemented {
        return LinkFault::NoService(status.message().to_owned());
    }
    let Some(mut cause) = status.source() else { return LinkFault::Refused(status.message().to_owned()) };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    LinkFault::Broken(cause.to_string())
}

/// Tells a certificate of an unknown authority from everything else that keeps a connection from coming about.
fn unreachable(settings: &ControlPlane, cause: tonic::transport::Error) -> LinkFault {
    let url = settings.url.to_string();
    if !is_untrusted(&cause) {
        return LinkFault::Unreachable { url, cause };
    }
    let by = match &settings.ca_file {
        Some(path) => format!("{} names", path.display()),
        None => "this system trusts".into(),
    };
    LinkFault::Untrusted { url, by, cause }
}

fn is_untrusted(fault: &(dyn Error + 'static)) -> bool {
    let mut next = Some(fault);
    while let Some(fault) = next {
        // An I/O error hides the one that it carries from `source`.
        let carried = fault.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = match carried {
            Some(carried) => carried.downcast_ref::<rustls::Error>(),
            None => fault.downcast_ref::<rustls::Error>(),
        };
        if let Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) = tls
        {
            return true;
        }
        next = fault.source();
    }
    false
}

fn bearer(token: &Secret) -> Result<MetadataValue<tonic::metadata::Ascii>, LinkFault> {
    let unfit =
        |_| LinkFault::Token { reason: "it has characters that no token has: write the file anew".into() };
    let text = model::Secret::new(format!("Bearer {}", token.expose()));
    let mut value: MetadataValue<_> = text.expose().parse().map_err(unfit)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_told_from_a_refusal() {
        let told = |status: &Status| ended_by(status).to_string();
        assert_eq!(
            told(&Status::resource_exhausted("too many agents")),
            "the control plane refused the session: too many agents"
        );
        let broken = Status::from_error(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)));
        assert_eq!(told(&broken), "the connection to the control plane broke off (connection reset)");
    }

    #[test]
    fn an_unknown_authority_is_told_from_other_faults() {
        use rustls::Error::InvalidCertificate;
        let table = [
            ("unknown", InvalidCertificate(CertificateError::UnknownIssuer), true),
            ("another of the same name", InvalidCertificate(CertificateError::BadSignature), true),
            ("expired", InvalidCertificate(CertificateError::Expired), false),
            ("another fault", rustls::Error::HandshakeNotComplete, false),
        ];
        for (name, fault, expected) in table {
            assert_eq!(is_untrusted(&io::Error::other(fault.clone())), expected, "{name}, carried");
            assert_eq!(is_untrusted(&fault), expected, "{name}, itself");
        }
    }
}
