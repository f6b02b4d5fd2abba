//! One connection: address, TLS by `sslmode`, login.

use std::fmt;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_postgres::Client;
use tokio_postgres::config::{SslMode as ClientSslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::handshake::HandshakeFault;
use crate::tls::{self, OwnCertificate, SslMode, TlsFault};
use crate::wire::{self, Cut, Fuse, Gives, Guarded, HandshakeDone, Tls};

/// What serves a connection until its client is dropped.
pub type Service = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a server is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub port: u16,
    pub mode: SslMode,
    /// Certificates (PEM) that the server's must lead to; those of the system when there are none.
    pub authorities: Option<String>,
    /// How long a connection may take to come about, login included.
    pub patience: Duration,
}

/// As whom, and with which settings of the session.
pub struct Login {
    pub user: String,
    /// `None` where the server knows the user otherwise.
    pub password: Option<Secret>,
    /// Shown where the server asks for one.
    pub certificate: Option<OwnCertificate>,
    pub application_name: String,
    /// Settings of every session, before a role's or a database's own can interfere; values are escaped as
    /// `libpq` wants them.
    pub options: Vec<(&'static str, String)>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("application_name", &self.application_name).finish_non_exhaustive()
    }
}

/// A connection that has logged in.
pub struct Connected {
    pub client: Client,
    pub service: Service,
    pub encrypted: bool,
    /// The stream's.
    pub fuse: Fuse,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected").field("encrypted", &self.encrypted).finish_non_exhaustive()
    }
}

/// What kept a connection from coming about. Nothing lasting was asked of the server.
#[derive(Debug, thiserror::Error)]
pub enum DialFault {
    #[error("the server did not answer in time")]
    Late,
    #[error("no connection to the server ({0})")]
    Unreachable(ErrorKind),
    #[error("the server has no TLS")]
    NoTls,
    /// Its certificate was not accepted, or nothing is common.
    #[error("{0}")]
    Handshake(HandshakeFault),
    /// The server refused what we showed in the handshake: it says so only after that.
    #[error("the server ended TLS with an alert")]
    Alert,
    #[error("{0}")]
    Cut(Cut),
    /// What the server, or the client library, said.
    #[error("the login failed")]
    Answer(#[from] tokio_postgres::Error),
}

/// Makes connections to one server.
pub struct Dialer {
    place: Place,
    tls: Option<MakeRustlsConnect>,
    login: Login,
    begun: Arc<AtomicBool>,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Prepares connections; nothing is asked of a network.
    ///
    /// # Errors
    /// When TLS cannot be set up as the place says.
    pub fn new(place: Place, login: Login) -> Result<Self, TlsFault> {
        let tls = if place.mode == SslMode::Disable {
            None
        } else {
            Some(MakeRustlsConnect::new(tls::client(
                place.mode,
                place.authorities.as_deref(),
                login.certificate.as_ref(),
            )?))
        };
        Ok(Self { place, tls, login, begun: Arc::default() })
    }

    /// Tells, now and later, whether any login has begun: until then nothing of it was shown to anybody.
    pub fn begun(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.begun)
    }

    /// Logs in to a database.
    ///
    /// # Errors
    /// What kept it; a login is tried once, and twice only where `sslmode` says so.
    pub async fn connect(&self, database: &str) -> Result<Connected, DialFault> {
        tokio::time::timeout(self.place.patience, self.log_in(database)).await.unwrap_or(Err(DialFault::Late))
    }

    async fn log_in(&self, database: &str) -> Result<Connected, DialFault> {
        let stream = self.dial().await?;
        match self.place.mode {
            SslMode::Disable => self.plain(stream, database).await,
            SslMode::Allow => match self.plain(stream, database).await {
                Err(DialFault::Answer(refused))
                    if refused.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) =>
                {
                    self.negotiated(self.dial().await?, database).await
                }
                outcome => outcome,
            },
            SslMode::Prefer | SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.negotiated(stream, database).await
            }
        }
    }

    async fn dial(&self) -> Result<TcpStream, DialFault> {
        let stream = TcpStream::connect((self.place.host.as_str(), self.place.port))
            .await
            .map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        Ok(stream)
    }

    /// Asks for TLS; goes on without it only in `prefer`.
    async fn negotiated(&self, mut stream: TcpStream, database: &str) -> Result<Connected, DialFault> {
        let offered = wire::asks_for_tls(&mut stream).await.map_err(|error| {
            if error.kind() == ErrorKind::InvalidData {
                DialFault::Cut(Cut::NotTheProtocol)
            } else {
                unreachable(&error)
            }
        })?;
        match (&self.tls, offered, self.place.mode) {
            (Some(tls), true, _) => self.encrypted(tls.clone(), stream, database).await,
            (_, _, SslMode::Prefer) => self.plain(stream, database).await,
            _ => Err(DialFault::NoTls),
        }
    }

    async fn plain(&self, stream: TcpStream, database: &str) -> Result<Connected, DialFault> {
        self.begun.store(true, Ordering::SeqCst);
        let (guarded, cut) = Guarded::new(stream, self.gives(false));
        let fuse = guarded.fuse();
        let mut login = self.login(database);
        login.ssl_mode(ClientSslMode::Disable);
        finish(login.connect_raw(guarded, NoTls).await, &cut, fuse, false)
    }

    async fn encrypted(
        &self,
        mut tls: MakeRustlsConnect,
        stream: TcpStream,
        database: &str,
    ) -> Result<Connected, DialFault> {
        if self.login.certificate.is_some() {
            // It is shown, and its key used, in the handshake.
            self.begun.store(true, Ordering::SeqCst);
        }
        let host = &self.place.host;
        let handshake =
            match <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::make_tls_connect(&mut tls, host) {
                Ok(connector) => connector.connect(stream),
                Err(never) => match never {},
            };
        let stream: Tls = handshake.await.map_err(|error| {
            if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) {
                return unreachable(&error);
            }
            tracing::debug!(%error, "TLS handshake failed");
            DialFault::Handshake(HandshakeFault::of(&error))
        })?;
        self.begun.store(true, Ordering::SeqCst);
        let (guarded, cut) = Guarded::new(stream, self.gives(self.place.mode.verifies()));
        let fuse = guarded.fuse();
        let mut login = self.login(database);
        // The handshake is over: the client library is to go straight to the login.
        login.ssl_mode(ClientSslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        finish(login.connect_raw(guarded, HandshakeDone).await, &cut, fuse, true)
    }

    /// What the server may ask for.
    const fn gives(&self, verified: bool) -> Gives {
        match (&self.login.password, verified) {
            (None, _) => Gives::Nothing,
            (Some(_), false) => Gives::Proof,
            (Some(_), true) => Gives::Password,
        }
    }

    fn login(&self, database: &str) -> tokio_postgres::Config {
        let options: Vec<String> =
            self.login.options.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        let mut login = tokio_postgres::Config::new();
        login
            .user(&self.login.user)
            .dbname(database)
            .application_name(&self.login.application_name)
            .options(options.join(" "));
        if let Some(password) = &self.login.password {
            login.password(password.expose());
        }
        login
    }
}

fn finish<S, T>(
    outcome: Result<(Client, tokio_postgres::Connection<S, T>), tokio_postgres::Error>,
    cut: &Arc<OnceLock<Cut>>,
    fuse: Fuse,
    encrypted: bool,
) -> Result<Connected, DialFault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match (outcome, cut.get()) {
        (_, Some(cut)) => Err(DialFault::Cut(*cut)),
        (Ok((client, connection)), None) => {
            let service = Box::pin(async move {
                if let Err(error) = connection.await {
                    // Whoever waits for an answer is told as well, and says it where it matters.
                    tracing::debug!(closed = error.is_closed(), "Connection to PostgreSQL ended");
                }
            });
            Ok(Connected { client, service, encrypted, fuse })
        }
        (Err(error), None) if is_alert(&error) => Err(DialFault::Alert),
        (Err(error), None) => Err(DialFault::Answer(error)),
    }
}

fn is_alert(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let inner =
        cause.and_then(std::io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

fn unreachable(error: &std::io::Error) -> DialFault {
    DialFault::Unreachable(error.kind())
}
