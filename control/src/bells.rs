//! Bells: who waits for a change of one thing hears when it may have come, then looks for itself.
//!
//! A bell rung says only "look again"; rings may be lost in one another, never altogether. A bell that nobody
//! listens to is not kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Somebody who listens.
#[derive(Debug)]
pub struct Listener {
    bells: Arc<Bells>,
    bell: Bell,
    rung: watch::Receiver<()>,
}

impl Bells {
    fn listeners(&self) -> MutexGuard<'_, BTreeMap<Bell, watch::Sender<()>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to listen; look once after this and before the first wait.
    pub fn listen(self: &Arc<Self>, bell: Bell) -> Listener {
        let rung = self.listeners().entry(bell.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Listener { bells: self.clone(), bell, rung }
    }

    /// Tells those who listen to look again.
    pub fn ring(&self, bell: &Bell) {
        if let Some(sender) = self.listeners().get(bell) {
            sender.send_replace(());
        }
    }

    /// Returns how many bells are kept.
    pub fn kept(&self) -> usize {
        self.listeners().len()
    }
}

impl Listener {
    /// Waits for the next ring; one that came since the last wait counts.
    pub async fn rung(&mut self) {
        // The sender is kept as long as this listens.
        self.rung.changed().await.ok();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut listeners = self.bells.listeners();
        if listeners.get(&self.bell).is_some_and(|sender| sender.receiver_count() <= 1) {
            listeners.remove(&self.bell);
        }
    }
}
