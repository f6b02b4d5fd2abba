//! A proxy between agent and control plane that ends TLS on one side, begins it on the other, and keeps what is said.
//!
//! It speaks HTTP/2 on both sides, so that what it keeps is decoded: headers, trailers, and gRPC messages whole. It can
//! cut what is connected and refuse what comes, as a network does.

mod tape;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http::{Request, Response, uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::{Authority, trusting};
use tape::Listener;
pub use tape::{Heard, Side, Tape};

const PATIENCE: Duration = Duration::from_secs(10);

/// A running proxy. Dropping it ends every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    ended: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    tape: Tape,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Cancelled when what is connected is to be cut.
    cut: CancellationToken,
    refusing: bool,
}

/// Where a connection goes on to.
#[derive(Clone)]
struct Onward {
    connector: TlsConnector,
    address: SocketAddr,
}

impl Proxy {
    /// Listens on a free port, with a certificate of `authority`; goes on to `upstream`, whose certificate must lead to
    /// one of those in `trusted`.
    pub async fn start(authority: &Authority, upstream: SocketAddr, trusted: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen for agents")?;
        let address = listener.local_addr().context("learn the proxy's address")?;
        let acceptor = TlsAcceptor::from(authority.server()?);
        let onward = Onward {
            connector: TlsConnector::from(Arc::new(trusting(trusted, Some("h2"))?)),
            address: upstream,
        };
        let state = State { cut: CancellationToken::new(), refusing: false };
        let shared = Arc::new(Shared { tape: Tape::default(), state: Mutex::new(state) });
        let proxy = Self {
            address,
            shared: shared.clone(),
            tracker: TaskTracker::new(),
            ended: CancellationToken::new(),
        };
        let (tracker, ended) = (proxy.tracker.clone(), proxy.ended.clone());
        proxy.tracker.spawn(async move {
            let accepting = accept(listener, acceptor, onward, shared, tracker, ended.clone());
            ended.run_until_cancelled(accepting).await
        });
        Ok(proxy)
    }

    /// Where agents dial.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was said so far.
    pub fn tape(&self) -> &Tape {
        &self.shared.tape
    }

    /// Ends every connection at once, without a word.
    pub fn cut(&self) {
        let fresh = CancellationToken::new();
        std::mem::replace(&mut self.shared.lock().cut, fresh).cancel();
    }

    /// Whether new connections are refused from now on.
    pub fn refuse(&self, refusing: bool) {
        self.shared.lock().refusing = refusing;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.cancel();
        self.shared.lock().cut.cancel();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    onward: Onward,
    shared: Arc<Shared>,
    tracker: TaskTracker,
    ended: CancellationToken,
) {
    let mut number = 0;
    while let Ok((socket, _)) = listener.accept().await {
        let (cut, refusing) = {
            let state = shared.lock();
            (state.cut.clone(), state.refusing)
        };
        if refusing {
            continue;
        }
        number += 1;
        let relayed = relay(socket, acceptor.clone(), onward.clone(), shared.clone(), number);
        let ended = ended.clone();
        tracker.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = ended.cancelled() => {}
                // How a connection ends is for its two ends to say.
                _its_end = relayed => {}
            }
        });
    }
}

/// Carries one connection.
async fn relay(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    onward: Onward,
    shared: Arc<Shared>,
    number: u64,
) -> anyhow::Result<()> {
    socket.set_nodelay(true)?;
    let near = tokio::time::timeout(PATIENCE, acceptor.accept(socket)).await??;
    let far = tokio::time::timeout(PATIENCE, TcpStream::connect(onward.address)).await??;
    far.set_nodelay(true)?;
    let name = ServerName::try_from("localhost")?;
    let far = tokio::time::timeout(PATIENCE, onward.connector.connect(name, far)).await??;
    let (sender, far) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .handshake(TokioIo::new(far))
        .await?;
    let service = service_fn(move |request: Request<Incoming>| {
        let (mut sender, tape) = (sender.clone(), shared.tape.clone());
        async move {
            let request = forwarded(request, onward.address, &tape, number)?;
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            tape.headers(number, Side::Control, response.headers());
            let listener = Listener::new(tape, number, Side::Control);
            let (head, body) = response.into_parts();
            anyhow::Ok(Response::from_parts(head, listener.attend(body)))
        }
    });
    let near = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(near), service);
    // Whichever end closes first, the other one is closed with it.
    tokio::select! {
        ended = near => ended?,
        ended = far => ended?,
    }
    Ok(())
}

fn forwarded(
    request: Request<Incoming>,
    upstream: SocketAddr,
    tape: &Tape,
    number: u64,
) -> anyhow::Result<Request<tape::Attended>> {
    tape.path(number, request.uri());
    tape.headers(number, Side::Agent, request.headers());
    let (mut head, body) = request.into_parts();
    let mut parts = uri::Parts::from(head.uri);
    parts.scheme = Some(uri::Scheme::HTTPS);
    parts.authority = Some(format!("localhost:{}", upstream.port()).parse()?);
    head.uri = uri::Uri::from_parts(parts)?;
    Ok(Request::from_parts(head, Listener::new(tape.clone(), number, Side::Agent).attend(body)))
}
