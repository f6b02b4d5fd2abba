//! Standing: the accesses that should live, by the control plane's word. We walk what *we* hold against
//! it: what is absent ends, unless the control plane may itself have lost something.

use model::{AccessId, AccessState, Code, EndReason, Incarnation, IntegrationId, Timestamp};

use super::Book;
use crate::effects::Effects;
use crate::order::Standing;

/// More than this many, and more than half of what lives, do not end by absence without a confirmation.
const SUSPICIOUS: usize = 5;

impl Book {
    pub(super) fn take_standing(&mut self, standing: Standing, now: Timestamp) {
        self.standing = Some(standing);
        self.try_standing(now);
    }

    /// Applies the waiting standing once every order before it is taken.
    pub(super) fn try_standing(&mut self, now: Timestamp) {
        let ready = self.standing.as_ref().is_some_and(|standing| {
            self.meta.cursors.get(&standing.incarnation).copied().unwrap_or_default() >= standing.position
        });
        if !ready {
            return;
        }
        if let Some(standing) = self.standing.take() {
            self.apply_standing(&standing, now);
            self.staged.judged = Some(standing);
        }
    }

    fn apply_standing(&mut self, standing: &Standing, now: Timestamp) {
        let taken = self.meta.cursors.get(&standing.incarnation).copied().unwrap_or_default();
        // A control plane that speaks of an earlier place than it has told us of was restored from a backup.
        let mut went_back = standing.position < taken;
        let listed: std::collections::BTreeSet<&AccessId> =
            standing.accesses.iter().map(|(id, _)| id).collect();
        let mut living = 0_usize;
        let mut absent = vec![];
        for record in self.accounts.values() {
            for access in record.accesses.values() {
                if matches!(access.state, AccessState::Ending { .. }) || access.state.is_terminal() {
                    continue;
                }
                living += 1;
                // What was ordered after the standing was taken cannot be in it.
                let later = access.ordered.is_some_and(|ordered| {
                    ordered.incarnation == standing.incarnation && ordered.position > standing.position
                });
                if !later && !listed.contains(&access.id) {
                    // So was one that does not know what an earlier incarnation of it ordered.
                    went_back |=
                        access.ordered.is_some_and(|ordered| ordered.incarnation != standing.incarnation);
                    absent.push((access.id.clone(), access.ordered.is_none()));
                }
            }
        }
        let many = absent.len() > SUSPICIOUS && absent.len() * 2 > living;
        if (went_back || many) && !standing.confirmed {
            // Deadlines and explicit ends still work; only absence is not believed.
            if !absent.is_empty() {
                let mut effects = Effects::default();
                let detail = format!(
                    "the control plane's standing would end {} of {living} accesses{}: nothing ends by absence until it is confirmed",
                    absent.len(),
                    if went_back {
                        " and the control plane may have been restored from a backup"
                    } else {
                        ""
                    },
                );
                effects.alarm(None, Code::RECONCILING, detail, now);
                self.staged.tell(effects);
            }
            return;
        }
        for (id, rebuilt) in absent {
            self.end_access(&id, if rebuilt { EndReason::Unremembered } else { EndReason::Absent }, now);
        }
        self.stood = true;
        self.try_end_reconciling(now);
    }

    /// The control plane has nothing against this journal. One that this journal has never met may have been
    /// restored from a backup and have lost count: every target is surveyed before anything opens there. What was
    /// surveyed since the book was restored counts: this memory has had no gap since then.
    pub(super) fn agree(&mut self, by: Incarnation, now: Timestamp) {
        if !self.meta.cursors.contains_key(&by) {
            let ids: Vec<_> =
                self.integrations.keys().filter(|id| !self.surveyed.contains(*id)).cloned().collect();
            // Also when that cannot be written down.
            self.strange.extend(ids.iter().cloned());
            self.forget_surveys(ids);
        }
        if !self.current {
            self.current = true;
            self.reconsider_all(now);
        }
    }

    /// What was surveyed is to be surveyed again, also after a restart.
    fn forget_surveys(&mut self, of: Vec<IntegrationId>) {
        for id in of {
            if let Some(record) = self.edit_integration(&id) {
                record.surveyed = false;
            }
        }
    }

    /// This journal is an old copy: nothing opens until a standing and a survey of every target agree.
    pub(super) fn reconcile(&mut self, now: Timestamp) {
        if self.meta.reconciling {
            return;
        }
        self.edit_meta().reconciling = true;
        let integrations: Vec<_> = self.integrations.keys().cloned().collect();
        self.forget_surveys(integrations);
        self.surveyed.clear();
        self.stood = false;
        let mut effects = Effects::default();
        effects.alarm(
            None,
            Code::RECONCILING,
            "the journal is an old copy: nothing opens until the control plane and every target have been asked",
            now,
        );
        self.staged.tell(effects);
        // A later memory may have set other credentials: what is remembered here is given to nobody.
        let ids: Vec<_> = self
            .accounts
            .values()
            .filter(|record| record.credential.is_some())
            .map(|record| record.account.id)
            .collect();
        for id in ids {
            if let Some(record) = self.edit(id) {
                record.credential = None;
            }
        }
        self.reconsider_all(now);
    }

    /// Whether the control plane and every target were asked since the journal was found to be old.
    pub(super) fn was_asked_all(&self) -> bool {
        let mut live = self.integrations.iter().filter(|(_, found)| !found.retired);
        self.meta.reconciling && self.stood && live.all(|(id, _)| self.surveyed.contains(id))
    }

    pub(super) fn try_end_reconciling(&mut self, now: Timestamp) {
        if self.was_asked_all() && self.lost_calls(now).is_none() {
            self.edit_meta().reconciling = false;
            self.reconsider_all(now);
            let ids: Vec<_> = self.integrations.keys().cloned().collect();
            for id in ids {
                self.retire_if_empty(&id);
            }
        }
    }
}
