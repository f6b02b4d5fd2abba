//! Sessions: at most eight at once, one of them kept free for closing; idle ones are put down.
//!
//! Every call has a deadline here besides the server's own. A call that misses it, and a session that is
//! dropped before [`Session::settle`], cost the connection: what the server still does with it is bounded by
//! its own limits (see `statements`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use driver::Licence;
use model::{Code, Failure, Retry, TargetIdentity, Towards};
use pg::Fuse;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::connect::{Connector, Facts, facts, is_address};
use crate::faults::{Fault, Stage};

/// Sessions for everything.
const SHARED: usize = 7;
/// Sessions for closing alone.
const KEPT_FREE: usize = 1;
/// How long a session may lie idle.
const IDLE: Duration = Duration::from_secs(60);
/// After lying idle for longer than this, a session is asked whether it is still there.
const DOUBTFUL: Duration = Duration::from_secs(2);
/// How long to wait for a free session.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a session is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Open,
    /// May take the session that is kept free.
    Close,
    /// Long readings: discovery, survey, check.
    Read,
}

impl Purpose {
    /// Returns which way work of this purpose changes the target, if it does.
    const fn towards(self) -> Option<Towards> {
        match self {
            Self::Open => Some(Towards::More),
            Self::Close => Some(Towards::Less),
            Self::Read => None,
        }
    }

    /// Returns how long the whole work with the session may take, on our side; `None` when only each single
    /// call has a limit, because the reader decides how fast it goes.
    const fn budget(self) -> Option<Duration> {
        match self {
            Self::Open | Self::Close => Some(Duration::from_secs(8)),
            Self::Read => None,
        }
    }
}

/// How long one call of a long reading may take; the server's own limit for it is 30 s.
const LONG_CALL: Duration = Duration::from_secs(35);

/// A connection with what was prepared on it.
struct Line {
    client: Client,
    facts: Facts,
    prepared: Mutex<BTreeMap<&'static str, Statement>>,
    service: AbortHandle,
    clean: bool,
    fuse: Fuse,
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.clean {
            self.service.abort();
        }
    }
}

struct Idle {
    database: String,
    line: Line,
    since: Instant,
}

struct Inner {
    connector: Connector,
    licence: Arc<dyn Licence>,
    shared: Arc<Semaphore>,
    kept_free: Arc<Semaphore>,
    shelf: Mutex<Vec<Idle>>,
    services: Mutex<JoinSet<()>>,
    /// The system that was reached first.
    identity: OnceLock<TargetIdentity>,
}

/// The sessions of one live target.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Prepares the pool; nothing is connected yet.
    pub(crate) fn new(connector: Connector, licence: Arc<dyn Licence>) -> Self {
        let inner = Arc::new(Inner {
            connector,
            licence,
            shared: Arc::new(Semaphore::new(SHARED)),
            kept_free: Arc::new(Semaphore::new(KEPT_FREE)),
            shelf: Mutex::new(vec![]),
            services: Mutex::new(JoinSet::new()),
            identity: OnceLock::new(),
        });
        let weak = Arc::downgrade(&inner);
        lock(&inner.services).spawn(put_idle_down(weak));
        Self(inner)
    }

    pub(crate) fn connector(&self) -> &Connector {
        &self.0.connector
    }

    /// Takes a session in a database.
    ///
    /// # Errors
    /// [`Code::BUSY`] when none gets free, [`Code::TARGET_REPLACED`] when another system answers, or sorted.
    pub(crate) async fn session(&self, database: &str, purpose: Purpose) -> Result<Session, Fault> {
        let permit = self.permit(purpose).await?;
        let line = match self.idle_line(database).await {
            Some(line) => line,
            None => self.connect(database).await?,
        };
        self.known_system(&line.facts)?;
        Ok(Session {
            line: Some(line),
            pool: self.clone(),
            database: database.to_owned(),
            towards: purpose.towards(),
            deadline: purpose.budget().map(|budget| Instant::now() + budget),
            lost: AtomicBool::new(false),
            _permit: permit,
        })
    }

    async fn permit(&self, purpose: Purpose) -> Result<OwnedSemaphorePermit, Fault> {
        let shared = Arc::clone(&self.0.shared).acquire_owned();
        let permit = async {
            match purpose {
                Purpose::Close => {
                    tokio::select! {
                        biased;
                        permit = shared => permit,
                        permit = Arc::clone(&self.0.kept_free).acquire_owned() => permit,
                    }
                }
                Purpose::Open | Purpose::Read => shared.await,
            }
        };
        let busy = || Failure::not_done(Code::BUSY, "all sessions to this server are in use");
        match timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(busy().into()),
        }
    }

    async fn idle_line(&self, database: &str) -> Option<Line> {
        loop {
            let Idle { line, since, .. } = {
                let mut shelf = lock(&self.0.shelf);
                let n = shelf.iter().rposition(|idle| idle.database == database)?;
                shelf.remove(n)
            };
            if line.client.is_closed() {
                continue;
            }
            if since.elapsed() < DOUBTFUL {
                return Some(line);
            }
            match timeout(Duration::from_secs(2), line.client.check_connection()).await {
                Ok(Ok(())) => return Some(line),
                Ok(Err(_)) | Err(_) => discard(line),
            }
        }
    }

    async fn connect(&self, database: &str) -> Result<Line, Fault> {
        {
            // An idle session elsewhere makes room: no more than eight are open at once.
            let mut shelf = lock(&self.0.shelf);
            let free = self.0.shared.available_permits() + self.0.kept_free.available_permits();
            while shelf.len() > free {
                shelf.remove(0);
            }
        }
        let connected = self.0.connector.connect(database).await?;
        let service = {
            let mut services = lock(&self.0.services);
            while services.try_join_next().is_some() {}
            services.spawn(connected.service)
        };
        let config = self.0.connector.config();
        let known = timeout(config.connect_timeout, facts(&connected.client, config, connected.encrypted))
            .await
            .unwrap_or_else(|_| Err(Fault::late(Stage::Harmless)));
        match known {
            Ok(facts) => Ok(Line {
                client: connected.client,
                facts,
                prepared: Mutex::default(),
                service,
                clean: true,
                fuse: connected.fuse,
            }),
            Err(fault) => {
                service.abort();
                Err(fault)
            }
        }
    }

    /// Refuses a system that is another one than the first that was reached.
    fn known_system(&self, facts: &Facts) -> Result<(), Fault> {
        let first = self.0.identity.get_or_init(|| facts.identity.clone());
        if *first == facts.identity {
            return Ok(());
        }
        if is_address(first) != is_address(&facts.identity) {
            return Err(Failure::refused(
                Code::RIGHT_MISSING,
                "the server tells which system it is in some databases and not in others: in each of them allow \
                 pg_control_system() to the admin",
            )
            .with_retry(Retry::NeedsHuman)
            .into());
        }
        Err(Failure::refused(
            Code::TARGET_REPLACED,
            "another PostgreSQL system answers at this address: nothing was done; make the integration anew if that is right",
        )
        .with_retry(Retry::NeedsHuman)
        .into())
    }

    /// Ends all idle sessions in good order; those in use end when they are settled.
    pub(crate) fn close(&self) {
        self.0.shared.close();
        self.0.kept_free.close();
        lock(&self.0.shelf).clear();
    }
}

fn discard(mut line: Line) {
    line.clean = false;
}

async fn put_idle_down(pool: Weak<Inner>) {
    let mut tick = tokio::time::interval(IDLE / 2);
    loop {
        tick.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        lock(&pool.shelf).retain(|idle| idle.since.elapsed() < IDLE && !idle.line.client.is_closed());
    }
}

/// One parameter of a question to the catalogue.
pub(crate) type Parameter<'p> = &'p (dyn ToSql + Sync);

/// A session in one database, for one piece of work.
pub(crate) struct Session {
    line: Option<Line>,
    pool: Pool,
    database: String,
    towards: Option<Towards>,
    deadline: Option<Instant>,
    lost: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    fn line(&self) -> Result<&Line, Fault> {
        self.line.as_ref().ok_or_else(|| Fault::late(Stage::Harmless))
    }

    pub(crate) fn facts(&self) -> Result<&Facts, Fault> {
        Ok(&self.line()?.facts)
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Runs a script in one exchange. It may be several statements: see the README on why, and where.
    pub(crate) async fn run(&self, script: &str, stage: Stage) -> Result<(), Fault> {
        self.about_to_change()?;
        self.within(self.line()?.client.batch_execute(script), stage).await
    }

    /// What is sent next may change something: tests kill the process when it has left, see `driver::crash`.
    pub(crate) fn about_to_change(&self) -> Result<(), Fault> {
        if driver::crash::dies_when_sent() {
            self.line()?.fuse.light(driver::crash::sent);
        }
        Ok(())
    }

    /// Prepares what will be asked, so that asking takes one exchange.
    pub(crate) async fn prepare(&self, texts: &[&'static str]) -> Result<(), Fault> {
        let line = self.line()?;
        let missing: Vec<_> =
            texts.iter().copied().filter(|text| !lock(&line.prepared).contains_key(text)).collect();
        let prepare = async |text: &'static str| {
            let statement = self.within(line.client.prepare(text), Stage::Harmless).await?;
            lock(&line.prepared).insert(text, statement);
            Ok::<(), Fault>(())
        };
        futures_util::future::try_join_all(missing.into_iter().map(prepare)).await.map(drop)
    }

    /// Asks the catalogue. Texts are fixed; what differs goes in as parameters.
    pub(crate) async fn rows(
        &self,
        text: &'static str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Fault> {
        let line = self.line()?;
        let known = lock(&line.prepared).get(text).cloned();
        let statement = match known {
            Some(statement) => statement,
            None => {
                let statement = self.within(line.client.prepare(text), Stage::Harmless).await?;
                lock(&line.prepared).insert(text, statement.clone());
                statement
            }
        };
        self.within(line.client.query(&statement, parameters), Stage::Harmless).await
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<T, tokio_postgres::Error>>,
        stage: Stage,
    ) -> Result<T, Fault> {
        let now = Instant::now();
        let deadline = self.deadline.unwrap_or(now + LONG_CALL);
        // Whoever was stopped for a while sends nothing more of what it had begun.
        if now >= deadline {
            self.lost.store(true, Ordering::Relaxed);
            return Err(Fault::late(Stage::Harmless));
        }
        if let Some(towards) = self.towards {
            self.pool.0.licence.admits(towards)?;
        }
        let outcome = match timeout_at(deadline, call).await {
            Ok(outcome) => outcome.map_err(|error| Fault::of(&error, stage)),
            Err(_) => Err(Fault::late(stage)),
        };
        driver::crash::exchange();
        if outcome.as_ref().is_err_and(|fault| fault.lost) {
            self.lost.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// Gives the session back after its work, rolled back when the work failed, and passes the outcome on.
    pub(crate) async fn settle<T>(mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        let lost = self.lost.load(Ordering::Relaxed);
        let usable = !lost && (outcome.is_ok() || self.run("ROLLBACK", Stage::Harmless).await.is_ok());
        if usable && let Some(line) = self.line.take() {
            let mut shelf = lock(&self.pool.0.shelf);
            if !self.pool.0.shared.is_closed() {
                shelf.push(Idle { database: self.database.clone(), line, since: Instant::now() });
            }
        }
        outcome
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            discard(line);
        }
    }
}
