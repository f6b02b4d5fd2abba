//! What the control plane says about the session itself, and cursors in both directions.

use model::{AccessId, Incarnation, Policy, Position, Revision, Span, Timestamp};
use proto::{limits, v1};

use super::words::{need_time, read_policy, read_span, read_time};
use super::{Fault, at_most, cut, exactly, id, uuid};

/// How often a heartbeat is sent when the control plane does not say, and the limits of what it may say.
const HEARTBEAT: Span = Span::from_secs(5);
const FASTEST_HEARTBEAT: Span = Span::from_secs(1);
const SLOWEST_HEARTBEAT: Span = Span::from_secs(60);

/// A place in a numbered log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) incarnation: Incarnation,
    pub(crate) position: Position,
}

/// The session is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Welcome {
    pub(crate) protocol: u32,
    pub(crate) server_time: Timestamp,
    pub(crate) incarnation: Incarnation,
    pub(crate) last_order: Position,
    pub(crate) reports_committed: Vec<Cursor>,
    pub(crate) policy: Policy,
    pub(crate) heartbeat: Span,
    pub(crate) version: String,
}

/// The control plane is alive, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlHeartbeat {
    pub(crate) time: Timestamp,
    /// Which of our heartbeats it heard last.
    pub(crate) heard: Option<Timestamp>,
    pub(crate) last_order: Option<Cursor>,
    pub(crate) reports_committed: Option<Cursor>,
}

/// One page of a standing list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandingPage {
    pub(crate) incarnation: Incarnation,
    pub(crate) position: Position,
    /// How many accesses the whole list has.
    pub(crate) count: u64,
    pub(crate) digest: [u8; limits::HASH_BYTES],
    pub(crate) page: u32,
    pub(crate) accesses: Vec<(AccessId, Revision)>,
    pub(crate) last: bool,
    pub(crate) confirmed: bool,
}

/// The control plane is about to end the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goodbye {
    /// A reason that this build does not know is as one that was not said.
    pub(crate) reason: v1::GoodbyeReason,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Span>,
}

/// Puts a place on the wire.
pub(crate) fn cursor(cursor: Cursor) -> v1::Cursor {
    v1::Cursor { incarnation: cursor.incarnation.to_string(), position: cursor.position.0 }
}

fn read_cursor(field: &'static str, wire: &v1::Cursor) -> Result<Cursor, Fault> {
    Ok(Cursor { incarnation: uuid(field, &wire.incarnation)?, position: Position(wire.position) })
}

/// Reads an acknowledgement.
///
/// # Errors
/// When it does not say what it acknowledges.
pub(crate) fn ack(wire: &v1::Ack) -> Result<Cursor, Fault> {
    const FIELD: &str = "ack.through";
    read_cursor(FIELD, wire.through.as_ref().ok_or(Fault::Missing { field: FIELD })?)
}

/// Reads the answer to our greeting.
///
/// # Errors
/// When something that a session cannot do without is missing or unreadable.
pub(crate) fn welcome(wire: v1::Welcome) -> Result<Welcome, Fault> {
    const COMMITTED: &str = "welcome.reports_committed";
    if wire.protocol == 0 {
        return Err(Fault::Missing { field: "welcome.protocol" });
    }
    let heartbeat = read_span("welcome.heartbeat_interval", wire.heartbeat_interval)?.unwrap_or(HEARTBEAT);
    Ok(Welcome {
        protocol: wire.protocol,
        server_time: need_time("welcome.server_time", wire.server_time)?,
        incarnation: uuid("welcome.control_incarnation", &wire.control_incarnation)?,
        last_order: Position(wire.last_order),
        reports_committed: at_most(COMMITTED, wire.reports_committed, limits::CURSORS)?
            .iter()
            .map(|wire| read_cursor(COMMITTED, wire))
            .collect::<Result<_, _>>()?,
        policy: read_policy(wire.policy),
        heartbeat: heartbeat.clamp(FASTEST_HEARTBEAT, SLOWEST_HEARTBEAT),
        version: cut(&wire.control_version, limits::NAME_BYTES),
    })
}

/// Reads a heartbeat of the control plane.
///
/// # Errors
/// When it has no time, or a cursor without an incarnation.
pub(crate) fn control_heartbeat(wire: &v1::ControlHeartbeat) -> Result<ControlHeartbeat, Fault> {
    let cursor =
        |field, wire: &Option<v1::Cursor>| wire.as_ref().map(|wire| read_cursor(field, wire)).transpose();
    Ok(ControlHeartbeat {
        time: need_time("heartbeat.time", wire.time)?,
        heard: read_time("heartbeat.heard", wire.heard)?,
        last_order: cursor("heartbeat.last_order", &wire.last_order)?,
        reports_committed: cursor("heartbeat.reports_committed", &wire.reports_committed)?,
    })
}

/// Reads a page of a standing list. Whether the pages fit together is left to whoever collects them.
///
/// # Errors
/// When the page says not which list it is of, or has an access that is none.
pub(crate) fn standing_page(wire: v1::Standing) -> Result<StandingPage, Fault> {
    const ACCESSES: &str = "standing.accesses";
    if wire.page == 0 {
        return Err(Fault::Missing { field: "standing.page" });
    }
    Ok(StandingPage {
        incarnation: uuid("standing.control_incarnation", &wire.control_incarnation)?,
        position: Position(wire.log_position),
        count: wire.count,
        digest: exactly("standing.digest", &wire.digest)?,
        page: wire.page,
        accesses: at_most(ACCESSES, wire.accesses, limits::PAGE_ACCESSES)?
            .iter()
            .map(|wire| Ok((id(ACCESSES, &wire.access_id)?, Revision(wire.revision))))
            .collect::<Result<_, _>>()?,
        last: wire.last,
        confirmed: wire.confirmed,
    })
}

/// Reads a farewell; one that is odd is a farewell all the same.
pub(crate) fn goodbye(wire: &v1::Goodbye) -> Goodbye {
    Goodbye {
        reason: wire.reason(),
        detail: cut(&wire.detail, limits::TEXT_BYTES),
        retry_after: read_span("goodbye.retry_after", wire.retry_after).unwrap_or_default(),
    }
}
