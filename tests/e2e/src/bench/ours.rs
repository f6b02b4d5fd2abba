//! Tidegate's whole path: from the asking over REST, through control plane, agent and target, to the sealed credential in
//! the asker's hands; and from the giving back to the end that was seen. Every login is another person's, so that each is
//! a new one on the target.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::{Certificate, Client, Method};
use seal::keys::SealingKey;
use serde_json::{Value, json};

use super::{Party, crowd};
use crate::command::text_at;
use crate::world::{INTEGRATION, World};

const A_CALL: Duration = Duration::from_secs(60);
/// How long the control plane is asked to hold an answer.
const HOLD: &str = "20";

/// Everybody who asks.
#[derive(Debug)]
pub struct Ours {
    api: Api,
    /// The tokens of people, in the order of the logins.
    people: Vec<String>,
}

#[derive(Clone, Debug)]
struct Api {
    client: Client,
    base: String,
}

impl Ours {
    /// Makes so many people, each with a key of their own.
    pub async fn gather(world: &World, people: usize) -> anyhow::Result<Self> {
        let pem = std::fs::read(world.plane.authority()).context("read the control plane's authority")?;
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(&pem).context("read the control plane's authority")?])
            .timeout(A_CALL)
            .build()
            .context("prepare calls of the control plane")?;
        let api = Api { client, base: format!("{}/api/v1", world.plane.url()) };
        let admin_token = world.tokens.first().context("the admin's token")?;
        let admin = std::fs::read_to_string(admin_token).context("read the admin's token")?.trim().to_owned();
        let made = api.clone();
        let (_, mut people) = crowd((0..people).collect(), 8, move |number: usize| {
            let (api, admin) = (made.clone(), admin.clone());
            async move { Ok((number, api.person(&admin, number).await?)) }
        })
        .await?;
        people.sort();
        Ok(Self { api, people: people.into_iter().map(|(_, token)| token).collect() })
    }

    /// Waits until each of them is revoked, as their holders are shown it.
    pub async fn revoked(
        self: &Arc<Self>,
        held: Vec<(usize, String)>,
        at_a_time: usize,
    ) -> anyhow::Result<()> {
        let asking = self.clone();
        crowd(held, at_a_time, move |(number, id)| {
            let party = asking.clone();
            async move {
                let token = party.token(number)?;
                let asked =
                    party.api.call(token, Method::GET, &format!("requests/{id}"), Value::Null).await?;
                party.api.wait(token, asked, is_revoked).await
            }
        })
        .await
        .map(drop)
    }

    fn token(&self, number: usize) -> anyhow::Result<&str> {
        self.people.get(number).map(String::as_str).with_context(|| format!("nobody is number {number}"))
    }
}

fn is_revoked(seen: &Value) -> bool {
    seen.get("label").and_then(Value::as_str) == Some("Revoked")
}

impl Party for Ours {
    /// Whose, and which access.
    type Held = (usize, String);

    async fn grant(&self, number: usize) -> anyhow::Result<(usize, String)> {
        let token = self.token(number)?;
        let resource = json!({ "kind": "postgresql-table", "path": ["shop", "public", "orders"] });
        let body = json!({
            "integration": INTEGRATION,
            "entitlements": [{ "resource": resource, "permission": "READ_ONLY" }],
            "duration_seconds": 3600,
            "justification": "bench",
        });
        let asked = self.api.call(token, Method::POST, "requests", body).await?;
        let id = text_at(&asked, "/id")?;
        let is_open = |seen: &Value| {
            seen.get("state").and_then(Value::as_str) == Some("active")
                && seen.get("credential_ready") == Some(&Value::Bool(true))
        };
        self.api.wait(token, asked, is_open).await?;
        let path = format!("requests/{id}/credential");
        let credential = self.api.call(token, Method::GET, &path, Value::Null).await?;
        text_at(&credential, "/sealed/ciphertext")?;
        Ok((number, id))
    }

    async fn revoke(&self, (number, id): (usize, String)) -> anyhow::Result<()> {
        let token = self.token(number)?;
        let path = format!("requests/{id}/revoke");
        let asked = self.api.call(token, Method::POST, &path, json!({ "reason": "bench" })).await?;
        self.api.wait(token, asked, is_revoked).await
    }
}

impl Api {
    /// Makes a person who may ask, and gives their token.
    async fn person(&self, admin: &str, number: usize) -> anyhow::Result<String> {
        let email = format!("person{number}@example.org");
        let user = json!({ "email": email, "roles": ["requester"] });
        let user = text_at(&self.call(admin, Method::POST, "users", user).await?, "/id")?;
        let path = format!("users/{user}/tokens");
        let token = self.call(admin, Method::POST, &path, json!({ "name": "bench" })).await?;
        let token = text_at(&token, "/token")?;
        let key = SealingKey::generate().context("make a key")?;
        self.call(&token, Method::PUT, "me/key", json!({ "public_key": key.public().to_base64() })).await?;
        Ok(token)
    }

    /// Waits until a request is as wanted.
    async fn wait(&self, token: &str, asked: Value, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let id = text_at(&asked, "/id")?;
        let mut seen = asked;
        while !is_so(&seen) {
            if seen.get("over") == Some(&Value::Bool(true)) {
                bail!("{id} is over and not as wanted: {seen}");
            }
            let change = seen.get("change").and_then(Value::as_u64).context("a change")?;
            let path = format!("requests/{id}?after_change={change}&wait_seconds={HOLD}");
            seen = self.call(token, Method::GET, &path, Value::Null).await?;
        }
        Ok(())
    }

    async fn call(&self, token: &str, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let what = || format!("{method} {path} of the control plane");
        let mut call =
            self.client.request(method.clone(), format!("{}/{path}", self.base)).bearer_auth(token);
        if !body.is_null() {
            call = call.json(&body);
        }
        let answer = call.send().await.with_context(what)?;
        let status = answer.status();
        let text = answer.text().await.with_context(what)?;
        ensure!(status.is_success(), "{}: {status}: {text}", what());
        serde_json::from_str(&text).with_context(what)
    }
}
