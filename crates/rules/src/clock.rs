//! The rules' own time: never back, and doubtful after a jump.
//!
//! Deadlines are absolute UTC. *Effective time* is the later of the wall clock and what has run on the
//! monotonic clock since the last reading (time slept counts), and its high-water mark is persisted: a
//! deadline once crossed stays crossed. The mark comes down only when two sources agree that it is too
//! high, or by an operator's word, so that one bad jump into the future does not stop opening for ever.

use model::{Code, Span, Timestamp};
use serde::{Deserialize, Serialize};

/// A skew or disagreement up to this much is normal.
pub const TOLERANCE: Span = Span::from_secs(30);
/// A jump of the wall clock beyond this, which the monotonic clock does not explain, stops deleting.
pub const JUMP: Span = Span::from_mins(10);

/// What the two clocks of a machine say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub wall: Timestamp,
    /// Time since boot, including time slept.
    pub monotonic: Span,
}

/// A clock other than our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    ControlPlane,
    Target,
}

/// What of the clock is kept in the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Persisted {
    pub high_water_ms: i64,
    /// An unexplained jump was seen and no second source has agreed since.
    pub jumped: bool,
}

/// The rules' clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Clock {
    effective: Timestamp,
    last: Option<Reading>,
    leapt: Span,
    jumped: bool,
    /// What each source said last, and when that was.
    control_plane: Option<Heard>,
    target: Option<Heard>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Heard {
    said: Timestamp,
    /// Monotonic time of the hearing: what it would say now follows, whatever our wall clock did since.
    at: Span,
}

/// A heard source counts for this long.
const FRESH: Span = Span::from_mins(15);

impl Clock {
    /// Begins with what the journal kept.
    pub fn restore(kept: Persisted) -> Self {
        Self { effective: Timestamp::from_millis(kept.high_water_ms), jumped: kept.jumped, ..Self::default() }
    }

    /// Returns what the journal should keep.
    pub const fn persisted(&self) -> Persisted {
        Persisted { high_water_ms: self.effective.as_millis(), jumped: self.jumped }
    }

    /// Returns effective time as of the last reading.
    pub const fn now(&self) -> Timestamp {
        self.effective
    }

    /// Takes a reading and returns effective time.
    pub fn read(&mut self, reading: Reading) -> Timestamp {
        let run = match self.last {
            Some(last) => {
                let ran = reading.monotonic.as_millis().saturating_sub(last.monotonic.as_millis()).max(0);
                let walked = reading.wall.as_millis().saturating_sub(last.wall.as_millis());
                if walked.saturating_sub(ran).saturating_abs() > JUMP.as_millis() {
                    self.jumped = true;
                }
                Span::from_millis(ran)
            }
            // After a start nobody knows how long the machine was off: the wall clock is believed forwards,
            // and a great step either way wants a second source before anything is deleted.
            None => {
                if self.effective != Timestamp::ZERO && self.effective.distance(reading.wall) > JUMP {
                    self.jumped = true;
                }
                Span::ZERO
            }
        };
        let walked = self.effective.plus(run);
        self.leapt = if self.last.is_some() { reading.wall.since(walked) } else { Span::ZERO };
        self.last = Some(reading);
        self.effective = walked.max(reading.wall);
        self.reconcile();
        self.effective
    }

    /// Takes what another clock said at the last reading.
    pub fn hear(&mut self, source: Source, said: Timestamp) {
        let Some(last) = self.last else { return };
        let heard = Heard { said, at: last.monotonic };
        match source {
            Source::ControlPlane => self.control_plane = Some(heard),
            Source::Target => self.target = Some(heard),
        }
        self.reconcile();
    }

    /// Returns by how much the last reading put effective time forward without its having run: what waits
    /// for something to happen in the world has to wait that much longer.
    pub const fn leapt(&self) -> Span {
        self.leapt
    }

    /// An operator states that the wall clock is right.
    pub fn reset(&mut self) {
        if let Some(last) = self.last {
            self.effective = last.wall;
        }
        self.jumped = false;
    }

    /// Returns how far a source is ahead of our wall clock, in milliseconds, if it was heard lately.
    fn ahead_ms(&self, heard: Option<Heard>) -> Option<i64> {
        let last = self.last?;
        let heard = heard?;
        let since = last.monotonic.as_millis().saturating_sub(heard.at.as_millis());
        let says = heard.said.as_millis().saturating_add(since);
        (since <= FRESH.as_millis()).then_some(says.saturating_sub(last.wall.as_millis()))
    }

    fn reconcile(&mut self) {
        let Some(last) = self.last else { return };
        let agrees = |heard: Option<Heard>| {
            self.ahead_ms(heard).is_some_and(|ahead| ahead.saturating_abs() <= TOLERANCE.as_millis())
        };
        let control_plane = agrees(self.control_plane);
        let target = agrees(self.target);
        // One source suffices to believe the wall clock again, and so to delete again…
        if (control_plane || target) && self.effective.since(last.wall) <= TOLERANCE {
            self.jumped = false;
        }
        // …but only two bring the high-water mark down: a deadline uncrossed is access reopened.
        if control_plane && target && self.effective.since(last.wall) > TOLERANCE {
            self.effective = last.wall;
            self.jumped = false;
        }
    }

    /// Returns whether opening is allowed, else why not.
    ///
    /// # Errors
    /// [`Code::CLOCK_UNTRUSTED`] when the control plane's clock is more than [`TOLERANCE`] away, or the
    /// high-water mark is that far ahead of the wall clock.
    pub fn may_open(&self) -> Result<(), Code> {
        let skewed = self
            .ahead_ms(self.control_plane)
            .is_some_and(|ahead| ahead.saturating_abs() > TOLERANCE.as_millis());
        let ahead = self.last.is_some_and(|last| self.effective.since(last.wall) > TOLERANCE);
        if skewed || ahead { Err(Code::CLOCK_UNTRUSTED) } else { Ok(()) }
    }

    /// Returns whether deleting is allowed: not after an unexplained jump until a second source agrees.
    pub const fn may_delete(&self) -> bool {
        !self.jumped
    }

    /// Returns how far the control plane's clock was ahead of ours, in milliseconds, if heard lately.
    pub fn skew_ms(&self) -> Option<i64> {
        self.ahead_ms(self.control_plane)
    }
}

#[cfg(test)]
mod tests;
