//! How the agent stands, in words that travel: the engine and the app fill them, operators read them.
//!
//! Nothing here is secret, and nothing names a grantee.

use driver::{CheckReport, Grade};
use model::{
    AccessId, Code, ConnectorId, DriverKind, Failure, Incarnation, InstanceId, IntegrationId, Lifecycle,
    Position, Revision, TargetIdentity, Timestamp,
};
use rules::book::Tally;
use serde::{Deserialize, Serialize};

use crate::admin::Report;

/// How the whole agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub connector: ConnectorId,
    pub instance: InstanceId,
    pub process: u32,
    pub started: Timestamp,
    /// What the machine's clock says.
    pub now: Timestamp,
    pub log_level: String,
    #[serde(flatten)]
    pub report: Report,
    /// `None` when the engine did not answer in time: what it does is not known.
    pub work: Option<Work>,
}

/// What the engine knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The time that deadlines are judged by.
    pub effective: Timestamp,
    /// This life of the journal.
    pub journal: Incarnation,
    pub last_report: Position,
    /// Reports that the control plane has not committed yet.
    pub uncommitted_reports: u64,
    pub paused: Pauses,
    /// All integrations together; the breaker is each integration's own.
    pub total: Tally,
    /// How long the longest of what is overdue is so, in milliseconds.
    pub longest_overdue_ms: Option<i64>,
    pub integrations: Vec<IntegrationStatus>,
}

/// Who has stopped opening.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pauses {
    /// The control plane, by an order.
    pub by_order: bool,
    /// An operator beside the agent.
    pub here: bool,
}

/// How one integration stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationStatus {
    pub id: IntegrationId,
    pub kind: DriverKind,
    pub revision: Revision,
    pub lifecycle: Lifecycle,
    pub paused: Pauses,
    /// Another target than the known one answers in its place.
    pub replaced_by: Option<TargetIdentity>,
    /// It is not proven that its configuration leads to the target that it led to: what is open there is closed
    /// there.
    #[serde(default)]
    pub moved: bool,
    /// `None` before it was looked at.
    pub health: Option<Health>,
    pub tally: Tally,
    /// How long the longest of what is overdue is so, in milliseconds.
    pub longest_overdue_ms: Option<i64>,
}

/// How a target was when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub state: HealthState,
    pub at: Timestamp,
    /// What is wrong: its code and the way out.
    pub code: Option<Code>,
    pub detail: String,
}

/// How a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    Good,
    /// Works; something is worth knowing.
    Warning,
    /// It answers, but opening cannot work.
    Bad,
    /// It cannot be reached or logged in to.
    Unreachable,
    /// The configuration is wrong, or a binding forbids it.
    Refused,
}

impl Health {
    /// Returns what a look at the target says.
    pub(crate) fn of(looked: &Result<CheckReport, Failure>, at: Timestamp) -> Self {
        match looked {
            Ok(report) => {
                let worst = report.probes.iter().max_by_key(|probe| probe.grade);
                let state = match worst.map(|probe| probe.grade) {
                    Some(Grade::Bad) => HealthState::Bad,
                    Some(Grade::Warning) => HealthState::Warning,
                    Some(Grade::Good) | None => HealthState::Good,
                };
                let told = worst.filter(|probe| probe.grade != Grade::Good);
                let detail = told.map(|probe| format!("{}: {}", probe.name, probe.detail));
                Self { state, at, code: None, detail: detail.unwrap_or_default() }
            }
            Err(failure) => Self {
                state: HealthState::of(failure),
                at,
                code: Some(failure.code.clone()),
                detail: failure.detail.clone(),
            },
        }
    }
}

impl HealthState {
    /// Returns how an integration is that could not be looked at.
    fn of(failure: &Failure) -> Self {
        if [Code::CONFIG_REFUSED, Code::BINDING_REFUSED, Code::GUARDRAIL_REFUSED].contains(&failure.code) {
            Self::Refused
        } else {
            Self::Unreachable
        }
    }

    /// Returns the word for logs and people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

/// What pausing or resuming came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who stops opening now, there.
    pub paused: Pauses,
    /// It was another way before.
    pub changed: bool,
    /// Pauses of single integrations that operators made and that stand.
    pub others: u64,
    /// False: the journal did not take it.
    pub recorded: bool,
}

/// What breaking the glass ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    pub accesses: u64,
    /// On which integrations they are.
    pub integrations: Vec<IntegrationId>,
    /// False: the journal did not take it. The agent goes on trying as long as it runs.
    pub recorded: bool,
}

/// What of it has not ended yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    pub accesses: u64,
    /// Some of them.
    pub examples: Vec<LeftAccess>,
}

/// An access that is still being ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAccess {
    pub access: AccessId,
    pub integration: IntegrationId,
    /// Its account's login is shut.
    pub contained: bool,
    pub attempts: u32,
    /// What went wrong last.
    pub code: Option<Code>,
    pub detail: String,
}
