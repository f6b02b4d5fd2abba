//! The office: what both sides of the house share. It opens transactions, hands out the time, rings bells.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use model::{Span, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::bells::Bells;
use crate::changes::{Deed, Who};
use crate::clock::Clock;
use crate::refusal::Refusal;
use crate::rules::throttle::Throttle;
use crate::store::{Keep, Rows, Store, StoreFault, Work};
use crate::stream::alive::Alive;

/// What an operator may set.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest access that can be asked for.
    pub longest: Span,
    /// How often each side of a link sends a heartbeat.
    pub heartbeat: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self { longest: Span::from_hours(24), heartbeat: Span::from_secs(5) }
    }
}

/// What both sides of the house share.
#[derive(Clone)]
pub struct Office {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    pub limits: Limits,
    pub bells: Arc<Bells>,
    pub alive: Arc<Alive>,
    throttle: Arc<Mutex<Throttle>>,
    /// Set when the server stops: whoever waits, stops waiting.
    pub stopping: CancellationToken,
}

impl Office {
    /// Puts the office together.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, limits: Limits) -> Self {
        Self {
            store,
            clock,
            limits,
            bells: Arc::default(),
            alive: Arc::default(),
            throttle: Arc::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// Returns the present time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Opens one consistent view.
    ///
    /// # Errors
    /// The store is not available.
    pub async fn read(&self) -> Result<Box<dyn Rows>, StoreFault> {
        self.store.read().await
    }

    /// Does one deed in one transaction: kept whole when the work succeeds, not at all when it refuses. It
    /// is done even when the caller stops waiting. Bells ring after it is on disk.
    ///
    /// # Errors
    /// What the work refuses, or the store.
    pub async fn write<T, F>(&self, who: Who, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: for<'a, 'r> FnOnce(&'a mut Deed<'r>) -> BoxFuture<'a, Result<T, Refusal>> + Send + 'static,
    {
        let outcome: Outcome<T> = Arc::default();
        let piece =
            Piece { work: Some(work), who, now: self.now(), limits: self.limits, outcome: outcome.clone() };
        self.store.write(Box::new(piece)).await?;
        let done = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (answer, bells) = done.unwrap_or_else(|| {
            let detail = "the work was not begun".into();
            (Err(Refusal::Store(StoreFault::Unavailable { detail })), vec![])
        });
        for bell in &bells {
            self.bells.ring(bell);
        }
        answer
    }

    /// Hands in a deed whose outcome nobody waits for; what it rings is not rung.
    ///
    /// # Errors
    /// The store, when it does not take it.
    pub async fn hand_in<F>(&self, who: Who, work: F) -> Result<(), StoreFault>
    where
        F: for<'a, 'r> FnOnce(&'a mut Deed<'r>) -> BoxFuture<'a, Result<(), Refusal>> + Send + 'static,
    {
        let outcome: Outcome<()> = Arc::default();
        let piece = Piece { work: Some(work), who, now: self.now(), limits: self.limits, outcome };
        self.store.hand_in(Box::new(piece)).await
    }

    /// Returns how long this address must wait before it may try another token.
    pub fn throttled(&self, source: IpAddr) -> Option<Span> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).wait(source, self.now())
    }

    /// Counts a wrong token.
    pub fn missed(&self, source: IpAddr) {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).missed(source, self.now());
    }

    /// Closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

type Outcome<T> = Arc<Mutex<Option<(Result<T, Refusal>, Vec<crate::bells::Bell>)>>>;

struct Piece<T, F> {
    work: Option<F>,
    who: Who,
    now: Timestamp,
    limits: Limits,
    outcome: Outcome<T>,
}

#[async_trait]
impl<T, F> Work for Piece<T, F>
where
    T: Send + 'static,
    F: for<'a, 'r> FnOnce(&'a mut Deed<'r>) -> BoxFuture<'a, Result<T, Refusal>> + Send + 'static,
{
    async fn run(&mut self, rows: &mut dyn Rows) -> Result<Keep, StoreFault> {
        let Some(work) = self.work.take() else { return Ok(Keep::Rollback) };
        let mut deed = Deed::new(rows, self.now, self.who.clone(), self.limits);
        let answer = work(&mut deed).await;
        let keep = if answer.is_ok() { Keep::Commit } else { Keep::Rollback };
        let bells = if answer.is_ok() { deed.into_bells() } else { vec![] };
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some((answer, bells));
        Ok(keep)
    }
}
