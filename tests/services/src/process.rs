//! A program of ours as a process that does not outlive us: the agent, the control plane.
//!
//! Promises: what it says on both outputs is in one file; it sees nothing of our own environment but the search path; it
//! ends when the value is dropped, and also when the holding process is killed with `kill -9`, and then the folder goes
//! with it. Leaves to others: what it is and when it is ready.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;

use crate::folder::Folder;
use crate::keeper::{self, Keeper, Signal};
use crate::run;
use crate::runas::RunAs;

/// How long a process may take to end in good order when it is dropped.
const ENDED: Duration = Duration::from_secs(20);

/// What to start.
#[derive(Debug)]
pub struct Start<'a> {
    /// Where it works; removed only when we are killed.
    pub folder: &'a Path,
    /// Gets what it says; appended to.
    pub log: &'a Path,
    pub program: &'a Path,
    pub args: Vec<OsString>,
    pub env: Vec<(&'a str, OsString)>,
    /// Whether root starts it as a user without rights. Others start it as themselves in any case.
    pub without_rights: bool,
}

/// A running, or just ended, process.
#[derive(Debug)]
pub struct Process {
    keeper: Keeper,
    log: PathBuf,
    name: String,
}

impl Process {
    /// Starts it.
    pub fn start(start: Start<'_>) -> anyhow::Result<Self> {
        let keeper = Keeper::spawn(keeper::Order {
            folder: start.folder,
            log: start.log,
            run_as: if start.without_rights { RunAs::not_root()? } else { RunAs::Caller },
            stop: Signal::Term,
            program: start.program,
            args: start.args,
            env: start.env,
            clean: true,
        })?;
        let name = start.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { keeper, log: start.log.to_owned(), name })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.keeper.server()
    }

    /// The process id of the shell that minds it.
    pub fn keeper_pid(&self) -> u32 {
        self.keeper.shell()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.keeper.ended()
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.keeper.wait(within).with_context(|| format!("wait for the end of {}", self.name))
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub fn stop(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.keeper.signal(Signal::Term)?;
        self.keeper.wait(within).with_context(|| format!("stop {}; it said:\n{}", self.name, self.tail()))
    }

    /// Asks it to read its files again (SIGHUP).
    pub fn reload(&mut self) -> anyhow::Result<()> {
        self.keeper.signal(Signal::Hup)
    }

    /// Kills it and its children as a power cut would.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        self.keeper.kill_all().with_context(|| format!("kill {}", self.name))
    }

    /// The last part of what it said.
    pub fn tail(&self) -> String {
        run::tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let stopped = self.keeper.signal(Signal::Term).and_then(|()| self.keeper.wait(ENDED).map(drop));
        if stopped.is_err() {
            // The life line, cut when the keeper is dropped, is the last resort.
            let _cut_next = self.keeper.kill_all();
        }
    }
}

/// Makes a folder with all that is in it belong to the user without rights that root starts processes as.
pub fn hand_over(folder: &Path) -> anyhow::Result<()> {
    let user = RunAs::not_root()?;
    let mut rest = vec![folder.to_owned()];
    while let Some(path) = rest.pop() {
        user.own(&path)?;
        if path.is_dir() {
            for entry in path.read_dir().with_context(|| format!("read {}", path.display()))? {
                rest.push(entry.with_context(|| format!("read {}", path.display()))?.path());
            }
        }
    }
    Ok(())
}

/// Makes a folder in which a process may work, whoever it runs as: others may enter it, and not look around.
pub fn workplace(kind: &str) -> anyhow::Result<Folder> {
    let folder = Folder::fresh(kind, RunAs::Caller)?;
    crate::folder::set_mode(folder.path(), 0o711)?;
    Ok(folder)
}
