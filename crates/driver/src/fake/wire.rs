//! The wire of one target: each statement is one exchange.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::{Code, Failure};
use tokio::sync::watch;

use crate::contract::{Cut, Wire};

/// How long a statement waits for a silent system.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct Line {
    armed: Option<Cut>,
    asked: u32,
    was_cut: bool,
    torn: bool,
    /// The connection broke and has not been made anew.
    lost: bool,
}

/// What becomes of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Whole,
    /// The question is lost.
    NotAsked,
    /// The answer is lost.
    NotAnswered,
}

/// A wire that can be cut, muted and mended.
#[derive(Debug)]
pub(super) struct FakeWire {
    line: Mutex<Line>,
    muted: watch::Sender<bool>,
    /// How much later each answer comes.
    slow: Mutex<Duration>,
}

impl FakeWire {
    pub(super) fn new() -> Self {
        Self { line: Mutex::default(), muted: watch::channel(false).0, slow: Mutex::default() }
    }

    fn line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the wire is muted, and makes the connection anew when it was lost.
    pub(super) async fn ready(&self, gives_up: bool, reconnects: bool, hasty: bool) -> Result<(), Failure> {
        let slow = *self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if !slow.is_zero() {
            if hasty {
                return Err(Failure::unknown(Code::TIMED_OUT, "the system is slow"));
            }
            tokio::time::sleep(slow).await;
        }
        if *self.muted.borrow() {
            let mut muted = self.muted.subscribe();
            let mended = async {
                // The sender lives as long as this wire.
                if muted.wait_for(|muted| !muted).await.is_err() {
                    tracing::trace!("A muted wire is gone");
                }
            };
            if gives_up {
                if tokio::time::timeout(PATIENCE, mended).await.is_err() {
                    return Err(Failure::unknown(Code::TIMED_OUT, "the system did not answer in time"));
                }
            } else {
                mended.await;
            }
            return Err(Failure::unknown(Code::UNREACHABLE, "the connection was lost"));
        }
        let mut line = self.line();
        if line.torn || (line.lost && !reconnects) {
            return Err(Failure::not_done(Code::UNREACHABLE, "the system cannot be reached"));
        }
        line.lost = false;
        Ok(())
    }

    /// Breaks after so many statements.
    pub(super) fn break_after(&self, statements: u32) {
        let mut line = self.line();
        line.armed = Some(Cut::After(statements.max(1)));
        line.asked = 0;
    }

    /// Counts a question.
    pub(super) fn ask(&self) -> Passage {
        let mut line = self.line();
        if line.torn || line.lost {
            return Passage::NotAsked;
        }
        line.asked += 1;
        let passage = match line.armed {
            Some(Cut::Before(n)) if n == line.asked => Passage::NotAsked,
            Some(Cut::After(n)) if n == line.asked => Passage::NotAnswered,
            _ => return Passage::Whole,
        };
        line.armed = None;
        line.was_cut = true;
        line.torn = true;
        line.lost = true;
        passage
    }

    /// A broken connection of a script mends by itself: only the call that it broke in is lost.
    pub(super) fn mend_break(&self) {
        self.line().torn = false;
    }
}

#[async_trait]
impl Wire for std::sync::Arc<FakeWire> {
    async fn cut(&self, at: Cut) {
        let mut line = self.line();
        *line = Line { armed: Some(at), asked: 0, was_cut: false, torn: line.torn, lost: line.lost };
    }

    fn was_cut(&self) -> bool {
        self.line().was_cut
    }

    async fn mute(&self) {
        self.muted.send_replace(true);
        self.line().lost = true;
    }

    async fn slow(&self, by: Duration) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    async fn mend(&self) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
        {
            let mut line = self.line();
            line.torn = false;
            line.armed = None;
        }
        self.muted.send_replace(false);
    }
}
