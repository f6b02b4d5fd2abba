//! What must be true of every world, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use model::durable::{Batch, Table, Write};
use model::{
    AccessId, AccessState, AccountId, Deed, EndReason, EntitlementSet, Phase, ReceiptBody, Timestamp,
};
use rules::{Act, Action, Book, Report};

use crate::target::Target;

/// What was claimed so far, and must stay true.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    /// Accesses reported active: the target holds them until something allowed ends them.
    pub(crate) active: BTreeMap<AccessId, Claim>,
    /// Accounts reported shut: nothing of ours opens them before a new opening is begun.
    pub(crate) shut: BTreeSet<AccountId>,
    /// Accounts that others have changed: what was claimed of them is not ours to keep before they are opened anew.
    pub(crate) tampered: BTreeSet<AccountId>,
    /// The credential last released for an account.
    pub(crate) released: BTreeMap<AccountId, u64>,
    /// Accesses that were asked for and that nobody has withdrawn: they do not end by absence.
    pub(crate) wanted: BTreeSet<AccessId>,
    /// Accesses that were begun: their end has a receipt.
    pub(crate) begun: BTreeSet<AccessId>,
    /// Those of them that were active.
    pub(crate) opened: BTreeSet<AccessId>,
    /// Accesses whose close was stopped to be waited for.
    pub(crate) canceled: BTreeSet<AccountId>,
}

/// An access that was reported active.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) account: AccountId,
    pub(crate) target: usize,
    pub(crate) entitlements: EntitlementSet,
    pub(crate) until: Timestamp,
}

impl Checks {
    /// Takes the reports of a batch that is on disk.
    pub(crate) fn reported(
        &mut self,
        batch: &Batch,
        book: &Book,
        target_of: impl Fn(AccountId) -> usize,
        targets: &[Target],
        entitlements_of: impl Fn(&AccessId) -> Option<(EntitlementSet, Timestamp)>,
    ) -> Result<(), String> {
        let receipts: Vec<ReceiptBody> = batch
            .writes
            .iter()
            .filter_map(|write| match write {
                Write::Receipt { body, .. } => serde_json::from_str(body).ok(),
                _ => None,
            })
            .collect();
        for write in &batch.writes {
            let Write::Report { body, .. } = write else { continue };
            let report: Report =
                serde_json::from_str(body).map_err(|fault| format!("a report cannot be read: {fault}"))?;
            match report {
                Report::AccessChanged { access, account, state, .. } => {
                    self.active.remove(&access);
                    self.account_of_state(&access, account, &state, &receipts)?;
                    let at = target_of(account);
                    let Some((wanted, until)) = entitlements_of(&access) else { continue };
                    match state {
                        AccessState::Active { .. } if self.tampered.contains(&account) => {}
                        AccessState::Active { .. } => {
                            let claim = Claim { account, target: at, entitlements: wanted, until };
                            self.active.insert(access, claim);
                        }
                        AccessState::Ended { .. } | AccessState::Failed { .. } => {
                            ended_is_true(&access, account, &wanted, book, &targets[at])?;
                        }
                        _ => {}
                    }
                }
                Report::AccountChanged { account, phase: Phase::Suspended | Phase::Absent, .. } => {
                    let at = target_of(account);
                    if let Some(entry) = targets[at].owned(account).find(|entry| entry.usable()) {
                        return Err(format!("account {account} was reported shut and is usable: {entry:?}"));
                    }
                    if book
                        .account(account)
                        .is_none_or(|record| matches!(record.phase, Phase::Suspended | Phase::Absent))
                    {
                        self.shut.insert(account);
                    }
                }
                Report::CredentialSealed { account, sealed, .. } => {
                    let at = target_of(account);
                    let set = targets[at]
                        .owned(account)
                        .find(|entry| entry.open)
                        .and_then(|entry| entry.credential);
                    let serial = sealed.ciphertext.parse().ok();
                    if set != serial && !self.tampered.contains(&account) {
                        return Err(format!(
                            "credential {serial:?} of account {account} was released, and the target has {set:?}",
                        ));
                    }
                    self.released.extend(serial.map(|serial| (account, serial)));
                }
                // What is refused of an access that lives, such as to cancel its end, leaves it wanted.
                Report::OrderRefused { access: Some(access), .. }
                    if !book.accounts().any(|record| record.accesses.contains_key(&access)) =>
                {
                    self.wanted.remove(&access);
                }
                Report::IntegrationRetired { integration, .. } => {
                    let left = targets
                        .iter()
                        .filter(|target| target.identity.0 == integration.as_str())
                        .flat_map(|target| target.entries.values())
                        .find(|entry| entry.owner.is_some_and(|owner| !self.canceled.contains(&owner)));
                    if let Some(entry) = left {
                        return Err(format!("`{integration}` was reported retired and has {entry:?}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps account of how an access went, and whether it could.
    fn account_of_state(
        &mut self,
        access: &AccessId,
        account: AccountId,
        state: &AccessState,
        receipts: &[ReceiptBody],
    ) -> Result<(), String> {
        let absent = matches!(state, AccessState::Ending { reason: EndReason::Absent, .. });
        if absent && self.wanted.contains(access) {
            return Err(format!("access {access} ends by absence, and nobody has withdrawn it"));
        }
        if state.is_terminal() || matches!(state, AccessState::Ending { .. }) {
            self.wanted.remove(access);
        }
        match state {
            AccessState::Granting { .. } | AccessState::Active { .. } => {
                self.begun.insert(access.clone());
                if matches!(state, AccessState::Active { .. }) {
                    self.opened.insert(access.clone());
                }
            }
            // To be granted by a clock that was ahead, and not before that was found out.
            AccessState::Accepted { .. } if !self.opened.contains(access) => {
                self.begun.remove(access);
            }
            AccessState::Canceled { .. } => {
                self.canceled.insert(account);
            }
            AccessState::Ended { .. } if self.begun.contains(access) => {
                let told = receipts.iter().any(|body| {
                    body.access.as_ref() == Some(access) && matches!(body.deed, Deed::Ended { .. })
                });
                if !told {
                    return Err(format!("access {access} has ended and there is no receipt of it"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// An action is about to be done: its intent must be on disk, unless it closes without a journal.
    pub(crate) fn begins(
        &mut self,
        action: &Action,
        rows: &BTreeMap<AccountId, String>,
        unwritten: bool,
    ) -> Result<(), String> {
        if matches!(action.act, Act::Open { .. }) {
            self.shut.remove(&action.account);
            self.tampered.remove(&action.account);
        }
        if matches!(action.act, Act::Rotate { .. }) {
            self.released.remove(&action.account);
        }
        if unwritten {
            let shrinks = matches!(action.act, Act::Converge { shrinks: true, .. });
            if action.act.closes() {
                self.active.retain(|_, claim| claim.account != action.account);
            }
            return if action.act.closes() || shrinks {
                Ok(())
            } else {
                Err(format!("{} of {} goes out without a journal", action.act.word(), action.account))
            };
        }
        if action.act.is_local() || matches!(action.act, Act::Observe { .. }) {
            return Ok(());
        }
        let intent = format!("\"act\":\"{}\"", action.act.word());
        match rows.get(&action.account) {
            Some(row) if row.contains(&intent) => Ok(()),
            _ => Err(format!(
                "{} of account {} goes out and its intent is not on disk",
                action.act.word(),
                action.account
            )),
        }
    }

    /// Something of ours has landed on a target.
    pub(crate) fn landed(&self, targets: &[Target], now: Timestamp) -> Result<(), String> {
        for (access, claim) in &self.active {
            if now >= claim.until {
                continue;
            }
            let held = targets[claim.target]
                .owned(claim.account)
                .any(|entry| entry.open && claim.entitlements.within(&entry.entitlements));
            if !held {
                return Err(format!(
                    "access {access} was reported active and has lost something before its end"
                ));
            }
            let set = targets[claim.target]
                .owned(claim.account)
                .find(|entry| entry.open)
                .and_then(|entry| entry.credential);
            if let Some(released) = self.released.get(&claim.account)
                && set != Some(*released)
            {
                return Err(format!(
                    "access {access} is active and its credential was changed: {released:?} is now {set:?}"
                ));
            }
        }
        for account in &self.shut {
            for target in targets {
                if let Some(entry) =
                    target.owned(*account).find(|entry| entry.usable() || !entry.entitlements.is_empty())
                {
                    return Err(format!(
                        "account {account} was reported shut, nothing was begun, and it is a ghost: {entry:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// *Ended means seen*: what nobody else wants is gone, and for the last access the account is shut.
fn ended_is_true(
    access: &AccessId,
    account: AccountId,
    wanted: &EntitlementSet,
    book: &Book,
    target: &Target,
) -> Result<(), String> {
    let record = book.account(account);
    let mut others = EntitlementSet::nothing();
    let mut last = true;
    for other in record.iter().flat_map(|record| record.accesses.values()) {
        if other.id != *access && !other.state.is_terminal() {
            others.extend(&other.entitlements);
            last &= matches!(other.state, AccessState::Accepted { .. });
        }
    }
    for entry in target.owned(account) {
        let left = entry.entitlements.both(&wanted.minus(&others));
        if !left.is_empty() {
            return Err(format!("access {access} was reported ended and {left:?} is still held"));
        }
        let lives_on = entry.in_sessions.both(&wanted.minus(&others));
        if entry.sessions > 0 && !lives_on.is_empty() {
            return Err(format!("access {access} was reported ended and {lives_on:?} lives on in sessions"));
        }
        if last && entry.usable() {
            return Err(format!(
                "access {access} was the last, was reported ended, and the account is usable: {entry:?}"
            ));
        }
    }
    Ok(())
}

/// Returns the account rows of a batch.
pub(crate) fn account_rows(batch: &Batch) -> BTreeMap<AccountId, String> {
    let rows = batch.writes.iter().filter_map(|write| match write {
        Write::Put { table: Table::Account, key, body } => Some((key.parse().ok()?, body.clone())),
        _ => None,
    });
    rows.collect()
}
