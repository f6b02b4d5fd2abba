//! Showing the others how the engine stands: the link, metrics, readiness, operators.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Incarnation, IntegrationId};
use rules::Book;
use rules::book::Tally;

use super::published::{Condition, Published};
use super::telling::tell_breakers;
use super::{COUNT_EVERY, Engine};
use crate::status::Health;

impl Engine {
    /// Shows the others how the engine stands. Counting walks every account: once a second is enough for
    /// people, and what was not counted is counted before the engine sleeps for longer.
    pub(super) fn publish(&mut self) {
        let now = self.book.now();
        self.uncounted = now.since(self.counted) < COUNT_EVERY && now >= self.counted;
        let counted = self.uncounted.then(|| {
            let shown = self.shown.borrow();
            (Arc::clone(&shown.conditions), shown.total.clone())
        });
        if counted.is_none() {
            self.counted = now;
        }
        let counted = counted.unwrap_or_else(|| count(&self.book, &self.health));
        let now = Published {
            lapses: self.lapses,
            identity_fault: self.identity_fault.clone(),
            looked: self.unlooked.is_empty(),
            reads: self.reading.len() as u64,
            uncommitted_reports: self.book.last_report().0.saturating_sub(self.committed.0),
            ..show(&self.book, self.incarnation, self.journal_works, counted)
        };
        self.tell_standstill(now.standstill.as_ref());
        self.shown.send_if_modified(|shown| {
            let changed = *shown != now;
            tell_breakers(&shown.conditions, &now.conditions);
            *shown = now;
            changed
        });
    }
}

/// Returns what is shown of a book before anything was done with it.
pub(super) fn first(book: &Book, journal: Incarnation, journal_works: bool) -> Published {
    show(book, journal, journal_works, count(book, &BTreeMap::new()))
}

fn show(
    book: &Book,
    journal: Incarnation,
    journal_works: bool,
    (conditions, total): (Arc<BTreeMap<IntegrationId, Condition>>, Tally),
) -> Published {
    Published {
        journal,
        last_report: book.last_report(),
        cursors: Arc::new(book.meta().cursors.clone()),
        conditions,
        total,
        reads: 0,
        uncommitted_reports: 0,
        clock_skew_ms: book.clock_skew_ms(),
        effective: book.now(),
        standstill: book.standstill(),
        lapses: 0,
        journal_works,
        identity_fault: None,
        looked: true,
    }
}

/// Counts how each integration stands, and all together. Walks every account.
fn count(
    book: &Book,
    health: &BTreeMap<IntegrationId, Health>,
) -> (Arc<BTreeMap<IntegrationId, Condition>>, Tally) {
    let tallies = book.tallies();
    let total = Tally::sum(tallies.values());
    let condition = |(id, tally)| {
        let record = book.integration(&id);
        let paused = record.is_some_and(|record| record.paused || record.paused_here);
        let health = health.get(&id).map(|health| health.state);
        (id, Condition { tally, paused, health })
    };
    (Arc::new(tallies.into_iter().map(condition).collect()), total)
}
