//! A target that passes every verb on and remembers every failure, for the search for secrets.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use model::mark::MarkDraft;
use model::{AccountRef, EntitlementSet, Failure, NewCredential, Observed, Rung, TargetIdentity, Timestamp};

use crate::{
    AccountSpec, CheckReport, ConnectionLine, HeirPolicy, OpenOrder, ResourceSink, RetireReport,
    SightingSink, Target,
};

/// Another target, watched.
pub(super) struct Watched {
    inner: Box<dyn Target>,
    failures: Arc<Mutex<Vec<Failure>>>,
}

impl Watched {
    pub(super) fn new(inner: Box<dyn Target>, failures: Arc<Mutex<Vec<Failure>>>) -> Self {
        Self { inner, failures }
    }

    fn seen<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(failure) = &answer {
            self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure.clone());
        }
        answer
    }
}

#[async_trait]
impl Target for Watched {
    async fn identify(&self) -> Result<TargetIdentity, Failure> {
        self.seen(self.inner.identify().await)
    }

    async fn check(&self) -> Result<CheckReport, Failure> {
        self.seen(self.inner.check().await)
    }

    async fn discover(&self, out: &mut dyn ResourceSink) -> Result<(), Failure> {
        self.seen(self.inner.discover(out).await)
    }

    async fn create(&self, spec: &AccountSpec) -> Result<AccountRef, Failure> {
        self.seen(self.inner.create(spec).await)
    }

    async fn grant(&self, account: &AccountRef, wanted: &EntitlementSet) -> Result<(), Failure> {
        self.seen(self.inner.grant(account, wanted).await)
    }

    async fn rotate(&self, account: &AccountRef, credential: &NewCredential) -> Result<(), Failure> {
        self.seen(self.inner.rotate(account, credential).await)
    }

    async fn enable(&self, account: &AccountRef) -> Result<(), Failure> {
        self.seen(self.inner.enable(account).await)
    }

    async fn renew(
        &self,
        account: &AccountRef,
        mark: &MarkDraft,
        expires: Option<Timestamp>,
    ) -> Result<(), Failure> {
        self.seen(self.inner.renew(account, mark, expires).await)
    }

    async fn open(&self, order: &OpenOrder) -> Result<AccountRef, Failure> {
        self.seen(self.inner.open(order).await)
    }

    async fn revoke(&self, account: &AccountRef, rung: Rung) -> Result<(), Failure> {
        self.seen(self.inner.revoke(account, rung).await)
    }

    async fn delete(&self, account: &AccountRef, heir: HeirPolicy) -> Result<(), Failure> {
        self.seen(self.inner.delete(account, heir).await)
    }

    async fn observe(&self, account: &AccountRef) -> Result<Observed, Failure> {
        self.seen(self.inner.observe(account).await)
    }

    async fn survey(&self, out: &mut dyn SightingSink) -> Result<(), Failure> {
        self.seen(self.inner.survey(out).await)
    }

    async fn wider_roles(&self, found: &mut Vec<String>) -> Result<(), Failure> {
        self.seen(self.inner.wider_roles(found).await)
    }

    async fn retire(&self) -> Result<RetireReport, Failure> {
        self.seen(self.inner.retire().await)
    }

    fn connection_lines(&self, account: &AccountRef, entitlements: &EntitlementSet) -> Vec<ConnectionLine> {
        self.inner.connection_lines(account, entitlements)
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
