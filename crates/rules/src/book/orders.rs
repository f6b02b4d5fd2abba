//! Orders: each is taken once, in order, within the control plane's incarnation.

use model::{
    Access, AccessId, AccessState, Account, AccountId, Code, EndReason, Incarnation, IntegrationId,
    Lifecycle, Ordered, Phase, Timestamp,
};

use super::{Book, Tombstone, start::TOMB_KEPT};
use crate::account::AccountRecord;
use crate::answer::ALARM_AFTER;
use crate::effects::Effects;
use crate::order::{AccessOrder, Grantee, NumberedOrder, Order};
use crate::report::Report;

/// What one account's record may come to as it is kept, in bytes. With what is learnt of it later it still fits into a
/// row of the journal: one that did not would hold up all that is written with it.
const LARGEST_ACCOUNT: usize = 4 * 1024 * 1024;
const TOO_LARGE: &str = "that is more than one account can hold: end accesses of this grantee, or ask for whole schemas \
                         or databases in place of single tables";

/// Counts what is written.
struct Count(usize);

impl std::io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether an account can take on so much more.
fn fits(record: Option<&AccountRecord>, more: &model::EntitlementSet) -> bool {
    let mut count = Count(0);
    let counted = serde_json::to_writer(&mut count, &(record, more));
    counted.is_ok() && count.0 <= LARGEST_ACCOUNT
}

/// Why an order is not taken.
pub(super) struct Refusal {
    access: Option<AccessId>,
    code: Code,
    detail: String,
}

impl Refusal {
    pub(super) fn new(access: Option<&AccessId>, code: Code, detail: impl Into<String>) -> Self {
        Self { access: access.cloned(), code, detail: detail.into() }
    }

    pub(super) fn adding(self, more: &str) -> Self {
        Self { detail: format!("{}; {more}", self.detail), ..self }
    }
}

/// Orders that can only end something, and may be carried out before their turn and again at it.
const fn takes_away(order: &Order) -> bool {
    matches!(order, Order::EndAccess { .. } | Order::DeleteAccount { .. })
}

impl Book {
    pub(super) fn take_order(&mut self, numbered: NumberedOrder, now: Timestamp) {
        let NumberedOrder { incarnation, position, order } = numbered;
        let taken = self.meta.cursors.get(&incarnation).copied().unwrap_or_default();
        let ordered = Ordered { incarnation, position };
        if position != taken.next() {
            // Repeated ones were taken. After a gap, what is missing comes first, and this one comes again:
            // but what only takes away does not wait behind what a full journal refuses.
            if position > taken.next() && takes_away(&order) {
                // A refusal is told when its turn comes.
                drop(self.carry_out(order, ordered, now));
            }
            return;
        }
        let meta = self.edit_meta();
        meta.cursors.insert(incarnation, position);
        meta.control_plane = Some(incarnation);
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
        if ordered.position != taken.next() {
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
                    self.bury(&access, Tombstone { verdict: None, until: now.plus(TOMB_KEPT), lived: None });
                }
                Ok(())
            }
            Order::RotateAccount { integration, grantee, key } => {
                let id = self.account_of(&integration, &grantee)?;
                self.may_rotate(&integration, &grantee)?;
                if self.accounts.get(&id).is_some_and(AccountRecord::is_borrowed) {
                    let detail = "the account is not ours: its credential is changed where it was made";
                    return Err(Refusal::new(None, Code::PERMISSION_REFUSED, detail));
                }
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

    /// Everything on the account ends, and it is deleted as soon as it is shut.
    pub(super) fn close_account(&mut self, id: AccountId, reason: &EndReason, now: Timestamp) {
        let Some(record) = self.edit(id) else { return };
        record.delete_asked = record.phase != Phase::Absent && !record.is_borrowed();
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
        let allowed = self.may_delete(integration, grantee);
        self.close_account(id, &EndReason::AccountDeleted, now);
        if allowed.is_err()
            && let Some(record) = self.edit(id)
        {
            record.delete_asked = false;
        }
        allowed
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
        // A lost memory may have begun it in time: what is not surely unbegun is closed, and its end is seen.
        if order.until <= now && self.is_sure(&order.integration) {
            return self.refuse_access(&order, Code::TOO_LATE, "the deadline has passed", now);
        }
        let Some(integration) = self.integrations.get(&order.integration).filter(|found| !found.retired)
        else {
            let detail = format!("there is no integration `{}`", order.integration);
            return self.refuse_access(&order, Code::INTEGRATION_MISSING, &detail, now);
        };
        if integration.integration.lifecycle == Lifecycle::Retiring {
            let detail = format!("integration `{}` is being retired", order.integration);
            return self.refuse_access(&order, Code::INTEGRATION_MISSING, &detail, now);
        }
        let named = self.office.account(&integration.integration, &order.grantee);
        let (account, name, ownership) = match named {
            Ok(named) => named,
            Err(code) => {
                return self.refuse_access(&order, code, "no account can be named for this grantee", now);
            }
        };
        if !fits(self.accounts.get(&account), &order.entitlements) {
            return self.refuse_access(&order, Code::ORDER_MALFORMED, TOO_LARGE, now);
        }
        let until = match self.until_when(&order, account, None, now) {
            Ok(until) => until,
            Err(no) => return self.refuse_access(&order, Code::GUARDRAIL_REFUSED, &no.to_string(), now),
        };
        let order = AccessOrder { until, ..order };
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
            record.phase == Phase::Open && order.from <= now && record.has(&order.entitlements)
        });
        let access = Access {
            id: id.clone(),
            revision: order.revision,
            entitlements: order.entitlements,
            from: order.from,
            until: order.until,
            ordered: Some(ordered),
            begun: Some(order.from.max(now)),
            approval: order.approval,
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
        let until = order.until.max(now).plus(TOMB_KEPT);
        self.bury(&order.id, Tombstone { verdict: None, until, lived: None });
        Err(Refusal::new(Some(&order.id), code, detail))
    }

    pub(super) fn tell_access(&mut self, account: AccountId, access: &AccessId, now: Timestamp) {
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
        let account_is = self.accounts.get(&account).map(|record| &record.account);
        if account_is.is_some_and(|is| is.integration != order.integration || is.grantee != order.grantee.id)
        {
            let detail =
                format!("access `{id}` is another grantee's or on another integration: ask for a new one");
            return Err(Refusal::new(Some(&id), Code::ORDER_MALFORMED, detail));
        }
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
        if !fits(self.accounts.get(&account), &order.entitlements) {
            return Err(Refusal::new(Some(&id), Code::ORDER_MALFORMED, TOO_LARGE));
        }
        // What only takes away is not asked about.
        let less = order.entitlements.within(&known.entitlements)
            && order.until <= known.until
            && order.from >= known.from;
        let mut order = order;
        if !less {
            let begun = known.begun;
            match self.until_when(&order, account, begun, now) {
                Ok(until) => order.until = until,
                Err(no) => {
                    let detail = format!("{no}; the access stays as it was");
                    return Err(Refusal::new(Some(&id), Code::GUARDRAIL_REFUSED, detail));
                }
            }
        }
        let has = self.accounts.get(&account).is_some_and(|record| record.has(&order.entitlements));
        let Grantee { key, .. } = order.grantee;
        let (before, was_active) = (known.until, matches!(known.state, AccessState::Active { .. }));
        let mut effects = Effects::default();
        // Closed without a journal, and not as it is remembered: this order opens it anew once that is written.
        let shut = self.lanes.unrecorded.contains(&account);
        if let Some(record) = self.edit(account) {
            record.key = key;
            let open = record.phase == Phase::Open && !shut;
            if let Some(access) = record.accesses.get_mut(&id) {
                access.revision = order.revision;
                access.from = order.from;
                access.until = order.until;
                access.ordered = Some(ordered);
                access.approval = order.approval;
                if access.begun.is_none_or(|begun| begun > now) {
                    access.begun = Some(order.from.max(now));
                }
                let grows = !has || !order.entitlements.within(&access.entitlements);
                let begun = order.from <= now;
                access.entitlements = order.entitlements;
                access.state = match &access.state {
                    AccessState::Active { since } if !grows && begun && !shut => {
                        AccessState::Active { since: *since }
                    }
                    AccessState::Granting { since } if begun => AccessState::Granting { since: *since },
                    // Towards more, for an order not yet completed: this one. What is held meanwhile stays.
                    AccessState::Active { .. } | AccessState::Interrupted { .. } if open && begun => {
                        AccessState::Granting { since: now }
                    }
                    AccessState::Accepted { .. }
                    | AccessState::Granting { .. }
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
        // What is opened anew has a receipt of that.
        if let Some(record) = self.accounts.get(&account)
            && let Some(access) = record.accesses.get(&id)
            && was_active
            && matches!(access.state, AccessState::Active { .. })
            && access.until > before
        {
            let deed = model::Deed::Extended { before, until: access.until };
            effects.receipt(record, Some(access), deed, None, now);
        }
        self.staged.tell(effects);
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
            // What is reported changes, not what is done: the last one's account stays on the ladder, and
            // what others live on in goes on being brought to what they want.
            if record.living(now).next().is_none() {
                record.phase = Phase::Closing;
                let last = record.ending().next().is_none();
                record.canceled = last;
            }
            if let Some(found) = record.accesses.get(access) {
                effects.access(record, found, record.failure.clone(), now);
                effects.receipt(record, Some(found), model::Deed::Canceled, None, now);
            }
        }
        self.staged.tell(effects);
        self.prune(id);
        self.consider(id, now);
        if let Some(integration) = self.accounts.get(&id).map(|record| record.account.integration.clone()) {
            self.retire_if_empty(&integration);
        }
        Ok(())
    }

    /// Returns how far the orders of an incarnation are taken.
    pub fn cursor(&self, incarnation: Incarnation) -> model::Position {
        self.meta.cursors.get(&incarnation).copied().unwrap_or_default()
    }
}
