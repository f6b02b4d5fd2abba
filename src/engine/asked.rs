//! What an operator asks beside the agent. The answer comes once what it changed, or what it tells of, is
//! on disk.

use rules::Reading;
use rules::book::IntegrationRecord;
use tokio::sync::oneshot;

use super::Engine;
use crate::status::{IntegrationStatus, Pauses, Work};

/// Who waits for an answer.
type Tell<T> = oneshot::Sender<T>;

/// A question.
#[derive(Debug)]
pub(crate) enum Asked {
    /// How does everything stand?
    Look(Tell<Work>),
}

impl Engine {
    /// Takes a question; [`Self::answer_asked`] answers it.
    pub(super) fn asked(&mut self, asked: Asked, reading: Reading) {
        match &asked {
            Asked::Look(_) => self.book.handle_timeout(reading),
        }
        self.asked.push(asked);
    }

    /// Answers what was asked before the last batch was written. Whoever stopped waiting is not told.
    pub(super) fn answer_asked(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            match asked {
                Asked::Look(tell) => drop(tell.send(self.work())),
            }
        }
    }

    fn work(&self) -> Work {
        let (now, meta) = (self.book.now(), self.book.meta());
        let tallies = self.book.tallies();
        let integrations = self.book.integrations().filter(|record| !record.retired).map(|record| {
            let id = &record.integration.id;
            let tally = tallies.get(id).cloned().unwrap_or_default();
            IntegrationStatus {
                id: id.clone(),
                kind: record.integration.kind.clone(),
                revision: record.integration.revision,
                lifecycle: record.integration.lifecycle,
                paused: pauses(record),
                replaced_by: record.replaced.clone(),
                health: self.health.get(id).cloned(),
                longest_overdue_ms: tally.longest_overdue(now).map(model::Span::as_millis),
                tally,
            }
        });
        let total = rules::book::Tally::sum(tallies.values());
        Work {
            effective: now,
            journal: self.incarnation,
            last_report: self.book.last_report(),
            uncommitted_reports: self.book.last_report().0.saturating_sub(self.committed.0),
            paused: Pauses { by_order: meta.paused, here: meta.paused_here },
            longest_overdue_ms: total.longest_overdue(now).map(model::Span::as_millis),
            total,
            integrations: integrations.collect(),
        }
    }
}

const fn pauses(record: &IntegrationRecord) -> Pauses {
    Pauses { by_order: record.paused, here: record.paused_here }
}
