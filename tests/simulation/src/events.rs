//! What happens to a world from outside: people, machines, backups.

use journal::memory::{Fate, Memory};
use model::{AccountId, Entitlement, EntitlementSet, GranteeKey, Position, ResourceId, Revision, Timestamp};
use rules::{AccessOrder, Grantee, Input, Order, Source};

use crate::agent::account_id;
use crate::chaos::Happening;
use crate::fault::Fault;
use crate::plane::Plane;
use crate::target::Target;
use crate::world::{Event, GRANTEES, RESOURCES, TARGETS, Told, World, grantee, incarnation};

/// In calm weather a close takes no longer than this.
const PATIENCE: i64 = 3 * 60_000;

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
                    self.restored = true;
                    self.checks.active.clear();
                    self.checks.shut.clear();
                    self.checks.released.clear();
                    self.checks.begun.clear();
                    self.journal =
                        if self.rng.chance(250) { Memory::new(incarnation(&mut self.rng)) } else { copy };
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

    /// What people do on a target. Only on accounts that are open and told so: before that nobody has the
    /// credential.
    fn on_target(&mut self, happening: Happening) {
        use Happening as H;
        let index = self.rng.index(TARGETS);
        let released: Vec<AccountId> = self.checks.released.keys().copied().collect();
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
            if !entry.open || !released.contains(&owner) {
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

    // ---- the link ----

    pub(crate) fn connect(&mut self) -> Told {
        if !self.link || self.agent.is_none() {
            return Ok(());
        }
        let said = self.true_time();
        self.input(Input::Heard { source: Source::ControlPlane, said })?;
        self.find_out_whether_old()?;
        loop {
            let Some(agent) = self.agent.as_ref() else { return Ok(()) };
            let cursor = agent.book.cursor(self.plane.incarnation);
            let Some(order) = self.plane.after(cursor) else { break };
            if self.rng.chance(50) && cursor.0 > 0 {
                let again = self.plane.after(Position(cursor.0 - 1));
                if let Some(again) = again {
                    self.input(Input::Order(again))?;
                }
            }
            let before = cursor;
            self.input(Input::Order(order))?;
            let Some(agent) = self.agent.as_ref() else { return Ok(()) };
            if agent.book.cursor(self.plane.incarnation) == before {
                // Not written: the control plane sends it again after the next dial.
                self.at(self.now + 20_000, Event::Happens(Happening::LinkUp));
                return Ok(());
            }
        }
        if self.rng.chance(300) {
            return self.stand();
        }
        Ok(())
    }

    /// A control plane that has committed more reports than the journal ever made knows a later journal.
    fn find_out_whether_old(&mut self) -> Told {
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        if agent.renewed {
            return self.input(Input::JournalIsCurrent);
        }
        let own = self.journal.load_now().map_err(|fault| fault.to_string())?.incarnation;
        let committed = self.plane.committed.get(&own).copied().unwrap_or_default();
        let unknown_here = !self.plane.committed.is_empty() && !self.plane.committed.contains_key(&own);
        let old =
            committed > agent.book.last_report() || (unknown_here && agent.book.accounts().next().is_none());
        if old { self.renew_journal() } else { self.input(Input::JournalIsCurrent) }
    }

    pub(crate) fn renew_journal(&mut self) -> Told {
        self.tell(|| "the journal is an old copy".into());
        self.input(Input::JournalIsOld)?;
        let fresh = incarnation(&mut self.rng);
        let written = self.agent.as_ref().is_some_and(|agent| agent.book.meta().reconciling);
        if written && self.journal.begin_incarnation_now(fresh).is_ok() {
            let life_before = self.life;
            self.agent = None;
            self.start_renewed()?;
            debug_assert!(self.life > life_before);
            self.at(self.now + 1_000, Event::Surveys);
        }
        Ok(())
    }

    fn start_renewed(&mut self) -> Told {
        let link = std::mem::replace(&mut self.link, false);
        self.start_agent()?;
        self.link = link;
        if let Some(agent) = self.agent.as_mut() {
            agent.renewed = true;
        }
        self.connect()
    }

    pub(crate) fn sync_reports(&mut self) -> Told {
        if !self.link || self.agent.is_none() {
            return Ok(());
        }
        let loaded = self.journal.load_now().map_err(|fault| fault.to_string())?;
        let after = self.plane.committed.get(&loaded.incarnation).copied().unwrap_or_default();
        let reports = self.journal.reports_now(after, 1000).map_err(|fault| fault.to_string())?;
        let Some(last) = reports.last().map(|report| report.position) else { return Ok(()) };
        for stored in &reports {
            let report = serde_json::from_str(&stored.body).map_err(|fault| fault.to_string())?;
            self.plane.hear(&report);
        }
        self.plane.committed.insert(loaded.incarnation, last);
        // The acknowledgement is lost now and then: the next one counts for it.
        if self.rng.chance(100) {
            return Ok(());
        }
        self.input(Input::ReportsCommitted { through: last })
    }

    pub(crate) fn stand(&mut self) -> Told {
        if !self.link || self.agent.is_none() {
            return Ok(());
        }
        let mut standing = self.plane.now_standing();
        standing.confirmed = self.fault == Some(Fault::BelievesRestored);
        self.tell(|| {
            format!("stands: {:?}", standing.accesses.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
        });
        self.input(Input::Standing(standing))
    }

    pub(crate) fn survey(&mut self) -> Told {
        if self.fault == Some(Fault::NoSurvey) {
            return Ok(());
        }
        for index in 0..TARGETS {
            if !self.targets[index].up {
                continue;
            }
            let identity = self.targets[index].identity.clone();
            let mut sightings = self.targets[index].survey();
            if self.fault == Some(Fault::HalfSurvey) {
                sightings.truncate(sightings.len() / 2);
            }
            // A connection tells the target's time, and heartbeats tell the control plane's.
            let said = self.true_time();
            self.input(Input::Heard { source: Source::Target, said })?;
            if self.link {
                self.input(Input::Heard { source: Source::ControlPlane, said })?;
            }
            if self.rng.chance(300)
                && let Some(life) = self.agent.as_ref().map(|agent| agent.life)
            {
                // A great catalogue takes its time; what was seen first is old when it comes.
                let at = self.now + self.rng.between(1, 20_000);
                self.at(at, Event::Sighted { life, target: index, identity, sightings });
            } else {
                self.sighted(index, identity, sightings)?;
            }
        }
        let Some(agent) = self.agent.as_ref() else { return Ok(()) };
        if agent.book.meta().reconciling {
            if !agent.renewed {
                return self.renew_journal();
            }
            self.stand()?;
            if self.now < self.end_of_surveys() {
                self.at(self.now + 60_000, Event::Surveys);
            }
        }
        Ok(())
    }

    pub(crate) fn sighted(
        &mut self,
        target: usize,
        identity: model::TargetIdentity,
        sightings: Vec<model::Sighting>,
    ) -> Told {
        let integration = self.integrations[target].clone();
        self.input(Input::Identified { integration: integration.clone(), identity })?;
        self.input(Input::Surveyed { integration, sightings, complete: true })
    }

    /// In calm weather nothing is held for long after its last deadline.
    pub(crate) fn looks(&mut self) -> Told {
        self.tell(|| "somebody looks whether anything is overdue".into());
        let late = Timestamp::from_millis(self.now - PATIENCE);
        for (n, target) in self.targets.iter().enumerate() {
            for entry in target.entries.values() {
                let Some(owner) = entry.owner else { continue };
                // Nobody waits for a close that was canceled: it is tried slowly.
                let record = self.agent.as_ref().and_then(|agent| agent.book.account(owner));
                if record.is_some_and(|record| record.canceled) {
                    continue;
                }
                let wanted: EntitlementSet = self
                    .ever
                    .values()
                    .filter(|(account, _, until)| *account == owner && *until > late)
                    .flat_map(|(_, entitlements, _)| entitlements.iter().cloned())
                    .collect();
                let overdue = entry.entitlements.minus(&wanted);
                if !overdue.is_empty() {
                    return Err(format!("on target-{n} {overdue:?} is overdue: {entry:?}"));
                }
            }
        }
        Ok(())
    }

    fn end_of_surveys(&self) -> i64 {
        self.plane.orders.values().map(|order| order.until.as_millis()).max().unwrap_or(self.now) + 3_600_000
    }

    // ---- the end ----

    /// Everything works again from here on; what is promised must come true by itself.
    pub(crate) fn calm_down(&mut self) -> Told {
        self.tell(|| "calm".into());
        self.calm = true;
        self.link = true;
        self.offset = 0;
        self.checks.active.clear();
        self.journal.mend();
        for target in &mut self.targets {
            target.up = true;
            for entry in target.entries.values_mut() {
                entry.blocks = 0;
            }
        }
        if self.agent.is_none() {
            self.start_agent()?;
        } else {
            self.input(Input::CloseOnly(None))?;
            self.connect()?;
        }
        let last = self.end_of_surveys();
        for at in [self.now + 60_000, self.now + 300_000, last - 1_800_000, last - 900_000, last] {
            self.at(at.max(self.now + 1), Event::Surveys);
        }
        let deadlines: Vec<_> = self.ever.values().map(|(_, _, until)| until.as_millis()).collect();
        for until in deadlines {
            self.at(until.max(self.now + 8 * 60_000) + PATIENCE + 1, Event::Looks);
        }
        Ok(())
    }

    pub(crate) fn final_check(&mut self) -> Told {
        for (n, target) in self.targets.iter().enumerate() {
            for entry in target.entries.values().filter(|entry| entry.owner.is_some()) {
                if entry.usable() || !entry.entitlements.is_empty() {
                    return Err(format!(
                        "at the end an account of ours on target-{n} is still of use: {entry:?}"
                    ));
                }
                if self.weather.cleanup_days == Some(0) {
                    return Err(format!(
                        "at the end an account of ours on target-{n} was not deleted: {entry:?}"
                    ));
                }
            }
        }
        for (n, before) in &self.foreign {
            let after = self.targets[*n].entries.get(&before.immutable);
            if after != Some(before) {
                return Err(format!("an account that is not ours was touched: {before:?} is now {after:?}"));
            }
        }
        // An old journal that has made as many reports as the lost one, unheard, cannot be told from it: what
        // its reports replace is never told.
        if !self.plane.standing.is_empty() && !self.restored {
            return Err(format!("at the end the control plane still believes in {:?}", self.plane.standing));
        }
        let Some(agent) = self.agent.as_ref() else { return Err("at the end no agent runs".into()) };
        if let Some(record) = agent.book.accounts().find(|record| !record.accesses.is_empty()) {
            return Err(format!("at the end an access is not settled: {record:?}"));
        }
        if agent.book.meta().reconciling && self.fault.is_none() {
            return Err("at the end the journal is still being reconciled".into());
        }
        Ok(())
    }
}
