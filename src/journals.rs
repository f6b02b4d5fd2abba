//! The journals of this build, as the configuration names them: the file of one agent, and the database that several
//! instances share.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use driver::TargetSecret;
use journal::identity::IdentityStore;
use journal::sqlite::{Sqlite, SqliteOptions};
use journal::{Journal, JournalFault};
use journal_postgres::{Credentials, Keeper, Options, Postgres};
use model::{ConnectorId, Failure, InstanceId};
use pg::{Place, SslMode};
use secrets::binding::{Authorities, Endpoint, Mode, TlsFloor};
use secrets::cache::Cache;

use crate::binding::Gate;
use crate::clock::Clock;
use crate::config::{self, JournalKind, SharedJournal};

/// What bindings call the journal.
pub(crate) const KIND: &str = "journal";
/// How long a connection to the journal's server may take to come about. A lease ends while it is waited for long.
const CONNECTS_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// Returns how the file of one agent is opened; `None` when the journal is shared.
pub(crate) fn of_file(journal: &config::Journal) -> Option<SqliteOptions> {
    match journal.kind {
        JournalKind::Sqlite { reserve_bytes, most_bytes } => {
            Some(SqliteOptions { reserve_bytes, most_bytes, ..SqliteOptions::new(&journal.dir) })
        }
        JournalKind::Postgres(_) => None,
    }
}

/// Who is to use a shared journal, and with what.
pub(crate) struct User {
    pub(crate) connector: ConnectorId,
    pub(crate) instance: InstanceId,
    pub(crate) identity: Arc<IdentityStore>,
    pub(crate) secrets: Arc<Cache>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Returns how the database is opened that several instances share. Blocks on the disk.
///
/// # Errors
/// When its certificates cannot be read.
pub(crate) fn of_database(shared: &SharedJournal, user: User) -> Result<Options, JournalFault> {
    let authorities = match &shared.ca_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|fault| unreadable(path, &fault))?),
        None => None,
    };
    let believed =
        authorities.as_deref().map_or(Authorities::System, |pem| Authorities::Given(pg::digest_of(pem)));
    let place = Place {
        host: shared.host.clone(),
        port: shared.port,
        mode: shared.sslmode,
        authorities,
        patience: CONNECTS_WITHIN,
    };
    let User { connector, instance, identity, secrets, clock } = user;
    let endpoint = Endpoint {
        kind: KIND.into(),
        host: shared.host.clone(),
        port: shared.port,
        tls_floor: match shared.sslmode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => TlsFloor::None,
            SslMode::Require => TlsFloor::Encrypted,
            SslMode::VerifyCa => TlsFloor::VerifiedChain,
            SslMode::VerifyFull => TlsFloor::VerifiedName,
        },
        authorities: shared.sslmode.verifies().then_some(believed),
    };
    // The configuration beside the agent has listed it: no other approval is asked for its first use.
    let gate = Gate::new(identity, Mode::FirstUse);
    let keeper = Vault { reference: shared.secret.clone(), endpoint, gate, secrets, clock };
    Ok(Options::new(place, &shared.database, &shared.schema, Arc::new(keeper), connector, instance))
}

fn unreadable(path: &Path, fault: &std::io::Error) -> JournalFault {
    JournalFault::Unusable {
        path: path.display().to_string(),
        detail: format!(
            "the certificates of `journal.ca_file` cannot be read ({fault}): name a readable PEM file"
        ),
    }
}

/// Fetches the journal's own credentials, which go nowhere but to its server.
struct Vault {
    reference: secrets::Reference,
    endpoint: Endpoint,
    gate: Gate,
    secrets: Arc<Cache>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl Keeper for Vault {
    async fn credentials(&self) -> Result<Credentials, Failure> {
        let now = self.clock.wall();
        self.gate.admit(&self.reference, &self.endpoint, now).await?;
        let fetched = self.secrets.fetch(&self.reference, now).await?;
        let secret = TargetSecret::new(fetched.duplicate_values(), fetched.version.as_str());
        Ok(Credentials {
            user: secret.value("username")?.duplicate(),
            password: secret.value("password")?.duplicate(),
        })
    }
}

/// A journal that is read beside whoever uses it.
pub(crate) enum Beside {
    File(Sqlite),
    Database(Postgres),
}

impl Deref for Beside {
    type Target = dyn Journal;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::File(journal) => journal,
            Self::Database(journal) => journal,
        }
    }
}

/// How full a journal is.
pub(crate) struct Counted {
    pub(crate) rows: Vec<(&'static str, u64)>,
    pub(crate) receipts: u64,
    pub(crate) last_report: u64,
    pub(crate) uncommitted_reports: u64,
    /// Each with its name for programs and for people.
    pub(crate) bytes: Vec<(&'static str, &'static str, u64)>,
}

impl Beside {
    /// Returns how full it is.
    ///
    /// # Errors
    /// As [`Journal::load`].
    pub(crate) async fn counted(&self) -> Result<Counted, JournalFault> {
        match self {
            Self::File(journal) => {
                let found = journal.statistics().await?;
                Ok(Counted {
                    rows: found.rows.iter().map(|(table, count)| (table.word(), *count)).collect(),
                    receipts: found.receipts,
                    last_report: found.last_report.0,
                    uncommitted_reports: found.uncommitted_reports,
                    bytes: vec![
                        ("database_bytes", "bytes", found.database_bytes),
                        ("log_bytes", "bytes of the log", found.log_bytes),
                        ("reserve_bytes", "bytes kept back", found.reserve_bytes),
                    ],
                })
            }
            Self::Database(journal) => {
                let found = journal.statistics().await?;
                Ok(Counted {
                    rows: found.rows.iter().map(|(table, count)| (table.word(), *count)).collect(),
                    receipts: found.receipts,
                    last_report: found.last_report.0,
                    uncommitted_reports: found.uncommitted_reports,
                    bytes: vec![("database_bytes", "bytes", found.bytes)],
                })
            }
        }
    }

    /// Writes a copy to a new file. Returns false when the journal's own server is who makes copies.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) async fn backup(&self, path: &Path) -> Result<bool, JournalFault> {
        match self {
            Self::File(journal) => journal.backup(path).await.map(|()| true),
            Self::Database(_) => Ok(false),
        }
    }
}
