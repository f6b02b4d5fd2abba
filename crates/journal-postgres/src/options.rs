//! Where the journal's database is, as whom it is used, and how patient one is with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{ConnectorId, Failure, InstanceId, Secret};
use pg::Place;

/// A user's name and password.
#[derive(Debug)]
pub struct Credentials {
    pub user: Secret,
    pub password: Secret,
}

/// Gives the credentials at each connection, so that a changed password is taken without a restart.
#[async_trait]
pub trait Keeper: Send + Sync {
    /// Reads them.
    ///
    /// # Errors
    /// What the secret store says.
    async fn credentials(&self) -> Result<Credentials, Failure>;
}

/// Where the journal is and how patient it is.
#[derive(Clone)]
pub struct Options {
    pub place: Place,
    pub database: String,
    /// The schema that holds this connector's journal and nothing else; made if there is none. Lower-case letters,
    /// digits and `_`.
    pub schema: String,
    pub keeper: Arc<dyn Keeper>,
    pub connector: ConnectorId,
    pub instance: InstanceId,
    /// How long an append or a page of reports may take.
    pub deadline: Duration,
    /// How long opening, loading, counting and a new incarnation may take.
    pub slow_deadline: Duration,
    /// How long the server may work on one statement.
    pub statement: Duration,
    /// How long the server may wait for a lock, and for us within a transaction.
    pub lock: Duration,
}

impl Options {
    /// Takes the defaults: 5 s, 60 s, 4 s, 2 s.
    pub fn new(
        place: Place,
        database: impl Into<String>,
        schema: impl Into<String>,
        keeper: Arc<dyn Keeper>,
        connector: ConnectorId,
        instance: InstanceId,
    ) -> Self {
        Self {
            place,
            database: database.into(),
            schema: schema.into(),
            keeper,
            connector,
            instance,
            deadline: Duration::from_secs(5),
            slow_deadline: Duration::from_secs(60),
            statement: Duration::from_secs(4),
            lock: Duration::from_secs(2),
        }
    }

    /// Returns what faults call the journal.
    pub(crate) fn name(&self) -> String {
        let Place { host, port, .. } = &self.place;
        format!("{host}:{port}/{}/{}", self.database, self.schema)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("journal", &self.name()).finish_non_exhaustive()
    }
}
