//! What is read from the targets and when, and the configurations that are kept apart from the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use model::{Integration, IntegrationId, Span};
use rules::book::IntegrationRecord;

use super::reads::{self, Reading};
use super::{CHECK_EVERY, Engine};

/// Nothing opens on a target before it was surveyed, and none is retired before it was cleared: one that could
/// not be is asked again after this long.
const SURVEY_AGAIN: Span = Span::from_secs(30);
/// Any other reading that failed comes again after this long.
const FAILED_AGAIN: Span = Span::from_mins(1);

impl Engine {
    pub(super) fn live(&self) -> impl Iterator<Item = &Integration> {
        self.book.integrations().filter(|record| !record.retired).map(|record| &record.integration)
    }

    /// Integrations of which it is not proven that they lead to the target that they led to.
    pub(super) fn moved(&self) -> BTreeSet<IntegrationId> {
        let moved = self.book.integrations().filter(|record| record.former.is_some());
        moved.map(|record| record.integration.id.clone()).collect()
    }

    /// Changes when an integration is made, changed or retired.
    pub(super) fn signature(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for record in self.book.integrations() {
            let found = &record.integration;
            let moved = record.former.is_some();
            (&found.id, found.revision, record.retired, record.cleared, moved).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Keeps the configurations apart from the journal, so that an agent without one can still close: those that
    /// are known to lead to their targets, where there are any.
    pub(super) async fn save_snapshot(&mut self) {
        let known = self.book.integrations().filter(|record| !record.retired);
        let live: BTreeMap<_, _> =
            known.map(|record| (record.integration.id.clone(), where_it_is(record))).collect();
        if live == self.saved {
            return;
        }
        let (identity, snapshot) = (Arc::clone(&self.parts.identity), live.clone());
        let saved = tokio::task::spawn_blocking(move || identity.save_snapshot(&snapshot)).await;
        let fault = match saved {
            Ok(Ok(())) => {
                if self.identity_fault.take().is_some() {
                    tracing::info!("The integrations' configurations are saved in the identity again");
                }
                self.saved = live;
                return;
            }
            Ok(Err(fault)) => crate::exit::chain(&fault),
            Err(fault) => fault.to_string(),
        };
        if self.identity_fault.is_none() {
            tracing::error!(fault, "The integrations' configurations could not be saved in the identity");
        }
        self.identity_fault = Some(fault);
    }

    /// Has everything on a target read as soon as it can be.
    fn look_again(&mut self, integration: &IntegrationId) {
        let now = self.book.now();
        for what in [Reading::Check, Reading::Survey, Reading::Discover] {
            self.due.insert((integration.clone(), what), now);
        }
    }

    /// Has everything read anew: secrets and certificates may have changed.
    pub(super) fn look_again_everywhere(&mut self) {
        let ids: Vec<_> = self.live().map(|integration| integration.id.clone()).collect();
        ids.iter().for_each(|id| self.look_again(id));
    }

    /// What failed is read again soon: whoever mends it waits for that.
    pub(super) fn read_again_soon(&mut self, integration: IntegrationId, what: Reading) {
        let soon = self.book.now().plus(FAILED_AGAIN);
        if let Some(due) = self.due.get_mut(&(integration, what)) {
            *due = (*due).min(soon);
        }
    }

    /// Lists what is to be read and when: at once for what is new or changed, then on a schedule.
    pub(super) fn plan_reads(&mut self) {
        let now = self.book.now();
        let live: Vec<Arc<Integration>> = self.live().map(|found| Arc::new(found.clone())).collect();
        let uncleared = self.book.integrations().filter(|record| record.retired && !record.cleared);
        let uncleared: Vec<_> = uncleared.map(|record| Arc::new(record.integration.clone())).collect();
        let known: BTreeSet<_> = live.iter().map(|found| found.id.clone()).collect();
        let parting: BTreeSet<_> = uncleared.iter().map(|found| found.id.clone()).collect();
        for integration in &live {
            // Who changes a configuration waits for what comes of it.
            if self.planned.insert(integration.id.clone(), integration.revision) != Some(integration.revision)
            {
                self.look_again(&integration.id);
            }
        }
        self.planned.retain(|id, _| known.contains(id));
        self.due.retain(|(id, what), _| match what {
            Reading::Check | Reading::Discover | Reading::Survey => known.contains(id),
            Reading::Retire => parting.contains(id),
        });
        for integration in live {
            let schedule = [
                (Reading::Check, CHECK_EVERY),
                (Reading::Survey, self.parts.survey_every),
                (Reading::Discover, self.parts.survey_every),
            ];
            for (what, every) in schedule {
                let key = (integration.id.clone(), what);
                let awaited = what == Reading::Survey && self.book.waits_for_survey(&integration.id);
                let due = self.due.entry(key.clone()).or_insert(now);
                // Put off when nothing waited for it, and now something does.
                if awaited && *due > now.plus(SURVEY_AGAIN) {
                    *due = now;
                }
                if *due > now || self.reading.contains(&key) {
                    continue;
                }
                // A guardrail forbids its use: only what leads to closing is read.
                let forbidden =
                    self.book.integration(&integration.id).is_some_and(|it| it.forbidden.is_some());
                if forbidden && what != Reading::Survey {
                    self.due.insert(key, now.plus(every));
                    continue;
                }
                self.due.insert(key, now.plus(if awaited { SURVEY_AGAIN } else { every }));
                self.begin_reading(&integration, what);
            }
        }
        // What is ours and shared goes once the last account is gone, and again until it has.
        for integration in uncleared {
            let key = (integration.id.clone(), Reading::Retire);
            let due = *self.due.entry(key.clone()).or_insert(now);
            if due <= now && !self.reading.contains(&key) {
                self.due.insert(key, now.plus(SURVEY_AGAIN));
                self.begin_reading(&integration, Reading::Retire);
            }
        }
    }

    pub(super) fn begin_reading(&mut self, integration: &Arc<Integration>, what: Reading) {
        let key = (integration.id.clone(), what);
        self.reading.insert(key);
        let (targets, news) = (Arc::clone(&self.parts.targets), self.parts.news.clone());
        let (one, seen) = (Arc::clone(integration), self.seen.0.clone());
        let room = Arc::clone(&self.room);
        self.reads.spawn(reads::read(targets, one, what, news, room, seen));
    }
}

/// The configuration that is known to lead to the target.
fn where_it_is(record: &IntegrationRecord) -> Integration {
    let Integration { policy, lifecycle, .. } = record.integration;
    match &record.former {
        Some(former) => Integration { policy, lifecycle, ..former.clone() },
        None => record.integration.clone(),
    }
}
