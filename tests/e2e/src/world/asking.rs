//! What people do in a world: ask, decide, read the credential, use it, give it back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use model::Secret;
use serde_json::Value;

use super::{INTEGRATION, World};
use crate::clock;
use crate::command::{Finished, text_at};
use crate::person::Person;
use crate::psql::Login;
use crate::shop;

/// Within this an access is open that nothing stands in the way of.
const OPEN: Duration = Duration::from_secs(60);

/// An access, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access(pub String);

/// A credential as its grantee opened it.
#[derive(Debug)]
pub struct Credential {
    pub account: String,
    pub password: Secret,
    pub generation: u64,
}

impl World {
    /// The requester asks for reading a resource.
    pub async fn request(&self, resource: &str, span: &str) -> anyhow::Result<Access> {
        self.request_as(&self.requester, resource, "READ_ONLY", span).await
    }

    /// Somebody asks for a permission on a resource.
    pub async fn request_as(
        &self,
        person: &Person,
        resource: &str,
        permission: &str,
        span: &str,
    ) -> anyhow::Result<Access> {
        let asked =
            ["request", resource, "--permission", permission, "--for", span, "--reason", "ticket 4711"];
        let mut asked = asked.to_vec();
        asked.extend(["--integration", INTEGRATION]);
        let answer = person.ask(asked).await?;
        Ok(Access(text_at(&answer, "/id")?))
    }

    /// The requester asks for reading a resource where nobody has to approve it, has it opened, and takes the credential.
    pub async fn opened(&self, resource: &str, span: &str) -> anyhow::Result<(Access, Credential)> {
        let access = self.request(resource, span).await?;
        self.wait_label(&access, "Active", OPEN).await?;
        let credential = self.credential(&access).await?;
        Ok((access, credential))
    }

    /// The approver approves.
    pub async fn approve(&self, access: &Access) -> anyhow::Result<()> {
        self.approver.ask(["approve", &access.0, "--reason", "as discussed"]).await?;
        Ok(())
    }

    /// The requester gives an access back.
    pub async fn revoke(&self, access: &Access) -> anyhow::Result<()> {
        self.requester.ask(["revoke", &access.0, "--reason", "done"]).await?;
        Ok(())
    }

    /// What the control plane tells of an access.
    pub async fn show(&self, access: &Access) -> anyhow::Result<Value> {
        self.admin.ask(["show", &access.0]).await
    }

    /// Waits until an access has a label, and gives what the control plane tells of it. A label from which there is no
    /// way to the wanted one ends the wait.
    pub async fn wait_label(&self, access: &Access, label: &str, limit: Duration) -> anyhow::Result<Value> {
        let mut last = String::new();
        let seen = clock::until(&format!("{} is {label}", access.0), limit, async || {
            let shown = self.show(access).await?;
            last = text_at(&shown, "/label")?;
            if last == label {
                return Ok(Some(shown));
            }
            if shown.get("over") == Some(&Value::Bool(true)) {
                bail!("{} is {last} for good, not {label}: {shown}", access.0);
            }
            Ok(None)
        })
        .await;
        seen.with_context(|| format!("it was {last} last"))
    }

    /// The requester opens the credential of an access.
    pub async fn credential(&self, access: &Access) -> anyhow::Result<Credential> {
        let opened = self.requester.ask(["credential", &access.0]).await?;
        Ok(Credential {
            account: text_at(&opened, "/account_name")?,
            password: Secret::new(text_at(&opened, "/password")?),
            generation: opened.pointer("/generation").and_then(Value::as_u64).context("a generation")?,
        })
    }

    /// A login at the target with a credential, without help of the product.
    pub fn login(&self, credential: &Credential) -> Login {
        Login {
            program: self.desk().psql.clone(),
            port: self.target.port(),
            database: shop::DATABASE.into(),
            user: credential.account.clone(),
            password: credential.password.duplicate(),
            authority: self.target.speaks_tls().then(|| self.target.ca_file()),
            runtime: self.desk().runtime.clone(),
        }
    }

    /// The requester runs a statement by `tidegatectl connect`.
    pub async fn connect(&self, access: &Access, statement: &str) -> anyhow::Result<Finished> {
        self.requester.ctl(["connect", &access.0, "--", "-X", "-A", "-t", "-c", statement]).await
    }
}
