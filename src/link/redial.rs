//! When to dial again: full jitter under a growing, capped ceiling; never before the other side asked. Pure.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
/// A session that lived this long counts as a success: the next pause is a short one.
const PROVEN: Duration = Duration::from_secs(30);
/// No other side can keep an agent away for longer.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// The pauses between dials.
#[derive(Debug, Clone)]
pub(crate) struct Redial {
    most: Duration,
    tries: u32,
}

impl Redial {
    pub(crate) const fn new(most: Duration) -> Self {
        Self { most, tries: 0 }
    }

    /// Returns the pause after a session that lived so long. `random` is any number.
    pub(crate) fn pause(&mut self, lived: Duration, asked: Option<Duration>, random: u64) -> Duration {
        if lived >= PROVEN {
            self.tries = 0;
        }
        let ceiling = FIRST.saturating_mul(1 << self.tries.min(16)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        let width = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX).max(1);
        let jittered = Duration::from_millis(random % width + 1);
        jittered.max(asked.unwrap_or_default().min(LONGEST_ASKED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_most_and_fall_back_after_a_long_session() {
        let mut redial = Redial::new(Duration::from_secs(30));
        for _ in 0..40 {
            assert!(redial.pause(Duration::ZERO, None, u64::MAX) <= Duration::from_secs(30));
        }
        assert!(redial.pause(Duration::ZERO, None, 29_999) > Duration::from_secs(20), "grown");
        assert!(redial.pause(PROVEN, None, u64::MAX) <= FIRST, "fallen back");
    }

    /// Ten thousand agents lose the same control plane at one moment, and each dials until it is back.
    #[test]
    fn ten_thousand_agents_come_back_spread_out_and_all_of_them() {
        const AGENTS: usize = 10_000;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        // How long it is away, and how many may come in the worst second.
        let table = [(2, 6_000), (5, 3_300), (60, 800), (3_600, 800)];
        for (away, most) in table {
            let away = Duration::from_secs(away);
            let mut came = std::collections::BTreeMap::<u64, usize>::new();
            for _ in 0..AGENTS {
                let mut redial = Redial::new(Duration::from_secs(30));
                let mut at = redial.pause(PROVEN, None, random());
                while at < away {
                    at += redial.pause(Duration::ZERO, None, random());
                }
                *came.entry((at - away).as_secs()).or_default() += 1;
            }
            assert_eq!(came.values().sum::<usize>(), AGENTS);
            let worst = came.values().max().copied().unwrap();
            assert!(worst <= most, "away for {away:?}: {worst} in one second: {came:?}");
            assert!(came.keys().all(|second| *second < 30), "away for {away:?}: {came:?}");
        }
    }

    #[test]
    fn what_was_asked_for_is_honoured_within_reason() {
        let mut redial = Redial::new(Duration::from_secs(30));
        assert!(redial.pause(Duration::ZERO, Some(Duration::from_secs(90)), 0) >= Duration::from_secs(90));
        assert_eq!(redial.pause(Duration::ZERO, Some(Duration::MAX), 0), LONGEST_ASKED);
    }
}
