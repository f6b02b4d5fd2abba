//! The agent as a process: its own folder with configuration, token, identity, journal and admin secrets.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail};
use model::Secret;
use serde_json::{Value, json};
use services::process::{self, Process, Start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::clock;
use crate::command::{self, Finished};
use crate::logs::Log;

const READY: Duration = Duration::from_secs(60);
/// How often a start is looked at: its time is measured.
const OFTEN: Duration = Duration::from_millis(2);
const STOPPED: Duration = Duration::from_secs(40);
const A_COMMAND: Duration = Duration::from_secs(60);

/// An agent with its folder.
#[derive(Debug)]
pub struct Agent {
    program: PathBuf,
    folder: PathBuf,
    /// Started by root as a user without rights.
    without_rights: bool,
    process: Option<Process>,
    admin: SocketAddr,
    log: Log,
}

/// What an agent is set up with.
#[derive(Clone, Debug)]
pub struct Setup<'a> {
    pub connector: &'a str,
    pub token_file: &'a Path,
    /// Where it dials, and the authority that the certificate there leads to.
    pub plane: SocketAddr,
    pub authority: &'a Path,
    pub log_level: &'a str,
    pub without_rights: bool,
    /// Further settings, each as `key=value`.
    pub settings: &'a [String],
}

impl Agent {
    /// Makes its folder with all that it needs, and its identity.
    pub async fn set_up(program: &Path, folder: &Path, setup: Setup<'_>) -> anyhow::Result<Self> {
        crate::private_folder(&folder.join("secrets"))?;
        let agent = Self {
            program: reachable(program, folder, setup.without_rights)?,
            folder: folder.to_owned(),
            without_rights: setup.without_rights,
            process: None,
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            log: Log::new(folder.join("agent.log")),
        };
        let token = std::fs::read_to_string(setup.token_file).context("read the connector's token")?;
        crate::private_file(&agent.folder.join("token"), &token)?;
        let authority = agent.folder.join("control-plane.pem");
        std::fs::copy(setup.authority, &authority).context("copy the authority")?;
        let mut settings = vec![
            format!("control_plane.ca_file={}", authority.display()),
            "control_plane.redial_most=1s".into(),
            format!("secrets.file_root={}", folder.join("secrets").display()),
            "admin.listen=127.0.0.1:0".into(),
            format!("log.level={}", setup.log_level),
            "log.format=json".into(),
        ];
        settings.extend(setup.settings.iter().cloned());
        let mut init = Command::new(&agent.program);
        init.args(["init", "--connector", setup.connector]);
        init.arg("--url").arg(format!("https://localhost:{}", setup.plane.port()));
        init.arg("--state").arg(folder).arg("--config").arg(agent.config()).env_clear();
        for setting in settings {
            init.arg("--set").arg(setting);
        }
        command::run(init, "", A_COMMAND).await?.ok().context("make the agent's identity")?;
        if agent.without_rights {
            process::hand_over(&agent.folder)?;
        }
        Ok(agent)
    }

    /// Puts an admin secret where only the agent may read it; gives the reference to it.
    pub fn keep_secret(&self, name: &str, user: &str, password: &Secret) -> anyhow::Result<String> {
        let path = self.folder.join("secrets").join(name);
        crate::private_file(&path, &json!({ "username": user, "password": password.expose() }).to_string())?;
        if self.without_rights {
            process::hand_over(&path)?;
        }
        Ok(format!("file://{name}"))
    }

    /// Starts it; returns when it says that it has started.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.start_with(&[], vec![]).await
    }

    /// Starts it with settings that win over its file's, each as `key=value`, and with variables of the environment.
    pub async fn start_set(&mut self, settings: &[String], env: &[(&str, &str)]) -> anyhow::Result<()> {
        let env = env.iter().map(|(name, value)| (*name, (*value).into())).collect();
        self.start_with(settings, env).await
    }

    /// Starts it so that it dies at a place, see `driver::crash`.
    pub async fn start_to_die(&mut self, at: &str) -> anyhow::Result<()> {
        self.start_with(&[], vec![("CRASH_TIDEGATE_AT", at.into())]).await
    }

    /// Starts it so that it stops at a place, see `driver::crash`, as if by SIGSTOP; [`Self::go_on`] lets it go on.
    pub async fn start_to_stop(&mut self, at: &str) -> anyhow::Result<()> {
        self.start_with(&[], vec![("STOP_TIDEGATE_AT", at.into())]).await
    }

    /// Waits until it is stopped.
    pub async fn wait_stopped(&self, limit: Duration) -> anyhow::Result<()> {
        let pid = self.pid().context("the agent does not run")?;
        clock::until("the agent is stopped at its place", limit, async || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("look at the agent")?;
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            Ok((state == Some('T')).then_some(()))
        })
        .await
    }

    /// Lets it go on after it was stopped.
    pub fn go_on(&self) -> anyhow::Result<()> {
        let pid = self.pid().context("the agent does not run")?.to_string();
        let told = std::process::Command::new("kill").args(["-CONT", &pid]).status().context("run kill")?;
        if !told.success() {
            bail!("the agent cannot be told to go on");
        }
        Ok(())
    }

    /// Waits until it has ended by itself, and gives its exit code.
    pub async fn wait_ended(&mut self, limit: Duration) -> anyhow::Result<Option<i32>> {
        let process = self.process.as_mut().context("the agent does not run")?;
        let status = clock::until("the agent has ended", limit, async || process.ended()).await?;
        self.process = None;
        Ok(status.code())
    }

    /// What its endpoint for readiness says: the report, and whether it is ready.
    pub async fn report(&self) -> anyhow::Result<Value> {
        let mut line = TcpStream::connect(self.admin).await.context("reach the admin endpoints")?;
        line.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        line.read_to_string(&mut answer).await?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer with a body")?;
        let start = body.find('{').context("a report")?;
        let end = body.rfind('}').context("a whole report")?;
        serde_json::from_str(body.get(start..=end).unwrap_or_default()).context("read the report")
    }

    /// Waits until its report has a mode.
    pub async fn wait_mode(&self, mode: &str, limit: Duration) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let seen = clock::until(&format!("the agent's mode is {mode}"), limit, async || {
            last = self.report().await?;
            Ok((last.get("mode") == Some(&Value::from(mode))).then(|| last.clone()))
        })
        .await;
        seen.with_context(|| format!("it said {last} last"))
    }

    /// Gets the keys of another agent in place of its own: it is an instance of the same connector.
    pub fn share_identity(&self, of: &Self) -> anyhow::Result<()> {
        let (from, to) = (of.identity(), self.identity());
        std::fs::remove_dir_all(&to).context("drop the new identity")?;
        crate::private_folder(&to)?;
        for entry in from.read_dir().context("read the identity")? {
            let path = entry.context("read the identity")?.path();
            let name = path.file_name().context("a file of the identity")?;
            std::fs::copy(&path, to.join(name)).context("copy the identity")?;
        }
        Ok(())
    }

    /// Whether it was killed since it was started; then it does not run any more.
    pub fn died(&mut self) -> anyhow::Result<bool> {
        let Some(process) = &mut self.process else { return Ok(true) };
        match process.ended()? {
            None => Ok(false),
            Some(status) if is_killed(status) => {
                self.process = None;
                Ok(true)
            }
            Some(status) => bail!("the agent ended with {status}; it said:\n{}", process.tail()),
        }
    }

    /// Puts forward what it takes for the wall clock and for the time since boot, now and from now on: also while it
    /// runs. Debug builds only, see `src/clock.rs` of the agent.
    pub fn set_clock(&self, wall: Duration, since_boot: Duration) -> anyhow::Result<()> {
        let fresh = self.folder.join("clock.fresh");
        std::fs::write(&fresh, format!("{} {}\n", wall.as_millis(), since_boot.as_millis()))?;
        std::fs::rename(fresh, self.clock()).context("set the agent's clock")
    }

    fn clock(&self) -> PathBuf {
        self.folder.join("clock")
    }

    async fn start_with(
        &mut self,
        settings: &[String],
        mut env: Vec<(&str, OsString)>,
    ) -> anyhow::Result<()> {
        if self.process.is_some() {
            bail!("this agent runs already");
        }
        env.push(("CLOCK_TIDEGATE_FILE", self.clock().into()));
        let from = self.log.end();
        let mut args: Vec<OsString> = vec!["run".into(), "--config".into(), self.config().into()];
        args.extend(settings.iter().flat_map(|setting| ["--set".into(), setting.into()]));
        let mut process = Process::start(Start {
            // The whole world's: nothing of it is to outlive us.
            folder: self.folder.parent().unwrap_or(&self.folder),
            log: self.log.path(),
            program: &self.program,
            args,
            env,
            without_rights: self.without_rights,
        })?;
        let admin = clock::until("the agent is started", READY, async || {
            if let Some(admin) = self.log.lines_after(from)?.iter().find_map(|line| started(line)) {
                return Ok(Some(admin));
            }
            match process.ended()? {
                None => Ok(None),
                Some(status) => {
                    bail!("the agent ended at its start with {status}; it said:\n{}", process.tail())
                }
            }
        })
        .await?;
        self.admin = admin.parse().with_context(|| format!("read the admin address {admin:?}"))?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until it says that it can open accesses.
    pub async fn wait_ready(&self) -> anyhow::Result<()> {
        clock::until_every(OFTEN, "the agent is ready", READY, async || {
            Ok(is_ready(self.admin).await.unwrap_or(false).then_some(()))
        })
        .await
    }

    /// Stops it in good order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = tokio::task::block_in_place(|| process.stop(STOPPED))?;
        if !status.success() {
            bail!("the agent stopped with {status}; it said:\n{}", process.tail());
        }
        Ok(())
    }

    /// Stops it in good order, unless it was killed before or dies on the way; returns whether it was.
    pub fn stop_or_died(&mut self) -> anyhow::Result<bool> {
        let Some(process) = &mut self.process else { return Ok(true) };
        let status = match process.ended()? {
            Some(status) => status,
            None => tokio::task::block_in_place(|| process.stop(STOPPED))?,
        };
        if !status.success() && !is_killed(status) {
            bail!("the agent stopped with {status}; it said:\n{}", process.tail());
        }
        self.process = None;
        Ok(is_killed(status))
    }

    /// Kills it as a power cut would.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => tokio::task::block_in_place(|| process.kill9()),
            None => Ok(()),
        }
    }

    /// Runs one of its other commands to the end.
    pub async fn tidegate<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Finished> {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--config").arg(self.config()).env_clear();
        command::run(command, "", A_COMMAND).await
    }

    /// The program that it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("tidegate.toml")
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its journal's folder.
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// Makes a new identity where the old one was lost, by a configuration that is thrown away.
    pub async fn new_identity(&self, connector: &str, state: &str, config: &str) -> anyhow::Result<()> {
        let mut init = Command::new(&self.program);
        init.args(["init", "--connector", connector, "--url", "https://localhost:1", "--state", state]);
        init.args(["--config", config]).env_clear();
        command::run(init, "", A_COMMAND).await?.ok().context("make a new identity")?;
        if self.without_rights {
            process::hand_over(&self.folder)?;
        }
        Ok(())
    }

    /// Loses its journal, which nobody uses, as a volume that is gone would.
    pub fn lose_journal(&self) -> anyhow::Result<()> {
        if self.process.is_some() {
            bail!("this agent runs, and has its journal open");
        }
        std::fs::remove_dir_all(self.journal()).context("lose the journal")
    }

    /// Copies its journal, which nobody uses, as a backup of the volume would.
    pub fn copy_journal(&self, to: &Path) -> anyhow::Result<()> {
        if self.process.is_some() {
            bail!("this agent runs, and writes its journal");
        }
        copy_files(&self.journal(), to).context("copy the journal")
    }

    /// Puts a copy of its journal back in the place of the journal.
    pub fn put_journal_back(&self, from: &Path) -> anyhow::Result<()> {
        self.lose_journal()?;
        copy_files(from, &self.journal()).context("put the journal back")?;
        if self.without_rights {
            process::hand_over(&self.folder)?;
        }
        Ok(())
    }

    /// Its keys' folder.
    pub fn identity(&self) -> PathBuf {
        self.folder.join("identity")
    }

    /// Where its admin endpoints are while it runs.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What it said.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

/// Copies a folder of files, as private as journals are.
fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    crate::private_folder(to)?;
    for entry in from.read_dir()? {
        let entry = entry?;
        // The local socket's folder is made anew.
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Whether a process, or the shell that minds it, says that it was killed.
fn is_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9) || status.code() == Some(137)
}

/// The admin address in the log's line that says that the agent has started.
pub fn started(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    let fields = value.get("fields").unwrap_or(&value);
    if fields.get("message")?.as_str()? != "Agent started" {
        return None;
    }
    fields.get("admin")?.as_str().map(str::to_owned)
}

/// Asks an agent at its admin address whether it can open accesses.
///
/// # Errors
/// When nobody answers there.
pub async fn is_ready(admin: SocketAddr) -> std::io::Result<bool> {
    let mut line = TcpStream::connect(admin).await?;
    line.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = [0; 12];
    line.read_exact(&mut answer).await?;
    Ok(&answer == b"HTTP/1.1 200")
}

/// A program's place that a user without rights can reach: another name for it, beside what is theirs.
fn reachable(program: &Path, folder: &Path, without_rights: bool) -> anyhow::Result<PathBuf> {
    if !without_rights {
        return Ok(program.to_owned());
    }
    let name = folder.with_file_name("tidegate");
    if std::fs::hard_link(program, &name).is_err() {
        std::fs::copy(program, &name).with_context(|| format!("copy {}", program.display()))?;
        std::fs::set_permissions(&name, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(name)
}
