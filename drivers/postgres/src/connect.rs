//! One connection: address, TLS by `sslmode`, login, and what the server says of itself.
//!
//! Every connection tells again which system it reached, so that a target that was replaced behind its
//! address is noticed before anything is done to it.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use driver::TargetSecret;
use model::{Code, Failure, Retry, Secret, TargetIdentity};
use pg::{
    Connected, Cut, DialFault, Dialer, HandshakeFault, Login, OwnCertificate, Place, SslMode, TlsFault,
};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::faults::{Fault, Stage};
use crate::settings::Config;
use crate::version::Version;

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
    dialer: Dialer,
}

impl Connector {
    /// Prepares connections; nothing is asked of a network.
    ///
    /// # Errors
    /// When TLS cannot be set up as the settings say.
    pub(crate) fn new(
        config: Config,
        username: &Secret,
        password: Option<&Secret>,
        certificate: Option<OwnCertificate>,
        application_name: String,
    ) -> Result<Self, Failure> {
        let place = Place {
            host: config.host.to_string(),
            port: config.port,
            mode: config.ssl_mode,
            authorities: config.ca_certificates.clone(),
            patience: config.connect_timeout,
        };
        let login = Login {
            user: username.expose().to_owned(),
            password: password.map(Secret::duplicate),
            certificate,
            application_name,
            options: OPTIONS.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
        };
        Ok(Self { config, dialer: Dialer::new(place, login).map_err(no_tls)? })
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// Tells, now and later, whether any login has begun.
    pub(crate) fn begun(&self) -> Arc<AtomicBool> {
        self.dialer.begun()
    }

    /// Logs in to a database.
    ///
    /// # Errors
    /// Sorted; a login is tried once, and twice only where `sslmode` says so.
    pub(crate) async fn connect(&self, database: &str) -> Result<Connected, Fault> {
        self.dialer.connect(database).await.map_err(|fault| sorted(&fault))
    }
}

/// Takes the client certificate from a secret that has one.
///
/// # Errors
/// [`Code::SECRET_MALFORMED`] when half of it is missing, [`Code::CONFIG_REFUSED`] when it would never be shown.
pub(crate) fn own_certificate(
    secret: &TargetSecret,
    mode: SslMode,
) -> Result<Option<OwnCertificate>, Failure> {
    if secret.optional("client_certificate").or(secret.optional("client_key")).is_none() {
        return Ok(None);
    }
    if mode == SslMode::Disable {
        let detail = "the secret has a client certificate and `sslmode` is disable: set another `sslmode`, or take it out";
        return Err(Failure::refused(Code::CONFIG_REFUSED, detail).with_retry(Retry::NeedsHuman));
    }
    let (chain, key) = (secret.value("client_certificate")?, secret.value("client_key")?);
    Ok(Some(OwnCertificate { chain: chain.duplicate(), key: key.duplicate() }))
}

/// What a connection that did not come about means here.
fn sorted(fault: &DialFault) -> Fault {
    match fault {
        DialFault::Late => Fault::late(Stage::Harmless),
        DialFault::Unreachable(kind) => unreachable(*kind),
        DialFault::NoTls => {
            refused("the server has no TLS: turn it on there, or set another `sslmode`").into()
        }
        DialFault::Handshake(cause) => refused(format!("{cause}: {}", way_out(cause))).into(),
        DialFault::Alert => refused(
            "the server ended TLS with an alert: look at the client certificate in the secret, at whom the server \
             believes for it, and at its dates",
        )
        .into(),
        DialFault::Cut(cut) => cut_short(*cut).into(),
        DialFault::Answer(error) => Fault::of(error, Stage::Harmless),
    }
}

/// What mends a handshake that failed.
const fn way_out(cause: &HandshakeFault) -> &'static str {
    match cause {
        HandshakeFault::UnknownIssuer | HandshakeFault::BadSignature => {
            "put the authority's certificate into `ca_certificates`, and have the server send its intermediate ones"
        }
        HandshakeFault::OtherName(_) | HandshakeFault::NoName => {
            "put a name of its subjectAltName into `hostname`, or give the server a certificate with this name"
        }
        HandshakeFault::Expired(_) => "renew it on the server, and look at the agent's clock",
        HandshakeFault::NotYetValid(_) => "look at the agent's clock and at the certificate's dates",
        HandshakeFault::Authority => {
            "a self-signed certificate made by `openssl req -x509` is an authority: make a CA and a server \
             certificate, or use basicConstraints=CA:FALSE"
        }
        HandshakeFault::Purpose => "give the server a certificate for serverAuth",
        HandshakeFault::Unreadable | HandshakeFault::Algorithm => {
            "give the server an X.509 v3 certificate, signed with SHA-256 or better"
        }
        HandshakeFault::NothingCommon => {
            "the server has to have TLS 1.2 or 1.3: look at its `ssl_min_protocol_version`, \
             `ssl_max_protocol_version` and `ssl_ciphers`"
        }
        HandshakeFault::NotTls => "look at `hostname` and `port`, and at what stands in between",
        HandshakeFault::Other(_) => "look at the server's certificate and its log",
    }
}

fn cut_short(cut: Cut) -> Failure {
    match cut {
        Cut::PasswordUnverified => refused(
            "the server asks for the admin's password in clear text or as MD5, and its certificate was not \
             verified: use `sslmode` verify-full, or SCRAM on the server",
        ),
        Cut::NoPassword => Failure::refused(
            Code::LOGIN_REFUSED,
            "the server asks for a password and the secret has none: add `password`, or have the server log the \
             role in by its certificate",
        )
        .with_retry(Retry::AfterNewSecret),
        Cut::TooManyRounds => Failure::refused(
            Code::TARGET_FAULT,
            "the server asks for more than a million SCRAM rounds: set the admin's password anew there",
        )
        .with_retry(Retry::NeedsHuman),
        Cut::NotTheProtocol => Failure::not_done(
            Code::TARGET_FAULT,
            "what answers on this port does not speak PostgreSQL's protocol",
        ),
    }
}

fn no_tls(fault: TlsFault) -> Failure {
    match fault {
        TlsFault::Unreadable => Failure::refused(
            Code::CONFIG_REFUSED,
            "`ca_certificates` has no readable certificate: paste the PEM whole",
        ),
        TlsFault::NoRoots => Failure::refused(
            Code::TLS_REFUSED,
            "there is no root certificate on this system: install ca-certificates, or give `ca_certificates`",
        ),
        TlsFault::OwnChain => TargetSecret::malformed(
            "`client_certificate` has no readable certificate: put the PEM into the secret store whole",
        ),
        TlsFault::OwnKey => TargetSecret::malformed(
            "`client_key` has no readable private key: put it into the secret store in PEM form, not encrypted",
        ),
        TlsFault::OwnPair => TargetSecret::malformed(
            "`client_key` is not the key of `client_certificate`: put the right pair into the secret store",
        ),
        TlsFault::NoVersion => Failure::refused(Code::TLS_REFUSED, "this build has no TLS version to offer"),
    }
}

fn unreachable(kind: ErrorKind) -> Fault {
    Fault {
        failure: Failure::not_done(
            Code::UNREACHABLE,
            format!("no connection to the server ({kind}): look at host, port and firewall"),
        ),
        state: None,
        lost: true,
    }
}

fn refused(detail: impl Into<String>) -> Failure {
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
