//! From lists to actions: what is due and has a slot is begun, closing first.

use model::{AccessState, AccountId, Phase, Timestamp};

use super::Book;
use super::lanes::Flight;
use crate::account::{AccountRecord, GRACE, Intent};
use crate::action::{Act, Action};
use crate::effects::Effects;
use crate::plan::{Class, Deed, Plan};

impl Book {
    /// Begins what is due and has a slot: closing first on each target, no target before another.
    pub(super) fn start_ready(&mut self, most: usize, now: Timestamp) -> Vec<Action> {
        let mut actions = vec![];
        let integrations: Vec<_> = self
            .lanes
            .lanes
            .iter()
            .filter(|(_, lane)| !lane.ready.is_empty())
            .map(|(id, _)| id.clone())
            .collect();
        for integration in integrations {
            let mut passed = vec![];
            while actions.len() < most {
                let Some((class, due, id)) = self.lanes.lane(&integration).ready.pop_first() else { break };
                let Some(record) = self.accounts.get(&id) else {
                    self.lanes.unlist(id);
                    continue;
                };
                // The plan is made anew: what was listed may have been overtaken.
                let Plan::Do(class_now, deed) = self.plan_of(record, now) else {
                    self.consider(id, now);
                    continue;
                };
                if !self.lanes.lane(&integration).admits(class_now, deed, now) {
                    passed.push((class, due, id));
                    if class_now == Class::Closing || passed.len() > 64 {
                        break;
                    }
                    continue;
                }
                self.lanes.unlist(id);
                if let Some(action) = self.begin(id, class_now, deed, now) {
                    actions.push(action);
                }
            }
            self.lanes.lane(&integration).ready.extend(passed);
        }
        actions
    }

    fn begin(&mut self, id: AccountId, class: Class, deed: Deed, now: Timestamp) -> Option<Action> {
        let connector = self.connector.clone();
        // Taking away goes alone: what the target refuses to give must not keep it from taking away.
        let may_open =
            class != Class::Closing && self.accounts.get(&id).is_some_and(|record| self.may_open(record));
        let target = self
            .accounts
            .get(&id)
            .and_then(|record| self.integrations.get(&record.account.integration)?.target.clone());
        let mut effects = Effects::default();
        let record = self.edit(id)?;
        if deed == Deed::Converge && record.is_borrowed() && matches!(record.phase, Phase::Absent) {
            record.phase = Phase::Opening;
        }
        record.target = target.or(record.target.take());
        if matches!(deed, Deed::Mint | Deed::Converge) && may_open {
            grant_next(record, now, &mut effects);
        }
        let act = act_for(record, deed, &connector, may_open, now);
        if !act.is_local() && deed != Deed::Observe {
            record.intent = Some(Intent { act: deed.word().into(), since: now });
        }
        let integration = record.account.integration.clone();
        self.staged.tell(effects);
        let ticket = self.lanes.ticket();
        self.lanes.began(id, Flight { ticket, integration: integration.clone(), class, act: act.clone() });
        Some(Action { ticket, integration, account: id, act })
    }
}

/// The next order to be completed begins: accepted becomes granting.
fn grant_next(record: &mut AccountRecord, now: Timestamp, effects: &mut Effects) {
    let Some(candidate) = record.candidate(now).map(|access| access.id.clone()) else { return };
    if let Some(access) = record.accesses.get_mut(&candidate)
        && matches!(access.state, AccessState::Accepted { .. })
    {
        access.state = AccessState::Granting { since: now };
        if let Some(access) = record.accesses.get(&candidate) {
            effects.access(record, access, None, now);
        }
    }
}

fn act_for(
    record: &mut AccountRecord,
    deed: Deed,
    connector: &model::ConnectorId,
    may_open: bool,
    now: Timestamp,
) -> Act {
    if matches!(deed, Deed::Open | Deed::Converge | Deed::Close | Deed::Rotate) {
        record.mark = record.mark.next();
    }
    let account = record.account.clone();
    let expires = record.until(now).map(|until| until.plus(GRACE));
    match deed {
        Deed::Mint => {
            if matches!(record.phase, Phase::Absent | Phase::Suspended) && record.candidate(now).is_some() {
                record.phase = Phase::Opening;
            }
            let access = record
                .candidate(now)
                .or_else(|| record.living(now).next())
                .filter(|_| matches!(record.phase, Phase::Opening | Phase::Open))
                .map(|access| access.id.clone());
            Act::Mint {
                generation: record.generation.next(),
                access,
                grantee: record.account.grantee.clone(),
                key: record.key.clone(),
            }
        }
        Deed::Open => Act::Open {
            mark: record.mark_draft(connector, now),
            wanted: record.goal(may_open, now),
            generation: record.generation,
            verifier: record.credential.as_ref().and_then(|credential| credential.verifier.clone()),
            account,
            expires,
        },
        Deed::Observe => Act::Observe { account },
        Deed::Converge => {
            // Nothing is added while an earlier call may still land and overtake this one.
            let grows = may_open && record.unsure.opens_after(now).is_none();
            let wanted = record.goal(grows, now);
            if let Some(own) = &record.own {
                let adds = wanted.minus(own);
                record.added.extend(&adds);
            }
            let shrinks = record.ending().next().is_some() || !record.held.within(&wanted);
            Act::Converge { mark: record.mark_draft(connector, now), wanted, shrinks, account, expires }
        }
        Deed::Close => {
            record.phase = Phase::Closing;
            let mut mark = record.mark_draft(connector, now);
            mark.last_revoked = Some(now);
            Act::Close { mark, account }
        }
        Deed::Rotate => Act::Rotate {
            mark: record.mark_draft(connector, now),
            generation: record.generation,
            verifier: record.credential.as_ref().and_then(|credential| credential.verifier.clone()),
            account,
        },
        Deed::Delete => {
            record.phase = Phase::Deleting;
            Act::Delete { account }
        }
    }
}
