//! What an operator asks beside the agent. The answer comes once what it changed, or what it tells of, is
//! on disk.

use std::collections::BTreeSet;

use model::{AccessState, IntegrationId};
use rules::book::{IntegrationRecord, Which};
use rules::{Input, Reading};
use tokio::sync::oneshot;

use super::{Engine, EngineFault};
use crate::status::{Ends, IntegrationStatus, Left, LeftAccess, Paused, Pauses, Work};

/// Who waits for an answer.
type Tell<T> = oneshot::Sender<T>;

/// So many accesses that are still being ended are named.
const EXAMPLES: usize = 20;

/// A question.
#[derive(Debug)]
pub(crate) enum Asked {
    /// How does everything stand?
    Look(Tell<Work>),
    /// What would breaking the glass end? `None` when nothing of that name is known.
    WouldClose { which: Which, tell: Tell<Option<Ends>> },
    /// End these accesses.
    Close { which: Which, note: String, tell: Tell<Option<Ends>> },
    /// Stop opening, or allow it again. `None` when the integration is not known.
    Pause { integration: Option<IntegrationId>, paused: bool, tell: Tell<Option<Paused>> },
    /// What of these is being ended and not seen ended yet?
    Closing { which: Which, tell: Tell<Left> },
    /// Look at every target now, and at what is on it. Tells how many there are.
    CheckNow { tell: Tell<u64> },
}

/// A question that waits until what it changed is on disk.
#[derive(Debug)]
pub(crate) enum Waiting {
    Look(Tell<Work>),
    Closing { which: Which, tell: Tell<Left> },
    Ends { ends: Ends, tell: Tell<Option<Ends>> },
    Pauses { integration: Option<IntegrationId>, changed: bool, lapses: u64, tell: Tell<Option<Paused>> },
}

/// What an operator ended and the journal has not taken yet.
#[derive(Debug)]
pub(crate) struct Glass {
    which: Which,
    note: String,
}

impl Engine {
    /// Takes a question; [`Self::answer_asked`] answers what waits for the disk.
    pub(super) fn asked(&mut self, asked: Asked, reading: Reading) {
        self.book.handle_timeout(reading);
        match asked {
            Asked::Look(tell) => self.asked.push(Waiting::Look(tell)),
            Asked::Closing { which, tell } => self.asked.push(Waiting::Closing { which, tell }),
            Asked::CheckNow { tell } => {
                let looked_at = self.live().count() as u64;
                self.look_again_everywhere();
                tell.send(looked_at).ok();
            }
            Asked::Pause { integration, paused, tell } => self.pause(integration, paused, tell, reading),
            // Whoever stopped waiting is not told.
            Asked::WouldClose { which, tell } => drop(tell.send(self.ends(&which))),
            Asked::Close { which, note, tell } => match self.ends(&which) {
                None => drop(tell.send(None)),
                Some(ends) => {
                    tracing::warn!(accesses = ends.accesses, %which, "An operator breaks the glass: these accesses end");
                    self.glass.push(Glass { which, note });
                    self.break_glass(reading);
                    self.asked.push(Waiting::Ends { ends, tell });
                }
            },
        }
    }

    /// Ends what operators ended and the journal has not taken yet. Without a journal each round closes what the
    /// targets' slots allow.
    pub(super) fn break_glass(&mut self, reading: Reading) {
        self.glass_lapses = self.lapses;
        for Glass { which, note } in &self.glass {
            let input = Input::BreakGlass { which: which.clone(), note: note.clone() };
            self.book.handle(input, reading);
        }
    }

    /// Answers what was asked before the last batch was written.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub(super) async fn answer_asked(&mut self) -> Result<(), EngineFault> {
        if !self.glass.is_empty() && self.lapses != self.glass_lapses && self.journal_works {
            // The journal was read again, and may not know of it.
            self.break_glass(self.parts.clock.read());
            self.settle().await?;
        }
        let recorded = self.lapses == self.glass_lapses;
        if recorded {
            self.glass.clear();
        }
        for waiting in std::mem::take(&mut self.asked) {
            // Whoever stopped waiting is not told.
            match waiting {
                Waiting::Look(tell) => drop(tell.send(self.work())),
                Waiting::Closing { which, tell } => drop(tell.send(self.left(&which))),
                Waiting::Ends { ends, tell } => drop(tell.send(Some(Ends { recorded, ..ends }))),
                Waiting::Pauses { integration, changed, lapses, tell } => {
                    let recorded = lapses == self.lapses;
                    let paused = self.paused_at(integration.as_ref()).unwrap_or_default();
                    let others = self.book.integrations().filter(|record| record.paused_here).count() as u64;
                    tell.send(Some(Paused { paused, changed, others, recorded })).ok();
                }
            }
        }
        Ok(())
    }

    fn pause(
        &mut self,
        integration: Option<IntegrationId>,
        paused: bool,
        tell: Tell<Option<Paused>>,
        reading: Reading,
    ) {
        let Some(before) = self.paused_at(integration.as_ref()) else {
            // Whoever stopped waiting is not told.
            tell.send(None).ok();
            return;
        };
        let replaced = integration.as_ref().and_then(|id| self.book.integration(id)?.replaced.clone());
        let accepts = !paused && replaced.is_some();
        let changed = before.here != paused || accepts;
        if changed {
            let on = integration.as_ref().map_or("all integrations", |id| id.as_str());
            match (paused, replaced) {
                (true, _) => tracing::warn!(on, "An operator pauses opening"),
                (false, None) => tracing::info!(on, "An operator allows opening again"),
                (false, Some(target)) => {
                    tracing::warn!(
                        on,
                        target = target.0,
                        "An operator allows opening again, on the target that answers now"
                    );
                }
            }
        }
        self.book.handle(Input::PausedHere { integration: integration.clone(), paused }, reading);
        self.asked.push(Waiting::Pauses { integration, changed, lapses: self.lapses, tell });
    }

    /// Returns who stops opening there; `None` when the integration is not known.
    fn paused_at(&self, integration: Option<&IntegrationId>) -> Option<Pauses> {
        match integration {
            None => Some(Pauses { by_order: self.book.meta().paused, here: self.book.meta().paused_here }),
            Some(id) => self.book.integration(id).filter(|record| !record.retired).map(pauses),
        }
    }

    fn ends(&self, which: &Which) -> Option<Ends> {
        let is_known = match which {
            Which::All => true,
            Which::Integration(id) => self.book.integration(id).is_some_and(|found| !found.retired),
            Which::Access(id) => self.book.access(id).is_some(),
        };
        let accesses = self.book.endable(which);
        let on: BTreeSet<&IntegrationId> = accesses
            .iter()
            .filter_map(|id| self.book.access(id).map(|(record, _)| &record.account.integration))
            .collect();
        is_known.then(|| Ends {
            accesses: accesses.len() as u64,
            integrations: on.into_iter().cloned().collect(),
            recorded: false,
        })
    }

    fn left(&self, which: &Which) -> Left {
        let mut left = Left::default();
        for record in self.book.accounts() {
            let integration = &record.account.integration;
            for access in record.accesses.values() {
                let meant = match which {
                    Which::All => true,
                    Which::Integration(wanted) => wanted == integration,
                    Which::Access(wanted) => *wanted == access.id,
                };
                let AccessState::Ending { contained, attempts, .. } = &access.state else {
                    continue;
                };
                if !meant {
                    continue;
                }
                left.accesses += 1;
                if left.examples.len() < EXAMPLES {
                    let failure = record.failure.as_ref();
                    left.examples.push(LeftAccess {
                        access: access.id.clone(),
                        integration: integration.clone(),
                        contained: *contained,
                        attempts: *attempts,
                        code: failure.map(|failure| failure.code.clone()),
                        detail: failure.map(|failure| failure.detail.clone()).unwrap_or_default(),
                    });
                }
            }
        }
        left
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
                moved: record.former.is_some(),
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
