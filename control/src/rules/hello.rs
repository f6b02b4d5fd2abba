//! What an agent that says hello is given: where its orders go on, and whether it needs the standing list.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectorId, Incarnation, InstanceId, Position, Timestamp};

use crate::record::{Driver, Log, Pin, Seen};

/// Who an agent is, what it can do, and how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    pub connector: ConnectorId,
    pub instance: InstanceId,
    pub version: String,
    /// The protocols that it speaks, both included.
    pub protocols: (u32, u32),
    pub journal: Incarnation,
    pub epoch: u64,
    /// Orders written through here, by the life of their log.
    pub taken: BTreeMap<Incarnation, Position>,
    pub last_report: Position,
    pub drivers: Vec<Driver>,
    pub keys: BTreeSet<Pin>,
    pub place: BTreeMap<String, String>,
    pub time: Option<Timestamp>,
}

/// Why a connector's log must begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anew {
    /// The agent has taken more than was written: this side was restored from a backup.
    WentBack,
    /// Orders that the agent lacks are no longer kept.
    Forgotten,
}

/// Where a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// Orders after this are sent; meaningless when the log begins anew: then all are.
    pub from: Position,
    pub anew: Option<Anew>,
    /// The standing list is to be sent.
    pub standing: bool,
    /// Reports beyond the journal's last were committed: the journal is an old copy.
    pub old_journal: bool,
}

/// Decides where a session goes on. `first_kept` is the first order that is still kept.
pub fn resume(
    hello: &Hello,
    log: &Log,
    first_kept: Option<Position>,
    seen: Option<&Seen>,
    committed: Position,
) -> Resume {
    let taken = hello.taken.get(&log.incarnation).copied();
    let from = taken.unwrap_or_default();
    let lacks_forgotten = match first_kept {
        Some(first) => from.next() < first,
        None => from < log.last,
    };
    let anew = if from > log.last {
        Some(Anew::WentBack)
    } else if lacks_forgotten {
        Some(Anew::Forgotten)
    } else {
        None
    };
    let other_journal = seen.is_none_or(|seen| seen.journal != hello.journal);
    let standing = taken.is_none() || from < log.last || anew.is_some() || other_journal;
    Resume { from, anew, standing, old_journal: committed > hello.last_report }
}

/// How a session that wants to begin stands to the one that is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// The same process dialled again, or an instance with a later lease: the one before is over.
    Replaces,
    /// Another instance: refused.
    Refused,
}

/// Decides between the session that is alive and one that wants to begin, each by instance and epoch.
pub fn rival(alive: (InstanceId, u64), new: (InstanceId, u64)) -> Rival {
    if alive.0 == new.0 || new.1 > alive.1 { Rival::Replaces } else { Rival::Refused }
}
