//! What goes wrong in a world: a target that makes the agent wait.

use std::time::Duration;

use anyhow::Context as _;
use model::Secret;

use super::World;
use crate::clock;
use crate::psql::{Login, Session};

const BLOCKED: Duration = Duration::from_secs(30);

impl World {
    /// Logs in as the target's superuser and locks a table against writers until the session is dropped.
    pub async fn lock(&self, table: &str) -> anyhow::Result<Session> {
        let superuser = Login {
            program: self.desk().psql.clone(),
            port: self.target.port(),
            database: "postgres".into(),
            user: self.target.superuser().to_owned(),
            password: Secret::new(self.target.password().to_owned()),
            authority: self.target.ca_file(),
            runtime: self.desk().runtime.clone(),
        };
        let mut session = superuser.stay().await?;
        session.ask("begin").await?;
        session.ask(&format!("lock table {table} in exclusive mode")).await.context("lock a table")?;
        Ok(session)
    }

    /// Waits until the agent waits for a lock.
    pub async fn wait_blocked(&self) -> anyhow::Result<()> {
        let query = "select count(*) from pg_stat_activity
                     where wait_event_type = 'Lock' and application_name like 'tidegate/%'";
        clock::until("the agent waits for a lock", BLOCKED, async || {
            let count = tokio::task::block_in_place(|| self.target.psql("postgres", query))?;
            Ok((count.trim() != "0").then_some(()))
        })
        .await
    }
}
