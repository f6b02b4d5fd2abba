//! The one that writes: takes what waits, puts it on disk with one sync, answers each caller.
//!
//! It has a thread of its own, on which a whole transaction is done: a statement is a call, not a walk to
//! another thread and back. It owns the folder's lock and the writing connection. Batches are written in the order they came. A
//! batch that breaks a chain is refused before anything is done; when a transaction fails, each of its
//! batches is tried alone, so that one that does not fit does not fail its neighbours.

use std::sync::Arc;

use model::durable::Batch;
use model::{BatchId, Durable, Incarnation};
use tokio::sync::mpsc;

use super::options::Settings;
use super::place::{Place, length};
use super::session::{Broke, Session, unwritten};
use crate::JournalFault;
use crate::queue::{Losses, Order, Waiting, answer, gather, refuse, refuse_rest};

/// Above this the log is emptied even if that means to wait for readers.
pub(super) const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// The state of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    settings: Settings,
    losses: Arc<Losses>,
    session: Option<Session>,
    damage: Option<JournalFault>,
    /// A COMMIT broke, and no later one has shown what became of it.
    unsettled: bool,
    empty_log_above: u64,
    // Last, so that the lock is given back after the connection is gone.
    place: Place,
}

impl Writer {
    pub(super) fn new(settings: Settings, session: Option<Session>, place: Place) -> Self {
        let (losses, empty_log_above) = (Arc::default(), LOG_BYTES);
        Self { settings, losses, session, damage: None, unsettled: false, empty_log_above, place }
    }

    pub(super) const fn losses(&self) -> &Arc<Losses> {
        &self.losses
    }

    /// Does what it is asked until it is closed or nobody can ask any more.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut held = None;
        loop {
            let order = match held.take() {
                Some(order) => order,
                None => match orders.blocking_recv() {
                    Some(order) => order,
                    None => return,
                },
            };
            match order {
                Order::Append(first) => {
                    let (group, other) = gather(first, &mut orders);
                    held = other;
                    self.append(group);
                    self.bound_log();
                }
                Order::BeginIncarnation { new, reply } => {
                    let begun = self.begin_incarnation(new);
                    answer(reply, begun);
                }
                Order::Barrier(reply) => {
                    let settled = self.settled();
                    answer(reply, settled);
                }
                Order::Close(reply) => {
                    let closed = self.close();
                    refuse_rest(&mut orders);
                    answer(reply, closed);
                    return;
                }
            }
        }
    }

    /// Returns the connection, made anew if the last one failed.
    fn session(&mut self) -> Result<&mut Session, JournalFault> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        if self.place.moved() {
            self.session = None;
            return Err(JournalFault::NotWritten {
                detail: "its file was removed or replaced while in use; put it back or restart the agent"
                    .into(),
            });
        }
        let mut session = match self.session.take() {
            Some(session) => session,
            None => match Session::open(&self.settings) {
                Ok(session) => session,
                Err(fault) => return Err(self.note(unwritten(fault))),
            },
        };
        if self.unsettled {
            if let Err(broke) = session.settle() {
                self.session = Some(session);
                self.end_session();
                return Err(self.note(unwritten(broke.fault())));
            }
            self.unsettled = false;
        }
        Ok(self.session.insert(session))
    }

    /// Makes sure that what can be read now is what will be read.
    fn settled(&mut self) -> Result<(), JournalFault> {
        if !self.unsettled {
            return Ok(());
        }
        match self.session() {
            Ok(_) => Ok(()),
            Err(JournalFault::NotWritten { detail } | JournalFault::Full { detail }) => {
                Err(JournalFault::Lost { detail })
            }
            Err(fault) => Err(fault),
        }
    }

    fn append(&mut self, mut group: Vec<Waiting>) {
        // Whoever no longer waits has counted it as lost, which "absent" is a case of.
        group.retain(|waiting| !waiting.reply.is_closed());
        let session = match self.session() {
            Ok(session) => session,
            Err(fault) => return refuse(group, &fault),
        };
        let mut fit = vec![];
        for waiting in group {
            match session.chains.check(&waiting.batch) {
                Ok(after) => {
                    session.chains.advance(after);
                    fit.push(waiting);
                }
                Err(fault) => answer(waiting.reply, Err(fault)),
            }
        }
        if fit.is_empty() {
            return;
        }
        let batches: Vec<&Batch> = fit.iter().map(|waiting| &waiting.batch).collect();
        match session.write(&batches) {
            Ok(()) => {
                for waiting in fit {
                    let durable = attest(waiting.batch.id);
                    answer(waiting.reply, Ok(durable));
                }
            }
            Err(Broke::Within(fault) | Broke::AtCommit(fault @ JournalFault::Full { .. }))
                if fit.len() > 1 && !matches!(fault, JournalFault::Damaged { .. }) =>
            {
                self.end_session();
                for waiting in fit {
                    self.append(vec![waiting]);
                }
            }
            Err(broke) => {
                self.end_session();
                let fault = self.note(broke.fault());
                refuse(fit, &fault);
            }
        }
    }

    fn begin_incarnation(&mut self, new: Incarnation) -> Result<(), JournalFault> {
        match self.session()?.begin_incarnation(new) {
            Ok(()) => Ok(()),
            Err(broke) => {
                self.end_session();
                Err(self.note(broke.fault()))
            }
        }
    }

    /// Remembers what must be remembered of a fault before it is answered.
    fn note(&mut self, fault: JournalFault) -> JournalFault {
        match &fault {
            JournalFault::Damaged { .. } => {
                tracing::error!(error = %fault, "Journal is damaged and will not be written to again");
                self.damage = Some(fault.clone());
            }
            JournalFault::Lost { .. } => {
                self.losses.add();
                self.unsettled = true;
            }
            JournalFault::NotWritten { .. }
            | JournalFault::Full { .. }
            | JournalFault::OutOfOrder { .. }
            | JournalFault::Unfit { .. }
            | JournalFault::TooNew { .. }
            | JournalFault::InUse { .. }
            | JournalFault::Unusable { .. }
            | JournalFault::Superseded { .. }
            | JournalFault::Closed => {}
        }
        fault
    }

    /// Throws the connection away, which rolls back what it had open.
    fn end_session(&mut self) {
        if let Some(session) = self.session.take()
            && let Err(fault) = session.close()
        {
            tracing::warn!(error = %fault, "Journal connection did not end well");
        }
    }

    /// Empties the log when it has grown beyond its bound: the usual checkpoint, which never waits, has
    /// then been kept from it by readers for long.
    fn bound_log(&mut self) {
        let bytes = length(&self.place.paths.log);
        if bytes <= self.empty_log_above {
            return;
        }
        let Some(session) = &mut self.session else { return };
        match session.empty_log() {
            Ok(true) => self.empty_log_above = LOG_BYTES,
            Ok(false) => {
                // Tried again only after as much was added: each try may wait.
                self.empty_log_above = bytes.saturating_add(LOG_BYTES);
                tracing::warn!(bytes, "Journal log grows, because something reads the journal without end");
            }
            Err(error) => {
                self.empty_log_above = bytes.saturating_add(LOG_BYTES);
                tracing::warn!(bytes, %error, "Journal log could not be emptied");
            }
        }
    }

    /// Ends the connection and gives the lock back.
    fn close(self) -> Result<(), JournalFault> {
        match self.session {
            Some(session) => session.close(),
            None => Ok(()),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "COMMIT was answered, and SQLite syncs the log before it answers"
)]
const fn attest(batch: BatchId) -> Durable {
    Durable::attest(batch)
}
