//! What several commands need: the configuration, the identity, the journal, a small runtime.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driver::Caller;
use journal::JournalFault;
use journal::identity::{Identity, IdentityStore};
use journal::sqlite::Sqlite;
use journal_postgres::{Database, Options};
use model::InstanceId;
use secrets::cache::Cache;
use uuid::Uuid;

use super::fault::{Fault, Faults};
use super::{CONFIG_FILE, Context};
use crate::clock::SystemClock;
use crate::config::{Config, JournalKind, Origin, Sources, file, keys, settings};
use crate::engine::targets::{Shop, Targets};
use crate::exit::chain;
use crate::journals::{Beside, User, of_database, of_file};
use crate::reload::{Reading, RereadFault};
use crate::socket::ask::ask;
use crate::socket::words::{Answer, Question};
use crate::stores;

/// So many targets are asked at a time.
pub(super) const AT_ONCE: usize = 8;

/// Where a command reads its configuration from.
#[derive(Debug, Clone)]
pub(super) struct Places {
    named: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    flags: Vec<(String, String)>,
}

impl Places {
    /// Reads the texts; a file is there when one was named, and may be there else.
    fn sources(&self) -> Result<Sources, Fault> {
        let named = self.named.as_deref();
        let path = std::path::absolute(named.unwrap_or(Path::new(CONFIG_FILE)))
            .map_err(|cause| Fault::System { doing: "know its working directory", cause })?;
        let file = match std::fs::metadata(&path) {
            Err(fault) if named.is_none() && fault.kind() == std::io::ErrorKind::NotFound => None,
            _ => Some((path.clone(), text_of(&path)?)),
        };
        Ok(Sources { file, environment: self.environment.clone(), flags: self.flags.clone() })
    }

    /// Reads and checks the configuration while the agent runs. Environment and flags are those of its start.
    pub(super) fn read_again(&self) -> Result<Reading, RereadFault> {
        let sources = self.sources().map_err(|fault| RereadFault::File(chain(&fault)))?;
        let config = Config::load(&sources).map_err(RereadFault::Refused)?;
        Ok(Reading { config, settings: settings(&sources) })
    }
}

impl Context {
    /// Returns where the configuration is read from.
    pub(super) fn places(&self) -> Places {
        Places {
            named: self.global.config.clone(),
            environment: self.environment.clone(),
            flags: self.global.set.clone(),
        }
    }

    /// Returns the texts that the configuration is read from.
    ///
    /// # Errors
    /// When a file was named and is not there.
    pub(super) fn sources(&self) -> Result<Sources, Fault> {
        self.places().sources()
    }

    /// Reads and checks the configuration, and keeps what it was read from.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub(super) fn reading(&self) -> Result<Reading, Fault> {
        let sources = self.sources()?;
        let config = load(&sources)?;
        Ok(Reading { config, settings: settings(&sources) })
    }

    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub(super) fn config(&self) -> Result<Config, Fault> {
        load(&self.sources()?)
    }
}

/// Checks a configuration; tells a file that is not there from one that is wrong.
///
/// # Errors
/// With everything that is wrong.
pub(super) fn load(sources: &Sources) -> Result<Config, Fault> {
    Config::load(sources).map_err(|faults| {
        let only_missing = faults.iter().all(|fault| fault.origin == Origin::Missing);
        if sources.file.is_some() || !only_missing {
            return Fault::Config(Faults(faults));
        }
        let missing: Vec<_> =
            faults.iter().filter_map(|fault| keys::find(&fault.key)).map(|key| key.variable()).collect();
        Fault::NoConfig { path: CONFIG_FILE.into(), missing: missing.join(", ") }
    })
}

fn text_of(path: &Path) -> Result<String, Fault> {
    let fault = |cause| Fault::File { doing: "read the configuration", path: path.into(), cause };
    let found = std::fs::metadata(path).map_err(fault)?;
    if !found.is_file() || found.len() > file::LARGEST {
        return Err(fault(std::io::Error::other("it is not a plain file of at most 1 MiB")));
    }
    std::fs::read_to_string(path).map_err(fault)
}

/// Opens the identity and checks that it is the configured connector's.
///
/// # Errors
/// When it is not there, exposed, damaged, or another connector's.
pub(super) fn identity(config: &Config) -> Result<(IdentityStore, Identity), Fault> {
    let store = IdentityStore::open(&config.identity_dir)?;
    let identity = store.load()?;
    if identity.connector != config.connector {
        return Err(Fault::OtherConnector {
            path: config.identity_dir.clone(),
            found: identity.connector,
            wanted: config.connector.clone(),
        });
    }
    Ok((store, identity))
}

/// Makes what connects to targets as the agent would, for a command that looks at them.
///
/// # Errors
/// When a secret store cannot be used.
pub(super) fn targets(
    context: &Context,
    config: &Config,
    store: IdentityStore,
    identity: Identity,
) -> Result<Arc<Targets>, Fault> {
    let stores = stores::open(&config.secrets, context.environment.clone())?;
    Ok(Arc::new(Targets::new(Shop {
        connector: config.connector.clone(),
        clock: Arc::new(SystemClock),
        identity: Arc::new(store),
        marks: Arc::new(identity.marks),
        sealing: Arc::new(identity.sealing),
        secrets: Arc::new(Cache::new(stores, config.secrets.keep)),
        bindings: config.secrets.bindings,
        caller: Caller::new(InstanceId::from_uuid(Uuid::new_v4()), 0),
        leadership: None,
        connect_deadline: config.engine.call_deadline,
        call_deadline: config.engine.call_deadline,
        listing_deadline: config.engine.listing_deadline,
    })))
}

/// Opens the journal without ever writing to it, for as long as `work` takes; beside the agent when one runs. `None`
/// when there is none yet.
///
/// # Errors
/// When it cannot be opened; else what `work` says.
pub(super) async fn with_journal<T>(
    context: &Context,
    config: &Config,
    work: impl AsyncFnOnce(&Beside) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let Some(journal) = beside(context, config).await? else { return Ok(None) };
    let done = work(&journal).await;
    journal.close().await?;
    done.map(Some)
}

async fn beside(context: &Context, config: &Config) -> Result<Option<Beside>, Fault> {
    if let Some(options) = of_file(&config.journal) {
        if !holds_journal(&config.journal.dir) {
            return Ok(None);
        }
        return Ok(Some(Beside::File(match Sqlite::open_close_only(options.clone()).await {
            Ok(journal) => journal,
            Err(JournalFault::InUse { .. }) => Sqlite::open_beside(options).await?,
            Err(fault) => return Err(fault.into()),
        })));
    }
    let Some(options) = database(context, config)? else { return Ok(None) };
    let found = Database::open_beside(options).await?;
    Ok(found.map(|database| Beside::Database(database.beside())))
}

/// Returns how a shared journal's database is opened by a command; `None` when the journal is a file.
///
/// # Errors
/// When the identity, a secret store or a certificate cannot be read.
pub(super) fn database(context: &Context, config: &Config) -> Result<Option<Options>, Fault> {
    let JournalKind::Postgres(shared) = &config.journal.kind else { return Ok(None) };
    let (store, identity) = identity(config)?;
    let stores = stores::open(&config.secrets, context.environment.clone())?;
    let user = User {
        connector: identity.connector,
        instance: InstanceId::from_uuid(Uuid::new_v4()),
        identity: Arc::new(store),
        secrets: Arc::new(Cache::new(stores, config.secrets.keep)),
        clock: Arc::new(SystemClock),
    };
    Ok(Some(of_database(shared, user)?))
}

/// Asks the running agent on its local socket.
///
/// # Errors
/// When none answers, or it refuses.
pub(super) async fn ask_agent(config: &Config, question: &Question) -> Result<Answer, Fault> {
    let answer = ask(&config.admin_socket, question).await?;
    if let Answer::Refused { why, reason } = answer {
        return Err(Fault::Refused { why, reason });
    }
    Ok(answer)
}

/// Returns true when there is something in the folder: opening would make one else.
pub(super) fn holds_journal(dir: &Path) -> bool {
    std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

/// Runs a command's work on this thread.
///
/// # Errors
/// When the system does not give what a runtime needs; else what the work says.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Fault::System { doing: "begin its work", cause })?
        .block_on(work)
}

/// Returns a path as an absolute one.
///
/// # Errors
/// When there is no working directory.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|cause| Fault::System { doing: "know its working directory", cause })
}
