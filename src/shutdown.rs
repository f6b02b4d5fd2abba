//! Being told to stop, and to read again.
//!
//! The first SIGTERM or SIGINT asks for an ordered stop; the second ends [`Signals::listen`], whereupon the
//! process ends at once, which the journal survives. SIGHUP counts a reload. Stopping never ends an access:
//! accesses outlive the process. What is stopped in which order is left to the crew.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Whether the process was asked to stop. Clones ask the same question.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: CancellationToken,
    reloads: watch::Receiver<u64>,
}

/// The other end: who asks.
#[derive(Debug)]
pub struct Trigger {
    asked: CancellationToken,
    reloads: watch::Sender<u64>,
}

impl Shutdown {
    /// Returns both ends.
    pub fn new() -> (Trigger, Self) {
        let asked = CancellationToken::new();
        let (sender, reloads) = watch::channel(0);
        (Trigger { asked: asked.clone(), reloads: sender }, Self { asked, reloads })
    }

    /// Waits until an ordered stop is asked for.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Returns true once an ordered stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Returns how often a reload was asked for; it changes with each.
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.clone()
    }
}

impl Trigger {
    /// Asks for an ordered stop. Asking twice is asking once.
    pub fn stop(&self) {
        self.asked.cancel();
    }

    /// Asks for a reload.
    pub fn reload(&self) {
        self.reloads.send_modify(|count| *count += 1);
    }
}

/// The process's signals.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    trigger: Trigger,
}

impl Signals {
    /// Begins to take the signals; from now on they do not end the process by themselves.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn take(trigger: Trigger) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            trigger,
        })
    }

    /// Passes the signals on; returns when the process shall end at once.
    pub async fn listen(mut self) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hang_up.recv() => {
                    tracing::info!("Reload asked for by SIGHUP");
                    self.trigger.reload();
                    continue;
                }
            };
            if self.trigger.asked.is_cancelled() {
                tracing::warn!(signal = name, "Second signal: stopping at once");
                return;
            }
            tracing::info!(signal = name, "Stopping in good order; a second signal stops at once");
            self.trigger.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_signal_asks_and_the_second_ends() {
        let send = |signal| {
            rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
        };
        let (trigger, shutdown) = Shutdown::new();
        let mut reloads = shutdown.reloads();
        let mut listening = std::pin::pin!(Signals::take(trigger).unwrap().listen());
        send(rustix::process::Signal::HUP);
        tokio::select! {
            () = &mut listening => panic!("a reload ended it"),
            changed = reloads.changed() => changed.unwrap(),
        }
        assert!(!shutdown.is_asked());
        send(rustix::process::Signal::TERM);
        tokio::select! {
            () = &mut listening => panic!("the first signal ended it"),
            () = shutdown.asked() => {}
        }
        send(rustix::process::Signal::INT);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), listening).await;
        assert!(ended.is_ok(), "the second signal did not end it");
    }

    #[tokio::test]
    async fn all_clones_hear_the_same() {
        let (trigger, shutdown) = Shutdown::new();
        let (other, mut reloads) = (shutdown.clone(), shutdown.reloads());
        assert!(!other.is_asked());
        trigger.reload();
        trigger.reload();
        reloads.changed().await.unwrap();
        assert_eq!(*reloads.borrow(), 2);
        trigger.stop();
        trigger.stop();
        other.asked().await;
        assert!(shutdown.is_asked());
    }
}
