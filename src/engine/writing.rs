//! Writing: what the rules want written goes to the journal before anything is done about it.

use driver::crash;
use journal::JournalFault;
use model::durable::Batch;
use model::{BatchId, CloseOnly, Incarnation};
use rules::Input;
use rules::book::Step;
use tokio::time::Instant;
use uuid::Uuid;

use super::reads::Reading;
use crate::measures;

use super::{Engine, EngineFault, Restored, load};

impl Engine {
    /// Gives an old copy of the journal a new life, and reads it again. Returns false when it could not be
    /// written that it is an old copy: without that, a new life would be believed too much.
    pub(super) async fn begin_anew(&mut self) -> Result<bool, EngineFault> {
        self.book.handle(Input::JournalIsOld, self.parts.clock.read());
        self.settle().await?;
        if !self.journal_works {
            return Ok(false);
        }
        self.parts.journal.begin_incarnation(Incarnation::from_uuid(Uuid::new_v4())).await?;
        self.reload().await?;
        let now = self.book.now();
        let ids: Vec<_> = self.live().map(|integration| integration.id.clone()).collect();
        self.due.extend(ids.into_iter().map(|id| ((id, Reading::Survey), now)));
        // Whoever asked looks for the new incarnation at once, and would ask again without it.
        self.settle().await?;
        Ok(true)
    }

    pub(super) async fn reload(&mut self) -> Result<(), EngineFault> {
        let Restored { book, incarnation, committed, unheard_of: _ } = load(&self.parts, &self.saved).await?;
        (self.book, self.incarnation, self.committed) = (book, incarnation, committed);
        if !self.journal_works {
            tracing::info!("The journal could be read again");
        }
        self.journal_works = self.parts.close_only.is_none() && !self.full;
        if self.full {
            let reason = "the journal has no room but what is kept for closing".to_string();
            self.book.handle(Input::CloseOnly(Some(reason)), self.parts.clock.read());
        }
        self.unread = false;
        self.lapses += 1;
        Ok(())
    }

    /// Writes what the rules want written and does what it allows, until they have nothing to say.
    pub(super) async fn settle(&mut self) -> Result<(), EngineFault> {
        while let Some(step) = self.book.poll_step() {
            if !self.write(step).await? {
                break;
            }
        }
        let signature = self.signature();
        if signature != self.signature {
            self.signature = signature;
            self.tell_integrations();
            self.save_snapshot().await;
            self.parts.targets.keep_former(&self.moved()).await;
            self.plan_reads();
        } else if self.due.values().any(|due| *due <= self.book.now()) {
            self.plan_reads();
        }
        self.publish();
        Ok(())
    }

    /// What was answered is on disk.
    pub(super) fn kept(&mut self) {
        for act in std::mem::take(&mut self.answered) {
            crash::place(act, "kept");
        }
    }

    /// Returns whether the loop may go on at once.
    pub(super) async fn write(&mut self, mut step: Step) -> Result<bool, EngineFault> {
        let (begun, told) = (Instant::now(), step.take_told());
        match self.parts.journal.append(step.batch()).await {
            Ok(proof) => {
                measures::appended(begun.elapsed());
                self.kept();
                let actions = self.book.keep(step, &proof).map_err(|_| EngineFault::ForeignProof)?;
                self.tell(told);
                self.dispatch(actions);
                Ok(true)
            }
            Err(fault @ JournalFault::Full { .. }) => {
                self.refused(step, &fault);
                Ok(self.make_room().await)
            }
            Err(fault @ (JournalFault::NotWritten { .. } | JournalFault::TooNew { .. })) => {
                self.refused(step, &fault);
                Ok(false)
            }
            // Nothing of this process is ever written again.
            Err(fault @ JournalFault::Superseded { .. }) => Err(fault.into()),
            // Lost, or not continuing what is there: what is on disk is the truth.
            Err(fault) => {
                tracing::warn!(%fault, "The journal is read again");
                match self.reload().await {
                    Ok(()) => {
                        measures::journal_failed();
                        Ok(true)
                    }
                    // A journal that several instances share may be away for long: closing goes on meanwhile.
                    Err(EngineFault::Journal(away @ JournalFault::Lost { .. })) => {
                        self.unread = true;
                        self.refused(step, &away);
                        Ok(false)
                    }
                    Err(fault) => Err(fault),
                }
            }
        }
    }

    /// Undoes in memory what the journal did not take; only closing goes on.
    fn refused(&mut self, step: Step, fault: &JournalFault) {
        if self.journal_works {
            tracing::error!(%fault, "The journal cannot be written: only closing goes on");
        }
        measures::journal_failed();
        self.journal_works = false;
        self.lapses += 1;
        let proof = CloseOnly::because(fault.to_string());
        let now = self.book.now();
        let closing = self.book.drop_unwritten(step, &proof, now);
        self.dispatch(closing);
    }

    /// Has the journal give up what it kept back, for closing to be recorded in. Returns whether that helps.
    async fn make_room(&mut self) -> bool {
        self.full = true;
        match self.parts.journal.release_reserve().await {
            Ok(freed) => freed > 0,
            Err(fault) => {
                tracing::error!(%fault, "The journal's reserve could not be given up: closing goes on and is not recorded");
                false
            }
        }
    }

    /// Whether there is room again for more than closing.
    async fn has_room(&mut self) -> bool {
        if self.full {
            match self.parts.journal.restore_reserve().await {
                Ok(()) => self.full = false,
                Err(fault) => tracing::debug!(%fault, "The journal's volume still has no room"),
            }
        }
        !self.full
    }

    /// Tries again what was refused.
    pub(super) async fn probe(&mut self) {
        if self.identity_fault.is_some() {
            self.save_snapshot().await;
        }
        if !self.journal_works {
            self.try_journal().await;
            self.break_glass(self.parts.clock.read());
        }
    }

    /// Asks a journal that refused whether it takes an empty batch.
    pub(super) async fn try_journal(&mut self) {
        if self.unread {
            // What was lost may be there: nothing is written before it is known.
            if let Err(fault) = self.reload().await {
                tracing::debug!(%fault, "The journal still cannot be read");
            }
            return;
        }
        if !self.has_room().await {
            return;
        }
        self.probes += 1;
        let probe = Batch { id: BatchId(u64::MAX - self.probes), writes: vec![] };
        match self.parts.journal.append(&probe).await {
            Ok(_) => {
                tracing::info!("The journal can be written again");
                self.journal_works = true;
                self.book.handle(Input::CloseOnly(None), self.parts.clock.read());
            }
            Err(fault) => tracing::debug!(%fault, "The journal still cannot be written"),
        }
    }
}
