//! What the guardrails say of orders, and of what lives when they change.
//!
//! Towards less is never asked about. What lives is held against the guardrails once for each version of them,
//! and the version is written in the same batch: a crash in between asks again.

use model::{
    Access, AccessId, AccessState, AccountId, Code, EndReason, Failure, GranteeId, Integration,
    IntegrationId, Lifecycle, Timestamp,
};

use super::Book;
use super::orders::Refusal;
use crate::account::AccountRecord;
use crate::clock::Reading;
use crate::effects::Effects;
use crate::guard::{Forbidden, Guard, Guardrails, Living, Stretch, Wish};
use crate::order::AccessOrder;

/// An alarm names this many accesses at most.
const NAMED: usize = 5;
/// Stands for guardrails that cannot be read: no digest is empty.
const UNREAD: &str = "";

impl From<Forbidden> for Refusal {
    fn from(no: Forbidden) -> Self {
        Self::new(None, Code::GUARDRAIL_REFUSED, no.to_string())
    }
}

impl Book {
    /// Takes the guardrails that hold from now on.
    pub fn guard(&mut self, guard: Guard, reading: Reading) {
        let now = self.read_clock(reading);
        let before = self.stance();
        self.guard = guard;
        let held = self.hold_to_guardrails(now);
        if held || before != self.stance() {
            self.reconsider_all(now);
        }
        self.wake(now);
    }

    /// Whether nothing but closing goes on.
    pub(super) const fn only_closes(&self) -> bool {
        self.close_only.is_some() || matches!(self.guard, Guard::Broken { .. })
    }

    /// What guardrails bear on beside what they answer: whether only closing goes on, and whether all was held to them.
    fn stance(&self) -> (bool, bool) {
        (self.only_closes(), self.is_held_to_guardrails())
    }

    /// Whether all that lives was held against the guardrails of today.
    pub(super) fn is_held_to_guardrails(&self) -> bool {
        match &self.guard {
            Guard::Off => self.meta.guardrails.is_none(),
            Guard::Broken { .. } => false,
            Guard::On { guardrails, .. } => self.meta.guardrails.as_deref() == Some(guardrails.digest()),
        }
    }

    /// Holds all that lives against guardrails that it was not held against yet. Returns whether it did.
    pub(super) fn hold_to_guardrails(&mut self, now: Timestamp) -> bool {
        // What cannot be written now would be undone at once.
        if self.close_only.is_some() || self.is_held_to_guardrails() {
            return false;
        }
        match self.guard.clone() {
            // What is ordered meanwhile is held against them when they can be read.
            Guard::Broken { .. } => {
                if self.meta.guardrails.as_deref() != Some(UNREAD) {
                    self.edit_meta().guardrails = Some(UNREAD.into());
                }
                return false;
            }
            Guard::Off => {
                self.edit_meta().guardrails = None;
                self.forbid_integrations(None, now);
            }
            Guard::On { guardrails, living } => {
                self.edit_meta().guardrails = Some(guardrails.digest().to_owned());
                self.forbid_integrations(Some(&*guardrails), now);
                self.hold_accesses(&*guardrails, living, now);
            }
        }
        true
    }

    fn forbid_integrations(&mut self, guardrails: Option<&dyn Guardrails>, now: Timestamp) {
        let judged: Vec<_> = self
            .integrations
            .values()
            .filter(|found| !found.retired)
            .filter_map(|found| {
                let no = guardrails.and_then(|them| them.may_connect(&found.integration).err());
                let no = no.map(|no| no.to_string());
                (found.forbidden != no).then(|| (found.integration.id.clone(), no))
            })
            .collect();
        for (id, forbidden) in judged {
            if let Some(no) = &forbidden {
                let mut effects = Effects::default();
                let detail = format!("nothing opens on integration `{id}` any more: {no}");
                effects.alarm(Some(&id), Code::GUARDRAIL_REFUSED, detail, now);
                self.staged.tell(effects);
            }
            if let Some(record) = self.edit_integration(&id) {
                record.forbidden = forbidden;
            }
        }
    }

    fn hold_accesses(&mut self, guardrails: &dyn Guardrails, living: Living, now: Timestamp) {
        let mut ended = vec![];
        for (account, id) in self.to_be_held(living) {
            let Some(record) = self.accounts.get(&account) else { continue };
            let Some(access) = record.accesses.get(&id) else { continue };
            let Some(found) = self.integrations.get(&record.account.integration) else { continue };
            let wish = Wish {
                integration: &found.integration,
                access: &id,
                grantee: &record.account.grantee,
                approval: access.approval.as_deref(),
                entitlements: &access.entitlements,
                union: &access.entitlements,
                begun: began(access),
                from: access.from.max(now),
                until: access.until,
                used: &[],
            };
            match self.ask(guardrails, account, wish) {
                Ok(until) if until >= access.until => {}
                Ok(until) => self.end_sooner(account, &id, until, now),
                Err(no) => {
                    let failure = Failure::refused(Code::GUARDRAIL_REFUSED, no.to_string());
                    self.end_access_because(&id, EndReason::Guardrail, Some(failure), now);
                    ended.push(id);
                }
            }
        }
        if !ended.is_empty() {
            let some: Vec<_> = ended.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
            let more = ended.len().saturating_sub(NAMED);
            let and = if more == 0 { String::new() } else { format!(" and {more} more") };
            let detail = format!(
                "the guardrails have changed, and what they no longer allow ends ({}): {}{and}",
                ended.len(),
                some.join(", ")
            );
            let mut effects = Effects::default();
            effects.alarm(None, Code::GUARDRAIL_REFUSED, detail, now);
            self.staged.tell(effects);
        }
    }

    /// Accesses that were ordered and would go on: those that do not live yet, and those that do if they are
    /// to end. What only a mark remembers is closed by its mark.
    fn to_be_held(&self, living: Living) -> Vec<(AccountId, AccessId)> {
        let goes_on = |access: &&Access| match access.state {
            AccessState::Accepted { .. } | AccessState::Granting { .. } => true,
            AccessState::Active { .. } | AccessState::Interrupted { .. } => living == Living::Ends,
            AccessState::Ending { .. }
            | AccessState::Ended { .. }
            | AccessState::Refused { .. }
            | AccessState::Failed { .. }
            | AccessState::Canceled { .. } => false,
        };
        let of = |record: &'_ AccountRecord| {
            let account = record.account.id;
            let held: Vec<_> = record
                .accesses
                .values()
                .filter(|access| access.ordered.is_some())
                .filter(goes_on)
                .map(|access| (account, access.id.clone()))
                .collect();
            held
        };
        self.accounts.values().flat_map(of).collect()
    }

    fn end_sooner(&mut self, account: AccountId, access: &AccessId, until: Timestamp, now: Timestamp) {
        if let Some(access) = self.edit(account).and_then(|record| record.accesses.get_mut(access)) {
            access.until = until;
        }
        self.tell_access(account, access, now);
    }

    /// Until when an ordered access may live. While the guardrails cannot be read nothing opens, and it is held
    /// against them when they can.
    pub(super) fn until_when(
        &self,
        order: &AccessOrder,
        account: AccountId,
        begun: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Timestamp, Forbidden> {
        let Guard::On { guardrails, .. } = &self.guard else { return Ok(order.until) };
        let Some(found) = self.integrations.get(&order.integration) else { return Ok(order.until) };
        let from = order.from.max(now);
        let wish = Wish {
            integration: &found.integration,
            access: &order.id,
            grantee: &order.grantee.id,
            approval: order.approval.as_deref(),
            entitlements: &order.entitlements,
            union: &order.entitlements,
            begun: begun.filter(|begun| *begun <= now).unwrap_or(from),
            from,
            until: order.until,
            used: &[],
        };
        self.ask(&**guardrails, account, wish)
    }

    /// Asks about an access together with all others of its account. What is past its deadline ends by it, and is
    /// not asked about.
    fn ask(
        &self,
        guardrails: &dyn Guardrails,
        account: AccountId,
        wish: Wish<'_>,
    ) -> Result<Timestamp, Forbidden> {
        if wish.from >= wish.until {
            return Ok(wish.until);
        }
        let mut union = wish.entitlements.clone();
        let others = self.accounts.get(&account).into_iter().flat_map(|record| record.accesses.values());
        let others = others.filter(|other| other.id != *wish.access);
        for other in others.filter(|other| meets(other, wish.from, wish.until)) {
            union.extend(&other.entitlements);
        }
        let used = self.used(guardrails, account, wish.access);
        guardrails.may_open(&Wish { union: &union, used: &used, ..wish })
    }

    /// When the account's other accesses lived, and how long those that live will.
    fn used(&self, guardrails: &dyn Guardrails, account: AccountId, but: &AccessId) -> Vec<Stretch> {
        if !guardrails.asks_use() {
            return vec![];
        }
        let lived = self.tombstones.values().filter_map(|tomb| tomb.lived);
        let lived = lived.filter(|lived| lived.account == account).map(|lived| lived.stretch);
        let living = self.accounts.get(&account).into_iter().flat_map(|record| record.accesses.values());
        let living = living
            .filter(|access| access.id != *but && access.ordered.is_some())
            .map(|access| Stretch { from: began(access), until: access.until });
        lived.chain(living).collect()
    }

    /// When an access that has just ended lived.
    pub(super) fn lived(&self, access: &Access) -> Option<Stretch> {
        let begun = access.begun?;
        let until = self.clock.now();
        let opened = match access.state {
            AccessState::Ended { .. } | AccessState::Canceled { .. } => true,
            AccessState::Accepted { .. }
            | AccessState::Granting { .. }
            | AccessState::Active { .. }
            | AccessState::Interrupted { .. }
            | AccessState::Ending { .. }
            | AccessState::Refused { .. }
            | AccessState::Failed { .. } => false,
        };
        (opened && begun < until).then_some(Stretch { from: begun, until })
    }

    /// Whether a guardrail lets an integration be used.
    pub(super) fn may_connect(&self, integration: &Integration) -> Result<(), Forbidden> {
        if integration.lifecycle == Lifecycle::Retiring {
            return Ok(());
        }
        match &self.guard {
            Guard::Off => Ok(()),
            Guard::Broken { reason } => Err(Forbidden::Broken { reason: reason.clone() }),
            Guard::On { guardrails, .. } => guardrails.may_connect(integration),
        }
    }

    pub(super) fn may_rotate(&self, id: &IntegrationId, grantee: &GranteeId) -> Result<(), Refusal> {
        self.about_account(id, |guardrails, integration| guardrails.may_rotate(integration, grantee))
    }

    pub(super) fn may_delete(&self, id: &IntegrationId, grantee: &GranteeId) -> Result<(), Refusal> {
        let said =
            self.about_account(id, |guardrails, integration| guardrails.may_delete(integration, grantee));
        said.map_err(|no| no.adding("the account is closed and is not deleted"))
    }

    fn about_account(
        &self,
        id: &IntegrationId,
        ask: impl FnOnce(&dyn Guardrails, &Integration) -> Result<(), Forbidden>,
    ) -> Result<(), Refusal> {
        match (&self.guard, self.integrations.get(id)) {
            (Guard::Off, _) | (_, None) => Ok(()),
            (Guard::Broken { reason }, Some(_)) => Err(Forbidden::Broken { reason: reason.clone() }.into()),
            (Guard::On { guardrails, .. }, Some(found)) => Ok(ask(&**guardrails, &found.integration)?),
        }
    }
}

/// Whether an access lives at some time between the two.
fn meets(access: &Access, from: Timestamp, until: Timestamp) -> bool {
    let goes_on = !access.state.is_terminal() && !matches!(access.state, AccessState::Ending { .. });
    goes_on && access.from < until && access.until > from
}

fn began(access: &Access) -> Timestamp {
    let since = match &access.state {
        AccessState::Accepted { since }
        | AccessState::Granting { since }
        | AccessState::Active { since }
        | AccessState::Interrupted { since }
        | AccessState::Ending { since, .. } => *since,
        AccessState::Ended { at, .. } | AccessState::Canceled { at } => *at,
        AccessState::Refused { .. } | AccessState::Failed { .. } => access.from,
    };
    access.begun.unwrap_or_else(|| access.from.max(since))
}
