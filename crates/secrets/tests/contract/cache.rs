use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use model::{Code, Failure, IntegrationId, Secret, Span, Timestamp};
use secrets::cache::Cache;
use secrets::{Fetched, Reference, Scheme, SecretStore, Stores, Version};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// A store that answers when it is let, with what it is told.
pub(crate) struct ByHand {
    let_go: Semaphore,
    begun: Semaphore,
    reads: AtomicU32,
    version: AtomicU32,
    broken: AtomicU32,
}

impl ByHand {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            let_go: Semaphore::new(0),
            begun: Semaphore::new(0),
            reads: AtomicU32::new(0),
            version: AtomicU32::new(1),
            broken: AtomicU32::new(0),
        })
    }

    fn reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl SecretStore for ByHand {
    fn scheme(&self) -> Scheme {
        Scheme::File
    }

    async fn fetch(&self, _: &Reference) -> Result<Fetched, Failure> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.begun.add_permits(1);
        self.let_go.acquire().await.unwrap().forget();
        if self.broken.load(Ordering::SeqCst) > 0 {
            return Err(Failure::not_done(Code::SECRET_STORE_UNREACHABLE, "down"));
        }
        let version = self.version.load(Ordering::SeqCst).to_string();
        let values = BTreeMap::from([("password".to_owned(), Secret::new(version.clone()))]);
        Ok(Fetched { values, version: Version::new(version) })
    }
}

const AT: Timestamp = Timestamp::from_secs(1_000);
const KEEP: Span = Span::from_secs(30);

fn world() -> (Arc<ByHand>, Arc<Cache>, Reference) {
    let store = ByHand::new();
    let stores = Stores::new(Duration::from_secs(5)).with(Arc::<ByHand>::clone(&store));
    (store, Arc::new(Cache::new(stores, KEEP)), Reference::parse("file://a").unwrap())
}

#[tokio::test]
async fn a_secret_is_kept_for_its_time_and_no_longer() {
    let (store, cache, reference) = world();
    let later = |ms| AT.plus(Span::from_millis(ms));
    let table = [
        ("first", AT, 1),
        ("a moment later", later(1), 1),
        ("just in time", later(29_999), 1),
        ("too old", later(30_000), 2),
        ("kept anew", later(59_999), 2),
        ("the clock went far back", AT, 3),
    ];
    for (name, now, reads) in table {
        store.let_go.add_permits(1);
        cache.fetch(&reference, now).await.unwrap();
        assert_eq!(store.reads(), reads, "{name}");
        store.let_go.try_acquire().ok().into_iter().for_each(tokio::sync::SemaphorePermit::forget);
    }
}

#[tokio::test]
async fn many_who_ask_at_once_cause_one_read() {
    for broken in [false, true] {
        let (store, cache, reference) = world();
        store.broken.store(u32::from(broken), Ordering::SeqCst);
        let mut callers = JoinSet::new();
        for _ in 0..32 {
            let (cache, reference) = (Arc::clone(&cache), reference.clone());
            callers.spawn(async move { cache.fetch(&reference, AT).await.map(|held| held.version.clone()) });
        }
        store.begun.acquire().await.unwrap().forget();
        // Everyone else joins the one read that is under way, now or after it has landed.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        store.let_go.add_permits(1);
        while let Some(answer) = callers.join_next().await {
            assert_eq!(answer.unwrap().is_err(), broken);
        }
        assert_eq!(store.reads(), 1, "broken: {broken}");
    }
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let (store, cache, reference) = world();
    store.let_go.add_permits(2);
    store.broken.store(1, Ordering::SeqCst);
    assert!(cache.fetch(&reference, AT).await.is_err());
    store.broken.store(0, Ordering::SeqCst);
    assert!(cache.fetch(&reference, AT).await.is_ok());
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_the_read_to_the_next() {
    let (store, cache, reference) = world();
    {
        let first = cache.fetch(&reference, AT);
        tokio::select! {
            biased;
            _ = first => panic!("it was not let go"),
            permit = store.begun.acquire() => permit.unwrap().forget(),
        }
    }
    store.let_go.add_permits(1);
    assert!(cache.fetch(&reference, AT).await.is_ok());
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn a_refused_login_is_tried_once_for_each_version() {
    let (store, cache, reference) = world();
    let integration = IntegrationId::parse("pg").unwrap();
    store.let_go.add_permits(10);
    let first = cache.fetch_for_login(&reference, &integration, AT).await.unwrap();
    cache.login_refused(&reference, &integration, &first.version).await;
    let failure = cache.fetch_for_login(&reference, &integration, AT).await.unwrap_err();
    assert_eq!(failure.code, Code::LOGIN_REFUSED);
    assert_eq!(store.reads(), 2, "the refused one was not served from memory");
    let other = IntegrationId::parse("other").unwrap();
    assert!(cache.fetch_for_login(&reference, &other, AT).await.is_ok(), "another integration");
    store.version.store(2, Ordering::SeqCst);
    let later = AT.plus(KEEP);
    let second = cache.fetch_for_login(&reference, &integration, later).await.unwrap();
    assert_eq!(second.version.as_str(), "2");
    cache.login_refused(&reference, &integration, &second.version).await;
    assert!(cache.fetch_for_login(&reference, &integration, later).await.is_err());
    cache.try_again(&integration).await;
    assert!(cache.fetch_for_login(&reference, &integration, later).await.is_ok());
}

#[tokio::test]
async fn a_sweep_drops_what_is_old() {
    let (store, cache, reference) = world();
    store.let_go.add_permits(1);
    let held = Arc::downgrade(&cache.fetch(&reference, AT).await.unwrap());
    cache.sweep(AT.plus(Span::from_secs(29))).await;
    assert!(held.upgrade().is_some());
    cache.sweep(AT.plus(KEEP)).await;
    assert!(held.upgrade().is_none(), "the secret is still in memory");
}

#[tokio::test]
async fn what_is_not_fit_is_read_anew_and_is_no_refused_login() {
    let (store, cache, reference) = world();
    let integration = IntegrationId::parse("pg").unwrap();
    store.let_go.add_permits(10);
    let first = cache.fetch(&reference, AT).await.unwrap();
    cache.unfit(&reference, &Version::new("another")).await;
    cache.fetch(&reference, AT).await.unwrap();
    assert_eq!(store.reads(), 1, "another version was meant");
    cache.unfit(&reference, &first.version).await;
    assert!(cache.fetch_for_login(&reference, &integration, AT).await.is_ok());
    assert_eq!(store.reads(), 2);
}

#[tokio::test]
async fn what_is_forgotten_is_read_anew_and_a_refused_login_is_tried_once_more() {
    let (store, cache, reference) = world();
    let integration = IntegrationId::parse("pg").unwrap();
    store.let_go.add_permits(10);
    let first = cache.fetch_for_login(&reference, &integration, AT).await.unwrap();
    let held = Arc::downgrade(&first);
    cache.login_refused(&reference, &integration, &first.version).await;
    drop(first);
    assert!(cache.fetch_for_login(&reference, &integration, AT).await.is_err());
    cache.forget().await;
    assert!(held.upgrade().is_none(), "the secret is still in memory");
    assert!(cache.fetch_for_login(&reference, &integration, AT).await.is_ok());
    assert_eq!(store.reads(), 3);
}
