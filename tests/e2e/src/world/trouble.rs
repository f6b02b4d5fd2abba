//! What goes wrong in a world: a target that makes the agent wait, is down, or comes back from a backup.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use model::Secret;
use services::postgres::Mode;

use super::{CONNECTOR, World};
use crate::agent::{Agent, Setup};
use crate::programs::Programs;
use crate::psql::{Login, Session};
use crate::{clock, shop};

const BLOCKED: Duration = Duration::from_secs(30);

impl World {
    /// Logs in as the target's superuser, in a session that stays.
    pub async fn superuser(&self, database: &str) -> anyhow::Result<Session> {
        let superuser = Login {
            program: self.desk().psql.clone(),
            port: self.target.port(),
            database: database.into(),
            user: self.target.superuser().to_owned(),
            password: Secret::new(self.target.password().to_owned()),
            authority: self.target.speaks_tls().then(|| self.target.ca_file()),
            runtime: self.desk().runtime.clone(),
        };
        superuser.stay().await
    }

    /// Logs in as the target's superuser and locks a table against writers until the session is dropped.
    pub async fn lock(&self, table: &str) -> anyhow::Result<Session> {
        let mut session = self.superuser("postgres").await?;
        session.ask("begin").await?;
        session.ask(&format!("lock table {table} in exclusive mode")).await.context("lock a table")?;
        Ok(session)
    }

    /// Stops the target's server as an outage would.
    pub fn stop_target(&self) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.target.stop(Mode::Immediate)).context("stop the target")
    }

    /// Starts the target's server again.
    pub fn start_target(&self) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.target.start()).context("start the target")
    }

    /// Copies the target's files while it is down for a moment; gives where the copy is.
    pub fn back_up_target(&self) -> anyhow::Result<PathBuf> {
        let copy = self.target.folder().join("backup");
        self.stop_target()?;
        copy_folder(&self.target.data_dir(), &copy)?;
        self.start_target()?;
        Ok(copy)
    }

    /// Puts a copy in the place of the target's files.
    pub fn restore_target(&self, copy: &Path) -> anyhow::Result<()> {
        self.stop_target()?;
        std::fs::remove_dir_all(self.target.data_dir()).context("remove the target's files")?;
        copy_folder(copy, &self.target.data_dir())?;
        self.start_target()
    }

    /// Puts another system, with the same tables and the same admin, in the target's place; gives where the former one is.
    pub fn replace_target(&self) -> anyhow::Result<PathBuf> {
        tokio::task::block_in_place(|| {
            let former = self.target.replace()?;
            shop::fill(&self.target)?;
            shop::make_admin(&self.target, self.ground.admin, self.agent.program(), &self.admin_password)?;
            anyhow::Ok(former)
        })
        .context("replace the target")
    }

    /// Puts the former target back in its place.
    pub fn put_target_back(&self, former: &Path) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| self.target.put_back(former)).context("put the target back")
    }

    /// Copies the control plane's data while it is down for a moment; gives where the copy is.
    pub async fn back_up_plane(&mut self) -> anyhow::Result<PathBuf> {
        let copy = self.folder().path().join("control-backup");
        self.plane.stop()?;
        copy_folder(&self.plane.data(), &copy)?;
        self.plane.start().await?;
        Ok(copy)
    }

    /// Puts a copy in the place of the control plane's data.
    pub async fn restore_plane(&mut self, copy: &Path) -> anyhow::Result<()> {
        self.plane.stop()?;
        std::fs::remove_dir_all(self.plane.data()).context("remove the control plane's data")?;
        copy_folder(copy, &self.plane.data())?;
        self.plane.start().await
    }

    /// Makes a copy of the whole agent, which does not run: its keys, its journal as it is, its secrets. It is started by
    /// whoever wants to see what becomes of two.
    pub async fn clone_agent(&self) -> anyhow::Result<Agent> {
        let programs = Programs::find()?;
        let token_file = self.folder().path().join("people").join("connector.token");
        let proxy = self.proxy.as_ref().context("a proxy between agent and control plane")?;
        let authority = self.folder().path().join("proxy-ca.pem");
        let setup = Setup {
            connector: CONNECTOR,
            token_file: &token_file,
            plane: proxy.address(),
            authority: &authority,
            log_level: "info",
            without_rights: false,
            settings: &[],
        };
        let clone = Agent::set_up(&programs.agent, &self.folder().path().join("clone"), setup).await?;
        clone.share_identity(&self.agent)?;
        self.agent.copy_journal(&clone.journal())?;
        clone.keep_secret("shop.json", shop::ADMIN, &self.admin_password)?;
        Ok(clone)
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

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().context("run cp")?;
    ensure!(copied.success(), "copy {} to {}: {copied}", from.display(), to.display());
    Ok(())
}
