//! OpenBao: its database secrets engine gives dynamic credentials; ending the lease takes them away.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use services::openbao::OpenBao;
use services::postgres::Postgres;

use super::{Party, ROLE};
use crate::command::text_at;

const A_CALL: Duration = Duration::from_secs(60);

/// A running OpenBao that knows the target.
#[derive(Debug)]
pub struct Bao {
    server: OpenBao,
    client: Client,
}

impl Bao {
    /// Tells a running OpenBao of the target; up to `at_a_time` connections.
    pub async fn introduce(server: OpenBao, target: &Postgres, at_a_time: usize) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(A_CALL).build().context("prepare calls of OpenBao")?;
        let bao = Self { server, client };
        bao.call(Method::POST, "sys/mounts/database", json!({ "type": "database" })).await?;
        let url = format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@localhost:{}/postgres?sslmode=verify-full&sslrootcert={}",
            target.port(),
            target.ca_file().display()
        );
        let config = json!({
            "plugin_name": "postgresql-database-plugin",
            "allowed_roles": ["reader"],
            "connection_url": url,
            "username": target.superuser(),
            "password": target.password(),
            "password_authentication": "scram-sha-256",
            "max_open_connections": at_a_time,
            "max_idle_connections": at_a_time,
        });
        bao.call(Method::POST, "database/config/target", config).await?;
        let statement = format!(
            "CREATE ROLE \"{{{{name}}}}\" WITH LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}'; \
             GRANT {ROLE} TO \"{{{{name}}}}\";"
        );
        let role = json!({
            "db_name": "target",
            "creation_statements": [statement],
            "default_ttl": "1h",
            "max_ttl": "2h",
        });
        bao.call(Method::POST, "database/roles/reader", role).await?;
        Ok(bao)
    }

    /// The server.
    pub fn server(&self) -> &OpenBao {
        &self.server
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let what = || format!("{method} {path} of OpenBao");
        let url = format!("{}/v1/{path}", self.server.address());
        let mut call = self.client.request(method.clone(), url).header("X-Vault-Token", self.server.token());
        if !body.is_null() {
            call = call.json(&body);
        }
        let answer = call.send().await.with_context(what)?;
        let status = answer.status();
        let text = answer.text().await.with_context(what)?;
        ensure!(status.is_success(), "{}: {status}: {text}", what());
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).with_context(what) }
    }
}

impl Party for Bao {
    /// A lease.
    type Held = String;

    async fn grant(&self, _: usize) -> anyhow::Result<String> {
        let given = self.call(Method::GET, "database/creds/reader", Value::Null).await?;
        text_at(&given, "/data/password")?;
        text_at(&given, "/lease_id")
    }

    async fn revoke(&self, lease: String) -> anyhow::Result<()> {
        let asked = json!({ "lease_id": lease, "sync": true });
        self.call(Method::PUT, "sys/leases/revoke", asked).await.map(drop)
    }
}
