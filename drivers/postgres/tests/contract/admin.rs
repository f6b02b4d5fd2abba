//! The administrator of a test server, with connections of its own.

use driver::contract::WorldFault;
use services::postgres::Postgres;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A connection that lasts as long as the value.
pub(crate) struct Line {
    pub(crate) client: Client,
    _service: JoinSet<()>,
}

impl Line {
    pub(crate) async fn open(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let (client, connection) = config.connect(NoTls).await?;
        let mut service = JoinSet::new();
        service.spawn(async move { drop(connection.await) });
        Ok(Self { client, _service: service })
    }

    pub(crate) async fn run(&self, statements: &str) -> Result<(), WorldFault> {
        Ok(self.client.batch_execute(statements).await?)
    }

    /// Returns the first column of every row.
    pub(crate) async fn column(&self, query: &str) -> Result<Vec<String>, WorldFault> {
        let answer = self.client.simple_query(query).await?;
        Ok(answer
            .iter()
            .filter_map(|message| {
                let SimpleQueryMessage::Row(row) = message else { return None };
                Some(row.get(0).unwrap_or_default().to_owned())
            })
            .collect())
    }

    pub(crate) async fn one(&self, query: &str) -> Result<Option<String>, WorldFault> {
        Ok(self.column(query).await?.into_iter().next())
    }
}

/// Where a server is, for any user.
pub(crate) fn config(server: &Postgres, user: &str, password: &str, database: &str) -> Config {
    let mut config = Config::new();
    config.host(server.host()).port(server.port()).user(user).password(password).dbname(database);
    config
}

pub(crate) async fn admin(server: &Postgres, database: &str) -> Result<Line, WorldFault> {
    Ok(Line::open(&config(server, server.superuser(), server.password(), database)).await?)
}
