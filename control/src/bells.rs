//! Bells: who waits for a change of one thing hears when it may have come, then looks for itself.
//!
//! A bell rung says only "look again"; rings may be lost in one another, never altogether.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::{AccessId, ConnectorId};
use tokio::sync::watch;

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bell {
    /// Orders wait for the connector, or it was revoked.
    Connector(ConnectorId),
    Request(AccessId),
}

/// All who listen.
#[derive(Debug, Default)]
pub struct Bells {
    listeners: Mutex<BTreeMap<Bell, watch::Sender<()>>>,
}

impl Bells {
    /// Begins to listen; look once after this and before the first wait.
    pub fn listen(&self, bell: Bell) -> watch::Receiver<()> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.entry(bell).or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Tells those who listen to look again.
    pub fn ring(&self, bell: &Bell) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.get(bell).is_some_and(|sender| sender.send(()).is_err()) {
            listeners.remove(bell);
        }
    }
}
