//! How fast one agent may send: a budget that fills with time, so that one cannot crowd out the others.

use model::{Span, Timestamp};

/// Messages a second that go on for ever.
pub const PER_SECOND: i64 = 2_000;
/// How far ahead of time an agent may be: twenty thousand messages at once.
pub const BURST: Span = Span::from_secs(10);

/// The budget of one agent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// Messages since `whole`, each a part of a millisecond.
    spent: i64,
    whole: Timestamp,
}

impl Pace {
    /// Counts messages and returns how long to wait before the next is read.
    pub fn spend(&mut self, messages: i64, now: Timestamp) -> Span {
        self.whole = self.whole.max(now);
        self.spent = self.spent.saturating_add(messages.saturating_mul(1_000));
        self.whole = self.whole.plus(Span::from_millis(self.spent / PER_SECOND));
        self.spent %= PER_SECOND;
        self.whole.minus(BURST).since(now)
    }
}
