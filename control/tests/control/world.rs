//! A control plane in a folder of its own, with a clock that stands until it is set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use control::app::{App, Config, Tls};
use control::changes::{Who, connectors, integrations, people, sessions};
use control::clock::Clock;
use control::office::{Limits, Office};
use control::record::{Driver, User};
use control::rules::asking::Ask;
use control::rules::hello::Hello;
use control::rules::role::{Actor, Role};
use control::rules::setting::Format;
use control::rules::terms::{Approval, Catalogue};
use control::store::Store;
use control::store::sqlite::SqliteStore;
use control::token;
use model::{
    ConnectorId, Entitlement, Incarnation, InstanceId, Policy, Position, ResourceId, Span, Timestamp,
};
use seal::keys::SealingKey;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// When everything here begins: 2026-11-22T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_795_305_600);
/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that is gone when the test is.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tidegate-control-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A clock that stands until it is set.
#[derive(Debug)]
pub(crate) struct StandingClock(AtomicI64);

impl StandingClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START.as_millis())))
    }

    pub(crate) fn pass(&self, span: Span) {
        self.0.fetch_add(span.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Opens a store as a process that starts would: the one before may still be letting go of its files.
pub(crate) async fn open(folder: &Path) -> SqliteStore {
    let opened = async {
        loop {
            match SqliteStore::open(folder, token::new_incarnation()).await {
                Ok(store) => return store,
                Err(control::store::StoreFault::InUse { .. }) => tokio::task::yield_now().await,
                Err(fault) => panic!("{fault}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.unwrap()
}

/// An office over a store, without servers.
pub(crate) async fn office(folder: &Folder, clock: &Arc<StandingClock>) -> Office {
    Office::new(Arc::new(open(folder.path()).await), clock.clone(), Limits::default())
}

pub(crate) fn roles(roles: &[Role]) -> BTreeSet<Role> {
    roles.iter().copied().collect()
}

pub(crate) fn person(user: &User) -> Who {
    let actor = Actor { id: user.id.clone(), email: user.email.clone(), roles: user.roles.clone() };
    Who::person(actor, Some([127, 0, 0, 1].into()))
}

/// A user with their key pair.
pub(crate) struct Person {
    pub(crate) user: User,
    pub(crate) who: Who,
    pub(crate) token: String,
    pub(crate) key: SealingKey,
}

/// A house with people, a connector that has been seen, and an integration.
pub(crate) struct Cast {
    pub(crate) admin: Person,
    pub(crate) approver: Person,
    pub(crate) ann: Person,
    pub(crate) bob: Person,
    pub(crate) connector: ConnectorId,
    pub(crate) connector_token: String,
}

/// Makes a user with a token and a key.
pub(crate) async fn hire(office: &Office, by: &Who, email: &str, roles: BTreeSet<Role>) -> Person {
    let address = email.to_owned();
    let user = office
        .write(by.clone(), move |deed| {
            Box::pin(async move { people::create(deed, &address, None, roles).await })
        })
        .await
        .unwrap();
    settle(office, user).await
}

async fn settle(office: &Office, user: User) -> Person {
    let who = person(&user);
    let id = user.id.to_string();
    let (_, token) = office
        .write(who.clone(), move |deed| {
            Box::pin(async move { people::issue_token(deed, &id, "test".into(), None).await })
        })
        .await
        .unwrap();
    let key = SealingKey::generate().unwrap();
    let public = key.public().to_base64();
    office
        .write(who.clone(), move |deed| Box::pin(async move { people::register_key(deed, &public).await }))
        .await
        .unwrap();
    Person { user, who, token: token.expose().to_owned(), key }
}

pub(crate) fn catalogue() -> Catalogue {
    let permissions = ["READ_ONLY", "READ_WRITE"].map(String::from);
    Catalogue {
        permissions: BTreeMap::from([("postgresql-table".into(), permissions.into())]),
        settings: BTreeMap::from([
            ("host".into(), true),
            ("port".into(), false),
            ("ca_certificates".into(), false),
        ]),
        formats: BTreeMap::from([("port".into(), Format::Port)]),
    }
}

pub(crate) fn hello(connector: &ConnectorId) -> Hello {
    Hello {
        connector: connector.clone(),
        instance: InstanceId::from_uuid(Uuid::new_v4()),
        version: "0.1.0".into(),
        protocols: (1, 1),
        journal: Incarnation::from_uuid(Uuid::new_v4()),
        epoch: 0,
        taken: BTreeMap::new(),
        last_report: Position(0),
        drivers: vec![Driver {
            connector: connector.clone(),
            kind: "postgres".into(),
            manifest: serde_json::json!({ "kind": "postgres" }),
            catalogue: catalogue(),
        }],
        keys: BTreeSet::new(),
        place: BTreeMap::new(),
        time: None,
    }
}

pub(crate) fn wish(connector: &ConnectorId, approval: Approval) -> integrations::Wish {
    integrations::Wish {
        connector: connector.to_string(),
        kind: "postgres".into(),
        title: None,
        settings: BTreeMap::from([
            ("host".into(), "db.example.org".into()),
            ("ca_certificates".into(), "PEM of a private authority".into()),
        ]),
        secret: "env://TIDEGATE_SECRET_DB".into(),
        policy: Policy::default(),
        approval,
        access_details: Some("Ask in #db first.".into()),
        longest: None,
    }
}

/// Furnishes a house: people, the connector `north` that has said hello, the integration `shop`.
pub(crate) async fn furnish(office: &Office, approval: Approval) -> Cast {
    let (admin, _) = office
        .write(people::operator(), |deed| {
            Box::pin(async move { people::bootstrap(deed, "admin@example.org").await })
        })
        .await
        .unwrap();
    let admin = settle(office, admin).await;
    let approver = hire(office, &admin.who, "eve@example.org", roles(&[Role::Approver])).await;
    let ann = hire(office, &admin.who, "ann@example.org", roles(&[Role::Requester])).await;
    let bob = hire(office, &admin.who, "bob@example.org", roles(&[Role::Requester])).await;
    let (connector, token) = office
        .write(admin.who.clone(), |deed| {
            Box::pin(async move { connectors::create(deed, "north", None).await })
        })
        .await
        .unwrap();
    let said = hello(&connector.id);
    office
        .write(Who::agent(connector.id.clone(), None), move |deed| {
            Box::pin(async move { sessions::greet(deed, said).await })
        })
        .await
        .unwrap();
    apply(office, &admin.who, "shop", wish(&connector.id, approval)).await;
    let connector_token = token.expose().to_owned();
    Cast { admin, approver, ann, bob, connector: connector.id, connector_token }
}

pub(crate) async fn apply(office: &Office, who: &Who, id: &str, wish: integrations::Wish) {
    let id = id.to_owned();
    office
        .write(who.clone(), move |deed| {
            Box::pin(
                async move { integrations::apply(deed, &id, wish, integrations::Provided::Always).await },
            )
        })
        .await
        .unwrap();
}

pub(crate) fn read_orders() -> Entitlement {
    Entitlement::new(ResourceId::new("postgresql-table", ["shop", "public", "orders"]), "READ_ONLY")
}

pub(crate) fn ask(duration: Span) -> Ask {
    Ask { entitlements: vec![read_orders()], duration, from: None, justification: "ticket 7".into() }
}

/// A whole server on free ports.
pub(crate) struct House {
    pub(crate) office: Office,
    pub(crate) cast: Cast,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) authority: Vec<u8>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl House {
    /// Builds a house and furnishes it.
    pub(crate) async fn build(folder: &Folder, clock: &Arc<StandingClock>, approval: Approval) -> Self {
        let app = app(folder, clock, Limits::default()).await;
        let cast = furnish(&app.office(), approval).await;
        Self::open(app, cast)
    }

    /// Opens a house over an app that is built and furnished.
    pub(crate) fn open(app: App, cast: Cast) -> Self {
        let authority = std::fs::read(&app.authority().unwrap().file).unwrap();
        let (office, http, grpc) = (app.office(), app.http(), app.grpc());
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        let stopped = stop.clone();
        running.spawn(async move { app.run(stopped).await.unwrap() });
        Self {
            office,
            cast,
            http: format!("https://127.0.0.1:{}/api/v1", http.port()),
            grpc: format!("https://127.0.0.1:{}", grpc.port()),
            authority,
            stop,
            running,
        }
    }

    /// Ends as a killed process would, and gives the cast back.
    pub(crate) async fn kill(mut self) -> Cast {
        self.running.shutdown().await;
        self.cast
    }

    /// Stops in order and gives the cast back.
    pub(crate) async fn stop(mut self) -> Cast {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running.join_next()).await.unwrap().unwrap().unwrap();
        self.cast
    }
}

pub(crate) async fn app(folder: &Folder, clock: &Arc<StandingClock>, limits: Limits) -> App {
    app_over(Arc::new(open(folder.path()).await), folder, clock, limits)
}

pub(crate) fn app_over(
    store: Arc<dyn Store>,
    folder: &Folder,
    clock: &Arc<StandingClock>,
    limits: Limits,
) -> App {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let local = "127.0.0.1:0".parse().unwrap();
    let data = folder.path().to_owned();
    let config = Config { data, grpc: local, http: local, tls: Tls::Development, limits };
    App::over(store, config, clock.clone()).unwrap()
}
