//! A real target beside the made-up ones: a private PostgreSQL, on which a sample of the accesses ends in the same second.
//!
//! Promises: what is left open there is found by asking the server itself. Leaves to others: what the driver does in
//! detail, which its contract has.

use anyhow::{Context as _, ensure};
use proto::v1::order::Order;
use proto::v1::{self};
use serde_json::json;
use services::postgres::{Options, Postgres};

use crate::agent::Agent;
use crate::plane::time;

/// The id of its integration.
const NAME: &str = "real";
const SECRET: &str = "real.json";
const TABLE: &str = "create table public.orders (id bigint primary key)";
/// How many accounts there are, how many of them may log in, and how much they hold.
const LEFT: &str = "select count(*), count(*) filter (where a.rolcanlogin), \
     (select count(*) from pg_auth_members m join pg_roles r on r.oid = m.roleid where r.rolname ~ '^tidegate_(ro|rw|adm)_') \
     from pg_auth_members m join pg_roles c on c.oid = m.roleid join pg_roles a on a.oid = m.member \
     where c.rolname = 'tidegate_managed'";

/// The server, with how many accesses are on it.
pub struct Real {
    server: Postgres,
    pub accesses: usize,
}

impl Real {
    /// Starts it, as durable as one in use, and gives the agent its secret.
    pub fn launch(agent: &Agent, accesses: usize) -> anyhow::Result<Self> {
        let server = Postgres::launch(&Options::default())?;
        server.psql("postgres", TABLE)?;
        let secret = json!({ "username": server.superuser(), "password": server.password() });
        agent.keep_secret(SECRET, &secret.to_string())?;
        Ok(Self { server, accesses })
    }

    /// The order that makes it known.
    pub fn integration(&self) -> anyhow::Result<Order> {
        let authority = self.server.ca_file();
        let authority = std::fs::read_to_string(&authority).context("read the server's authority")?;
        let settings = [
            ("hostname", self.server.host()),
            ("port", self.server.port().to_string()),
            ("dbname", "postgres".to_owned()),
            ("sslmode", "verify-full".to_owned()),
            ("ca_certificates", authority),
        ];
        Ok(Order::PutIntegration(v1::PutIntegration {
            integration_id: NAME.into(),
            revision: 1,
            kind: "postgres".into(),
            settings: settings.map(|(key, value)| (key.to_owned(), value)).into(),
            secret_reference: format!("file://{SECRET}"),
            policy: None,
        }))
    }

    /// The order for the n-th access.
    pub fn access(n: usize, deadline: i64) -> Order {
        let person = format!("person-{n}");
        let mut key = vec![0; 32];
        key[0] = 9;
        Order::PutAccess(v1::PutAccess {
            access_id: id(n),
            revision: 1,
            integration_id: NAME.into(),
            grantee: Some(v1::Grantee { id: person.clone(), hint: person, public_key: key }),
            entitlements: vec![v1::Entitlement {
                resource: Some(v1::ResourceId {
                    kind: "postgresql-table".into(),
                    path: ["postgres", "public", "orders"].map(str::to_owned).into(),
                }),
                permission: "READ_ONLY".into(),
            }],
            until: Some(time(deadline)),
            ..v1::PutAccess::default()
        })
    }

    /// Asks the server whether anything is open or held there.
    pub fn seen_shut(&self) -> anyhow::Result<()> {
        let found = self.server.psql("postgres", LEFT)?;
        let expected = format!("{}|0|0", self.accesses);
        ensure!(
            found.trim() == expected,
            "the real target has accounts, open ones and memberships: {}, not {expected}",
            found.trim()
        );
        Ok(())
    }
}

/// The id of the n-th access.
pub fn id(n: usize) -> String {
    format!("r-{n:06}")
}
