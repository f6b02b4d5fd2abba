//! A request and the access it becomes: one record from the asking to the end.

use std::fmt;

use model::{
    AccessId, AccessState, AccountId, ConnectorId, EntitlementSet, Failure, GranteeId, IntegrationId,
    Revision, Span, Timestamp,
};
use serde::{Deserialize, Serialize};

/// What the control plane itself has decided; the rest of the state is what the agent tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Waits for a decision.
    Pending,
    Rejected,
    /// Taken back before a decision.
    Withdrawn,
    /// Approved and ordered; from here on the agent tells.
    Accepted,
}

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "id")]
pub enum By {
    Person(GranteeId),
    /// The integration's own approval mode.
    Policy,
    /// The connector's agent.
    Agent(ConnectorId),
    /// The control plane, without a person: a restore, a shutdown.
    System,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(id) => write!(f, "{id}"),
            Self::Policy => f.write_str("policy"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// The decision on a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub approved: bool,
    pub by: By,
    pub at: Timestamp,
    pub reason: Option<String>,
}

/// Somebody asked for an end, or to stop waiting for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub by: By,
    pub at: Timestamp,
    pub reason: Option<String>,
}

/// From–until, fixed at approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: Timestamp,
    pub until: Timestamp,
}

/// What the agent told last about the access.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    pub revision: Revision,
    pub state: AccessState,
    pub failure: Option<Failure>,
    pub account: Option<AccountId>,
    /// Whether the agent would now take an order to stop waiting for the close.
    pub cancel_possible: bool,
    /// The deadline that the agent holds it to, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The agent's time.
    pub at: Timestamp,
}

/// A request and the access it becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: AccessId,
    pub grantee: GranteeId,
    pub integration: IntegrationId,
    pub connector: ConnectorId,
    pub entitlements: EntitlementSet,
    pub justification: String,
    pub requested_at: Timestamp,
    /// Not before, as asked.
    pub from: Option<Timestamp>,
    pub duration: Span,
    pub window: Option<Window>,
    /// Which version of the order the agent has; 0 before the first.
    pub revision: Revision,
    pub stage: Stage,
    pub decision: Option<Decision>,
    pub end_asked: Option<Asked>,
    pub cancel_asked: Option<Asked>,
    pub told: Option<Told>,
    /// Counts the entries of its history.
    pub changes: u64,
}

impl Request {
    /// Names the decision of a person, for an agent's guardrails: the request and who approved it.
    pub fn approval(&self) -> Option<String> {
        let decision = self.decision.as_ref().filter(|decision| decision.approved)?;
        match &decision.by {
            By::Person(id) => Some(format!("{}:{id}", self.id)),
            By::Policy | By::Agent(_) | By::System => None,
        }
    }

    /// Returns the deadline: the ordered one, or the agent's where that is earlier.
    pub fn until(&self) -> Option<Timestamp> {
        let ordered = self.window?.until;
        Some(self.told.as_ref().and_then(|told| told.until).map_or(ordered, |held| held.min(ordered)))
    }

    /// Returns true when nothing can change it any more.
    pub fn is_over(&self) -> bool {
        match self.stage {
            Stage::Pending => false,
            Stage::Rejected | Stage::Withdrawn => true,
            Stage::Accepted => self.told.as_ref().is_some_and(|told| told.state.is_terminal()),
        }
    }

    /// Returns the word for lists and filters: the stage, and once ordered what the agent told.
    pub fn word(&self) -> &'static str {
        match (self.stage, &self.told) {
            (Stage::Pending, _) => "pending",
            (Stage::Rejected, _) => "rejected",
            (Stage::Withdrawn, _) => "withdrawn",
            (Stage::Accepted, None) => "accepted",
            (Stage::Accepted, Some(told)) => told.state.word(),
        }
    }
}

/// Every word that [`Request::word`] returns.
pub const WORDS: [&str; 12] = [
    "pending",
    "rejected",
    "withdrawn",
    "accepted",
    "granting",
    "active",
    "interrupted",
    "ending",
    "ended",
    "refused",
    "failed",
    "canceled",
];

/// One line of a request's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub at: Timestamp,
    #[serde(flatten)]
    pub by: By,
    /// What happened, in one word: `requested`, `approved`, `active`, …
    pub what: String,
    pub detail: Option<String>,
}

impl Event {
    /// Notes what happened.
    pub fn new(at: Timestamp, by: By, what: impl Into<String>, detail: Option<String>) -> Self {
        Self { at, by, what: what.into(), detail }
    }
}

/// What the agent is to be told about an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tell {
    /// The full desired state, in the request's revision.
    Put,
    End,
    CancelEnding,
}

/// What a rule decided: the request as it is now, what to note, what to tell the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub request: Request,
    pub event: Event,
    pub tell: Option<Tell>,
    /// Something that an admin must see.
    pub alarm: Option<String>,
}

impl Moved {
    /// Counts the new line of history and gives the whole.
    pub(super) fn new(mut request: Request, event: Event, tell: Option<Tell>) -> Self {
        request.changes += 1;
        Self { request, event, tell, alarm: None }
    }
}
