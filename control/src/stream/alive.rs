//! Which agents are connected now, and what they said last. In memory only: a restart begins empty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{ConnectorId, InstanceId, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::record::Pulse;
use crate::rules::hello::{Rival, rival};

/// A session that is alive.
#[derive(Debug, Clone)]
pub struct Session {
    pub instance: InstanceId,
    pub epoch: u64,
    pub heard_at: Timestamp,
    pub pulse: Option<Pulse>,
    /// Ends the session for another that takes its place.
    replaced: CancellationToken,
    /// Asks for the standing list; true when an admin confirmed it. Counted, so that none is lost.
    standing: Arc<watch::Sender<(u64, bool)>>,
    number: u64,
}

/// All sessions that are alive, at most one a connector.
#[derive(Debug, Default)]
pub struct Alive {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: BTreeMap<ConnectorId, Session>,
    count: u64,
}

/// A place among the living; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    alive: Arc<Alive>,
    connector: ConnectorId,
    number: u64,
    /// Canceled when another session takes this place.
    pub replaced: CancellationToken,
    pub standing: watch::Receiver<(u64, bool)>,
}

impl Alive {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connector's place, if no other instance has it.
    pub fn enter(
        self: &Arc<Self>,
        connector: &ConnectorId,
        instance: InstanceId,
        epoch: u64,
        now: Timestamp,
    ) -> Result<Place, InstanceId> {
        let mut inner = self.inner();
        if let Some(before) = inner.sessions.get(connector) {
            match rival((before.instance, before.epoch), (instance, epoch)) {
                Rival::Refused => return Err(before.instance),
                Rival::Replaces => before.replaced.cancel(),
            }
        }
        inner.count += 1;
        let number = inner.count;
        let replaced = CancellationToken::new();
        let (sender, standing) = watch::channel((0, false));
        let session = Session {
            instance,
            epoch,
            heard_at: now,
            pulse: None,
            replaced: replaced.clone(),
            standing: Arc::new(sender),
            number,
        };
        inner.sessions.insert(connector.clone(), session);
        Ok(Place { alive: self.clone(), connector: connector.clone(), number, replaced, standing })
    }

    /// Returns the connector's session, if it has one.
    pub fn session(&self, connector: &ConnectorId) -> Option<Session> {
        self.inner().sessions.get(connector).cloned()
    }

    /// Returns true when the connector's agent is connected.
    pub fn is_connected(&self, connector: &ConnectorId) -> bool {
        self.inner().sessions.contains_key(connector)
    }

    /// Has the standing list sent. Returns false when the agent is not connected.
    pub fn ask_standing(&self, connector: &ConnectorId, confirmed: bool) -> bool {
        let session = self.session(connector);
        if let Some(session) = &session {
            session.standing.send_modify(|(count, word)| {
                *count += 1;
                *word = confirmed;
            });
        }
        session.is_some()
    }
}

impl Place {
    /// Notes that the agent was heard, and what it said of itself.
    pub fn heard(&self, now: Timestamp, pulse: Option<Pulse>) {
        let mut inner = self.alive.inner();
        if let Some(session) = inner.sessions.get_mut(&self.connector)
            && session.number == self.number
        {
            session.heard_at = now;
            session.pulse = pulse.or(session.pulse.take());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.alive.inner();
        if inner.sessions.get(&self.connector).is_some_and(|session| session.number == self.number) {
            inner.sessions.remove(&self.connector);
        }
    }
}
