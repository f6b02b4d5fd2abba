//! What happens to a world from outside: people, machines, backups.

use journal::memory::{Fate, Memory};
use model::{Entitlement, EntitlementSet, GranteeKey, ResourceId, Revision, Timestamp};
use rules::{AccessOrder, Grantee, Input, Order};

use crate::agent::account_id;
use crate::chaos::Happening;
use crate::plane::Plane;
use crate::target::Target;
use crate::world::{Event, GRANTEES, RESOURCES, TARGETS, Told, World, grantee, incarnation};

impl World {
    pub(crate) fn happen(&mut self, happening: Happening) -> Told {
        use Happening as H;
        self.tell(|| format!("{happening:?}"));
        match happening {
            H::Request => return self.request(),
            H::EndAccess => {
                if let Some(id) = self.some_access() {
                    self.checks.active.remove(&id);
                    self.checks.wanted.remove(&id);
                    return self.order(Order::EndAccess { access: id });
                }
            }
            H::Extend => {
                if let Some(id) = self.some_access()
                    && let Some(known) = self.plane.orders.get(&id).cloned()
                    && self.plane.standing.contains_key(&id)
                {
                    let until =
                        Timestamp::from_millis(known.until.as_millis() + self.rng.between(-20, 40) * 60_000);
                    if until > known.from {
                        self.checks.active.remove(&id);
                        if let Some((_, _, latest)) = self.ever.get_mut(&id) {
                            *latest = (*latest).max(until);
                        }
                        let revision = known.revision.next();
                        return self.order(Order::PutAccess(AccessOrder { until, revision, ..known }));
                    }
                }
            }
            H::Rotate => {
                let (target, who) = (self.rng.index(TARGETS), self.rng.index(GRANTEES));
                self.checks.released.remove(&account_id(&self.integrations[target], &grantee(who)));
                let integration = self.integrations[target].clone();
                return self.order(Order::RotateAccount { integration, grantee: grantee(who), key: None });
            }
            H::DeleteAccount => {
                let (target, who) = (self.rng.index(TARGETS), self.rng.index(GRANTEES));
                let account = account_id(&self.integrations[target], &grantee(who));
                self.checks.active.retain(|_, claim| claim.account != account);
                let ever = &self.ever;
                let other = |id: &model::AccessId| ever.get(id).is_none_or(|(owner, ..)| *owner != account);
                self.checks.wanted.retain(other);
                let integration = self.integrations[target].clone();
                return self.order(Order::DeleteAccount { integration, grantee: grantee(who) });
            }
            H::Crash => self.crash(),
            H::Restart => {
                if self.agent.is_none() {
                    return self.start_agent();
                }
            }
            H::LinkDown => self.link = false,
            H::LinkUp => {
                self.link = true;
                return self.connect();
            }
            H::TargetDown => {
                let target = self.rng.index(TARGETS);
                self.targets[target].up = false;
            }
            H::TargetUp => self.targets.iter_mut().for_each(|target| target.up = true),
            H::ClockStep => {
                self.offset = self.rng.between(-60, 60) * 60_000;
                // A clock that is ahead ends what it should not; that is the side to err on.
                self.checks.active.clear();
                let offset = self.offset;
                self.tell(|| format!("the machine's clock is {}s off", offset / 1000));
                return self.drain_after_time();
            }
            H::ClockMended => {
                self.offset = 0;
                self.checks.active.clear();
                return self.drain_after_time();
            }
            H::JournalBreaks => {
                let fate = if self.rng.chance(500) { Fate::NotWritten } else { Fate::Full };
                self.journal.break_writes(fate);
            }
            H::JournalMended => {
                self.journal.mend();
                return self.input(Input::CloseOnly(None));
            }
            H::JournalLosesOne => {
                let fate = if self.rng.chance(500) { Fate::LostButWritten } else { Fate::LostAndNotWritten };
                self.journal.fail_on(1, fate);
            }
            H::JournalCopied => self.journal_copy = Some(self.journal.snapshot()),
            H::JournalRestored => {
                if let Some(copy) = self.journal_copy.take() {
                    self.crash();
                    self.checks.active.clear();
                    self.checks.shut.clear();
                    self.checks.released.clear();
                    self.checks.begun.clear();
                    self.checks.opened.clear();
                    let lost = self.rng.chance(250);
                    self.restored |= !lost;
                    self.journal = if lost { Memory::new(incarnation(&mut self.rng)) } else { copy };
                    return self.start_agent();
                }
            }
            H::PlaneCopied => self.plane_copy = Some(self.plane.clone()),
            H::PlaneRestored => {
                if let Some(copy) = self.plane_copy.take() {
                    let fresh = incarnation(&mut self.rng);
                    let orders = self.plane.orders.clone();
                    self.plane = Plane::restored(&copy, fresh);
                    for (id, order) in orders {
                        self.plane.orders.entry(id).or_insert(order);
                    }
                    self.checks.released.clear();
                    return self.connect();
                }
            }
            H::Retire => {
                let target = self.rng.index(TARGETS);
                self.checks.active.retain(|_, claim| claim.target != target);
                self.checks.wanted.clear();
                let integration = self.integrations[target].clone();
                return self.order(Order::RetireIntegration { integration });
            }
            H::Survey => return self.survey(),
            H::Standing => return self.stand(),
            H::Cancel => {
                if let Some(id) = self.some_access() {
                    return self.order(Order::CancelEnding { access: id });
                }
            }
            H::GranteeLogsIn
            | H::GranteeResists
            | H::GranteeRenames
            | H::DbaShuts
            | H::DbaStrips
            | H::DbaAdds
            | H::DbaDrops
            | H::ResourceGone => self.on_target(happening),
        }
        Ok(())
    }

    fn drain_after_time(&mut self) -> Told {
        if let Some(agent) = self.agent.as_ref() {
            let life = agent.life;
            self.wake_at = self.now + 1;
            self.at(self.wake_at, Event::Wakes { life });
        }
        Ok(())
    }

    fn request(&mut self) -> Told {
        let (target, who) = (self.rng.index(TARGETS), self.rng.index(GRANTEES));
        let mut entitlements = EntitlementSet::nothing();
        for _ in 0..self.rng.between(1, 3) {
            let resource = ResourceId::new("made-up-table", [RESOURCES[self.rng.index(RESOURCES.len())]]);
            entitlements.insert(Entitlement::new(resource, "READ_ONLY"));
        }
        self.requests += 1;
        let from = self.now + if self.rng.chance(200) { self.rng.between(0, 20) * 60_000 } else { 0 };
        let order = AccessOrder {
            id: model::AccessId::parse(format!("access-{}", self.requests))
                .map_err(|fault| fault.to_string())?,
            revision: Revision(1),
            integration: self.integrations[target].clone(),
            grantee: Grantee {
                id: grantee(who),
                hint: "person".into(),
                key: GranteeKey(format!("key-{who}")),
            },
            entitlements,
            from: Timestamp::from_millis(from),
            until: Timestamp::from_millis(from + self.rng.between(1, 60) * 60_000),
            approval: None,
        };
        let account = account_id(&order.integration, &order.grantee.id);
        self.ever.insert(order.id.clone(), (account, order.entitlements.clone(), order.until));
        self.checks.wanted.insert(order.id.clone());
        self.order(Order::PutAccess(order))
    }

    fn some_access(&mut self) -> Option<model::AccessId> {
        let ids: Vec<_> = self.plane.orders.keys().cloned().collect();
        (!ids.is_empty()).then(|| ids[self.rng.index(ids.len())].clone())
    }

    fn order(&mut self, order: Order) -> Told {
        self.plane.order(order);
        self.connect()
    }

    /// What people do on a target. Only on accounts that are open and told so, and grantees only with the
    /// credential that was given to them: one of an earlier life of the account opens nothing.
    fn on_target(&mut self, happening: Happening) {
        use Happening as H;
        let index = self.rng.index(TARGETS);
        let released = self.checks.released.clone();
        let by_grantee = matches!(happening, H::GranteeLogsIn | H::GranteeResists | H::GranteeRenames);
        let target = &mut self.targets[index];
        if happening == H::ResourceGone {
            let gone = RESOURCES[self.rng.index(RESOURCES.len())];
            target.missing.insert(gone.into());
            for entry in target.entries.values_mut() {
                for rights in [&mut entry.entitlements, &mut entry.in_sessions] {
                    *rights = rights
                        .iter()
                        .filter(|one| !one.resource.path.iter().any(|part| part == gone))
                        .cloned()
                        .collect();
                }
            }
            self.checks.active.retain(|_, claim| claim.target != index);
            self.checks.tampered.extend(target.entries.values().filter_map(|entry| entry.owner));
            return;
        }
        let mut touched = vec![];
        let mut dropped = vec![];
        for entry in target.entries.values_mut() {
            let Some(owner) = entry.owner else { continue };
            let given = released.get(&owner);
            if !entry.open || given.is_none() || (by_grantee && given != entry.credential.as_ref()) {
                continue;
            }
            match happening {
                H::GranteeLogsIn => Target::logs_in(entry, 1 + u32::from(self.rng.chance(100)) * 50),
                H::GranteeResists => {
                    Target::logs_in(entry, 1);
                    entry.prepared += u32::from(self.rng.chance(500));
                    entry.blocks = u32::try_from(self.rng.between(0, 6)).unwrap_or(0);
                    entry.comes_back = true;
                }
                H::GranteeRenames => {
                    entry.name = model::AccountName(format!("renamed_{}", self.rng.index(1000)))
                }
                H::DbaShuts => entry.open = false,
                H::DbaStrips => entry.entitlements = EntitlementSet::nothing(),
                H::DbaAdds => entry.excess.push("a right added by hand".into()),
                H::DbaDrops => dropped.push(entry.immutable.clone()),
                _ => {}
            }
            if matches!(happening, H::DbaShuts | H::DbaStrips | H::DbaDrops) {
                touched.push(owner);
            }
        }
        for immutable in dropped {
            target.entries.remove(&immutable);
        }
        self.checks.active.retain(|_, claim| claim.target != index || !touched.contains(&claim.account));
        self.checks.tampered.extend(touched);
    }
}
