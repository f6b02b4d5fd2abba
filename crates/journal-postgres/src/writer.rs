//! The one that writes: takes what waits, puts it on disk with one COMMIT, answers each caller.
//!
//! As the SQLite journal's writer: batches are written in the order they came; one that breaks a chain is refused
//! before anything is done; when a transaction fails, each of its batches is tried alone.

use std::sync::Arc;

use journal::JournalFault;
use journal::queue::{Losses, Order, Waiting, answer, gather, refuse, refuse_rest};
use model::durable::Batch;
use model::{BatchId, Durable, Incarnation};
use tokio::sync::mpsc;

use crate::options::Options;
use crate::session::{Broke, Session};

/// The state of the writing task.
pub(crate) struct Writer {
    options: Arc<Options>,
    epoch: u64,
    losses: Arc<Losses>,
    session: Option<Session>,
    /// Damaged, or another instance took over: never written to again.
    ended: Option<JournalFault>,
    /// A COMMIT broke, and no later transaction has shown what became of it.
    unsettled: bool,
}

impl Writer {
    pub(crate) const fn new(options: Arc<Options>, epoch: u64, losses: Arc<Losses>) -> Self {
        Self { options, epoch, losses, session: None, ended: None, unsettled: false }
    }

    /// Does what it is asked until it is closed or nobody can ask any more.
    pub(crate) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut held = None;
        loop {
            let order = match held.take() {
                Some(order) => order,
                None => match orders.recv().await {
                    Some(order) => order,
                    None => return,
                },
            };
            match order {
                Order::Append(first) => {
                    let (group, other) = gather(first, &mut orders);
                    held = other;
                    self.append(group).await;
                }
                Order::BeginIncarnation { new, reply } => {
                    let begun = self.begin_incarnation(new).await;
                    answer(reply, begun);
                }
                Order::Barrier(reply) => {
                    let settled = self.settled().await;
                    answer(reply, settled);
                }
                Order::Close(reply) => {
                    refuse_rest(&mut orders);
                    drop(self.session.take());
                    answer(reply, Ok(()));
                    return;
                }
            }
        }
    }

    /// Returns the connection, made anew if the last one failed. What was lost is settled by then: a session begins
    /// when every transaction before it is over.
    async fn session(&mut self) -> Result<&mut Session, JournalFault> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        let session = match self.session.take() {
            Some(session) => session,
            None => match Session::open(&self.options, self.epoch).await {
                Ok(session) => session,
                Err(fault) => return Err(self.note(fault)),
            },
        };
        self.unsettled = false;
        Ok(self.session.insert(session))
    }

    /// Makes sure that what can be read now is what will be read.
    async fn settled(&mut self) -> Result<(), JournalFault> {
        if !self.unsettled {
            return Ok(());
        }
        match self.session().await {
            Ok(_) => Ok(()),
            Err(JournalFault::NotWritten { detail } | JournalFault::Full { detail }) => {
                Err(JournalFault::Lost { detail })
            }
            Err(fault) => Err(fault),
        }
    }

    async fn append(&mut self, mut group: Vec<Waiting>) {
        // Whoever no longer waits has counted it as lost, which "absent" is a case of.
        group.retain(|waiting| !waiting.reply.is_closed());
        let together = self.together(group).await;
        for alone in together {
            for left in self.together(vec![alone]).await {
                answer(
                    left.reply,
                    Err(JournalFault::NotWritten { detail: "it could not be tried alone".into() }),
                );
            }
        }
    }

    /// Writes a group in one transaction. Returns the batches that are to be tried one by one.
    async fn together(&mut self, group: Vec<Waiting>) -> Vec<Waiting> {
        let session = match self.session().await {
            Ok(session) => session,
            Err(fault) => {
                refuse(group, &fault);
                return vec![];
            }
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
            return vec![];
        }
        let batches: Vec<&Batch> = fit.iter().map(|waiting| &waiting.batch).collect();
        match session.write(&batches).await {
            Ok(()) => {
                for waiting in fit {
                    let durable = attest(waiting.batch.id);
                    answer(waiting.reply, Ok(durable));
                }
                vec![]
            }
            Err(
                Broke::Within(JournalFault::NotWritten { .. } | JournalFault::Full { .. })
                | Broke::AtCommit(JournalFault::NotWritten { .. } | JournalFault::Full { .. }),
            ) if fit.len() > 1 => {
                self.session = None;
                fit
            }
            Err(broke) => {
                self.session = None;
                let fault = self.note(broke.fault());
                refuse(fit, &fault);
                vec![]
            }
        }
    }

    async fn begin_incarnation(&mut self, new: Incarnation) -> Result<(), JournalFault> {
        match self.session().await?.begin_incarnation(new).await {
            Ok(()) => Ok(()),
            Err(broke) => {
                self.session = None;
                Err(self.note(broke.fault()))
            }
        }
    }

    /// Remembers what must be remembered of a fault before it is answered.
    fn note(&mut self, fault: JournalFault) -> JournalFault {
        match &fault {
            JournalFault::Damaged { .. } | JournalFault::Superseded { .. } => {
                tracing::error!(error = %fault, "Journal will not be written to again by this process");
                self.ended = Some(fault.clone());
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
            | JournalFault::Closed => {}
        }
        fault
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "COMMIT was answered, and PostgreSQL syncs its log before it answers"
)]
const fn attest(batch: BatchId) -> Durable {
    Durable::attest(batch)
}
