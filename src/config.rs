//! The agent's configuration: read raw from four places, checked once, all faults told together.
//!
//! Defaults, then the file, then the environment, then flags: the later one wins. [`Config::load`] is pure;
//! nothing downstream checks again, and nothing reads the environment after it. No secret is in it, only
//! where secrets are. Whether the files that it names are there and private is asked by who opens them
//! ([`token`] for the token).

mod check;
pub mod env;
pub mod file;
pub mod keys;
mod proxy;
mod render;
mod show;
pub mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{ConnectorId, Span};
use pg::SslMode;
use rules::Living;
use secrets::Reference;
use secrets::binding::Mode;
use tonic::transport::Uri;

pub use check::level;
pub use render::render;
pub use show::{Setting, settings};

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    Default,
    File {
        path: PathBuf,
        line: usize,
    },
    Environment {
        variable: String,
    },
    Flag,
    /// Nowhere: it has to be given and was not.
    Missing,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "environment {}", variable.escape_debug()),
            Self::Flag => f.write_str("--set"),
            Self::Missing => f.write_str("not given"),
        }
    }
}

/// One thing that is wrong with the configuration. It never repeats the value, which may be a secret in
/// the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigFault {
    /// Empty when the file as a whole is meant.
    pub key: String,
    pub origin: Origin,
    pub reason: String,
    pub way_out: String,
}

impl ConfigFault {
    fn unknown(name: &str, origin: Origin) -> Self {
        let way_out = match keys::nearest(name) {
            Some(key) => match origin {
                Origin::Environment { .. } => format!("did you mean {}?", key.variable()),
                Origin::Default | Origin::File { .. } | Origin::Flag | Origin::Missing => {
                    format!("did you mean `{}`?", key.name)
                }
            },
            None => "remove it; `tidegate config show` lists every key".into(),
        };
        Self { key: name.into(), origin, reason: "is not a key of this build".into(), way_out }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "`{}` ", self.key.escape_debug())?;
        }
        write!(f, "{}: {}", self.reason, self.way_out)
    }
}

impl std::error::Error for ConfigFault {}

/// A text and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    text: String,
    origin: Origin,
}

/// The places that a configuration is read from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file's path and text.
    pub file: Option<(PathBuf, String)>,
    /// The environment; only `TIDEGATE_…` and what names a proxy is looked at.
    pub environment: BTreeMap<String, String>,
    /// Keys and texts from the command line, later ones win.
    pub flags: Vec<(String, String)>,
}

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub connector: ConnectorId,
    /// The file with the token; read it with [`token::read`] at each connection.
    pub token_file: PathBuf,
    pub control_plane: ControlPlane,
    pub identity_dir: PathBuf,
    pub journal: Journal,
    pub secrets: Secrets,
    /// The operator's own policies, where there are some.
    pub guardrails: Option<Guardrails>,
    /// Where the admin endpoints are.
    pub admin_listen: SocketAddr,
    /// Where the agent's own commands reach it.
    pub admin_socket: PathBuf,
    pub log: Log,
    /// How long an ordered stop may take.
    pub shutdown_grace: Duration,
    pub engine: Engine,
}

/// How the control plane is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    /// `https`, or `http` to this machine when that was allowed; host and perhaps port, nothing else.
    pub url: Uri,
    pub ca_file: Option<PathBuf>,
    /// Through what it is reached; `None` is directly.
    pub proxy: Option<Proxy>,
    pub connect_deadline: Duration,
    /// The longest pause between two heartbeats of ours; the control plane may ask for shorter ones.
    pub heartbeat: Duration,
    pub redial_most: Duration,
}

/// An HTTP proxy that leads to the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http` or `https`; host and perhaps port, nothing else.
    pub url: Uri,
    /// The file with `user:password`; read it with [`token::proxy_login`] at each connection.
    pub credentials_file: Option<PathBuf>,
    /// For a proxy that is reached by TLS.
    pub ca_file: Option<PathBuf>,
}

/// Where the journal is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// The agent's own folder, whatever the journal's kind.
    pub dir: PathBuf,
    pub kind: JournalKind,
}

/// What the journal is kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalKind {
    /// A file, for one agent.
    Sqlite { reserve_bytes: u64, most_bytes: Option<u64> },
    /// A database that several instances share.
    Postgres(Box<SharedJournal>),
}

/// Where the database is that several instances share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedJournal {
    pub host: String,
    pub port: u16,
    pub database: String,
    pub schema: String,
    pub secret: Reference,
    pub sslmode: SslMode,
    pub ca_file: Option<PathBuf>,
}

/// Where the guardrails are, and how they are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guardrails {
    pub file: PathBuf,
    pub time_zone: String,
    /// What becomes of what lives and is no longer allowed.
    pub living: Living,
}

/// How admin secrets are read, and where they may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    pub file_root: Option<PathBuf>,
    pub keep: Span,
    pub deadline: Duration,
    pub bindings: Mode,
}

/// What the agent tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub level: tracing::Level,
    pub format: LogFormat,
}

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Json,
    Text,
}

/// The limits of the work on targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub call_deadline: Duration,
    pub listing_deadline: Duration,
    pub survey_every: Span,
}

/// Returns where the local socket is unless the configuration says otherwise: beside what the agent can
/// surely write to.
fn default_socket(journal_dir: &Path) -> PathBuf {
    journal_dir.join("admin").join("agent.sock")
}

impl Config {
    /// Returns true when the local socket is where it is by default.
    pub fn socket_is_default(&self) -> bool {
        self.admin_socket == default_socket(&self.journal.dir)
    }

    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, sorted by where it was given.
    pub fn load(sources: &Sources) -> Result<Self, Vec<ConfigFault>> {
        let merged = Merged::of(sources);
        check::checked(&merged.given, &sources.environment, merged.faults, merged.is_torn)
    }
}

/// The texts of all places, the later over the earlier.
struct Merged {
    given: BTreeMap<&'static str, Given>,
    faults: Vec<ConfigFault>,
    is_torn: bool,
}

impl Merged {
    fn of(sources: &Sources) -> Self {
        let of_file = |(path, text): &(PathBuf, String)| file::read(Path::new(path), text);
        let file::Read { given: in_file, mut faults, is_torn } =
            sources.file.as_ref().map(of_file).unwrap_or_default();
        let (in_environment, more) = env::read(&sources.environment);
        faults.extend(more);
        let mut by_flag = vec![];
        for (name, text) in &sources.flags {
            match keys::find(name) {
                Some(key) => by_flag.push((key.name, Given { text: text.clone(), origin: Origin::Flag })),
                None => faults.push(ConfigFault::unknown(name, Origin::Flag)),
            }
        }
        let given = in_file
            .into_iter()
            .chain(in_environment)
            .chain(by_flag)
            // Blank counts as not given: templates and forms write it so.
            .filter(|(_, given)| !given.text.trim().is_empty())
            .collect();
        Self { given, faults, is_torn }
    }
}

#[cfg(test)]
mod tests;
