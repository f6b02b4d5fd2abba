//! The bare client: a program that does to PostgreSQL what has to be done, and nothing else.
//!
//! Its grant is one transaction: a login with a SCRAM verifier and an end, a comment, one role. Its revoke goes in the
//! rungs of ours, each by itself: shut the login, end the sessions, take the role. Both are read back.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use services::postgres::Postgres;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Party, ROLE};
use crate::authority::trusting;
use crate::{clock, random};

const A_CONNECTION: Duration = Duration::from_secs(20);

/// Connections of the bare client, one for each that works at a time.
#[derive(Debug)]
pub struct Bare {
    clients: Vec<Mutex<Client>>,
    // Carries what the clients say; ends with them.
    _wires: JoinSet<()>,
}

impl Bare {
    /// Connects as the superuser.
    pub async fn connect(server: &Postgres, connections: usize) -> anyhow::Result<Self> {
        let mut wires = JoinSet::new();
        let mut clients = vec![];
        for _ in 0..connections {
            clients.push(Mutex::new(client(server, &server.ca_file(), &mut wires).await?));
        }
        Ok(Self { clients, _wires: wires })
    }

    /// Drops all logins of the bare client.
    pub async fn clean(&self) -> anyhow::Result<()> {
        let client = self.clients.first().context("a connection")?.lock().await;
        let drop = "do $$ declare name text; begin
            for name in select rolname from pg_roles where rolname like 'bare\\_%' loop
                execute format('drop role %I', name);
            end loop; end $$";
        client.batch_execute(drop).await.context("drop the bare client's logins")
    }

    /// A connection that nobody uses.
    async fn idle(&self, number: usize) -> tokio::sync::MutexGuard<'_, Client> {
        for client in &self.clients {
            if let Ok(idle) = client.try_lock() {
                return idle;
            }
        }
        self.clients[number % self.clients.len()].lock().await
    }
}

impl Party for Bare {
    type Held = String;

    async fn grant(&self, number: usize) -> anyhow::Result<String> {
        let client = self.idle(number).await;
        let name = format!("bare_{number}");
        let verifier = postgres_protocol::password::scram_sha_256(random::password().as_bytes());
        client
            .batch_execute(&format!(
                "begin;
                 create role {name} login password '{verifier}' valid until '2037-01-01T00:00:00Z' connection limit 10;
                 comment on role {name} is 'tidegate:v1:bench:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef';
                 grant {ROLE} to {name};
                 commit"
            ))
            .await
            .context("make a login")?;
        let (login, member) = read_back(&client, &name).await?;
        ensure!(login && member, "the target has login {login}, member {member}");
        Ok(name)
    }

    async fn revoke(&self, name: String) -> anyhow::Result<()> {
        let client = self.idle(name.len()).await;
        let rungs = [
            format!("alter role {name} nologin password null"),
            format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'"),
            format!("revoke {ROLE} from {name}"),
        ];
        for rung in rungs {
            client.batch_execute(&rung).await.context("a rung")?;
        }
        let (login, member) = read_back(&client, &name).await?;
        ensure!(!login && !member, "the target has login {login}, member {member}");
        Ok(())
    }
}

async fn read_back(client: &Client, name: &str) -> anyhow::Result<(bool, bool)> {
    let query = format!(
        "select r.rolcanlogin, exists (select from pg_auth_members m where m.member = r.oid),
                shobj_description(r.oid, 'pg_authid'),
                (select count(*) from pg_stat_activity a where a.usesysid = r.oid)
         from pg_roles r where r.rolname = '{name}'"
    );
    let row = client.query_one(&query, &[]).await.context("read back")?;
    Ok((row.get(0), row.get(1)))
}

async fn client(server: &Postgres, authority: &Path, wires: &mut JoinSet<()>) -> anyhow::Result<Client> {
    let address = format!(
        "host=localhost hostaddr=127.0.0.1 port={} user={} dbname=postgres application_name=bare",
        server.port(),
        server.superuser()
    );
    let mut config = Config::from_str(&address).context("read an address")?;
    config.password(server.password()).ssl_mode(SslMode::Require);
    let tls = MakeRustlsConnect::new(trusting(authority, None)?);
    let connecting = async { config.connect(tls).await.context("connect") };
    let (client, wire) = clock::within("a connection", A_CONNECTION, connecting).await?;
    wires.spawn(async move {
        // The client says it when its connection breaks.
        let _told_by_the_client = wire.await;
    });
    Ok(client)
}
