//! How a world ends: calm weather, in which what is promised must come true by itself.

use model::{EntitlementSet, Lifecycle, Phase, Timestamp};
use rules::Input;

use crate::world::{Event, Told, World};

/// In calm weather a close takes no longer than this.
const PATIENCE: i64 = 3 * 60_000;
/// A world in which credentials rotate each day goes on for this long.
const SEVERAL_DAYS: i64 = 76 * 3_600_000;

impl World {
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

    pub(crate) fn end_of_surveys(&self) -> i64 {
        self.plane.orders.values().map(|order| order.until.as_millis()).max().unwrap_or(self.now) + 3_600_000
    }

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
        if self.weather.rotation_days.is_some() {
            self.ends_at = last.max(self.now) + SEVERAL_DAYS;
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
        self.rotated()?;
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
        if let Some(record) = agent.book.integrations().find(|found| found.retired && !found.cleared) {
            return Err(format!("at the end something of ours is left of {record:?}"));
        }
        if agent.book.meta().reconciling && self.fault.is_none() {
            return Err("at the end the journal is still being reconciled".into());
        }
        Ok(())
    }

    /// Where credentials rotate, no shut account is left with the one that its close made worthless.
    fn rotated(&self) -> Told {
        let Some(agent) = self.agent.as_ref().filter(|_| self.weather.rotation_days.is_some()) else {
            return Ok(());
        };
        for record in agent.book.accounts().filter(|record| record.phase == Phase::Suspended) {
            let integration = agent.book.integration(&record.account.integration);
            let live = integration.is_some_and(|found| found.integration.lifecycle == Lifecycle::Live);
            let mut there = self.targets.iter().flat_map(|target| target.owned(record.account.id));
            if live && there.any(|entry| entry.credential.is_none()) {
                return Err(format!("at the end an account was never given another credential: {record:?}"));
            }
        }
        Ok(())
    }
}
