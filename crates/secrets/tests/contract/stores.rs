use std::sync::Arc;
use std::time::Duration;

use model::{Code, Retry};
use secrets::env::EnvStore;
use secrets::{Reference, Stores};

use crate::cache::ByHand;

#[tokio::test]
async fn a_scheme_without_a_store_is_named_with_what_is_configured() {
    let stores = Stores::new(Duration::from_secs(5)).with(Arc::new(EnvStore::new([])));
    let failure = stores.fetch(&Reference::parse("file://a").unwrap()).await.unwrap_err();
    assert_eq!((failure.code, failure.retry), (Code::CONFIG_REFUSED, Retry::NeedsHuman));
    assert!(failure.detail.contains("file://") && failure.detail.contains("env://"), "{}", failure.detail);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_given_up_on() {
    let store = ByHand::new();
    let stores = Stores::new(Duration::from_secs(5)).with(store);
    let failure = stores.fetch(&Reference::parse("file://a").unwrap()).await.unwrap_err();
    assert_eq!(failure.code, Code::SECRET_STORE_UNREACHABLE);
}
