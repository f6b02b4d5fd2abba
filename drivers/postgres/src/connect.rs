//! One connection: address, TLS by `sslmode`, login, and what the server says of itself.
//!
//! Every connection tells again which system it reached, so that a target that was replaced behind its
//! address is noticed before anything is done to it.

use std::future::Future;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use model::{Code, Failure, Retry, Secret, TargetIdentity};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_postgres::config::{SslMode as ClientSslMode, SslNegotiation};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::faults::{Fault, Stage};
use crate::settings::Config;
use crate::tls::{self, SslMode};
use crate::version::Version;
use crate::wire::{self, Cut, Guarded, HandshakeDone, Tls};

/// What serves a connection until its client is dropped.
pub(crate) type Service = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Settings of every session, before a role's or a database's own can interfere: names mean what the
/// catalogue says, quoting is the standard's, nothing waits or lasts for long, commits are on disk.
const OPTIONS: &[(&str, &str)] = &[
    ("search_path", "pg_catalog"),
    ("role", "none"),
    ("standard_conforming_strings", "on"),
    ("client_min_messages", "error"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read\\ committed"),
    ("synchronous_commit", "on"),
    // Plans are made once: one that was made while the catalogue was small must not read it whole later.
    ("enable_seqscan", "off"),
    ("timezone", "UTC"),
    ("datestyle", "ISO"),
];

/// Also has the server plan each question to the catalogue once and not for every asking, and compile none:
/// for most of them either costs more than answering. Both settings are not there in all versions.
const FACTS: &str = "SELECT current_setting('server_version_num'), r.oid, r.rolsuper, pg_is_in_recovery(), \
     current_setting('password_encryption'), CASE WHEN current_setting('server_version_num')::int >= 120000 \
     THEN set_config('plan_cache_mode', 'force_generic_plan', false) || set_config('jit', 'off', false) END \
     , pg_backend_pid() FROM pg_roles AS r WHERE r.rolname = session_user";
/// What an identity begins with that is no more than an address.
const ADDRESS: &str = "address:";
const IDENTITY: &str = "SELECT system_identifier FROM pg_control_system()";

/// What a server says of itself and of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) version: Version,
    pub(crate) identity: TargetIdentity,
    /// The OID of the role that we are.
    pub(crate) ourselves: u32,
    pub(crate) superuser: bool,
    pub(crate) standby: bool,
    pub(crate) password_encryption: String,
    pub(crate) encrypted: bool,
    /// The process that serves this session.
    pub(crate) process: i32,
}

/// Makes connections to one server.
pub(crate) struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    username: String,
    password: Secret,
    application_name: String,
}

/// A connection that has logged in.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) service: Service,
    pub(crate) encrypted: bool,
}

impl Connector {
    /// Prepares connections; nothing is asked of a network.
    ///
    /// # Errors
    /// When TLS cannot be set up as the settings say.
    pub(crate) fn new(
        config: Config,
        username: &Secret,
        password: &Secret,
        application_name: String,
    ) -> Result<Self, Failure> {
        let mode = config.ssl_mode;
        let tls = if mode == SslMode::Disable {
            None
        } else {
            Some(MakeRustlsConnect::new(tls::client(mode, config.ca_certificates.as_deref())?))
        };
        Ok(Self {
            config,
            tls,
            username: username.expose().to_owned(),
            password: password.duplicate(),
            application_name,
        })
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Logs in to a database.
    ///
    /// # Errors
    /// Sorted; a login is tried once, and twice only where `sslmode` says so.
    pub(crate) async fn connect(&self, database: &str) -> Result<Connected, Fault> {
        tokio::time::timeout(self.config.connect_timeout, self.log_in(database))
            .await
            .unwrap_or_else(|_| Err(Fault::late(Stage::Harmless)))
    }

    async fn log_in(&self, database: &str) -> Result<Connected, Fault> {
        let stream = self.dial().await?;
        match self.config.ssl_mode {
            SslMode::Disable => self.plain(stream, database).await,
            SslMode::Allow => match self.plain(stream, database).await {
                Err(refused) if refused.is(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                    self.negotiated(self.dial().await?, database).await
                }
                outcome => outcome,
            },
            SslMode::Prefer | SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.negotiated(stream, database).await
            }
        }
    }

    async fn dial(&self) -> Result<TcpStream, Fault> {
        let stream = TcpStream::connect((self.config.host.to_string(), self.config.port))
            .await
            .map_err(|error| unreachable(&error))?;
        stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
        Ok(stream)
    }

    /// Asks for TLS; goes on without it only in `prefer`.
    async fn negotiated(&self, mut stream: TcpStream, database: &str) -> Result<Connected, Fault> {
        let offered = wire::asks_for_tls(&mut stream).await.map_err(|error| {
            if error.kind() == ErrorKind::InvalidData {
                Cut::NotTheProtocol.failure().into()
            } else {
                unreachable(&error)
            }
        })?;
        match (&self.tls, offered, self.config.ssl_mode) {
            (Some(tls), true, _) => self.encrypted(tls.clone(), stream, database).await,
            (_, _, SslMode::Prefer) => self.plain(stream, database).await,
            _ => Err(refused("the server has no TLS: turn it on there, or set another `sslmode`").into()),
        }
    }

    async fn plain(&self, stream: TcpStream, database: &str) -> Result<Connected, Fault> {
        let (guarded, cut) = Guarded::new(stream, false);
        let mut login = self.login(database);
        login.ssl_mode(ClientSslMode::Disable);
        finish(login.connect_raw(guarded, NoTls).await, &cut, false)
    }

    async fn encrypted(
        &self,
        mut tls: MakeRustlsConnect,
        stream: TcpStream,
        database: &str,
    ) -> Result<Connected, Fault> {
        let host = self.config.host.to_string();
        let handshake =
            match <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::make_tls_connect(&mut tls, &host) {
                Ok(connector) => connector.connect(stream),
                Err(never) => match never {},
            };
        let stream: Tls = handshake.await.map_err(|error| {
            if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) {
                return unreachable(&error);
            }
            tracing::debug!(%error, "TLS handshake failed");
            Fault::from(refused(
                "the server's certificate was not accepted, or no TLS version is common: look at \
                 `ca_certificates`, the host's name in the certificate, and its dates",
            ))
        })?;
        let (guarded, cut) = Guarded::new(stream, self.config.ssl_mode.verifies());
        let mut login = self.login(database);
        // The handshake is over: the client library is to go straight to the login.
        login.ssl_mode(ClientSslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        finish(login.connect_raw(guarded, HandshakeDone).await, &cut, true)
    }

    fn login(&self, database: &str) -> tokio_postgres::Config {
        let options: Vec<String> = OPTIONS.iter().map(|(name, value)| format!("-c {name}={value}")).collect();
        let mut login = tokio_postgres::Config::new();
        login
            .user(&self.username)
            .password(self.password.expose())
            .dbname(database)
            .application_name(&self.application_name)
            .options(options.join(" "));
        login
    }
}

fn finish<S, T>(
    outcome: Result<(Client, tokio_postgres::Connection<S, T>), tokio_postgres::Error>,
    cut: &Arc<OnceLock<Cut>>,
    encrypted: bool,
) -> Result<Connected, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match (outcome, cut.get()) {
        (_, Some(cut)) => Err(cut.failure().into()),
        (Ok((client, connection)), None) => {
            let service = Box::pin(async move {
                if let Err(error) = connection.await {
                    // Whoever waits for an answer is told as well, and says it where it matters.
                    tracing::debug!(closed = error.is_closed(), "Connection to PostgreSQL ended");
                }
            });
            Ok(Connected { client, service, encrypted })
        }
        (Err(error), None) => Err(Fault::of(&error, Stage::Harmless)),
    }
}

fn unreachable(error: &std::io::Error) -> Fault {
    Fault {
        failure: Failure::not_done(
            Code::UNREACHABLE,
            format!("no connection to the server ({}): look at host, port and firewall", error.kind()),
        ),
        state: None,
        lost: true,
    }
}

fn refused(detail: &str) -> Failure {
    Failure::refused(Code::TLS_REFUSED, detail).with_retry(Retry::NeedsHuman)
}

/// Asks a fresh connection what it reached.
///
/// # Errors
/// [`Code::VERSION_UNSUPPORTED`], or sorted.
pub(crate) async fn facts(client: &Client, config: &Config, encrypted: bool) -> Result<Facts, Fault> {
    let row = single_row(client, FACTS).await?;
    let text = |n: usize| row.get(n).cloned().flatten().unwrap_or_default();
    let version = Version(text(0).parse().unwrap_or_default());
    if version < Version::OLDEST {
        return Err(Failure::refused(
            Code::VERSION_UNSUPPORTED,
            format!("this is PostgreSQL {version}, the oldest that works is 10: upgrade the server"),
        )
        .with_retry(Retry::NeedsHuman)
        .into());
    }
    let identity = match single_row(client, IDENTITY).await {
        Ok(row) => row.into_iter().flatten().next().unwrap_or_default(),
        // Some services keep the control file to themselves; then the address has to stand for the system.
        Err(fault) if fault.is(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            format!("{ADDRESS}{}:{}", config.host, config.port)
        }
        Err(fault) => return Err(fault),
    };
    Ok(Facts {
        version,
        identity: TargetIdentity(identity),
        ourselves: text(1).parse().unwrap_or_default(),
        superuser: text(2) == "t",
        standby: text(3) == "t",
        password_encryption: text(4),
        encrypted,
        process: text(6).parse().unwrap_or_default(),
    })
}

/// Returns true when the address stands for a system that does not tell which one it is.
pub(crate) fn is_address(identity: &TargetIdentity) -> bool {
    identity.0.starts_with(ADDRESS)
}

async fn single_row(client: &Client, sql: &str) -> Result<Vec<Option<String>>, Fault> {
    let answer = client.simple_query(sql).await.map_err(|error| Fault::of(&error, Stage::Harmless))?;
    for message in answer {
        if let SimpleQueryMessage::Row(row) = message {
            return Ok((0..row.len()).map(|n| row.try_get(n).ok().flatten().map(str::to_owned)).collect());
        }
    }
    Err(Failure::not_done(Code::TARGET_FAULT, "PostgreSQL does not know the role that logged in").into())
}
