//! The one file that names every concrete type: builds the agent from its configuration, then runs it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use driver::Caller;
use journal::Journal;
use journal::JournalFault;
use journal::identity::{IdentityFault, IdentityStore};
use journal::lease::LeaseStore;
use journal::sqlite::{Sqlite, SqliteOptions};
use model::{ConnectorId, InstanceId};
use rules::Guard;
use secrets::cache::Cache;
use secrets::file::DirectoryFault;
use tokio::sync::{Notify, mpsc, watch};
use uuid::Uuid;

use crate::admin::{self, Admin, AdminFault, Mode, Part, Readiness};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, JournalKind, SharedJournal};
use crate::crew::{Crew, Notice, OnExit, Stage, Worker};
use crate::engine::published::{Desk, Message, Published};
use crate::engine::targets::{Shop, Targets};
use crate::engine::{Engine, EngineFault, Parts};
use crate::guardrails::Watch;
use crate::journals::{User, of_database, of_file};
use crate::link::{Link, public_keys};
use crate::measures;
use crate::measures::gauges::{self, Gauges};
use crate::office::Office;
use crate::reload::{Reading, Reload, Source};
use crate::shutdown::Shutdown;
use crate::socket::Socket;
use crate::socket::clerk::Clerk;
use crate::standby::{self, Seat};
use crate::stores;
use crate::telemetry::Telemetry;

/// Messages that wait for the engine; whoever sends more waits.
const MESSAGES: usize = 1024;
/// News that wait for the link.
const NEWS: usize = 64;
/// A worker that ended by itself is begun again after this long.
const PAUSE: Duration = Duration::from_secs(1);
/// A local socket that could not be had is tried again after this long: without it the agent still closes.
const SOCKET_PAUSE: Duration = Duration::from_secs(30);

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppFault {
    #[error("the identity cannot be used")]
    Identity(#[source] Box<IdentityFault>),
    #[error(
        "the identity is of connector `{found}` and the configuration says `{wanted}`: name the right identity directory, or run `tidegate init` for a new one"
    )]
    OtherConnector { found: ConnectorId, wanted: ConnectorId },
    #[error("the journal cannot be used")]
    Journal(#[from] JournalFault),
    #[error("another instance of this connector took over ({reason}): start this one again, as a standby")]
    Superseded { reason: String },
    #[error("the secrets directory cannot be used")]
    Secrets(#[from] DirectoryFault),
    #[error("the engine cannot start")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the admin endpoints cannot start")]
    Admin(#[from] AdminFault),
    #[error("worker `{worker}` ended: {reason}")]
    Worker { worker: &'static str, reason: String },
    #[error("a background task broke off")]
    Task(#[from] tokio::task::JoinError),
}

impl From<EngineFault> for AppFault {
    fn from(fault: EngineFault) -> Self {
        Self::Engine(Box::new(fault))
    }
}

/// Builds the agent and runs it until it is told to stop.
///
/// # Errors
/// When something that it cannot do without cannot be had, or ended.
pub async fn run(
    reading: Reading,
    source: Source,
    environment: BTreeMap<String, String>,
    telemetry: Telemetry,
    shutdown: Shutdown,
) -> Result<(), AppFault> {
    crate::measures::describe();
    let config = reading.config.clone();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = clock.wall();
    let identity_dir = config.identity_dir.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let store = IdentityStore::open(&identity_dir)?;
        let identity = store.load()?;
        Ok((store, identity))
    });
    let (store, identity) = opened.await?.map_err(|fault| AppFault::Identity(Box::new(fault)))?;
    if identity.connector != config.connector {
        return Err(AppFault::OtherConnector { found: identity.connector, wanted: config.connector });
    }
    let stores = stores::open(&config.secrets, environment)?;
    let instance = InstanceId::from_uuid(Uuid::new_v4());
    let public_keys = public_keys(&identity);
    let store = Arc::new(store);
    let secrets = Arc::new(Cache::new(stores, config.secrets.keep));
    let dial = Arc::new(Notify::new());
    let mut reload =
        Reload::new(source, &reading, telemetry.clone(), Arc::clone(&secrets), Arc::clone(&dial));
    let (ready, readiness) = watch::channel(Readiness::starting(started));
    let gauges: Arc<OnceLock<Gauges>> = Arc::default();
    let (set, connector) = (Arc::clone(&gauges), config.connector.clone());
    let lines = telemetry.clone();
    let look = move || {
        measures::dropped_lines(lines.dropped_lines());
        match set.get() {
            Some(gauges) => gauges.set(),
            None => gauges::standing_by(&connector, started),
        }
    };
    // Before anything else that a second process would find taken: this says what is the matter.
    let begun = match &config.journal.kind {
        JournalKind::Sqlite { .. } => Begun::Own(of_one(&config.journal, &store).await?),
        JournalKind::Postgres(shared) => Begun::Shared(shared),
    };
    let admin = Admin::bind(config.admin_listen, readiness.clone(), telemetry.metrics(), look)?;
    let mut crew = Crew::new();
    let serving = admin.clone();
    crew.hire(
        Worker { name: "admin", stage: Stage::Admin, on_exit: OnExit::Restart { pause: PAUSE } },
        move |stop| {
            let admin = serving.clone();
            async move { admin.serve(stop).await.map_err(Into::into) }
        },
    );
    let tell = || {
        tracing::info!(
            connector = %config.connector,
            admin = %admin.address(),
            socket = %config.admin_socket.display(),
            version = env!("CARGO_PKG_VERSION"),
            "Agent started"
        );
    };
    let user = User {
        connector: config.connector.clone(),
        instance,
        identity: Arc::clone(&store),
        secrets: Arc::clone(&secrets),
        clock: Arc::clone(&clock),
    };
    let Held { journal, seat, close_only } = match begun {
        Begun::Own(held) => held,
        Begun::Shared(shared) => {
            tell();
            let options = of_database(shared, user)?;
            let waiting = standby::wait(&options, &clock, &ready);
            match stand_by(waiting, &mut crew, &shutdown, &mut reload).await {
                Ok(Some(held)) => held,
                ended => {
                    ready.send_modify(|ready| ready.mode = Mode::Stopping);
                    crew.stop(config.shutdown_grace).await;
                    return ended.map(|_| ());
                }
            }
        }
    };
    let leadership = seat.as_ref().map(|seat| Arc::clone(&seat.leadership));
    let epoch = leadership.as_ref().map_or(0, |leadership| leadership.epoch());
    let caller = match &leadership {
        Some(leadership) => {
            Caller { instance, epoch, licence: Arc::clone(leadership) as Arc<dyn driver::Licence> }
        }
        None => Caller::new(instance, epoch),
    };
    if let Some(Seat { database, leadership }) = seat {
        crew.hire(Worker { name: "lease", stage: Stage::Link, on_exit: OnExit::Stop }, move |stop| {
            let store = Arc::clone(&database) as Arc<dyn LeaseStore>;
            Arc::clone(&leadership).keep(store, stop)
        });
    }
    let targets = Arc::new(Targets::new(Shop {
        connector: config.connector.clone(),
        clock: Arc::clone(&clock),
        identity: Arc::clone(&store),
        marks: Arc::new(identity.marks),
        sealing: Arc::new(identity.sealing),
        secrets,
        bindings: config.secrets.bindings,
        caller,
        leadership: leadership.clone(),
        connect_deadline: config.engine.call_deadline,
        call_deadline: config.engine.call_deadline.saturating_mul(3),
        listing_deadline: config.engine.listing_deadline,
    }));
    let look = Arc::new(Notify::new());
    let watch = config.guardrails.clone();
    let mut watch = watch.map(|from| Watch::new(config.connector.clone(), from, Arc::clone(&look)));
    let guard = match &mut watch {
        Some(watch) => watch.first().await,
        None => Guard::Off,
    };
    let (news_out, news) = mpsc::channel(NEWS);
    let (news_of_gauges, clock_of_gauges) = (news_out.downgrade(), Arc::clone(&clock));
    let (messages, inbox) = mpsc::channel(MESSAGES);
    let parts = Parts {
        connector: config.connector.clone(),
        office: Office::new(config.connector.clone(), identity.receipt),
        journal: Arc::clone(&journal),
        identity: store,
        clock: Arc::clone(&clock),
        targets,
        survey_every: config.engine.survey_every,
        news: news_out,
        guard,
        close_only,
    };
    let (engine, published) = Engine::restore(parts, inbox).await?;
    let down = admin::Link::Down { since: started, reason: "it is not begun yet".into() };
    let (stands, connected) = watch::channel(down);
    let desk = Desk { messages: messages.clone(), published: published.clone() };
    let link = Arc::new(Link {
        settings: config.control_plane.clone(),
        token_file: config.token_file.clone(),
        connector: config.connector.clone(),
        instance,
        epoch,
        started,
        public_keys,
        desk,
        news: Arc::new(tokio::sync::Mutex::new(news)),
        journal,
        clock: Arc::clone(&clock),
        stands,
        dial,
    });
    let clerk = Clerk {
        connector: config.connector.clone(),
        instance,
        started,
        clock,
        desk: Desk { messages: messages.clone(), published: published.clone() },
        readiness: readiness.clone(),
        telemetry: telemetry.clone(),
    };
    let all = Gauges {
        connector: config.connector.clone(),
        started,
        epoch,
        clock: clock_of_gauges,
        published: published.clone(),
        link: connected.clone(),
        messages: messages.downgrade(),
        news: news_of_gauges,
        sightings: engine.sightings(),
    };
    // Set once, here.
    gauges.get_or_init(|| all);
    let socket =
        Arc::new(Socket { own_folder: config.socket_is_default(), path: config.admin_socket.clone(), clerk });
    match config.journal.kind {
        JournalKind::Sqlite { .. } => tell(),
        JournalKind::Postgres(_) => tracing::info!(%instance, epoch, "Agent is active"),
    }

    let mut engine = Some(engine);
    let of_engine = leadership.clone();
    crew.hire(Worker { name: "engine", stage: Stage::Engine, on_exit: OnExit::Stop }, move |stop| {
        let (engine, leadership) = (engine.take(), of_engine.clone());
        async move {
            match engine {
                Some(engine) => {
                    let ended = engine.run(stop).await;
                    match (&ended, leadership) {
                        (Ok(()), Some(leadership)) => leadership.is_idle(),
                        (Err(EngineFault::Journal(JournalFault::Superseded { .. })), Some(leadership)) => {
                            leadership.lost();
                        }
                        (Ok(()) | Err(_), _) => {}
                    }
                    ended.map_err(Into::into)
                }
                None => Err("the engine runs once; its supervisor begins the agent anew".into()),
            }
        }
    });
    if let Some(watch) = watch {
        let messages = messages.clone();
        crew.hire(
            Worker { name: "guardrails", stage: Stage::Orders, on_exit: OnExit::Restart { pause: PAUSE } },
            move |stop| {
                let (watch, messages) = (watch.clone(), messages.clone());
                async move {
                    watch.run(messages, stop).await;
                    Ok(())
                }
            },
        );
    }
    crew.hire(
        Worker { name: "link", stage: Stage::Orders, on_exit: OnExit::Restart { pause: PAUSE } },
        move |stop| {
            let link = Arc::clone(&link);
            async move {
                link.run(stop).await;
                Ok(())
            }
        },
    );
    crew.hire(
        Worker { name: "socket", stage: Stage::Admin, on_exit: OnExit::Restart { pause: SOCKET_PAUSE } },
        move |stop| {
            let socket = Arc::clone(&socket);
            async move { socket.serve(stop).await.map_err(Into::into) }
        },
    );

    let mut seen = (published, connected);
    let (mut reloads, mut grace) = (shutdown.reloads(), config.shutdown_grace);
    let outcome = loop {
        ready.send_replace(readiness_of(&seen.0.borrow_and_update(), &seen.1.borrow_and_update()));
        tokio::select! {
            () = shutdown.asked() => break Ok(()),
            Ok(()) = seen.0.changed() => {}
            Ok(()) = seen.1.changed() => {}
            Ok(()) = reloads.changed() => {
                grace = reload.again().await.unwrap_or(grace);
                look.notify_one();
                drop(messages.send(Message::LookAgain).await);
            }
            notice = crew.watch() => match notice {
                Notice::CloseOnly { reason, .. } => {
                    // The engine may be the one that is gone: then there is nobody to tell.
                    drop(messages.send(Message::CloseOnly(reason)).await);
                }
                Notice::Stop { reason, .. } if leadership.as_ref().is_some_and(|it| it.is_lost()) => {
                    break Err(AppFault::Superseded { reason });
                }
                Notice::Stop { worker, reason } => break Err(AppFault::Worker { worker, reason }),
            }
        }
    };
    ready.send_modify(|ready| ready.mode = Mode::Stopping);
    crew.stop(grace).await;
    tracing::info!(
        "Agent stopped; accesses go on until their deadlines, and are closed after the next start"
    );
    outcome
}

/// The journal, and for a shared one what its lease hangs on.
struct Held {
    journal: Arc<dyn Journal>,
    seat: Option<Seat>,
    /// Why it can only be read.
    close_only: Option<String>,
}

/// How far the journal is had before anything else is begun.
enum Begun<'c> {
    Own(Held),
    Shared(&'c SharedJournal),
}

/// Opens the journal of one agent. One of a newer build is read: what it knows of is closed, and nothing else is done.
async fn of_one(journal: &config::Journal, store: &IdentityStore) -> Result<Held, AppFault> {
    let options = of_file(journal).unwrap_or_else(|| SqliteOptions::new(&journal.dir));
    let (opened, close_only) = match Sqlite::open(options.clone()).await {
        Err(fault @ JournalFault::TooNew { .. }) => {
            tracing::error!(%fault, "A newer build wrote the journal: it is only read, and only closing is done");
            (Sqlite::open_close_only(options).await?, Some(fault.to_string()))
        }
        opened => (opened?, None),
    };
    if let Ok(true) = store.shares_volume_with(&journal.dir) {
        tracing::warn!(
            "Identity and journal are on one volume: if it is lost, open accounts cannot be recognised any more"
        );
    }
    Ok(Held { journal: Arc::new(opened), seat: None, close_only })
}

/// Waits for the lease of a shared journal. `None` when the agent was told to stop before.
async fn stand_by(
    waiting: impl Future<Output = Result<Seat, JournalFault>>,
    crew: &mut Crew,
    shutdown: &Shutdown,
    reload: &mut Reload,
) -> Result<Option<Held>, AppFault> {
    let mut waiting = std::pin::pin!(waiting);
    let mut reloads = shutdown.reloads();
    loop {
        tokio::select! {
            () = shutdown.asked() => return Ok(None),
            seat = &mut waiting => {
                let seat = seat?;
                let journal: Arc<dyn Journal> = Arc::new(seat.database.journal(seat.leadership.epoch()));
                let close_only = seat.database.too_new().map(ToString::to_string);
                return Ok(Some(Held { journal, seat: Some(seat), close_only }));
            }
            Ok(()) = reloads.changed() => drop(reload.again().await),
            notice = crew.watch() => if let Notice::Stop { worker, reason } = notice {
                return Err(AppFault::Worker { worker, reason });
            },
        }
    }
}

/// How the agent stands, by what engine and link show.
fn readiness_of(shown: &Published, link: &admin::Link) -> Readiness {
    let journal = if shown.journal_works {
        Part::Good
    } else {
        Part::Bad {
            reason: "it cannot be written, or has no room left: look at its volume, or at its database"
                .into(),
        }
    };
    let identity = match &shown.identity_fault {
        None => Part::Good,
        Some(fault) => Part::Bad {
            reason: format!(
                "the integrations' configurations cannot be read or saved there ({fault}): mend its volume"
            ),
        },
    };
    let mode = match &shown.standstill {
        None => Mode::Open,
        Some(still) => Mode::CloseOnly { reason: format!("{}: {}", still.code, still.detail) },
    };
    Readiness { journal, identity, link: link.clone(), mode }
}
