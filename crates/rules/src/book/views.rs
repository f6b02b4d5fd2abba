//! What others may see of the book, without changing it.

use model::{Access, AccessId, AccountId, Code, IntegrationId, Phase, Position};

use super::{Book, IntegrationRecord, Meta};
use crate::account::AccountRecord;
use crate::guard::Guard;

/// Why nothing opens now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standstill {
    pub code: Code,
    pub detail: String,
}

impl Book {
    /// Returns every account's record.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountRecord> {
        self.accounts.values()
    }

    /// Returns one account's record.
    pub fn account(&self, id: AccountId) -> Option<&AccountRecord> {
        self.accounts.get(&id)
    }

    /// Returns an access that has not ended, with its account's record.
    pub fn access(&self, id: &AccessId) -> Option<(&AccountRecord, &Access)> {
        let record = self.accounts.get(self.by_access.get(id)?)?;
        Some((record, record.accesses.get(id)?))
    }

    /// Says what is wrong with how an account is listed: whoever is being ended or opened is under way, waits
    /// for a slot, or waits for a time.
    pub(crate) fn listing_fault(&self, record: &AccountRecord) -> Option<&'static str> {
        let id = record.account.id;
        let timed = !record.accesses.is_empty() || matches!(record.phase, Phase::Opening | Phase::Closing);
        let under_way = self.lanes.flights.contains_key(&id);
        if under_way && self.lanes.is_listed(id) {
            return Some("is under way and listed to begin, too");
        }
        let indexed = record.accesses.keys().all(|access| self.by_access.get(access) == Some(&id));
        if !indexed {
            return Some("has an access that cannot be found by its id");
        }
        (timed && !under_way && !self.lanes.is_listed(id)).then_some("has something to do and is forgotten")
    }

    /// Says what is wrong with the indices and lists of the whole book.
    pub(crate) fn index_fault(&self) -> Option<String> {
        let accesses: usize = self.accounts.values().map(|record| record.accesses.len()).sum();
        if accesses != self.by_access.len() {
            return Some("an access belongs to no account, or to two".into());
        }
        if let Some(id) = self.by_access.keys().find(|id| self.tombstones.contains_key(*id)) {
            return Some(format!("access {id} lives and has ended"));
        }
        self.lanes.fault()
    }

    /// Returns every integration, retired ones included.
    pub fn integrations(&self) -> impl Iterator<Item = &IntegrationRecord> {
        self.integrations.values()
    }

    /// Returns one integration.
    pub fn integration(&self, id: &IntegrationId) -> Option<&IntegrationRecord> {
        self.integrations.get(id)
    }

    /// Returns whether a target was not surveyed yet since this journal began, was found to be old, or met a
    /// control plane for the first time: nothing opens there before.
    pub fn waits_for_survey(&self, id: &IntegrationId) -> bool {
        let known = self.integrations.get(id).is_some_and(|found| found.surveyed);
        !self.surveyed.contains(id) && (self.meta.reconciling || self.strange.contains(id) || !known)
    }

    /// Returns the connector's single rows.
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Returns the position of the last report made.
    pub const fn last_report(&self) -> Position {
        self.last_report
    }

    /// Returns how far the control plane's clock was ahead of ours, in milliseconds, if it was heard lately.
    pub fn clock_skew_ms(&self) -> Option<i64> {
        self.clock.skew_ms()
    }

    /// Returns why nothing opens now; `None` when opening is allowed.
    pub fn standstill(&self) -> Option<Standstill> {
        let still = |code, detail: &str| Some(Standstill { code, detail: detail.into() });
        if let Some(reason) = &self.close_only {
            return still(Code::CLOSE_ONLY, reason);
        }
        if let Guard::Broken { reason } = &self.guard {
            return still(Code::GUARDRAILS_BROKEN, reason);
        }
        if self.meta.reconciling {
            return still(Code::RECONCILING, "the journal is an old copy and is being reconciled");
        }
        if !self.current {
            return still(
                Code::RECONCILING,
                "waiting for the control plane to agree that this journal is current",
            );
        }
        if let Err(code) = self.clock.may_open() {
            return still(code, "the clocks of this machine and of the control plane disagree");
        }
        if self.meta.paused {
            return still(Code::PAUSED, "opening is paused by the control plane's order");
        }
        if self.meta.paused_here {
            return still(
                Code::PAUSED,
                "opening is paused by an operator beside the agent: `tidegate resume` allows it again",
            );
        }
        None
    }
}
