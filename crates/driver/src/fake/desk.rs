//! The desk of one call: statements one after another, in a transaction where the system has them.

use std::collections::BTreeSet;

use model::{Code, Failure, TargetIdentity};

use super::sabotage::Sabotage;
use super::state::State;
use super::wire::{FakeWire, Passage};
use super::{Core, Nature};
use crate::TargetContext;

/// A call whose answer was lost and that is done later.
pub(super) struct Pending {
    pub(super) context: TargetContext,
    pub(super) work: Box<dyn FnOnce(&mut Desk<'_>) + Send>,
}

impl Pending {
    pub(super) fn land(self, core: &mut Core, nature: Nature) {
        let wire = FakeWire::new();
        (self.work)(&mut Desk { core, context: &self.context, wire: &wire, nature, working: None });
    }
}

/// Where one call puts its statements to the system.
pub(super) struct Desk<'a> {
    pub(super) core: &'a mut Core,
    pub(super) context: &'a TargetContext,
    pub(super) wire: &'a FakeWire,
    pub(super) nature: Nature,
    /// What the open transaction sees.
    pub(super) working: Option<State>,
}

impl Desk<'_> {
    /// Returns true when the driver is broken in this way.
    pub(super) fn has(&self, sabotage: Sabotage) -> bool {
        self.core.sabotage.contains(&sabotage)
    }

    /// Puts one statement to the system.
    pub(super) fn ask<T>(
        &mut self,
        statement: impl Into<String>,
        work: impl FnOnce(&mut State) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let passage = self.wire.ask();
        if passage == Passage::NotAsked {
            return Err(self.lost());
        }
        self.core.log.push(statement.into());
        let answer = match &mut self.working {
            Some(state) => work(state),
            None => {
                let answer = work(&mut self.core.state);
                self.core.state.react();
                answer
            }
        };
        if passage == Passage::NotAnswered { Err(self.lost()) } else { answer }
    }

    /// Does all of `work` or nothing, where the system has transactions; elsewhere one after another.
    pub(super) fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if self.nature == Nature::Steps || self.working.is_some() {
            return work(self);
        }
        self.working = Some(self.core.state.clone());
        let done = work(self);
        let Some(state) = self.working.take() else { return done };
        let done = done?;
        self.ask("commit", |committed| {
            *committed = state;
            Ok(())
        })?;
        Ok(done)
    }

    /// Returns what the driver says when the connection breaks under a statement.
    fn lost(&self) -> Failure {
        // Before the commit was sent nothing can have been done.
        let sure = self.working.is_some() || self.has(Sabotage::PromisesTooMuch);
        let detail = "the connection was lost";
        if sure {
            Failure::not_done(Code::UNREACHABLE, detail)
        } else {
            Failure::unknown(Code::UNREACHABLE, detail)
        }
    }

    pub(super) fn identity(&self) -> TargetIdentity {
        if self.has(Sabotage::IdentifiesNobody) {
            return TargetIdentity("nobody".into());
        }
        TargetIdentity(self.core.state.identity.clone())
    }

    /// Returns the maker of permission roles: this connector and integration.
    pub(super) fn maker(&self) -> String {
        format!("{}/{}", self.context.connector, self.context.integration)
    }

    pub(super) fn sabotages(&self) -> BTreeSet<Sabotage> {
        self.core.sabotage.clone()
    }
}
