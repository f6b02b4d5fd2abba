//! The agent of a storm: the whole agent as a process, linked with made-up targets; its folder, its log, its end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use e2e::agent::{is_ready, started};
use e2e::clock::{Watch, until_every};
use e2e::logs::Log;
use e2e::{private_file, private_folder};
use services::process::{Process, Start};

use crate::plane::TOKEN;

/// The name of its program.
pub const PROGRAM: &str = "storm-agent";
/// The connector.
pub const CONNECTOR: &str = "storm";
/// How long a start may take, with very much to resume on a busy machine.
const STARTED: Duration = Duration::from_secs(120);
const STOPPED: Duration = Duration::from_secs(60);
/// How often a start is looked at: its time is measured.
const OFTEN: Duration = Duration::from_millis(2);

/// An agent with its folder.
pub struct Agent {
    program: PathBuf,
    folder: PathBuf,
    process: Option<Process>,
}

/// How long a start took.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// Until it said that it has started.
    pub started: Duration,
    /// Until it said that it is ready to open accesses.
    pub ready: Duration,
}

impl Agent {
    /// Makes its identity, configuration, token and admin secrets in a folder that is there.
    pub fn set_up(program: &Path, folder: &Path, plane: &str, targets: usize) -> anyhow::Result<Self> {
        let agent = Self { program: program.to_owned(), folder: folder.to_owned(), process: None };
        private_folder(&agent.secrets())?;
        for target in 0..targets {
            let name = format!("{}.json", target_name(target));
            private_file(&agent.secrets().join(name), r#"{"password":"storm"}"#)?;
            private_folder(&agent.target(target))?;
        }
        private_file(&folder.join("token"), TOKEN)?;
        let settings = [
            "control_plane.allow_plain_http=true".to_owned(),
            "control_plane.redial_most=1s".to_owned(),
            format!("secrets.file_root={}", agent.secrets().display()),
            "admin.listen=127.0.0.1:0".to_owned(),
            // As its users run it.
            "log.level=info".to_owned(),
            "log.format=json".to_owned(),
        ];
        let mut init = Command::new(program);
        init.env_clear().args(["init", "--connector", CONNECTOR, "--url", plane]);
        init.arg("--state").arg(folder.join("state")).arg("--config").arg(agent.config());
        for setting in settings {
            init.arg("--set").arg(setting);
        }
        let done = init.output().with_context(|| format!("start {}", program.display()))?;
        if !done.status.success() {
            bail!("the agent's identity could not be made: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(agent)
    }

    /// Keeps another admin secret.
    pub fn keep_secret(&self, name: &str, text: &str) -> anyhow::Result<()> {
        private_file(&self.secrets().join(name), text)
    }

    /// Where a target keeps its accounts.
    pub fn target(&self, target: usize) -> PathBuf {
        self.folder.join("targets").join(target_name(target))
    }

    /// Starts it; returns when it is ready.
    pub async fn start(&mut self) -> anyhow::Result<Begun> {
        if self.process.is_some() {
            bail!("this agent runs already");
        }
        let log = Log::new(self.folder.join("agent.log"));
        let from = log.end();
        let args: Vec<OsString> = vec!["run".into(), "--config".into(), self.config().into()];
        let watch = Watch::start();
        let mut process = tokio::task::block_in_place(|| {
            let (folder, program) = (self.folder.as_path(), self.program.as_path());
            Process::start(Start {
                folder,
                log: log.path(),
                program,
                args,
                env: vec![],
                without_rights: false,
            })
        })?;
        let admin = until_every(OFTEN, "the agent is started", STARTED, async || {
            if let Some(admin) = log.lines_after(from)?.iter().find_map(|line| started(line)) {
                let admin: SocketAddr =
                    admin.parse().with_context(|| format!("read the admin address {admin:?}"))?;
                return Ok(Some(admin));
            }
            match process.ended()? {
                None => Ok(None),
                Some(status) => bail!("the agent ended at its start with {status}: {}", process.tail()),
            }
        })
        .await?;
        let started = watch.elapsed();
        until_every(OFTEN, "the agent is ready", STARTED, async || {
            Ok(is_ready(admin).await.unwrap_or(false).then_some(()))
        })
        .await?;
        self.process = Some(process);
        Ok(Begun { started, ready: watch.elapsed() })
    }

    /// Kills it as a power cut would.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => tokio::task::block_in_place(|| process.kill9()),
            None => Ok(()),
        }
    }

    /// Stops it in good order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = tokio::task::block_in_place(|| process.stop(STOPPED))?;
        if !status.success() {
            bail!("the agent stopped with {status}: {}", process.tail());
        }
        Ok(())
    }

    /// Its process id.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.process.as_ref().map(Process::pid).context("the agent does not run")
    }

    /// The last part of what it said.
    pub fn tail(&self) -> String {
        self.process.as_ref().map(Process::tail).unwrap_or_default()
    }

    fn config(&self) -> PathBuf {
        self.folder.join("tidegate.toml")
    }

    fn secrets(&self) -> PathBuf {
        self.folder.join("secrets")
    }
}

/// The name of a target: its integration's id, its secret's, its host's first part.
pub fn target_name(target: usize) -> String {
    format!("t-{target:03}")
}
