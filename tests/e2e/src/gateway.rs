//! An HTTP proxy as stands at the edge of a network: it leads on where a CONNECT says, to who may, and keeps who asked.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authority::Authority;

const PATIENCE: Duration = Duration::from_secs(10);
/// The longest request that is read.
const LONGEST: usize = 8192;

/// Whom it leads on.
#[derive(Clone, Debug)]
pub enum Rule {
    Anybody,
    /// Who shows this `user:password`.
    Login(String),
    /// Nobody: it answers with this.
    Nobody(&'static str),
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub to: String,
    pub login: Option<String>,
    pub led_on: bool,
}

/// A running proxy. Dropping it ends every tunnel.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    tracker: TaskTracker,
    ended: CancellationToken,
}

impl Gateway {
    /// Listens on a free port; with an authority, it is reached by TLS alone.
    pub async fn start(rule: Rule, authority: Option<&Authority>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen as a proxy")?;
        let address = listener.local_addr().context("learn the proxy's address")?;
        let acceptor = authority.map(|one| one.server_for("http/1.1")).transpose()?.map(TlsAcceptor::from);
        let (tracker, ended) = (TaskTracker::new(), CancellationToken::new());
        let gateway = Self { address, asked: Arc::default(), tracker, ended };
        let (asked, tracker, ended) = (gateway.asked.clone(), gateway.tracker.clone(), gateway.ended.clone());
        gateway.tracker.spawn(async move {
            let accepting = async {
                while let Ok((socket, _)) = listener.accept().await {
                    let (rule, asked) = (rule.clone(), asked.clone());
                    let (acceptor, ended) = (acceptor.clone(), ended.clone());
                    tracker.spawn(async move {
                        let led = async {
                            match acceptor {
                                Some(acceptor) => lead(acceptor.accept(socket).await?, &rule, &asked).await,
                                None => lead(socket, &rule, &asked).await,
                            }
                        };
                        ended.run_until_cancelled(led).await
                    });
                }
            };
            ended.run_until_cancelled(accepting).await
        });
        Ok(gateway)
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

async fn lead<S: AsyncRead + AsyncWrite + Unpin>(
    mut near: S,
    rule: &Rule,
    asked: &Mutex<Vec<Asked>>,
) -> io::Result<()> {
    let head = tokio::time::timeout(PATIENCE, head(&mut near)).await??;
    let mut lines = head.split("\r\n");
    let to = lines.next().and_then(|line| line.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1"));
    let Some(to) = to.map(str::to_owned) else {
        return near.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    };
    let login = lines.filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
        let value =
            value.strip_prefix("Basic ").filter(|_| name.eq_ignore_ascii_case("proxy-authorization"))?;
        String::from_utf8(STANDARD.decode(value).ok()?).ok()
    });
    let refusal = match rule {
        Rule::Anybody => None,
        Rule::Login(wanted) if login.as_ref() == Some(wanted) => None,
        Rule::Login(_) => Some("407 Proxy Authentication Required"),
        Rule::Nobody(status) => Some(*status),
    };
    let entry = Asked { to: to.clone(), login, led_on: refusal.is_none() };
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    if let Some(status) = refusal {
        let challenge = "Proxy-Authenticate: Basic realm=\"edge\"\r\nContent-Length: 6\r\n\r\nnever!";
        return near.write_all(format!("HTTP/1.1 {status}\r\n{challenge}").as_bytes()).await;
    }
    let mut far = tokio::time::timeout(PATIENCE, TcpStream::connect(&to)).await??;
    far.set_nodelay(true)?;
    near.write_all(b"HTTP/1.1 200 Connection established\r\nX-Edge: yes\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(drop)
}

/// Reads a request's head, byte by byte: what follows is not for us.
async fn head<S: AsyncRead + Unpin>(near: &mut S) -> io::Result<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST {
        head.push(near.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}
