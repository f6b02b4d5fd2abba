//! Integrations: put, paused, found to be another one, retired.

use model::{
    Account, AccountId, Code, Deed, EndReason, Failure, Integration, IntegrationId, Lifecycle, Observed,
    ReceiptBody, Residual, Retry, TargetIdentity, Timestamp,
};

use super::orders::Refusal;
use super::{Book, ChainHead, IntegrationRecord};
use crate::account::AccountRecord;
use crate::action::{Act, Answer};
use crate::effects::{Effects, Tale};
use crate::ladder::Climb;
use crate::report::Report;

impl IntegrationRecord {
    /// Who resumes has looked: the target that answers is the one that is meant.
    fn resumed_on_what_answers(&mut self, paused: bool) {
        if !paused && let Some(other) = self.replaced.take() {
            self.target = Some(other);
            self.former = None;
        }
    }

    /// Takes another configuration, and remembers the one that is known to lead to the target.
    fn reconfigure(&mut self, integration: Integration) {
        let before = std::mem::replace(&mut self.integration, integration);
        // One that was never proven to lead there is not worth remembering.
        let proven = self.former.take().or_else(|| self.target.is_some().then_some(before));
        self.former = proven.filter(|proven| !proven.leads_where(&self.integration));
    }

    /// Whether somebody else than the known target answers; without a word on who did, as was found last.
    fn is_another(&self, by: Option<&TargetIdentity>) -> bool {
        match by {
            Some(by) => self.target.as_ref().is_some_and(|known| known != by),
            None => self.replaced.is_some(),
        }
    }
}

impl Book {
    pub(super) fn take_identity(
        &mut self,
        integration: &IntegrationId,
        identity: TargetIdentity,
        now: Timestamp,
    ) {
        let Some(found) = self.integrations.get(integration) else { return };
        let replaced = match &found.target {
            None => {
                if let Some(record) = self.edit_integration(integration) {
                    record.target = Some(identity);
                }
                return;
            }
            Some(known) => (*known != identity).then(|| (known.clone(), identity)),
        };
        if replaced.is_none()
            && found.former.is_some()
            && let Some(record) = self.edit_integration(integration)
        {
            record.former = None;
        }
        let Some(found) = self.integrations.get(integration) else { return };
        if found.replaced.as_ref() == replaced.as_ref().map(|(_, other)| other) {
            return;
        }
        if let Some((known, other)) = &replaced {
            let mut effects = Effects::default();
            let detail = format!(
                "integration `{integration}` answers as `{}` and was `{}`: nothing opens there and nothing that is \
                 missing there counts as ended; mend its address, or resume the integration if the target was \
                 replaced on purpose",
                other.0, known.0
            );
            effects.alarm(Some(integration), Code::TARGET_REPLACED, detail, now);
            self.staged.tell(effects);
        }
        if let Some(record) = self.edit_integration(integration) {
            record.replaced = replaced.map(|(_, other)| other);
        }
        self.reconsider_integration(integration, now);
    }

    /// Takes an answer for no more than it proves. What another target than the known one answered proves
    /// nothing; and nothing was found proves nothing where the account may be there as another one.
    pub(super) fn as_far_as_it_proves(
        &self,
        integration: &IntegrationId,
        act: &Act,
        answer: Answer,
        by: Option<&TargetIdentity>,
    ) -> Answer {
        let elsewhere = || {
            let why = "not found as it is remembered, and the target was not surveyed yet: looking again";
            Failure::not_done(Code::RECONCILING, why)
        };
        match (act, &answer) {
            (Act::Close { account, .. }, Answer::Closed(climb))
                if climb.observed.as_ref().is_ok_and(Observed::is_absent)
                    && !self.would_have_found(account) =>
            {
                // What was shut is not known, either.
                return Answer::Closed(Climb {
                    contained: false,
                    observed: Err(elsewhere()),
                    ..climb.clone()
                });
            }
            (Act::Delete { account }, Answer::Deleted { observed })
                if observed.is_absent() && !self.would_have_found(account) =>
            {
                return Answer::Failed(elsewhere());
            }
            _ => {}
        }
        let replaced = self.integrations.get(integration).is_some_and(|found| found.is_another(by));
        if !replaced || act.is_local() || matches!(answer, Answer::Failed(_)) {
            return answer;
        }
        let detail = "another target answers in its place: mend its address, or resume the integration";
        let failure = Failure::unknown(Code::TARGET_REPLACED, detail).with_retry(Retry::NeedsHuman);
        Answer::Failed(failure)
    }

    /// Whether an account that is on its target would have been found where it was looked for. A journal that
    /// may be an old copy does not know which name or id a later one gave it, nor does one that never saw it:
    /// only a survey since then tells, and what it tells is where to look next.
    fn would_have_found(&self, looked_for: &Account) -> bool {
        let integration = &looked_for.integration;
        let known = self.accounts.get(&looked_for.id).map(|record| &record.account);
        let met_since = known.is_some_and(|known| known.immutable != looked_for.immutable);
        let remembered = looked_for.immutable.is_some() && self.remembers_all();
        !met_since && (remembered || self.surveyed.contains(integration) || self.is_sure(integration))
    }

    pub(super) fn put(&mut self, integration: Integration, now: Timestamp) -> Result<(), Refusal> {
        let known = self.integrations.get(&integration.id);
        if known.is_none_or(|known| known.retired || known.integration.revision < integration.revision) {
            self.may_connect(&integration)?;
            self.take_integration(integration, now);
        }
        Ok(())
    }

    fn take_integration(&mut self, integration: Integration, now: Timestamp) {
        let id = integration.id.clone();
        match self.edit_integration(&id) {
            Some(record) => {
                record.reconfigure(integration);
                (record.retired, record.cleared, record.forbidden) = (false, false, None);
            }
            None => {
                self.put_integration(IntegrationRecord {
                    integration,
                    paused: false,
                    paused_here: false,
                    target: None,
                    replaced: None,
                    former: None,
                    surveyed: false,
                    chain: ChainHead::default(),
                    forbidden: None,
                    retired: false,
                    cleared: false,
                });
                self.hold_to_policy(&id);
            }
        }
        self.reconsider_integration(&id, now);
    }

    /// Takes on what this journal has never heard of. What it knows, and may have retired since, it knows better.
    pub(super) fn take_remembered(&mut self, integrations: Vec<Integration>, now: Timestamp) {
        for integration in integrations {
            if !self.integrations.contains_key(&integration.id) {
                // Whatever guardrails say: what is open there has to be closed.
                let (id, said) = (integration.id.clone(), self.may_connect(&integration));
                self.take_integration(integration, now);
                if let (Err(no), Some(record)) = (said, self.edit_integration(&id)) {
                    record.forbidden = Some(no.to_string());
                }
            }
        }
    }

    /// What was closed before its policies were known here is held to them all the same.
    fn hold_to_policy(&mut self, integration: &IntegrationId) {
        let policy = self.policy_of(integration);
        for id in self.accounts_of(integration) {
            if let Some(record) = self.edit(id)
                && record.phase == model::Phase::Suspended
                && let Some(revoked) = record.last_revoked
            {
                record.cleanup_due = policy.cleanup_after().map(|after| revoked.plus(after));
                record.rotate_due = policy.rotate_after().map(|after| revoked.plus(after));
            }
        }
    }

    pub(super) fn retire(&mut self, id: &IntegrationId, now: Timestamp) -> Result<(), Refusal> {
        let Some(record) = self.edit_integration(id) else {
            return Err(Refusal::new(
                None,
                Code::INTEGRATION_MISSING,
                format!("there is no integration `{id}` to retire"),
            ));
        };
        record.integration.lifecycle = Lifecycle::Retiring;
        let accounts: Vec<AccountId> = self.accounts_of(id);
        for account in accounts {
            self.close_account(account, &EndReason::IntegrationRetired, now);
        }
        self.retire_if_empty(id);
        Ok(())
    }

    /// An operator stopped waiting for its close: it is still tried, and holds nothing up.
    fn is_let_go(&self, id: AccountId) -> bool {
        self.accounts.get(&id).is_some_and(|record| record.canceled && record.accesses.is_empty())
    }

    /// A retiring integration that was surveyed and has no accounts is retired; the shell then removes what is shared.
    pub(super) fn retire_if_empty(&mut self, id: &IntegrationId) {
        let retiring = self
            .integrations
            .get(id)
            .is_some_and(|found| found.integration.lifecycle == Lifecycle::Retiring && !found.retired);
        let held_up = || self.accounts_of(id).iter().any(|id| !self.is_let_go(*id));
        // What an old journal does not know of may be there still: only a survey of this life tells.
        if retiring
            && self.surveyed.contains(id)
            && !held_up()
            && let Some(record) = self.edit_integration(id)
        {
            record.retired = true;
        }
    }

    /// The last word on a retired integration: a receipt that names what was removed and what had to be left.
    pub(super) fn take_cleared(
        &mut self,
        id: &IntegrationId,
        removed: Vec<String>,
        left: Vec<Residual>,
        now: Timestamp,
    ) {
        let Some(found) = self.integrations.get(id).filter(|found| found.retired && !found.cleared) else {
            return;
        };
        let body = ReceiptBody {
            at: now,
            integration: id.clone(),
            target: found.target.clone(),
            account: None,
            account_name: None,
            immutable: None,
            grantee: None,
            access: None,
            deed: Deed::Retired { removed, left: left.iter().map(|one| one.detail.clone()).collect() },
            read_back: None,
            residual: left,
            recorded_late: false,
            life: None,
        };
        if let Some(record) = self.edit_integration(id) {
            record.cleared = true;
        }
        self.staged.tell(Effects { tales: vec![Tale::Receipt(body)] });
        self.staged.report(Report::IntegrationRetired { integration: id.clone(), at: now });
    }

    pub(super) fn accounts_of(&self, integration: &IntegrationId) -> Vec<AccountId> {
        let of = |record: &&AccountRecord| record.account.integration == *integration;
        self.accounts.values().filter(of).map(|record| record.account.id).collect()
    }

    pub(super) fn reconsider_integration(&mut self, integration: &IntegrationId, now: Timestamp) {
        for account in self.accounts_of(integration) {
            self.consider(account, now);
        }
    }

    pub(super) fn pause(
        &mut self,
        integration: Option<IntegrationId>,
        paused: bool,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        match integration {
            None => {
                self.edit_meta().paused = paused;
                self.reconsider_all(now);
            }
            Some(id) => match self.edit_integration(&id) {
                Some(record) => {
                    record.paused = paused;
                    record.resumed_on_what_answers(paused);
                    self.reconsider_integration(&id, now);
                }
                None => {
                    let detail = format!("there is no integration `{id}`");
                    return Err(Refusal::new(None, Code::INTEGRATION_MISSING, detail));
                }
            },
        }
        Ok(())
    }

    /// An operator's own pause stands beside the control plane's: each lifts only its own.
    pub(super) fn pause_here(&mut self, integration: Option<IntegrationId>, paused: bool, now: Timestamp) {
        let Some(id) = integration else {
            if self.meta.paused_here != paused {
                self.edit_meta().paused_here = paused;
                self.reconsider_all(now);
            }
            return;
        };
        let Some(found) = self.integrations.get(&id) else { return };
        if found.paused_here == paused && (paused || found.replaced.is_none()) {
            return;
        }
        if let Some(record) = self.edit_integration(&id) {
            record.paused_here = paused;
            record.resumed_on_what_answers(paused);
        }
        self.reconsider_integration(&id, now);
    }
}
