//! Surveys: what carries our mark on a target, against what we remember. What is remembered as less than
//! it is becomes a duty to close; what is not remembered at all is held to its mark's deadlines and never
//! opened.

use model::mark::Mark;
use model::{
    Access, AccessId, AccessState, Account, AccountId, Code, IntegrationId, Login, MarkState, Observed,
    Ownership, Phase, Revision, Sighting, TargetIdentity, Timestamp,
};

use super::Book;
use crate::account::AccountRecord;
use crate::answer;
use crate::effects::Effects;

impl Book {
    pub(super) fn take_identity(
        &mut self,
        integration: &IntegrationId,
        identity: TargetIdentity,
        now: Timestamp,
    ) {
        let known = self.integrations.get(integration).map(|found| found.target.clone());
        match known {
            Some(None) => {
                if let Some(record) = self.edit_integration(integration) {
                    record.target = Some(identity);
                }
            }
            Some(Some(known)) if known != identity => {
                let mut effects = Effects::default();
                let detail = format!(
                    "integration `{integration}` answers as `{}` and was `{}`: if it was replaced on purpose, pause it, \
                     look, and apply the integration again",
                    identity.0, known.0
                );
                effects.alarm(Some(integration), Code::TARGET_REPLACED, detail, now);
                self.staged.tell(effects);
                if let Some(record) = self.edit_integration(integration) {
                    record.paused = true;
                    record.target = Some(identity);
                }
            }
            _ => {}
        }
    }

    pub(super) fn take_survey(
        &mut self,
        integration: &IntegrationId,
        sightings: Vec<Sighting>,
        complete: bool,
        now: Timestamp,
    ) {
        for Sighting { found } in sightings {
            let MarkState::Valid(mark) = found.mark.clone() else {
                // Forged, copied or foreign: never acted on. A known account is met by its immutable id.
                self.meet_by_id(integration, found, now);
                continue;
            };
            if mark.draft.connector != self.connector || mark.draft.integration != *integration {
                continue;
            }
            let id = mark.draft.account;
            match self.accounts.get(&id) {
                Some(record) => {
                    if mark.draft.revision > record.mark && !self.lanes.flights.contains_key(&id) {
                        self.reconcile(now);
                    }
                    self.see(id, Observed { target_time: None, account: Some(Box::new(found)) }, now);
                }
                None => self.rebuild(&mark, found, now),
            }
        }
        if complete {
            self.surveyed.insert(integration.clone());
            self.try_end_reconciling(now);
        }
    }

    /// An account whose mark was removed or altered is still ours by its immutable id: a tamper alarm.
    fn meet_by_id(&mut self, integration: &IntegrationId, found: model::observed::Present, now: Timestamp) {
        let known = self.accounts.values().find(|record| {
            record.account.integration == *integration
                && record.account.immutable.as_ref() == Some(&found.immutable)
        });
        let Some(record) = known else { return };
        let id = record.account.id;
        let mut effects = Effects::default();
        effects.alarm(
            Some(integration),
            Code::ACCOUNT_TAMPERED,
            format!(
                "the mark of account {} was removed or altered; it will be closed all the same",
                record.account.name
            ),
            now,
        );
        self.staged.tell(effects);
        self.see(id, Observed { target_time: None, account: Some(Box::new(found)) }, now);
    }

    fn see(&mut self, id: AccountId, observed: Observed, now: Timestamp) {
        if self.lanes.flights.contains_key(&id) {
            // What is under way ends with a read-back of its own, which is later than this.
            return;
        }
        let mut effects = Effects::default();
        if let Some(record) = self.edit(id) {
            adopt(record, &observed, now);
            answer::seen(record, &observed, now, &mut effects);
        }
        self.staged.tell(effects);
        self.consider(id, now);
    }

    /// An account with our mark that nobody here remembers: a duty to close, at the mark's deadline.
    fn rebuild(&mut self, mark: &Mark, found: model::observed::Present, now: Timestamp) {
        let id = mark.draft.account;
        let Ok(grantee) = model::GranteeId::parse(format!("unremembered-{id}")) else { return };
        let account = Account {
            id,
            integration: mark.draft.integration.clone(),
            grantee,
            name: found.name.clone(),
            ownership: Ownership::Owned,
            immutable: Some(found.immutable.clone()),
        };
        let mut record = AccountRecord::new(account, model::GranteeKey(String::new()), now);
        record.mark = mark.draft.revision;
        record.marked_until = mark.draft.until;
        record.last_revoked = mark.draft.last_revoked;
        record.held = found.entitlements.clone();
        record.target = Some(mark.target.clone());
        record.phase = Phase::Closing;
        let observed = Observed { target_time: None, account: Some(Box::new(found)) };
        if let Some(until) = mark.draft.until.filter(|until| *until > now && !observed.is_closed())
            && let Ok(access) = AccessId::parse(format!("mark-{id}"))
        {
            // Held, not wanted: it keeps what it has until the mark's deadline and gets nothing back.
            record.phase = Phase::Open;
            let entitlements = record.held.clone();
            record.accesses.insert(
                access.clone(),
                Access {
                    id: access.clone(),
                    revision: Revision::default(),
                    entitlements,
                    from: Timestamp::ZERO,
                    until,
                    ordered: None,
                    state: AccessState::Interrupted { since: now },
                },
            );
            self.by_access.insert(access, id);
        }
        self.add_account(record);
        self.consider(id, now);
    }
}

/// An order came before the survey that finds its account open: a journal was lost between the two. What is
/// held already is not taken away first.
fn adopt(record: &mut AccountRecord, observed: &Observed, now: Timestamp) {
    let Some(found) = observed.account.as_deref() else { return };
    let MarkState::Valid(mark) = &found.mark else { return };
    if record.phase != Phase::Absent || found.login != Login::Open || record.candidate(now).is_none() {
        return;
    }
    record.phase = Phase::Open;
    record.account.name = found.name.clone();
    record.account.immutable = Some(found.immutable.clone());
    record.held = found.entitlements.clone();
    record.marked_until = mark.draft.until;
    for access in record.accesses.values_mut() {
        let begun = access.from <= now && now < access.until;
        if matches!(access.state, AccessState::Accepted { .. })
            && begun
            && access.entitlements.within(&record.held)
        {
            access.state = AccessState::Granting { since: now };
        }
    }
}
