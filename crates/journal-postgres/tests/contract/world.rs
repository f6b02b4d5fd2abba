//! One private server for all tests, a schema for each, and a plain role that owns the database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use journal::Journal;
use journal::contract::{JournalWorld, Storage, run};
use journal::lease::{LeaseStore as _, Taking};
use journal_postgres::{Credentials, Database, Keeper, Options, Postgres};
use model::durable::{Batch, Table, Write};
use model::{BatchId, ConnectorId, Failure, InstanceId, Secret};
use pg::{Place, SslMode};
use services::postgres;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use uuid::Uuid;

const ROLE: &str = "journal_keeper";
const PASSWORD: &str = "of-the-journals-tests";
const DATABASE: &str = "journals";

struct Fixed;

#[async_trait]
impl Keeper for Fixed {
    async fn credentials(&self) -> Result<Credentials, Failure> {
        Ok(Credentials { user: Secret::new(ROLE.into()), password: Secret::new(PASSWORD.into()) })
    }
}

/// A server with the journals' database.
#[derive(Clone)]
pub(super) struct Server(Arc<postgres::Postgres>);

impl Server {
    /// Starts one of its own, for tests that stop it or change its settings.
    pub(super) async fn launch() -> Self {
        let launched = spawn_blocking(|| {
            let server = postgres::Postgres::launch(&postgres::Options::for_tests()).unwrap();
            server.psql("postgres", &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")).unwrap();
            server.psql("postgres", &format!("CREATE DATABASE {DATABASE} OWNER {ROLE}")).unwrap();
            server
        });
        Self(Arc::new(launched.await.unwrap()))
    }

    /// Returns the one that those of the other tests share that run at the same time.
    async fn shared() -> Self {
        static SHARED: Mutex<Weak<postgres::Postgres>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(server) = shared.upgrade() {
            return Self(server);
        }
        let server = Self::launch().await;
        *shared = Arc::downgrade(&server.0);
        server
    }

    /// Runs statements as the administrator.
    pub(super) async fn psql(&self, statements: &str) -> String {
        let (server, statements) = (Arc::clone(&self.0), statements.to_owned());
        spawn_blocking(move || server.psql(DATABASE, &statements).unwrap()).await.unwrap()
    }

    pub(super) async fn restart(&self) {
        let server = Arc::clone(&self.0);
        spawn_blocking(move || server.restart().unwrap()).await.unwrap();
    }

    pub(super) async fn stop(&self) {
        let server = Arc::clone(&self.0);
        spawn_blocking(move || server.stop(postgres::Mode::Fast).unwrap()).await.unwrap();
    }

    pub(super) async fn start(&self) {
        let server = Arc::clone(&self.0);
        spawn_blocking(move || server.start().unwrap()).await.unwrap();
    }
}

/// A schema of its own on a server.
#[derive(Clone)]
pub(super) struct Schema {
    pub(super) server: Server,
    pub(super) name: String,
}

impl Schema {
    pub(super) async fn fresh() -> Self {
        Self::on(Server::shared().await)
    }

    pub(super) fn on(server: Server) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("journal_{}", MADE.fetch_add(1, Ordering::SeqCst));
        Self { server, name }
    }

    /// Options for an instance: impatient with foreign locks, patient with a busy machine.
    pub(super) fn options(&self, instance: u128) -> Options {
        let server = &self.server.0;
        let place = Place {
            host: "localhost".into(),
            port: server.port(),
            mode: SslMode::VerifyFull,
            authorities: Some(std::fs::read_to_string(server.ca_file()).unwrap()),
            patience: Duration::from_secs(20),
        };
        Options {
            deadline: Duration::from_secs(30),
            statement: Duration::from_secs(20),
            lock: Duration::from_millis(400),
            ..Options::new(
                place,
                DATABASE,
                &self.name,
                Arc::new(Fixed),
                ConnectorId::parse("harbour-1").unwrap(),
                InstanceId::from_uuid(Uuid::from_u128(instance)),
            )
        }
    }

    pub(super) async fn open(&self, instance: u128) -> Database {
        Database::open(self.options(instance)).await.unwrap()
    }

    /// Opens the journal as this instance, which takes the lease.
    pub(super) async fn hold(&self, instance: u128) -> (Database, Postgres, u64) {
        let database = self.open(instance).await;
        let Taking::Taken { epoch } = database.take().await.unwrap() else { panic!("somebody holds it") };
        let journal = database.journal(epoch);
        (database, journal, epoch)
    }

    /// Runs statements as the administrator in this schema.
    pub(super) async fn psql(&self, statements: &str) -> String {
        self.server.psql(&format!("SET search_path = {}; {statements}", self.name)).await
    }

    /// Ends the lease, as time would.
    pub(super) async fn lapse(&self) {
        self.psql("UPDATE lease SET until = clock_timestamp()").await;
    }
}

pub(super) fn batch(id: u64, writes: Vec<Write>) -> Batch {
    Batch { id: BatchId(id), writes }
}

pub(super) fn put(key: &str) -> Write {
    Write::Put { table: Table::Account, key: key.into(), body: "{}".into() }
}

pub(super) async fn keys(journal: &dyn Journal) -> Vec<String> {
    journal.load().await.unwrap().rows.into_iter().map(|row| row.key).collect()
}

struct PostgresWorld;

struct PostgresStorage {
    schema: Schema,
}

#[async_trait]
impl JournalWorld for PostgresWorld {
    async fn fresh(&self) -> Box<dyn Storage> {
        Box::new(PostgresStorage { schema: Schema::fresh().await })
    }
}

#[async_trait]
impl Storage for PostgresStorage {
    async fn open(&mut self) -> Arc<dyn Journal> {
        let (_, journal, _) = self.schema.hold(1).await;
        Arc::new(journal)
    }

    async fn reopen(&mut self, killed: Arc<dyn Journal>) -> Arc<dyn Journal> {
        drop(killed);
        self.open().await
    }

    async fn break_writes(&mut self) {
        self.schema.psql("REVOKE UPDATE ON head FROM journal_keeper").await;
    }

    async fn mend(&mut self) {
        self.schema.psql("GRANT UPDATE ON head TO journal_keeper").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    run(&PostgresWorld).await;
}
