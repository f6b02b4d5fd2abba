//! The whole server: built first, with every listener bound, then run until it is told to stop.
//!
//! Stopping has an order: whoever waits stops waiting and agents are told; then the listeners end; then the
//! store is closed, when nobody writes any more.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Server, ServerTlsConfig};

use crate::clock::Clock;
use crate::office::{Limits, Office};
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreFault};
use crate::stream::Agents;
use crate::tls::{Authority, Certificate, TlsFault};
use crate::{http, token};

/// How long everything together may take to stop.
const GRACE: Duration = Duration::from_secs(15);
/// How often a quiet connection is asked whether it is alive, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// Streams of one connection.
const STREAMS: u32 = 64;

/// Where the certificate is from.
#[derive(Debug, Clone)]
pub enum Tls {
    Files { chain: PathBuf, key: PathBuf },
    Development,
}

/// What a server is built from.
#[derive(Debug, Clone)]
pub struct Config {
    pub data: PathBuf,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub tls: Tls,
    pub limits: Limits,
}

/// Why the server cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AppFault {
    #[error("cannot listen on {address}: choose another address")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error(transparent)]
    Tls(#[from] TlsFault),
    #[error("the agents' server failed")]
    Grpc(#[from] tonic::transport::Error),
    #[error("the REST server failed")]
    Http(#[source] io::Error),
}

/// A server with its listeners bound, not yet answering.
pub struct App {
    office: Office,
    certificate: Certificate,
    grpc: (TcpListener, SocketAddr),
    http: (TcpListener, SocketAddr),
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppFault> {
    let bound = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bound().map_err(|source| AppFault::Listen { address, source })
}

impl App {
    /// Opens the store, reads the certificate, binds the listeners.
    ///
    /// # Errors
    /// What is wrong, and the way out.
    pub async fn build(config: Config, clock: Arc<dyn Clock>) -> Result<Self, AppFault> {
        let store = SqliteStore::open(&config.data, token::new_incarnation()).await?;
        Self::over(Arc::new(store), config, clock)
    }

    /// Builds the server over a store that is open.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn over(store: Arc<dyn Store>, config: Config, clock: Arc<dyn Clock>) -> Result<Self, AppFault> {
        let (grpc, http) = (listen(config.grpc)?, listen(config.http)?);
        let certificate = match config.tls {
            Tls::Files { chain, key } => Certificate::from_files(&chain, &key)?,
            Tls::Development => {
                let addresses = [grpc.1.ip(), http.1.ip()];
                Certificate::for_development(&config.data, &addresses, clock.now())?
            }
        };
        Ok(Self { office: Office::new(store, clock, config.limits), certificate, grpc, http })
    }

    /// Returns where agents dial.
    pub const fn grpc(&self) -> SocketAddr {
        self.grpc.1
    }

    /// Returns where the REST API is.
    pub const fn http(&self) -> SocketAddr {
        self.http.1
    }

    /// Returns the authority by which clients verify the server, when it is its own.
    pub const fn authority(&self) -> Option<&Authority> {
        self.certificate.authority.as_ref()
    }

    /// Returns the office, for what runs beside the server.
    pub fn office(&self) -> Office {
        self.office.clone()
    }

    /// Answers until it is told to stop, then ends in order.
    ///
    /// # Errors
    /// A server failed by itself.
    pub async fn run(self, stop: CancellationToken) -> Result<(), AppFault> {
        let office = self.office.clone();
        let agents = Agents::new(office.clone());
        let handle = Handle::new();
        let mut servers = JoinSet::new();
        servers.spawn(serve_http(self.http.0, &self.certificate, office.clone(), handle.clone())?);
        servers.spawn(serve_grpc(self.grpc.0, &self.certificate, &agents, office.stopping.clone())?);
        let failed = tokio::select! {
            () = stop.cancelled() => None,
            ended = servers.join_next() => ended,
        };
        office.stopping.cancel();
        handle.graceful_shutdown(Some(GRACE));
        let ended = async {
            agents.ended().await;
            while servers.join_next().await.is_some() {}
        };
        if tokio::time::timeout(GRACE, ended).await.is_err() {
            tracing::warn!("Some calls did not end in time and were cut");
            servers.shutdown().await;
        }
        office.close().await;
        match failed {
            None => Ok(()),
            Some(Ok(outcome)) => outcome,
            Some(Err(fault)) => Err(AppFault::Http(io::Error::other(fault))),
        }
    }
}

fn serve_http(
    listener: TcpListener,
    certificate: &Certificate,
    office: Office,
    handle: Handle<SocketAddr>,
) -> Result<impl Future<Output = Result<(), AppFault>> + use<>, AppFault> {
    let tls = RustlsConfig::from_config(certificate.server_config()?);
    let mut server = axum_server::from_tcp_rustls(listener, tls).map_err(AppFault::Http)?.handle(handle);
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .max_concurrent_streams(STREAMS);
    let routes = http::router(office).into_make_service_with_connect_info::<SocketAddr>();
    Ok(async move { server.serve(routes).await.map_err(AppFault::Http) })
}

fn serve_grpc(
    listener: TcpListener,
    certificate: &Certificate,
    agents: &Agents,
    stopping: CancellationToken,
) -> Result<impl Future<Output = Result<(), AppFault>> + use<>, AppFault> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(AppFault::Http)?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE.0));
    let router = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(certificate.identity()).timeout(HEAD))?
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .max_concurrent_streams(Some(STREAMS))
        .add_service(agents.service());
    Ok(async move {
        let stopped = stopping.cancelled_owned();
        router.serve_with_incoming_shutdown(incoming, stopped).await.map_err(AppFault::Grpc)
    })
}
