use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use secrets::contract::{self, Can, Outcome, World};
use secrets::env::EnvStore;
use secrets::{Reference, SecretStore};

/// Each change is a restart of the agent: the store is made anew from the environment.
struct EnvWorld {
    environment: BTreeMap<String, String>,
    store: Arc<EnvStore>,
}

impl EnvWorld {
    fn start() -> Self {
        let environment = BTreeMap::from([("HOME".to_owned(), "password=x".to_owned())]);
        let store = Arc::new(EnvStore::new(environment.clone()));
        Self { environment, store }
    }

    fn restart(&mut self) {
        self.store = Arc::new(EnvStore::new(self.environment.clone()));
    }
}

#[async_trait]
impl World for EnvWorld {
    fn store(&self) -> Arc<dyn SecretStore> {
        Arc::<EnvStore>::clone(&self.store)
    }

    fn reference(&self, name: &str) -> Reference {
        Reference::parse(&format!("env://TIDEGATE_SECRET_{name}")).unwrap()
    }

    async fn put(&mut self, name: &str, bytes: &[u8]) -> Can {
        let Ok(text) = String::from_utf8(bytes.to_vec()) else {
            return Can::Never("the environment is handed in as text");
        };
        self.environment.insert(format!("TIDEGATE_SECRET_{name}"), text);
        self.restart();
        Can::Yes
    }

    async fn remove(&mut self, name: &str) {
        self.environment.remove(&format!("TIDEGATE_SECRET_{name}"));
        self.restart();
    }

    async fn deny(&mut self, _: &str) -> Can {
        Can::Never("a reference to a variable without the prefix cannot be made")
    }

    async fn stall(&mut self, _: &str) -> Can {
        Can::Never("it reads its own memory")
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let outcome = contract::run(&mut EnvWorld::start()).await;
    let names: Vec<_> = outcome.impossible.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["BYTES", "denied", "slow"], "{outcome:?}");
    assert_ne!(outcome, Outcome::default());
}

#[tokio::test]
async fn only_prefixed_variables_are_kept() {
    let store = EnvStore::new([
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "password=no".to_owned()),
        ("TIDEGATE_SECRET_A".to_owned(), "password=yes".to_owned()),
    ]);
    let shown = format!("{store:?}");
    assert!(
        shown.contains("TIDEGATE_SECRET_A") && !shown.contains("AWS") && !shown.contains("yes"),
        "{shown}"
    );
    let reference = Reference::parse("file://TIDEGATE_SECRET_A").unwrap();
    assert_eq!(store.fetch(&reference).await.unwrap_err().code, model::Code::SECRET_DENIED);
}
