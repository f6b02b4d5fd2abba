//! The control plane as a process: started, killed, started again on the same addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use services::process::{Process, Start};
use tokio::process::Command;

use crate::clock;
use crate::command::{self, text_at};
use crate::logs::Log;

const READY: Duration = Duration::from_secs(60);
const STOPPED: Duration = Duration::from_secs(30);
const A_COMMAND: Duration = Duration::from_secs(60);

/// A control plane with its data folder.
#[derive(Debug)]
pub struct Plane {
    program: PathBuf,
    folder: PathBuf,
    level: String,
    process: Option<Process>,
    /// Where agents dial and where the REST API is; port 0 before the first start.
    agents: SocketAddr,
    people: SocketAddr,
    authority: PathBuf,
    log: Log,
}

impl Plane {
    /// Prepares one in `folder`, which is made.
    pub fn new(program: &Path, folder: &Path, level: &str) -> anyhow::Result<Self> {
        crate::private_folder(folder)?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            level: level.to_owned(),
            process: None,
            agents: any,
            people: any,
            authority: PathBuf::new(),
            log: Log::new(folder.join("control.log")),
        })
    }

    /// Makes the first admin and gives the file of the admin's token. Only while it does not run.
    pub async fn bootstrap(&self, email: &str) -> anyhow::Result<PathBuf> {
        let file = self.folder.join("admin.token");
        let mut bootstrap = Command::new(&self.program);
        bootstrap
            .arg("bootstrap")
            .arg("--data")
            .arg(self.data())
            .args(["--admin", email, "--out"])
            .arg(&file);
        bootstrap.env_clear();
        command::run(bootstrap, "", A_COMMAND).await?.ok().context("make the first admin")?;
        Ok(file)
    }

    /// Starts it; returns when it says that it is ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        if self.process.is_some() {
            bail!("this control plane runs already");
        }
        let mut from = self.log.end();
        let mut process = self.spawn()?;
        let ready = clock::until("the control plane is ready", READY, async || {
            if let Some(line) = self.log.lines_after(from)?.iter().find_map(|line| ready(line)) {
                return Ok(Some(line));
            }
            if process.ended()?.is_some() {
                // A client's connection may hold the port for a moment.
                if !process.tail().contains("cannot listen on") {
                    bail!("the control plane ended at its start; it said:\n{}", process.tail());
                }
                from = self.log.end();
                process = self.spawn()?;
            }
            Ok(None)
        })
        .await?;
        let address = |at: &str| -> anyhow::Result<SocketAddr> {
            text_at(&ready, at)?.parse().with_context(|| format!("read the address at {at}"))
        };
        self.people = address("/http")?;
        self.agents = address("/grpc")?;
        self.authority = text_at(&ready, "/ca_file")?.into();
        self.process = Some(process);
        Ok(())
    }

    /// Stops it in good order.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = tokio::task::block_in_place(|| process.stop(STOPPED))?;
        if !status.success() {
            bail!("the control plane stopped with {status}; it said:\n{}", process.tail());
        }
        Ok(())
    }

    /// Kills it as a power cut would.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(mut process) => tokio::task::block_in_place(|| process.kill9()),
            None => Ok(()),
        }
    }

    /// Where agents dial.
    pub fn agents(&self) -> SocketAddr {
        self.agents
    }

    /// The address for people's tools.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.people.port())
    }

    /// The certificate of the authority that signed the server's certificate.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Where it keeps what it knows.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// What it said.
    pub fn log(&self) -> &Log {
        &self.log
    }

    fn spawn(&self) -> anyhow::Result<Process> {
        let args = ["serve", "--dev", "--grpc", &self.agents.to_string(), "--http", &self.people.to_string()];
        let mut args: Vec<_> = args.iter().map(|&arg| arg.into()).collect();
        args.extend(["--data".into(), self.data().into()]);
        Process::start(Start {
            // The whole world's: nothing of it is to outlive us.
            folder: self.folder.parent().unwrap_or(&self.folder),
            log: self.log.path(),
            program: &self.program,
            args,
            env: vec![("TIDEGATE_LOG", self.level.clone().into())],
            without_rights: false,
        })
    }
}

fn ready(line: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(line).ok()?;
    (value.get("event")?.as_str()? == "ready").then_some(value)
}
