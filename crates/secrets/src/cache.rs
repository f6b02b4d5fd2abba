//! Keeps a secret for a short time, and lets one read serve all who wait for it.
//!
//! Time is an argument. A read that many ask for at once is made once, and all get its answer, also when
//! it is a failure; a failure is not kept beyond that. A secret older than its time is dropped at the next
//! call, whoever makes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Failure, IntegrationId, Span, Timestamp};
use tokio::sync::{Mutex, OnceCell};

use crate::logins::Refusals;
use crate::reference::Reference;
use crate::{Fetched, Stores, Version};

type Answer = Result<Arc<Fetched>, Failure>;

/// Stores behind a short memory.
#[derive(Debug)]
pub struct Cache {
    stores: Stores,
    keep: Span,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    flights: BTreeMap<Reference, Flight>,
    refusals: Refusals,
}

/// One read, under way or landed.
#[derive(Debug, Clone)]
struct Flight {
    begun: Timestamp,
    answer: Arc<OnceCell<Answer>>,
}

impl Flight {
    fn new(begun: Timestamp) -> Self {
        Self { begun, answer: Arc::default() }
    }

    /// Returns true while it can serve a caller: under way, or landed with a secret that is young enough.
    fn serves(&self, now: Timestamp, keep: Span) -> bool {
        match self.answer.get() {
            None => true,
            Some(Ok(_)) => self.begun.distance(now) < keep,
            Some(Err(_)) => false,
        }
    }
}

impl Cache {
    /// Keeps what `stores` give for `keep`.
    pub fn new(stores: Stores, keep: Span) -> Self {
        Self { stores, keep, state: Mutex::default() }
    }

    /// Returns the secret, read now or a short while ago.
    ///
    /// # Errors
    /// What the store says.
    pub async fn fetch(&self, reference: &Reference, now: Timestamp) -> Answer {
        let flight = self.flight(reference, now).await;
        // Whoever asks first reads; when that caller goes away, the next one reads in its place.
        flight.answer.get_or_init(|| async { self.stores.fetch(reference).await.map(Arc::new) }).await.clone()
    }

    /// Returns the secret for a login, unless the target refused this very version before.
    ///
    /// # Errors
    /// `login_refused` for a version that was refused; else what the store says.
    pub async fn fetch_for_login(
        &self,
        reference: &Reference,
        integration: &IntegrationId,
        now: Timestamp,
    ) -> Answer {
        let fetched = self.fetch(reference, now).await?;
        self.state.lock().await.refusals.allow(integration, &fetched.version)?;
        Ok(fetched)
    }

    /// Notes that the target refused the login with this version, and forgets the secret, so that a new
    /// one is seen at once.
    pub async fn login_refused(&self, reference: &Reference, integration: &IntegrationId, version: &Version) {
        self.state.lock().await.refusals.note(integration, version);
        self.unfit(reference, version).await;
    }

    /// Notes that this version is not what a target needs, and forgets the secret, so that a mended one is seen at
    /// once.
    pub async fn unfit(&self, reference: &Reference, version: &Version) {
        let mut state = self.state.lock().await;
        let stale =
            |flight: &Flight| matches!(flight.answer.get(), Some(Ok(held)) if held.version == *version);
        if state.flights.get(reference).is_some_and(stale) {
            state.flights.remove(reference);
        }
    }

    /// Allows another try: a login succeeded, the endpoint changed, or an operator asks for it.
    pub async fn try_again(&self, integration: &IntegrationId) {
        self.state.lock().await.refusals.forget(integration);
    }

    /// Forgets every secret and every refused login, so that the next use reads and tries anew: an operator asks for
    /// it. What is being read is read on.
    pub async fn forget(&self) {
        let mut state = self.state.lock().await;
        state.flights.retain(|_, flight| flight.answer.get().is_none());
        state.refusals = Refusals::default();
    }

    /// Drops every secret that is too old. `fetch` does it too; call it when nothing is fetched for long.
    pub async fn sweep(&self, now: Timestamp) {
        self.state.lock().await.flights.retain(|_, flight| flight.serves(now, self.keep));
    }

    async fn flight(&self, reference: &Reference, now: Timestamp) -> Flight {
        let mut state = self.state.lock().await;
        state.flights.retain(|_, flight| flight.serves(now, self.keep));
        state.flights.entry(reference.clone()).or_insert_with(|| Flight::new(now)).clone()
    }
}
