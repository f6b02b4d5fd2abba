//! The lease: which instance of a connector acts, and what it may begin while it cannot be sure.
//!
//! Pure, but for the port. Time comes in as time since boot, slept time included, so that a process that was
//! stopped for a while knows it. The store judges by its own clock alone; the holder counts from before it
//! asked, so it believes its lease to end no later than the store does. Two things guard against a holder
//! that is wrong all the same: every write to the journal carries the epoch, and a call that changes a target
//! begins only while the lease outlives it.
//!
//! It leaves to others: asking in time, what changes a target, and when a successor may call something *ended*: the rules
//! wait for what an earlier holder had under way as they do after a crash.

use async_trait::async_trait;
use model::{InstanceId, Span, Towards};

use crate::JournalFault;

/// How long a lease lasts from its taking or its last renewal.
pub const LASTS: Span = Span::from_secs(10);
/// How long before its end the holder takes it as ended: clocks do not run alike.
pub const MARGIN: Span = Span::from_millis(500);
/// How often it is renewed.
pub const RENEW_EVERY: Span = Span::from_secs(3);
/// How soon a renewal that failed is tried again, and how often a standby looks whether it may take over.
pub const TRY_EVERY: Span = Span::from_secs(1);
/// How long an exchange that changes a target may go on landing there, by the target's own limits.
pub const CHANGE_LASTS: Span = Span::from_secs(5);

/// What the holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    Begin,
    /// The store does not answer, so this was the last holder: it may close what is due, after it has read again
    /// that nobody has changed it since.
    BeginAfterLooking,
    /// Not now; a renewal tells.
    Wait,
    /// Never again: another instance took over.
    Never,
}

/// A lease as its holder knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tenure {
    epoch: u64,
    until: Span,
    /// When the latest renewal was asked for that the store did not answer.
    unanswered: Option<Span>,
    superseded: bool,
}

impl Tenure {
    /// Begins with a lease that was asked for at this time.
    pub fn taken(epoch: u64, asked: Span) -> Self {
        Self { epoch, until: end_of(asked), unanswered: None, superseded: false }
    }

    /// Returns its epoch.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes a renewal that was asked for at this time and granted. An answer that comes late changes nothing.
    pub fn renewed(&mut self, asked: Span) {
        self.until = self.until.max(end_of(asked));
        if self.unanswered.is_some_and(|failed| failed <= asked) {
            self.unanswered = None;
        }
    }

    /// Notes that a renewal that was asked for at this time was not answered.
    pub fn unanswered(&mut self, asked: Span) {
        self.unanswered = self.unanswered.max(Some(asked));
    }

    /// Notes that another instance took over.
    pub const fn superseded(&mut self) {
        self.superseded = true;
    }

    /// Returns true once another instance is known to have taken over.
    pub const fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// Returns true when the lease has ended as far as the holder knows.
    pub fn is_lapsed(&self, now: Span) -> bool {
        now >= self.until
    }

    /// Returns how long the lease lasts for sure.
    pub fn left(&self, now: Span) -> Span {
        Span::from_millis(self.until.as_millis().saturating_sub(now.as_millis()).max(0))
    }

    /// Returns true while the store is believed not to answer: no renewal was granted since one failed.
    pub const fn is_alone(&self) -> bool {
        self.unanswered.is_some() && !self.superseded
    }

    /// Decides whether an exchange that changes a target may begin now.
    pub fn may(&self, towards: Towards, now: Span) -> May {
        if self.superseded {
            return May::Never;
        }
        if self.left(now) >= CHANGE_LASTS {
            return May::Begin;
        }
        // Only a store that was asked since the lease got short, and did not answer, leaves this one alone:
        // a process that merely slept asks first.
        let short_since = Span::from_millis(self.until.as_millis().saturating_sub(CHANGE_LASTS.as_millis()));
        match (towards, self.unanswered) {
            (Towards::Less, Some(asked)) if asked >= short_since => May::BeginAfterLooking,
            _ => May::Wait,
        }
    }

    /// Returns when the next renewal is due, counted from the last that was asked for.
    pub fn renew_at(&self, asked: Span) -> Span {
        plus(asked, if self.unanswered.is_some() { TRY_EVERY } else { RENEW_EVERY })
    }
}

fn end_of(asked: Span) -> Span {
    plus(asked, Span::from_millis(LASTS.as_millis() - MARGIN.as_millis()))
}

fn plus(at: Span, more: Span) -> Span {
    Span::from_millis(at.as_millis().saturating_add(more.as_millis()))
}

/// Who holds a lease, as the store tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    pub instance: InstanceId,
    pub epoch: u64,
    /// How long it still lasts by the store's clock; zero when it has ended.
    pub left: Span,
}

/// What a try to take the lease came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// It is ours, under a new epoch.
    Taken {
        epoch: u64,
    },
    Held(Holder),
}

/// What a renewal came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Renewed,
    Superseded(Holder),
}

/// Where the lease of one connector is kept.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the lease when nobody holds it, under an epoch above all before; from then on nothing can be written
    /// under an earlier one.
    ///
    /// # Errors
    /// When the store refuses, or does not answer: then the lease may have been taken all the same.
    async fn take(&self) -> Result<Taking, JournalFault>;

    /// Prolongs the lease of this epoch; also one that has ended, as long as nobody took it.
    ///
    /// # Errors
    /// As [`Self::take`].
    async fn renew(&self, epoch: u64) -> Result<Renewal, JournalFault>;

    /// Gives the lease of this epoch back, so that a standby takes over at once.
    ///
    /// # Errors
    /// As [`Self::take`].
    async fn release(&self, epoch: u64) -> Result<(), JournalFault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds since boot.
    const fn at(ms: i64) -> Span {
        Span::from_millis(100_000 + ms)
    }

    #[test]
    fn a_change_begins_only_while_the_lease_outlives_it() {
        let taken = Tenure::taken(7, at(0));
        let mut renewed = taken;
        renewed.renewed(at(3_000));
        let mut late = renewed;
        late.renewed(at(1_000));
        let mut failed = taken;
        failed.unanswered(at(4_600));
        let mut failed_early = taken;
        failed_early.unanswered(at(4_000));
        let mut failed_then_renewed = failed;
        failed_then_renewed.renewed(at(5_600));
        let mut an_older_answer = failed;
        an_older_answer.renewed(at(3_000));
        let mut an_older_answer_that_failed_again = failed;
        an_older_answer_that_failed_again.unanswered(at(7_500));
        an_older_answer_that_failed_again.renewed(at(3_000));
        let mut lost = failed;
        lost.superseded();
        let (more, less) = (Towards::More, Towards::Less);
        let table = [
            ("fresh, opening", taken, more, 0, May::Begin),
            ("the last moment", taken, more, 4_500, May::Begin),
            ("one too late", taken, more, 4_501, May::Wait),
            ("closing, one too late, the store not asked", taken, less, 4_501, May::Wait),
            ("woken long after", taken, less, 60_000, May::Wait),
            ("renewed", renewed, more, 7_500, May::Begin),
            ("renewed, one too late", renewed, more, 7_501, May::Wait),
            ("an answer that comes late", late, more, 7_500, May::Begin),
            ("the store was asked and is silent, opening", failed, more, 4_700, May::Wait),
            ("the store was asked and is silent, closing", failed, less, 4_700, May::BeginAfterLooking),
            ("lapsed and alone, closing", failed, less, 3_600_000, May::BeginAfterLooking),
            ("lapsed and alone, opening", failed, more, 3_600_000, May::Wait),
            ("silent before it got short: asked again first", failed_early, less, 9_600, May::Wait),
            ("silent, and the lease long enough", failed_early, more, 4_100, May::Begin),
            ("answered again", failed_then_renewed, more, 10_100, May::Begin),
            (
                "an older answer heals no later silence",
                an_older_answer_that_failed_again,
                less,
                7_600,
                May::BeginAfterLooking,
            ),
            ("answered again, then short", failed_then_renewed, less, 10_101, May::Wait),
            ("an older answer, then short: asked again first", an_older_answer, less, 7_600, May::Wait),
            ("another took over, opening", lost, more, 0, May::Never),
            ("another took over, closing", lost, less, 0, May::Never),
        ];
        for (name, tenure, towards, now, expected) in table {
            assert_eq!(tenure.may(towards, at(now)), expected, "{name}");
        }
    }

    #[test]
    fn the_holder_takes_it_as_ended_before_the_store_does() {
        let tenure = Tenure::taken(1, at(0));
        assert!(!tenure.is_lapsed(at(9_499)) && tenure.is_lapsed(at(9_500)));
        assert_eq!(tenure.left(at(9_400)), Span::from_millis(100));
        assert_eq!(tenure.left(at(20_000)), Span::ZERO);
        let last = LASTS.as_millis() - MARGIN.as_millis() - CHANGE_LASTS.as_millis();
        // Whatever begins lands before the store's own end of the lease, which is no earlier than this.
        assert!(last + CHANGE_LASTS.as_millis() < LASTS.as_millis());
        // What is promised to people: a successor looks and finds the lease ended within 15 s of its last renewal, with
        // time to spare for reading the journal.
        assert!(LASTS.as_millis() + TRY_EVERY.as_millis() + 4_000 <= 15_000);
        // One renewal may fail, be tried again and answered late without a pause for openings.
        assert!(RENEW_EVERY.as_millis() + TRY_EVERY.as_millis() < last);
    }

    #[test]
    fn renewals_are_asked_for_in_time_and_sooner_after_a_failure() {
        let mut tenure = Tenure::taken(1, at(0));
        assert_eq!(tenure.renew_at(at(0)), at(3_000));
        tenure.unanswered(at(3_000));
        assert!(tenure.is_alone());
        assert_eq!(tenure.renew_at(at(3_000)), at(4_000));
        tenure.renewed(at(4_000));
        assert!(!tenure.is_alone());
        assert_eq!(tenure.renew_at(at(4_000)), at(7_000));
    }
}
