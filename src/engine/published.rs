//! What the engine shows the others: cursors that are on disk, counts, and why nothing opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Incarnation, IntegrationId, Position, Timestamp};
use rules::book::{Standstill, Tally};
use tokio::sync::{mpsc, oneshot, watch};

use super::asked::Asked;
use super::reads::News;
use crate::status::HealthState;
use rules::{Guard, NumberedOrder, Source, Standing};

/// The engine's state as of the last batch on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// The journal's present life.
    pub(crate) journal: Incarnation,
    pub(crate) last_report: Position,
    /// Orders taken and on disk, by the control plane's incarnation.
    pub(crate) cursors: Arc<BTreeMap<Incarnation, Position>>,
    /// How each integration stands, and all together.
    pub(crate) conditions: Arc<BTreeMap<IntegrationId, Condition>>,
    pub(crate) total: Tally,
    /// Reads of targets under way.
    pub(crate) reads: u64,
    pub(crate) uncommitted_reports: u64,
    /// How far the control plane's clock is ahead of ours, when it was heard lately.
    pub(crate) clock_skew_ms: Option<i64>,
    pub(crate) effective: Timestamp,
    pub(crate) standstill: Option<Standstill>,
    /// Rises when orders may have been lost on their way into the journal: the session must begin anew, so
    /// that the control plane sends them again.
    pub(crate) lapses: u64,
    /// The journal takes writes.
    pub(crate) journal_works: bool,
    /// Why what has to outlive the journal could not be saved.
    pub(crate) identity_fault: Option<String>,
    /// Every target that a lost journal knew was looked over, or could not be.
    pub(crate) looked: bool,
}

/// How one integration stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) tally: Tally,
    pub(crate) paused: bool,
    /// `None` before it was looked at.
    pub(crate) health: Option<HealthState>,
}

#[cfg(test)]
impl Published {
    /// What an engine shows that knows nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            journal: Incarnation::from_uuid(uuid::Uuid::nil()),
            last_report: Position(0),
            cursors: Arc::default(),
            conditions: Arc::default(),
            total: Tally::default(),
            reads: 0,
            uncommitted_reports: 0,
            clock_skew_ms: None,
            effective: Timestamp::ZERO,
            standstill: None,
            lapses: 0,
            journal_works: true,
            identity_fault: None,
            looked: true,
        }
    }
}

/// What others ask of the engine.
#[derive(Debug)]
pub(crate) enum Message {
    Order(NumberedOrder),
    /// An order that cannot be read: refused at its place.
    Unreadable {
        ordered: model::Ordered,
        detail: String,
    },
    Standing(Standing),
    Committed {
        through: Position,
    },
    Heard {
        source: Source,
        said: Timestamp,
    },
    JournalIsCurrent {
        by: Incarnation,
    },
    /// Answers once the journal has a new life.
    JournalIsOld(oneshot::Sender<()>),
    /// What was discovered there may not have arrived.
    DiscoverAgain(IntegrationId),
    /// From the crew: nothing but closing any more.
    CloseOnly(String),
    /// The guardrails that hold from now on.
    Guard(Guard),
    /// The configuration, secrets and certificates may have changed.
    LookAgain,
    /// From an operator beside the agent.
    Asked(Asked),
}

/// How others reach the engine.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) messages: mpsc::Sender<Message>,
    pub(crate) published: watch::Receiver<Published>,
}

/// Where the link hears of targets.
pub(crate) type Newsstand = Arc<tokio::sync::Mutex<mpsc::Receiver<News>>>;
