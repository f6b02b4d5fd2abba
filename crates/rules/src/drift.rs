//! Drift: what a survey finds that is not as it should be, counted by kind. It is told anew by each survey and
//! remembered nowhere: what is to be done about it follows from the account, not from here.

use std::collections::BTreeMap;

use model::mark::MarkState;
use model::observed::Present;
use model::{AccessState, AccountId, AccountName, IntegrationId, Login, Phase, Timestamp};

use crate::account::AccountRecord;

/// So many finds of a kind are named; the others are counted.
pub const EXAMPLES: usize = 100;

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftKind {
    /// An account holds more than is wanted.
    Excess,
    /// An account carries our mark, and nobody here remembers it.
    Ghost,
    /// An account that should be there is not.
    Vanished,
    /// The mark of an account of ours was removed, altered or put back from an older one.
    Tampered,
    /// An account looks like ours and is not: another connector's, a copy, or by a key that we never had.
    Foreign,
    /// An account holds less than is wanted, or was shut by another hand.
    Interrupted,
    /// An account has another name than we gave it.
    Renamed,
    /// A shared permission role of ours holds more than its definition, whoever is in it.
    WiderRole,
}

/// All finds of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    pub count: u64,
    /// Names on the target: the first [`EXAMPLES`].
    pub examples: Vec<AccountName>,
    /// Those of them that are known here.
    pub accounts: Vec<AccountId>,
}

impl Drift {
    /// Counts one more find.
    pub fn add(&mut self, name: &AccountName, account: Option<AccountId>) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(name.clone());
            self.accounts.extend(account);
        }
    }
}

/// What one survey came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    pub integration: IntegrationId,
    pub at: Timestamp,
    /// How many accounts were looked at.
    pub accounts: u64,
    pub drifts: BTreeMap<DriftKind, Drift>,
}

impl Survey {
    /// Adds the permission roles that were found widened: they are the driver's, and no rule here is about them.
    pub fn add_wider_roles(&mut self, roles: Drift) {
        if roles.count > 0 {
            self.drifts.insert(DriftKind::WiderRole, roles);
        }
    }
}

/// A survey under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    accounts: u64,
    drifts: BTreeMap<DriftKind, Drift>,
}

impl Tally {
    /// Counts an account as a survey found it, beside what is remembered of it before that changes anything.
    pub(crate) fn look(&mut self, found: &Present, known: Option<&AccountRecord>) {
        self.accounts += 1;
        let kinds = match known {
            None if matches!(found.mark, MarkState::Valid(_)) => vec![DriftKind::Ghost],
            None => vec![DriftKind::Foreign],
            Some(record) => compared(found, record),
        };
        for kind in kinds {
            self.add(kind, &found.name, known.map(|record| record.account.id));
        }
    }

    /// Counts an account that a whole survey did not come across.
    pub(crate) fn miss(&mut self, record: &AccountRecord) {
        self.add(DriftKind::Vanished, &record.account.name, Some(record.account.id));
    }

    fn add(&mut self, kind: DriftKind, name: &AccountName, account: Option<AccountId>) {
        self.drifts.entry(kind).or_default().add(name, account);
    }

    pub(crate) fn finish(self, integration: IntegrationId, at: Timestamp) -> Survey {
        let Self { accounts, drifts } = self;
        Survey { integration, at, accounts, drifts }
    }
}

fn compared(found: &Present, record: &AccountRecord) -> Vec<DriftKind> {
    let mut kinds = vec![];
    let is_older = matches!(&found.mark, MarkState::Valid(mark) if mark.draft.revision < record.mark);
    if !matches!(found.mark, MarkState::Valid(_)) || is_older {
        kinds.push(DriftKind::Tampered);
    }
    if found.name != record.account.name {
        kinds.push(DriftKind::Renamed);
    }
    let ours = record.ours(&found.entitlements);
    let settled = !matches!(record.phase, Phase::Opening | Phase::Closing | Phase::Deleting);
    if settled {
        let opened = record.phase != Phase::Open && !record.is_borrowed() && found.login == Login::Open;
        if !found.excess.is_empty() || !ours.minus(&record.held).is_empty() || opened {
            kinds.push(DriftKind::Excess);
        }
        let active = record.accesses.values().any(|one| matches!(one.state, AccessState::Active { .. }));
        let shut = !record.is_borrowed() && found.login == Login::Shut;
        if active && (shut || !record.held.minus(&ours).is_empty()) {
            kinds.push(DriftKind::Interrupted);
        }
    }
    kinds
}

#[cfg(test)]
mod tests;
