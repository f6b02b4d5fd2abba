//! When to try again: full jitter under a growing ceiling, and a breaker per target with one probe.
//!
//! Jitter comes from the account and the count of tries, so that a seed replays exactly and accounts of
//! one target still spread.

use model::{AccountId, Failure, Retry, Span, Timestamp};

/// The first ceiling.
pub const FIRST: Span = Span::from_millis(500);
/// The highest ceiling: a close is tried at least this often, for ever.
pub const CEILING: Span = Span::from_secs(60);
/// Failures in a row after which a target's breaker opens.
pub const BREAKS_AFTER: u32 = 5;

/// Mixes a number well: the finaliser of SplitMix64.
const fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Returns a pause between a fifth of and the whole ceiling for this many tries.
pub fn pause(account: AccountId, tries: u32) -> Span {
    let (high, low) = account.as_uuid().as_u64_pair();
    jittered(mixed(high ^ mixed(low) ^ u64::from(tries)), tries)
}

/// Returns an account's place within a window.
pub fn spread(account: AccountId, window: Span) -> Span {
    let (high, low) = account.as_uuid().as_u64_pair();
    let width = window.as_millis().unsigned_abs().max(1);
    Span::from_millis(i64::try_from(mixed(low ^ mixed(high)) % width).unwrap_or(0))
}

fn jittered(random: u64, tries: u32) -> Span {
    let ceiling = FIRST.as_millis().saturating_mul(1_i64 << tries.min(20)).min(CEILING.as_millis());
    let floor = ceiling / 5;
    let width = u64::try_from(ceiling - floor).unwrap_or(0) + 1;
    Span::from_millis(floor + i64::try_from(random % width).unwrap_or(0))
}

/// Returns when a failed act is due again.
pub fn due(account: AccountId, tries: u32, failure: &Failure, now: Timestamp) -> Timestamp {
    let backoff = pause(account, tries);
    match failure.retry {
        Retry::After(span) => now.plus(span.max(backoff)),
        // Worth a slow try all the same: nobody may remember to tell us that it was mended.
        Retry::Never | Retry::NeedsHuman => now.plus(CEILING),
        Retry::Backoff | Retry::AfterNewSecret => now.plus(backoff),
    }
}

/// Spares a target that is down: after some failures in a row only one probe at a time goes out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    retry_at: Timestamp,
    probing: bool,
}

impl Breaker {
    /// Returns true when a call may go out now.
    pub fn allows(&self, now: Timestamp) -> bool {
        self.failures < BREAKS_AFTER || (!self.probing && now >= self.retry_at)
    }

    /// Returns true while calls are held back.
    pub const fn is_open(&self) -> bool {
        self.failures >= BREAKS_AFTER
    }

    /// Returns when a held-back call may go out as a probe.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        (self.is_open() && !self.probing).then_some(self.retry_at)
    }

    /// A call went out.
    pub fn began(&mut self) {
        if self.is_open() {
            self.probing = true;
        }
    }

    /// A call that had begun was never sent.
    pub fn never_sent(&mut self) {
        self.probing = false;
    }

    /// Time is earlier than it was thought to be: the next probe is not later than this.
    pub fn time_went_back(&mut self, latest: Timestamp) {
        self.retry_at = self.retry_at.min(latest);
    }

    /// A call reached the target, whatever it answered.
    pub fn reached(&mut self) {
        *self = Self::default();
    }

    /// A call did not reach the target.
    pub fn missed(&mut self, target: u64, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.probing = false;
        if self.is_open() {
            let over = self.failures - BREAKS_AFTER;
            self.retry_at = now.plus(jittered(mixed(target ^ u64::from(self.failures)), over));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Code, Span};

    fn account() -> AccountId {
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8".parse().unwrap()
    }

    #[test]
    fn pauses_grow_to_the_ceiling_and_never_reach_zero() {
        for tries in 0..200 {
            let pause = pause(account(), tries);
            assert!(pause >= Span::from_millis(100), "{tries}: {pause}");
            assert!(pause <= CEILING, "{tries}: {pause}");
        }
        assert!(pause(account(), 0) <= FIRST);
    }

    #[test]
    fn the_target_says_when() {
        let failure = Failure::not_done(Code::BUSY, "").with_retry(Retry::After(Span::from_mins(5)));
        assert_eq!(due(account(), 1, &failure, Timestamp::ZERO), Timestamp::ZERO.plus(Span::from_mins(5)));
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through() {
        let mut breaker = Breaker::default();
        let now = Timestamp::from_secs(100);
        for _ in 0..BREAKS_AFTER {
            assert!(breaker.allows(now));
            breaker.missed(1, now);
        }
        assert!(!breaker.allows(now));
        let later = breaker.wakes_at().unwrap();
        assert!(later > now);
        assert!(breaker.allows(later));
        breaker.began();
        assert!(!breaker.allows(later), "one probe at a time");
        breaker.missed(1, later);
        assert!(breaker.wakes_at().unwrap() > later);
        breaker.reached();
        assert!(breaker.allows(later));
    }
}
