//! Orders: each is taken once, in order, within the control plane's incarnation.

use model::{
    Access, AccessId, AccessState, Account, AccountId, Code, EndReason, Incarnation, Integration,
    IntegrationId, Lifecycle, Ordered, Phase, Timestamp,
};

use super::{Book, ChainHead, IntegrationRecord, Tombstone, start::TOMB_KEPT};
use crate::account::AccountRecord;
use crate::answer::ALARM_AFTER;
use crate::effects::Effects;
use crate::order::{AccessOrder, Grantee, NumberedOrder, Order};
use crate::report::Report;

/// Why an order is not taken.
struct Refusal {
    access: Option<AccessId>,
    code: Code,
    detail: String,
}

impl Refusal {
    fn new(access: Option<&AccessId>, code: Code, detail: impl Into<String>) -> Self {
        Self { access: access.cloned(), code, detail: detail.into() }
    }
}

impl Book {
    pub(super) fn take_order(&mut self, numbered: NumberedOrder, now: Timestamp) {
        let NumberedOrder { incarnation, position, order } = numbered;
        let taken = self.meta.cursors.get(&incarnation).copied().unwrap_or_default();
        if position <= taken {
            return;
        }
        let meta = self.edit_meta();
        meta.cursors.insert(incarnation, position);
        meta.control_plane = Some(incarnation);
        let ordered = Ordered { incarnation, position };
        if let Err(refusal) = self.carry_out(order, ordered, now) {
            self.staged.report(Report::OrderRefused {
                incarnation,
                position,
                access: refusal.access,
                code: refusal.code,
                detail: refusal.detail,
                at: now,
            });
        }
    }

    /// An order that came unreadable is refused, and its place in the log is taken.
    pub fn refuse_order(
        &mut self,
        ordered: Ordered,
        code: Code,
        detail: impl Into<String>,
        reading: crate::clock::Reading,
    ) {
        let now = self.read_clock(reading);
        let taken = self.meta.cursors.get(&ordered.incarnation).copied().unwrap_or_default();
        if ordered.position <= taken {
            return;
        }
        self.edit_meta().cursors.insert(ordered.incarnation, ordered.position);
        self.staged.report(Report::OrderRefused {
            incarnation: ordered.incarnation,
            position: ordered.position,
            access: None,
            code,
            detail: detail.into(),
            at: now,
        });
    }

    fn carry_out(&mut self, order: Order, ordered: Ordered, now: Timestamp) -> Result<(), Refusal> {
        match order {
            Order::PutIntegration(integration) => self.put(integration, now),
            Order::RetireIntegration { integration } => self.retire(&integration, now),
            Order::PutAccess(order) => self.put_access(order, ordered, now),
            Order::EndAccess { access } => {
                if self.by_access.contains_key(&access) {
                    self.end_access(&access, EndReason::Revoked, now);
                } else if !self.tombstones.contains_key(&access) {
                    self.bury(&access, Tombstone { verdict: None, until: now.plus(TOMB_KEPT) });
                }
                Ok(())
            }
            Order::RotateAccount { integration, grantee, key } => {
                let id = self.account_of(&integration, &grantee)?;
                if let Some(record) = self.edit(id) {
                    record.rotate_asked = true;
                    record.key = key.unwrap_or_else(|| record.key.clone());
                }
                self.consider(id, now);
                Ok(())
            }
            Order::DeleteAccount { integration, grantee } => self.delete_account(&integration, &grantee, now),
            // What only reads is the shell's: the rules have nothing to remember of it.
            Order::CheckNow { .. } | Order::DiscoverNow { .. } | Order::SurveyNow { .. } => Ok(()),
            Order::CancelEnding { access } => self.cancel(&access, now),
            Order::Pause { integration } => self.pause(integration, true, now),
            Order::Resume { integration } => self.pause(integration, false, now),
            Order::SetPolicy { policy } => {
                self.edit_meta().policy = policy;
                Ok(())
            }
        }
    }

    fn put(&mut self, integration: Integration, now: Timestamp) -> Result<(), Refusal> {
        let id = integration.id.clone();
        match self.edit_integration(&id) {
            Some(record) if record.integration.revision >= integration.revision && !record.retired => {
                return Ok(());
            }
            Some(record) => {
                record.integration = integration;
                record.retired = false;
            }
            None => self.put_integration(IntegrationRecord {
                integration,
                paused: false,
                target: None,
                chain: ChainHead::default(),
                retired: false,
            }),
        }
        self.reconsider_integration(&id, now);
        Ok(())
    }

    fn retire(&mut self, id: &IntegrationId, now: Timestamp) -> Result<(), Refusal> {
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
        self.retire_if_empty(id, now);
        Ok(())
    }

    /// A retiring integration without accounts is told as retired; the shell then removes what is shared.
    pub(super) fn retire_if_empty(&mut self, id: &IntegrationId, now: Timestamp) {
        let retiring = self
            .integrations
            .get(id)
            .is_some_and(|found| found.integration.lifecycle == Lifecycle::Retiring && !found.retired);
        if retiring && self.accounts_of(id).is_empty() {
            if let Some(record) = self.edit_integration(id) {
                record.retired = true;
            }
            self.staged.report(Report::IntegrationRetired { integration: id.clone(), at: now });
        }
    }

    fn accounts_of(&self, integration: &IntegrationId) -> Vec<AccountId> {
        let of = |record: &&AccountRecord| record.account.integration == *integration;
        self.accounts.values().filter(of).map(|record| record.account.id).collect()
    }

    fn reconsider_integration(&mut self, integration: &IntegrationId, now: Timestamp) {
        for account in self.accounts_of(integration) {
            self.consider(account, now);
        }
    }

    /// Everything on the account ends, and it is deleted as soon as it is shut.
    fn close_account(&mut self, id: AccountId, reason: &EndReason, now: Timestamp) {
        let Some(record) = self.edit(id) else { return };
        record.delete_asked = record.phase != Phase::Absent;
        let accesses: Vec<_> = record.accesses.keys().cloned().collect();
        for access in accesses {
            self.end_access(&access, reason.clone(), now);
        }
        self.consider(id, now);
    }

    fn account_of(
        &self,
        integration: &IntegrationId,
        grantee: &model::GranteeId,
    ) -> Result<AccountId, Refusal> {
        self.accounts
            .values()
            .find(|record| record.account.integration == *integration && record.account.grantee == *grantee)
            .map(|record| record.account.id)
            .ok_or_else(|| {
                let detail = format!("`{grantee}` has no account on `{integration}`");
                Refusal::new(None, Code::ACCOUNT_MISSING, detail)
            })
    }

    fn delete_account(
        &mut self,
        integration: &IntegrationId,
        grantee: &model::GranteeId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let Ok(id) = self.account_of(integration, grantee) else { return Ok(()) };
        self.close_account(id, &EndReason::AccountDeleted, now);
        Ok(())
    }

    fn put_access(&mut self, order: AccessOrder, ordered: Ordered, now: Timestamp) -> Result<(), Refusal> {
        let id = order.id.clone();
        if self.tombstones.contains_key(&id) {
            // A repeated order for what has ended is no news; an order to open it again is refused.
            let detail = format!("access `{id}` has ended and never opens again: ask for a new one");
            return Err(Refusal::new(Some(&id), Code::ID_ENDED, detail));
        }
        if order.entitlements.is_empty() || order.until <= order.from {
            let detail = "an access needs at least one entitlement and an end after its beginning";
            return self.refuse_access(&order, Code::ORDER_MALFORMED, detail, now);
        }
        if let Some(account) = self.by_access.get(&id).copied() {
            return self.change_access(account, order, ordered, now);
        }
        if order.until <= now {
            return self.refuse_access(&order, Code::TOO_LATE, "the deadline has passed", now);
        }
        let Some(integration) = self.integrations.get(&order.integration).filter(|found| !found.retired)
        else {
            let detail = format!("there is no integration `{}`", order.integration);
            return self.refuse_access(&order, Code::INTEGRATION_MISSING, &detail, now);
        };
        let named = self.office.account(&integration.integration, &order.grantee);
        let (account, name, ownership) = match named {
            Ok(named) => named,
            Err(code) => {
                return self.refuse_access(&order, code, "no account can be named for this grantee", now);
            }
        };
        let integration = order.integration.clone();
        if !self.accounts.contains_key(&account) {
            let made = Account {
                id: account,
                integration,
                grantee: order.grantee.id.clone(),
                name,
                ownership,
                immutable: None,
            };
            self.add_account(AccountRecord::new(made, order.grantee.key.clone(), now));
        }
        // What an account rebuilt from its mark holds already is not taken away first.
        let kept = self.accounts.get(&account).is_some_and(|record| {
            record.phase == Phase::Open && order.from <= now && order.entitlements.within(&record.held)
        });
        let access = Access {
            id: id.clone(),
            revision: order.revision,
            entitlements: order.entitlements,
            from: order.from,
            until: order.until,
            ordered: Some(ordered),
            state: if kept {
                AccessState::Granting { since: now }
            } else {
                AccessState::Accepted { since: now }
            },
        };
        if let Some(record) = self.edit(account) {
            record.key = order.grantee.key;
            // An account rebuilt from its mark learns here whose it is.
            record.account.grantee = order.grantee.id;
            record.accesses.insert(id.clone(), access);
        }
        self.by_access.insert(id.clone(), account);
        self.tell_access(account, &id, now);
        self.consider(account, now);
        Ok(())
    }

    fn refuse_access(
        &mut self,
        order: &AccessOrder,
        code: Code,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        // The id is spent: an order for it that is repeated must not open it later.
        self.bury(&order.id, Tombstone { verdict: None, until: order.until.max(now).plus(TOMB_KEPT) });
        Err(Refusal::new(Some(&order.id), code, detail))
    }

    fn tell_access(&mut self, account: AccountId, access: &AccessId, now: Timestamp) {
        let mut effects = Effects::default();
        if let Some(record) = self.accounts.get(&account)
            && let Some(access) = record.accesses.get(access)
        {
            effects.access(record, access, None, now);
        }
        self.staged.tell(effects);
    }

    /// A later revision of a known access: other deadlines or entitlements, or an interrupted one again.
    fn change_access(
        &mut self,
        account: AccountId,
        order: AccessOrder,
        ordered: Ordered,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let id = order.id.clone();
        let Some(known) = self.accounts.get(&account).and_then(|record| record.accesses.get(&id)) else {
            return Ok(());
        };
        if order.revision <= known.revision {
            // The same order, from a control plane that was restored: now this one knows of it, too.
            let moved = known.ordered.is_none_or(|known| known.incarnation != ordered.incarnation);
            if order.revision == known.revision
                && moved
                && let Some(access) = self.edit(account).and_then(|record| record.accesses.get_mut(&id))
            {
                access.ordered = Some(ordered);
            }
            return Ok(());
        }
        if matches!(known.state, AccessState::Ending { .. }) {
            let detail = format!("access `{id}` is being ended: ask for a new one");
            return Err(Refusal::new(Some(&id), Code::ID_ENDED, detail));
        }
        let held = self.accounts.get(&account).map_or_else(Default::default, |record| record.held.clone());
        let Grantee { key, .. } = order.grantee;
        if let Some(record) = self.edit(account) {
            record.key = key;
            let open = record.phase == Phase::Open;
            if let Some(access) = record.accesses.get_mut(&id) {
                access.revision = order.revision;
                access.from = order.from;
                access.until = order.until;
                access.ordered = Some(ordered);
                let grows = !order.entitlements.within(&access.entitlements.both(&held));
                access.entitlements = order.entitlements;
                access.state = match &access.state {
                    AccessState::Active { since } if !grows => AccessState::Active { since: *since },
                    AccessState::Granting { since } => AccessState::Granting { since: *since },
                    // Towards more, for an order not yet completed: this one. What is held meanwhile stays.
                    AccessState::Active { .. } | AccessState::Interrupted { .. }
                        if open && order.from <= now =>
                    {
                        AccessState::Granting { since: now }
                    }
                    AccessState::Accepted { .. }
                    | AccessState::Active { .. }
                    | AccessState::Interrupted { .. }
                    | AccessState::Ending { .. }
                    | AccessState::Ended { .. }
                    | AccessState::Refused { .. }
                    | AccessState::Failed { .. }
                    | AccessState::Canceled { .. } => AccessState::Accepted { since: now },
                };
            }
        }
        self.tell_access(account, &id, now);
        self.consider(account, now);
        Ok(())
    }

    fn cancel(&mut self, access: &AccessId, now: Timestamp) -> Result<(), Refusal> {
        let account = self.by_access.get(access).copied();
        let Some(id) = account else {
            return Err(Refusal::new(
                Some(access),
                Code::ID_ENDED,
                format!("access `{access}` is not being ended"),
            ));
        };
        let state =
            self.accounts.get(&id).and_then(|record| Some(record.accesses.get(access)?.state.clone()));
        match state {
            Some(AccessState::Ending { attempts, .. }) if attempts >= ALARM_AFTER => {}
            Some(AccessState::Ending { attempts, .. }) => {
                let detail =
                    format!("its close has been tried {attempts} times: possible after {ALARM_AFTER}");
                return Err(Refusal::new(Some(access), Code::ORDER_MALFORMED, detail));
            }
            _ => {
                let detail = format!("access `{access}` is not being ended");
                return Err(Refusal::new(Some(access), Code::ORDER_MALFORMED, detail));
            }
        }
        let mut effects = Effects::default();
        if let Some(record) = self.edit(id) {
            if let Some(found) = record.accesses.get_mut(access) {
                found.state = AccessState::Canceled { at: now };
            }
            // The account stays on the ladder: what is reported changes, not what is done.
            record.phase = Phase::Closing;
            if let Some(found) = record.accesses.get(access) {
                effects.access(record, found, record.failure.clone(), now);
                effects.receipt(record, Some(found), model::Deed::Canceled, None, now);
            }
        }
        self.staged.tell(effects);
        self.prune(id);
        self.consider(id, now);
        Ok(())
    }

    fn pause(
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

    /// Returns how far the orders of an incarnation are taken.
    pub fn cursor(&self, incarnation: Incarnation) -> model::Position {
        self.meta.cursors.get(&incarnation).copied().unwrap_or_default()
    }
}
