//! One connection to the journal's database: its settings, its deadline for each exchange, what was prepared on
//! it. An exchange that has no answer costs the connection.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::future::{BoxFuture, try_join_all};
use pg::{Dialer, Login};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, Statement};

use crate::faults::{self, Met};
use crate::options::{Credentials, Options};

/// A parameter of a statement.
pub(crate) type Parameter<'p> = &'p (dyn ToSql + Sync);

/// One step of an exchange.
pub(crate) enum Step<'s> {
    /// A statement that takes and returns nothing.
    Bare(&'static str),
    Prepared(&'static str, Vec<Parameter<'s>>),
}

/// A connection. Dropping it ends it at once: what was sent and not committed is rolled back.
pub(crate) struct Line {
    client: Client,
    prepared: BTreeMap<&'static str, Statement>,
    patience: Duration,
    // Ended with the line.
    _service: JoinSet<()>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// In words, with the way out; nothing was asked of the database.
    pub(crate) async fn open(options: &Options, purpose: &str) -> Result<Self, String> {
        let Credentials { user, password } =
            options.keeper.credentials().await.map_err(|failure| failure.detail)?;
        let millis = |span: Duration| format!("{}ms", span.as_millis());
        let login = Login {
            user: user.expose().to_owned(),
            password: Some(password),
            certificate: None,
            application_name: format!("tidegate/{purpose}/{}", options.instance),
            options: vec![
                ("search_path", options.schema.clone()),
                ("role", "none".into()),
                ("standard_conforming_strings", "on".into()),
                ("client_min_messages", "error".into()),
                ("statement_timeout", millis(options.statement)),
                ("lock_timeout", millis(options.lock)),
                ("idle_in_transaction_session_timeout", millis(options.lock)),
                ("default_transaction_read_only", "off".into()),
                ("default_transaction_isolation", "read\\ committed".into()),
                ("synchronous_commit", "on".into()),
                ("timezone", "UTC".into()),
            ],
        };
        let dialer = Dialer::new(options.place.clone(), login).map_err(faults::no_tls)?;
        let connected = dialer.connect(&options.database).await.map_err(faults::dialling)?;
        let mut service = JoinSet::new();
        service.spawn(connected.service);
        // A little longer than the server, so that its own word comes first.
        let patience = options.statement.saturating_add(Duration::from_millis(500));
        Ok(Self { client: connected.client, prepared: BTreeMap::new(), patience, _service: service })
    }

    /// Returns true when the server has hung up.
    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The client, for reading in a stream.
    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits no longer than the server is allowed to work.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Met> {
        match timeout(self.patience, work).await {
            Ok(done) => done.map_err(Met::Said),
            Err(_) => Err(Met::Late),
        }
    }

    /// Runs a script.
    pub(crate) async fn run(&self, script: &str) -> Result<(), Met> {
        self.within(self.client.batch_execute(script)).await
    }

    /// Prepares what was not yet.
    pub(crate) async fn prepare(&mut self, texts: impl Iterator<Item = &'static str>) -> Result<(), Met> {
        for text in texts {
            if !self.prepared.contains_key(text) {
                let statement = self.within(self.client.prepare(text)).await?;
                self.prepared.insert(text, statement);
            }
        }
        Ok(())
    }

    /// Asks one question.
    pub(crate) async fn rows(
        &mut self,
        text: &'static str,
        values: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Met> {
        let mut answers = self.exchange(vec![Step::Prepared(text, values.to_vec())]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Sends all steps at once and waits for all answers, which are in the same order. After the first that fails
    /// the server does none of the others, if they are in a transaction.
    pub(crate) async fn exchange(&mut self, steps: Vec<Step<'_>>) -> Result<Vec<Vec<Row>>, Met> {
        let texts = steps.iter().filter_map(|step| match step {
            Step::Bare(_) => None,
            Step::Prepared(text, _) => Some(*text),
        });
        self.prepare(texts).await?;
        let (client, prepared) = (&self.client, &self.prepared);
        let calls = steps.iter().map(|step| -> BoxFuture<'_, Result<Vec<Row>, tokio_postgres::Error>> {
            match step {
                Step::Bare(text) => Box::pin(async move {
                    client.batch_execute(text).await?;
                    Ok(vec![])
                }),
                Step::Prepared(text, values) => Box::pin(async move {
                    match prepared.get(text) {
                        Some(statement) => client.query(statement, values).await,
                        None => client.query(*text, values).await,
                    }
                }),
            }
        });
        // Polled in order, so sent in order: `try_join_all` keeps it for as few as these.
        self.within(try_join_all(calls)).await
    }
}
