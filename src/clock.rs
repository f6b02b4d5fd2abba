//! The one place that asks for the time.
//!
//! Gives the wall clock and the time since boot, both at one moment; time slept counts in the latter.
//! Everything else takes a [`Reading`] or a [`Timestamp`] as an argument. What the two mean together is
//! for `rules::clock` to say.
//!
//! In a debug build a test may set a running process's clocks: `CLOCK_TIDEGATE_FILE` names a file with two whole
//! numbers, by how many milliseconds the wall clock and the time since boot are put forward. It is read at each look;
//! while there is none, nothing is. A release build has nothing of this.

use model::{Span, Timestamp};
use rules::Reading;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// A clock that goes on while the machine sleeps. The standard library's `Instant` stops then on Linux.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: ClockId = ClockId::Boottime;
/// Elsewhere the monotonic clock counts sleep by itself.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: ClockId = ClockId::Monotonic;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// Returns what both clocks say now.
    fn read(&self) -> Reading;

    /// Returns what the wall clock says now.
    fn wall(&self) -> Timestamp {
        self.read().wall
    }
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        let (wall, since_boot) = shift();
        Reading {
            wall: Timestamp::from_millis(millis(clock_gettime(ClockId::Realtime)).saturating_add(wall)),
            monotonic: Span::from_millis(millis(clock_gettime(SINCE_BOOT)).saturating_add(since_boot)),
        }
    }
}

/// By how many milliseconds a test puts wall clock and time since boot forward.
#[cfg(not(debug_assertions))]
const fn shift() -> (i64, i64) {
    (0, 0)
}

#[cfg(debug_assertions)]
fn shift() -> (i64, i64) {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("CLOCK_TIDEGATE_FILE").map(PathBuf::from));
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.as_deref().and_then(shifts).unwrap_or_default()
}

#[cfg(debug_assertions)]
fn shifts(text: &str) -> Option<(i64, i64)> {
    let (wall, since_boot) = text.trim().split_once(' ')?;
    Some((wall.parse().ok()?, since_boot.parse().ok()?))
}

fn millis(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
#[derive(Debug)]
pub struct HandClock(std::sync::Mutex<Reading>);

#[cfg(test)]
impl HandClock {
    /// Begins at this wall time, a day after boot.
    pub fn at(wall: Timestamp) -> Self {
        Self(std::sync::Mutex::new(Reading { wall, monotonic: Span::from_days(1) }))
    }

    /// Lets both clocks run for so long.
    pub fn run(&self, span: Span) {
        let mut reading = self.0.lock().unwrap();
        reading.wall = reading.wall.plus(span);
        reading.monotonic = Span::from_millis(reading.monotonic.as_millis() + span.as_millis());
    }

    /// Sets the wall clock alone, as an administrator or NTP does.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().unwrap().wall = wall;
    }
}

#[cfg(test)]
impl Clock for HandClock {
    fn read(&self) -> Reading {
        *self.0.lock().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_tells_a_plausible_time_that_goes_on() {
        let first = SystemClock.read();
        let second = SystemClock.read();
        assert!(first.wall > "2025-01-01T00:00:00Z".parse().unwrap(), "{first:?}");
        assert!(first.monotonic > Span::ZERO && second.monotonic >= first.monotonic, "{second:?}");
    }

    #[cfg(debug_assertions)]
    #[test]
    fn what_a_test_sets_the_clocks_by_is_two_whole_numbers() {
        let table = [
            ("both", "3600000 -5\n", Some((3_600_000, -5))),
            ("nothing", "", None),
            ("one", "7", None),
            ("words", "an hour", None),
            ("too much", "1 2 3", None),
        ];
        for (name, text, expected) in table {
            assert_eq!(shifts(text), expected, "{name}");
        }
    }

    #[test]
    fn a_hand_clock_moves_only_by_hand() {
        let clock = HandClock::at(Timestamp::from_secs(1_000));
        let first = clock.read();
        clock.run(Span::from_secs(5));
        assert_eq!(clock.wall(), Timestamp::from_secs(1_005));
        assert_eq!(clock.read().monotonic.as_millis() - first.monotonic.as_millis(), 5_000);
        clock.set_wall(Timestamp::from_secs(7));
        assert_eq!(clock.wall(), Timestamp::from_secs(7));
        assert_eq!(clock.read().monotonic.as_millis() - first.monotonic.as_millis(), 5_000);
    }
}
