//! Surveys: what carries our mark on a target, against what we remember. What is remembered as less than
//! it is becomes a duty to close; what is not remembered at all is held to its mark's deadlines and never
//! opened.

use std::collections::{BTreeMap, BTreeSet};

use model::mark::Mark;
use model::{
    Access, AccessId, AccessState, Account, AccountId, Code, EntitlementSet, IntegrationId, Login, MarkState,
    Observed, Ownership, Phase, Revision, Sighting, Timestamp,
};

use super::Book;
use crate::account::AccountRecord;
use crate::answer::recognise;
use crate::effects::Effects;

impl Book {
    pub(super) fn take_survey(
        &mut self,
        integration: &IntegrationId,
        sightings: Vec<Sighting>,
        complete: bool,
        now: Timestamp,
    ) {
        let replaced = self.integrations.get(integration).is_some_and(|found| found.replaced.is_some());
        if replaced {
            // Another target's accounts say nothing about those of the known one.
            return;
        }
        let mut met = self.met.remove(integration).unwrap_or_default();
        let mut drifting = self.drifting.remove(integration).unwrap_or_default();
        for Sighting { found } in sightings {
            drifting.look(&found, self.sighted(integration, &found));
            let MarkState::Valid(mark) = found.mark.clone() else {
                // Forged, copied or foreign: never acted on. A known account is met by its immutable id.
                met.extend(self.meet_by_id(integration, found, now));
                continue;
            };
            if mark.draft.connector != self.connector || mark.draft.integration != *integration {
                continue;
            }
            let id = mark.draft.account;
            met.insert(id);
            self.tampered.remove(&id);
            match self.accounts.get(&id) {
                Some(record) => {
                    let begun_unrecorded = self.lanes.unrecorded.contains(&id);
                    if mark.draft.revision > record.mark
                        && !begun_unrecorded
                        && !self.lanes.flights.contains_key(&id)
                    {
                        self.reconcile(now);
                    }
                    self.see(id, &mark, found, now);
                }
                None => self.rebuild(&mark, found, now),
            }
        }
        if !complete {
            self.met.insert(integration.clone(), met);
            self.drifting.insert(integration.clone(), drifting);
        } else {
            self.missed(integration, &met).for_each(|record| drifting.miss(record));
            self.drifted.insert(integration.clone(), drifting.finish(integration.clone(), now));
            self.miss(integration, &met, now);
            // What a lost memory was making when the survey came by is not in it.
            if self.lost_calls(now).is_none()
                && self.integrations.get(integration).is_some_and(|found| !found.surveyed)
                && let Some(record) = self.edit_integration(integration)
            {
                record.surveyed = true;
            }
            self.surveyed.insert(integration.clone());
            self.strange.remove(integration);
            self.reconsider_integration(integration, now);
            self.try_end_reconciling(now);
            self.retire_if_empty(integration);
        }
    }

    /// An account whose mark was removed or altered is still ours by its immutable id: a tamper alarm.
    fn meet_by_id(
        &mut self,
        integration: &IntegrationId,
        found: model::observed::Present,
        now: Timestamp,
    ) -> Option<AccountId> {
        let record = self.sighted(integration, &found)?;
        let id = record.account.id;
        let name = record.account.name.clone();
        if self.tampered.insert(id) {
            let mut effects = Effects::default();
            effects.alarm(
                Some(integration),
                Code::ACCOUNT_TAMPERED,
                format!("the mark of account {name} was removed or altered; it will be closed all the same"),
                now,
            );
            self.staged.tell(effects);
        }
        if !self.is_as_remembered(id, &found) {
            self.doubt(id, now);
        }
        Some(id)
    }

    /// Returns what is remembered of an account that was sighted: by its mark, else by its immutable id.
    fn sighted(
        &self,
        integration: &IntegrationId,
        found: &model::observed::Present,
    ) -> Option<&AccountRecord> {
        let of_mark = match &found.mark {
            MarkState::Valid(mark) if mark.draft.integration == *integration => {
                self.accounts.get(&mark.draft.account)
            }
            MarkState::Valid(_)
            | MarkState::Missing
            | MarkState::Copied
            | MarkState::Forged
            | MarkState::Foreign => None,
        };
        of_mark.or_else(|| {
            self.accounts.values().find(|record| {
                record.account.integration == *integration
                    && record.account.immutable.as_ref() == Some(&found.immutable)
            })
        })
    }

    /// Returns accounts that should be there and that a whole survey did not come across.
    fn missed<'b>(
        &'b self,
        integration: &'b IntegrationId,
        met: &'b BTreeSet<AccountId>,
    ) -> impl Iterator<Item = &'b AccountRecord> {
        self.accounts.values().filter(move |record| {
            record.account.integration == *integration
                && matches!(record.phase, Phase::Open | Phase::Suspended)
                && !met.contains(&record.account.id)
        })
    }

    /// They are looked for.
    fn miss(&mut self, integration: &IntegrationId, met: &BTreeSet<AccountId>, now: Timestamp) {
        let missed: Vec<_> = self.missed(integration, met).map(|record| record.account.id).collect();
        for id in missed {
            self.doubt(id, now);
        }
    }

    /// A sighting is as old as its survey: what it tells against memory is read afresh before it counts.
    fn doubt(&mut self, id: AccountId, now: Timestamp) {
        if !self.lanes.flights.contains_key(&id) {
            self.lanes.doubted.insert(id);
            self.consider(id, now);
        }
    }

    fn is_as_remembered(&self, id: AccountId, found: &model::observed::Present) -> bool {
        let Some(record) = self.accounts.get(&id) else { return false };
        let held = record.ours(&found.entitlements) == record.held;
        let shut = found.login == Login::Shut && found.excess.is_empty() && found.sessions == 0;
        match record.phase {
            Phase::Open => held && (record.is_borrowed() || found.login != Login::Shut),
            Phase::Suspended | Phase::Deleting => shut && held,
            Phase::Absent => false,
            // What is under way ends with a read-back of its own.
            Phase::Opening | Phase::Closing => true,
        }
    }

    fn see(&mut self, id: AccountId, mark: &Mark, found: model::observed::Present, now: Timestamp) {
        let met = self.accounts.get(&id).is_some_and(|record| match &record.account.immutable {
            // Found for the first time, maybe under another name.
            None => true,
            // Made anew since the copy that this memory may be.
            Some(known) => *known != found.immutable && !self.remembers_all(),
        });
        if met
            && let Some(record) = self.edit(id)
            && recognise(record, &found)
        {
            record.account.name = found.name.clone();
        }
        if self.lanes.flights.contains_key(&id) {
            // What is under way ends with a read-back of its own, which is later than this.
            return;
        }
        let as_remembered = self.is_as_remembered(id, &found);
        if let Some(record) = self.edit(id) {
            record.mark = record.mark.max(mark.draft.revision);
            if adopt(record, mark, &found, now) {
                self.consider(id, now);
                return;
            }
        }
        if !as_remembered {
            self.doubt(id, now);
        }
    }

    /// An account with our mark that nobody here remembers: a duty to close. A memory that was agreed with and has seen
    /// the whole target before knows of all that lives there: a backup has brought this one back, and it is closed now.
    /// Another one may have lost it: then it is held to its mark's deadlines.
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
        record.last_revoked = mark.draft.last_revoked;
        record.held = found.entitlements.clone();
        record.target = Some(mark.target.clone());
        record.phase = Phase::Closing;
        let may_live = !self.remembers_all() || self.waits_for_survey(&mark.draft.integration);
        if self.remembers_all() {
            let mut effects = Effects::default();
            let when = if may_live { "held to its mark's deadlines and closed" } else { "closed" };
            let detail = format!(
                "account {} carries our mark and nobody here remembers it: it is {when}",
                record.account.name
            );
            effects.alarm(Some(&mark.draft.integration), Code::ACCOUNT_UNREMEMBERED, detail, now);
            self.staged.tell(effects);
        }
        let observed = Observed { target_time: None, account: Some(Box::new(found)) };
        if may_live && !observed.is_closed() {
            for (n, (until, entitlements)) in duties(mark, &record.held, now).into_iter().enumerate() {
                let Ok(access) = AccessId::parse(format!("mark-{id}-{}-{n}", mark.draft.revision.0)) else {
                    continue;
                };
                // What ended by this very mark stays ended: the sighting is an old one, or a backup of the
                // target has brought the account back.
                if self.tombstones.contains_key(&access) {
                    continue;
                }
                // Held, not wanted: it keeps what it has until the mark's deadline and gets nothing back.
                record.phase = Phase::Open;
                record.accesses.insert(
                    access.clone(),
                    Access {
                        id: access.clone(),
                        revision: Revision::default(),
                        entitlements,
                        from: Timestamp::ZERO,
                        until,
                        ordered: None,
                        begun: None,
                        approval: None,
                        state: AccessState::Interrupted { since: now },
                    },
                );
                self.by_access.insert(access, id);
            }
            record.marked(&mark.draft);
        }
        self.add_account(record);
        self.consider(id, now);
    }
}

/// What a mark says is wanted still, by deadline. Where it had no room for each, its one deadline is all's.
fn duties(mark: &Mark, held: &EntitlementSet, now: Timestamp) -> BTreeMap<Timestamp, EntitlementSet> {
    let mut duties = BTreeMap::<_, EntitlementSet>::new();
    for deadline in &mark.draft.deadlines {
        duties.entry(deadline.until).or_default().insert(deadline.entitlement.clone());
    }
    if let (true, Some(until)) = (duties.is_empty(), mark.draft.until) {
        duties.insert(until, held.clone());
    }
    duties.retain(|until, _| *until > now);
    duties
}

/// An order came before the survey that finds its account open: a journal was lost between the two. What is
/// held already is not taken away first.
fn adopt(record: &mut AccountRecord, mark: &Mark, found: &model::observed::Present, now: Timestamp) -> bool {
    if record.phase != Phase::Absent
        || record.is_borrowed()
        || found.login != Login::Open
        || record.candidate(now).is_none()
    {
        return false;
    }
    record.phase = Phase::Open;
    record.account.name = found.name.clone();
    record.account.immutable = Some(found.immutable.clone());
    record.held = found.entitlements.clone();
    record.marked(&mark.draft);
    for access in record.accesses.values_mut() {
        let begun = access.from <= now && now < access.until;
        if matches!(access.state, AccessState::Accepted { .. })
            && begun
            && access.entitlements.within(&record.held)
        {
            access.state = AccessState::Granting { since: now };
        }
    }
    true
}
