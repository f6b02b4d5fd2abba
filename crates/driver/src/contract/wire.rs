//! The wire between driver and target, as far as the suite breaks it.

use std::time::Duration;

use async_trait::async_trait;

/// When the connections of a target are torn.
///
/// An *exchange* is one question and its answer, as the wire sees it; they are counted from 1, from the call of
/// [`Wire::cut`] on, over all connections of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The n-th question does not reach the target.
    Before(u32),
    /// The n-th question reaches the target, which acts on it; the answer is lost.
    After(u32),
}

/// A wire that can be cut, muted and mended. What is cut stays cut for old and new connections alike.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Tears every connection at that exchange.
    async fn cut(&self, at: Cut);

    /// Returns true when a cut that was asked for has happened.
    fn was_cut(&self) -> bool;

    /// From now on nothing passes in either direction, and nothing is closed: half-open.
    async fn mute(&self);

    /// From now on each answer comes so much later, until the wire is mended.
    async fn slow(&self, by: Duration);

    /// From now on new connections work again; connections that were torn or muted are gone.
    async fn mend(&self);
}
