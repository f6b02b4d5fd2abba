//! An agent's session: greeting, orders taken, what it made of the standing list.

use std::collections::BTreeMap;

use model::{AccessId, ConnectorId, Incarnation, Policy, Position, Revision, Timestamp};
use serde_json::json;

use super::{Deed, connector_of, logs};
use crate::record::{Connector, Log, Pin, Seen};
use crate::refusal::Refusal;
use crate::rules::hello::{Anew, Hello, Resume, resume};
use crate::store::Rows;
use crate::store::StoreFault;
use crate::token;

/// Orders that an agent has taken and that are kept all the same, for one whose journal is an old copy.
pub const KEPT_ORDERS: u64 = 10_000;

/// Whether a connector's token is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    Taken(ConnectorId),
    /// The connector is revoked.
    Revoked(ConnectorId),
    /// It is nobody's token, or no longer.
    Unknown,
}

/// Decides whether a connector's token is taken.
///
/// # Errors
/// The store is not available.
pub async fn admission(rows: &mut dyn Rows, token: &str, now: Timestamp) -> Result<Admission, StoreFault> {
    let hash = token::hash(token);
    Ok(match rows.connector_by_token(&hash).await? {
        Some(connector) if !connector.takes(&hash, now) => Admission::Unknown,
        Some(connector) if connector.revoked_at.is_some() => Admission::Revoked(connector.id),
        Some(connector) => Admission::Taken(connector.id),
        None => Admission::Unknown,
    })
}

/// What a session begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct Greeting {
    pub log: Log,
    /// Orders after this are sent.
    pub from: Position,
    /// The standing list is to be sent.
    pub standing: bool,
    pub committed: BTreeMap<Incarnation, Position>,
    pub policy: Policy,
}

/// Greets an agent: pins or compares its keys, takes its drivers, finds where its orders go on.
///
/// # Errors
/// There is no such connector, or the store is not available.
pub async fn greet(deed: &mut Deed<'_>, hello: Hello) -> Result<Greeting, Refusal> {
    let id = hello.connector.clone();
    let mut connector = connector_of(deed.rows, &id).await?;
    let subject = format!("connector/{id}");
    let committed = deed.rows.report_cursors(&id).await?;
    let log = deed.rows.log(&id).await?.ok_or_else(|| Refusal::missing("connector", &id))?;
    let first_kept = deed.rows.first_order(&id).await?;
    let at = committed.get(&hello.journal).copied().unwrap_or_default();
    let Resume { from, anew, standing, old_journal } =
        resume(&hello, &log, first_kept, connector.seen.as_ref(), at);
    keys(deed, &mut connector, &hello).await?;
    if old_journal {
        let detail = format!(
            "reports through {at} of journal {} are committed here, and its last is {}: the agent's journal is an old copy",
            hello.journal, hello.last_report
        );
        deed.alarm("journal_went_back", subject.clone(), detail).await?;
    }
    if deed.rows.drivers(Some(&id)).await? != hello.drivers {
        deed.rows.put_drivers(&id, &hello.drivers).await?;
    }
    let seen = Seen {
        at: deed.now,
        version: hello.version,
        instance: hello.instance,
        journal: hello.journal,
        epoch: hello.epoch,
        place: hello.place,
    };
    let after = json!({ "instance": seen.instance, "journal": seen.journal, "version": seen.version });
    connector.seen = Some(seen);
    deed.rows.put_connector(&connector, token::new_incarnation()).await?;
    deed.note("connector.connected", subject.clone(), None, Some(after)).await?;
    let (log, from) = match anew {
        None => (log, from),
        Some(Anew::WentBack) => {
            let detail = format!(
                "the agent has taken orders through {from}, and the last one written here is {}: this control plane was restored from a backup; its log of orders begins anew",
                log.last
            );
            deed.alarm("control_plane_went_back", subject, detail).await?;
            (logs::begin_anew(deed, &id, "the agent had taken later orders").await?, Position(0))
        }
        Some(Anew::Forgotten) => (
            logs::begin_anew(deed, &id, "orders that the agent lacks are no longer kept").await?,
            Position(0),
        ),
    };
    Ok(Greeting { log, from, standing, committed, policy: deed.rows.policy().await? })
}

/// Pins the keys at first sight; keys that come later are offered, and an alarm.
async fn keys(deed: &mut Deed<'_>, connector: &mut Connector, hello: &Hello) -> Result<(), Refusal> {
    if connector.pins.is_empty() {
        connector.pins = hello.keys.clone();
        return Ok(());
    }
    let known = |pin: &&Pin| connector.pins.iter().any(|pinned| pinned.same_key(pin));
    let (known, offered): (Vec<_>, Vec<_>) = hello.keys.iter().partition(known);
    let known: Vec<Pin> = known.into_iter().cloned().collect();
    let offered: std::collections::BTreeSet<Pin> = offered.into_iter().cloned().collect();
    // Which of the pinned keys is current may change without anybody's word.
    for pin in known {
        connector.pins.retain(|pinned| !pinned.same_key(&pin));
        connector.pins.insert(pin);
    }
    if !offered.is_empty() && offered != connector.offered {
        let ids: Vec<_> = offered.iter().map(|pin| pin.key_id.as_str()).collect();
        let detail = format!(
            "the agent offers keys that are not pinned ({}): what they sign counts as not verified until an admin accepts them",
            ids.join(", ")
        );
        deed.alarm("connector_keys_changed", format!("connector/{}", connector.id), detail).await?;
    }
    connector.offered = offered;
    Ok(())
}

/// Notes when an agent was last heard.
///
/// # Errors
/// The store is not available.
pub async fn left(deed: &mut Deed<'_>, id: &ConnectorId, heard: Timestamp, why: &str) -> Result<(), Refusal> {
    let mut connector = connector_of(deed.rows, id).await?;
    if let Some(seen) = &mut connector.seen {
        seen.at = seen.at.max(heard);
    }
    deed.rows.put_connector(&connector, token::new_incarnation()).await?;
    let after = json!({ "why": why });
    Ok(deed.note("connector.disconnected", format!("connector/{id}"), None, Some(after)).await?)
}

/// The agent has every order through a place; those that nobody can need again are dropped.
///
/// # Errors
/// The store is not available.
pub async fn orders_taken(deed: &mut Deed<'_>, id: &ConnectorId, through: Position) -> Result<(), Refusal> {
    let forget = Position(through.0.saturating_sub(KEPT_ORDERS));
    Ok(deed.rows.orders_taken(id, through, forget).await?)
}

/// The standing list at one place of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub incarnation: Incarnation,
    pub position: Position,
    pub accesses: BTreeMap<AccessId, Revision>,
}

/// Reads the standing list: one consistent view of log and accesses.
///
/// # Errors
/// The store is not available.
pub async fn standing(rows: &mut dyn Rows, id: &ConnectorId, now: Timestamp) -> Result<Standing, Refusal> {
    let log = rows.log(id).await?.ok_or_else(|| Refusal::missing("connector", id))?;
    let accesses = rows.living(id, now).await?;
    Ok(Standing { incarnation: log.incarnation, position: log.last, accesses })
}

/// What became of a standing list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is whole and in the agent's hands; what it does not end although it is absent comes as an alarm.
    Taken,
    /// It did not arrive whole.
    Misread,
}

impl Outcome {
    /// Returns the word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Misread => "misread",
        }
    }
}

/// Takes an agent's word on a standing list.
///
/// # Errors
/// The store is not available.
pub async fn verdict(
    deed: &mut Deed<'_>,
    id: &ConnectorId,
    outcome: Outcome,
    detail: String,
) -> Result<(), Refusal> {
    let mut connector = connector_of(deed.rows, id).await?;
    connector.standing = Some(outcome.word().into());
    deed.rows.put_connector(&connector, token::new_incarnation()).await?;
    let after = json!({ "outcome": outcome.word(), "detail": detail });
    Ok(deed.note("connector.standing", format!("connector/{id}"), None, Some(after)).await?)
}
