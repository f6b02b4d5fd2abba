//! Why a command could not do what was asked, and the code that it ends with.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use journal::JournalFault;
use journal::identity::{IdentityFault, PinFault};
use model::ConnectorId;
use rules::book::RestoreFault;
use seal::receipt::{LineFault, ReceiptFault, SignFault};
use secrets::file::DirectoryFault;

use crate::admin::ask::AskFault;
use crate::app::AppFault;
use crate::config::ConfigFault;
use crate::config::token::TokenFault;
use crate::exit::Exit;
use crate::guardrails::GuardrailsFault;
use crate::socket::SocketFault;
use crate::socket::ask::AskFault as AskAgentFault;
use crate::socket::words::Why;
use crate::telemetry::TelemetryFault;

/// Why a command could not.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Config(Faults),
    #[error(
        "no configuration was found at {}: give --config FILE, or run `tidegate init`; without a file the environment has to give {}", .path.display(), .missing
    )]
    NoConfig { path: PathBuf, missing: String },
    #[error("cannot {doing} {}", .path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{} is there already and is not overwritten: move it away, or give another one", .path.display())]
    FileThere { path: PathBuf },
    #[error(transparent)]
    Token(#[from] TokenFault),
    #[error(
        "`{key}`: {} holds no certificate that can be read ({detail}): give certificates in PEM form", .path.display()
    )]
    Certificates { key: &'static str, path: PathBuf, detail: String },
    #[error(transparent)]
    Guardrails(#[from] GuardrailsFault),
    #[error(transparent)]
    Secrets(#[from] DirectoryFault),
    #[error(transparent)]
    Socket(#[from] SocketFault),
    #[error(transparent)]
    Identity(#[from] IdentityFault),
    #[error(
        "the identity in {} is of connector `{found}` and `{wanted}` is configured: name the right folder, or make a new identity in another one", .path.display()
    )]
    OtherConnector { path: PathBuf, found: ConnectorId, wanted: ConnectorId },
    #[error(transparent)]
    Pins(#[from] PinFault),
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error("the journal is in use by a running agent: {way_out}")]
    Running { way_out: &'static str },
    #[error("the journal's row {key} cannot be read ({detail}): run the build that wrote it")]
    Row { key: String, detail: String },
    #[error(transparent)]
    Restore(#[from] RestoreFault),
    #[error("the journal has no {what}")]
    NoSuchRow { what: String },
    #[error(transparent)]
    Receipt(#[from] ReceiptFault),
    #[error("line {line}: {fault}")]
    Line { line: usize, fault: LineFault },
    #[error(transparent)]
    Sign(#[from] SignFault),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Ask(#[from] AskFault),
    #[error(transparent)]
    AskAgent(#[from] AskAgentFault),
    #[error("the agent refused: {reason}")]
    Refused { why: Why, reason: String },
    #[error(transparent)]
    App(#[from] AppFault),
    #[error(transparent)]
    Telemetry(#[from] TelemetryFault),
    #[error("the output cannot be written")]
    Output(#[source] io::Error),
    #[error("the system does not let the agent {doing}")]
    System {
        doing: &'static str,
        #[source]
        cause: io::Error,
    },
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub(super) struct Faults(pub(super) Vec<ConfigFault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} {}:", if count == 1 { "fault" } else { "faults" })?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}

impl Fault {
    /// Says why a new file could not be made.
    pub(super) fn of_new_file(path: &Path, doing: &'static str, cause: io::Error) -> Self {
        if cause.kind() == io::ErrorKind::AlreadyExists {
            Self::FileThere { path: path.into() }
        } else {
            Self::File { doing, path: path.into(), cause }
        }
    }

    /// Says that the agent answered another question than the one that was asked.
    pub(super) fn unfit_answer() -> Self {
        Self::Refused { why: Why::NotUnderstood, reason: "its answer fits no question of this build".into() }
    }

    /// Returns the code that the command ends with.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::NoConfig { .. }
            | Self::Token(_)
            | Self::Certificates { .. }
            | Self::Guardrails(_)
            | Self::Secrets(_)
            | Self::Socket(_) => Exit::Config,
            Self::Identity(_) | Self::OtherConnector { .. } | Self::Pins(_) => Exit::Identity,
            Self::Journal(_) | Self::Running { .. } | Self::Row { .. } | Self::Restore(_) => Exit::Journal,
            Self::Receipt(_) | Self::Line { .. } => Exit::NotVerified,
            Self::Usage(_) => Exit::Usage,
            Self::Ask(_) => Exit::NotReady,
            Self::AskAgent(fault) => match fault {
                AskAgentFault::NoAgent { .. } | AskAgentFault::Late { .. } => Exit::NotReady,
                AskAgentFault::NotAllowed { .. }
                | AskAgentFault::BrokenOff { .. }
                | AskAgentFault::Unreadable { .. } => Exit::Failed,
            },
            Self::Refused { why, .. } => match why {
                Why::NotKnown => Exit::Usage,
                Why::NotWritten => Exit::Journal,
                Why::NotNow => Exit::NotReady,
                Why::NotAllowed | Why::NotUnderstood => Exit::Failed,
            },
            Self::App(fault) => match fault {
                AppFault::Identity(_) | AppFault::OtherConnector { .. } => Exit::Identity,
                AppFault::Journal(_) => Exit::Journal,
                AppFault::Superseded { .. } => Exit::Superseded,
                AppFault::Secrets(_) | AppFault::Admin(_) => Exit::Config,
                AppFault::Engine(_) | AppFault::Worker { .. } | AppFault::Task(_) => Exit::Failed,
            },
            Self::File { .. }
            | Self::FileThere { .. }
            | Self::NoSuchRow { .. }
            | Self::Sign(_)
            | Self::Telemetry(_)
            | Self::Output(_)
            | Self::System { .. } => Exit::Failed,
        }
    }
}
