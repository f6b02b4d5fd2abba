//! What waits for a journal's one writer, and how a caller waits for its answer: for journals, here and in
//! other packages.
//!
//! It promises that an order which was handed in and not answered counts as a loss, also when its caller
//! stopped waiting, and that after a loss nothing is taken in until a load has made it good. Batches are
//! written in the order in which they came. Writing, and saying that something is on disk, is the journal's.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use model::durable::{Batch, Write};
use model::{Durable, Incarnation};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::JournalFault;

/// How many orders may wait.
const QUEUE: usize = 256;
/// The most batches and the most bytes of one transaction; a single batch may be larger.
const MOST_BATCHES: usize = 512;
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Who waits for an answer.
pub type Reply<T> = oneshot::Sender<Result<T, JournalFault>>;

/// What the writer is asked to do.
#[derive(Debug)]
pub enum Order {
    Append(Waiting),
    BeginIncarnation {
        new: Incarnation,
        reply: Reply<()>,
    },
    /// Answered when all that came before is done.
    Barrier(Reply<()>),
    Close(Reply<()>),
}

/// A batch and whom to tell.
#[derive(Debug)]
pub struct Waiting {
    pub batch: Batch,
    pub reply: Reply<Durable>,
}

/// How many losses there were, and how many of them were made good by a load.
#[derive(Debug, Default)]
pub struct Losses {
    seen: AtomicU64,
    healed: AtomicU64,
}

impl Losses {
    /// Notes a loss.
    pub fn add(&self) {
        self.seen.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how many there were.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }

    /// Takes all losses up to `seen` as made good; a later one stands.
    pub fn heal(&self, seen: u64) {
        self.healed.fetch_max(seen, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), JournalFault> {
        if self.seen() > self.healed.load(Ordering::SeqCst) {
            return Err(JournalFault::Lost { detail: "an earlier write was lost".into() });
        }
        Ok(())
    }
}

/// Where callers hand in orders.
#[derive(Debug)]
pub struct Desk {
    orders: mpsc::Sender<Order>,
    losses: Arc<Losses>,
    refusal: Option<JournalFault>,
    closed: AtomicBool,
}

impl Desk {
    /// Opens a desk, with the other end for the writer. With a refusal every write is refused so.
    pub fn new(losses: Arc<Losses>, refusal: Option<JournalFault>) -> (Self, mpsc::Receiver<Order>) {
        let (orders, waiting) = mpsc::channel(QUEUE);
        (Self { orders, losses, refusal, closed: AtomicBool::new(false) }, waiting)
    }

    /// Returns the losses of this journal.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Asks whether the journal is open.
    ///
    /// # Errors
    /// [`JournalFault::Closed`].
    pub fn check_open(&self) -> Result<(), JournalFault> {
        if self.closed.load(Ordering::SeqCst) { Err(JournalFault::Closed) } else { Ok(()) }
    }

    /// Asks whether the journal takes writes.
    ///
    /// # Errors
    /// Why nothing may be written now.
    pub fn check_writable(&self) -> Result<(), JournalFault> {
        self.check_open()?;
        match &self.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => self.losses.check(),
        }
    }

    /// Lets nobody hand in anything any more. Returns false when it was so before.
    pub fn shut(&self) -> bool {
        !self.closed.swap(true, Ordering::SeqCst)
    }

    /// Hands an order to the writer and waits for its answer. Once the order is handed in, no answer
    /// means a loss, also when the caller stops waiting.
    ///
    /// # Errors
    /// What the writer says, or that it did not answer in time.
    pub async fn ask<T>(
        &self,
        patience: Duration,
        order: impl FnOnce(Reply<T>) -> Order,
    ) -> Result<T, JournalFault> {
        let (reply, answered) = oneshot::channel();
        let mut watch = Watch { losses: &self.losses, handed_in: false };
        let asked = timeout(patience, async {
            let place = self.orders.reserve().await.map_err(|_| self.writer_gone())?;
            place.send(order(reply));
            watch.handed_in = true;
            match answered.await {
                Ok(answer) => {
                    watch.handed_in = false;
                    answer
                }
                Err(_) => Err(JournalFault::Lost { detail: "its writer ended".into() }),
            }
        })
        .await;
        match asked {
            Ok(answer) => answer,
            Err(_) if watch.handed_in => Err(JournalFault::Lost { detail: no_answer(patience) }),
            Err(_) => Err(JournalFault::NotWritten { detail: no_answer(patience) }),
        }
    }

    fn writer_gone(&self) -> JournalFault {
        match self.check_open() {
            Err(closed) => closed,
            Ok(()) => JournalFault::NotWritten { detail: "its writer ended; restart the agent".into() },
        }
    }
}

/// Counts an order that was handed in and not answered as a loss.
struct Watch<'a> {
    losses: &'a Losses,
    handed_in: bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.handed_in {
            self.losses.add();
        }
    }
}

/// Waits for a read, which is lost when it takes too long.
///
/// # Errors
/// What the work says, or [`JournalFault::Lost`].
pub async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, JournalFault>>,
) -> Result<T, JournalFault> {
    match timeout(patience, work).await {
        Ok(done) => done,
        Err(_) => Err(JournalFault::Lost { detail: no_answer(patience) }),
    }
}

fn no_answer(patience: Duration) -> String {
    format!("it did not answer within {patience:?}")
}

/// Takes what waits behind the first batch, up to the first order of another kind.
pub fn gather(first: Waiting, orders: &mut mpsc::Receiver<Order>) -> (Vec<Waiting>, Option<Order>) {
    let mut bytes = size(&first.batch);
    let mut group = vec![first];
    while group.len() < MOST_BATCHES && bytes < MOST_BYTES {
        match orders.try_recv() {
            Ok(Order::Append(waiting)) => {
                bytes = bytes.saturating_add(size(&waiting.batch));
                group.push(waiting);
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

fn size(batch: &Batch) -> usize {
    let size = |write: &Write| match write {
        Write::Put { body, .. } | Write::Report { body, .. } | Write::Receipt { body, .. } => body.len(),
        Write::Forget { .. } | Write::ReportsCommitted { .. } => 0,
    };
    batch.writes.iter().map(size).sum()
}

/// Refuses each batch of a group.
pub fn refuse(group: Vec<Waiting>, fault: &JournalFault) {
    for waiting in group {
        answer(waiting.reply, Err(fault.clone()));
    }
}

/// Refuses what still waits when the journal closes.
pub fn refuse_rest(orders: &mut mpsc::Receiver<Order>) {
    orders.close();
    while let Ok(order) = orders.try_recv() {
        match order {
            Order::Append(waiting) => answer(waiting.reply, Err(JournalFault::Closed)),
            Order::BeginIncarnation { reply, .. } | Order::Barrier(reply) => {
                answer(reply, Err(JournalFault::Closed));
            }
            Order::Close(reply) => answer(reply, Ok(())),
        }
    }
}

/// Tells a caller, if it still waits.
pub fn answer<T>(reply: Reply<T>, answer: Result<T, JournalFault>) {
    if reply.send(answer).is_err() {
        tracing::debug!("Journal answered a call that no longer waits");
    }
}
