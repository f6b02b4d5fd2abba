//! Time that passes for agent and control plane at once, as if everybody slept through it.

use std::time::Duration;

use crate::plane::{until, until_within};
use crate::world::World;

/// Longer than the longest pause between two tries, in seconds.
pub(crate) const PAUSE: i64 = 61;
/// So many looks take longer than a try does after the clock has reached it: three seconds at the least.
const LOST_STEP: u32 = 150;

/// A world in which time passes for everybody at once.
pub(crate) struct Passing {
    pub(crate) world: World,
    passed: i64,
}

impl Passing {
    pub(crate) fn in_world(world: World) -> Self {
        Self { world, passed: 0 }
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.passed += seconds;
        self.world.bench.set_clock(self.passed, self.passed);
        self.world.plane.set_clock(self.passed);
    }

    pub(crate) fn tries(&mut self, action: &str) -> usize {
        let failed = self.world.agent().said("Action did not succeed");
        failed.iter().filter(|line| line["action"] == action).count()
    }

    pub(crate) fn effective(&self) -> i64 {
        let status = self.world.run(&["status", "--json"]).ended(0).json();
        let text = status["work"]["effective"].as_str().unwrap().to_owned();
        text.parse::<model::Timestamp>().unwrap().as_secs()
    }

    /// Lets the pauses between tries of `action` pass, until there were so many.
    ///
    /// A try is logged before its pause is reckoned: a step of the clock may come between the two, and the pause then
    /// begins after it. So the clock also steps when nothing has come of the last step.
    pub(crate) fn pass_until_tried(&mut self, action: &str, tries: usize) {
        let (mut last, mut looks) = (0, 0);
        until(|| {
            let now = self.tries(action);
            if now >= tries {
                return Some(());
            }
            looks += 1;
            if now > last || looks > LOST_STEP {
                self.pass(PAUSE);
                (last, looks) = (now, 0);
            }
            None
        })
        .unwrap_or_else(|| panic!("{} tries of {tries}", self.tries(action)));
    }

    /// Lets pauses pass until something is so, for at most so long in real time.
    pub(crate) fn pass_until(&mut self, what: &str, limit: Duration, is_so: impl Fn(&World) -> bool) {
        let mut looks = LOST_STEP;
        let seen = until_within(limit, || {
            if is_so(&self.world) {
                return Some(());
            }
            looks += 1;
            if looks > LOST_STEP {
                self.pass(PAUSE);
                looks = 0;
            }
            None
        });
        seen.unwrap_or_else(|| panic!("{what}: not within {limit:?}; {:#?}", self.world.plane.reports()));
    }
}
