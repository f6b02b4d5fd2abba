//! Keeps one server process: it ends when its holder ends, however that end comes.
//!
//! Between the holder and the server stands a small shell whose standard input is the holder's life line. When the line
//! is cut — dropped, or the holder was killed with `kill -9` — the shell stops the server and removes its folder. When
//! the shell itself is killed, the server gets a signal from the kernel (`setpriv --pdeathsig`, Linux only). A signal
//! from the kernel alone would not do: it comes when the *thread* that started the child ends, which in a test is soon.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::clock::wait_until;
use crate::runas::RunAs;

/// Arguments: the folder to remove, the signal that stops the server, then the server's own words.
const SCRIPT: &str = r#"
folder=$1 stop=$2
shift 2
exec 3<&0 </dev/null
"$@" 3<&- >&2 &
server=$!
echo "$server"
exec >&2
(
    read -r _ <&3
    true >"$folder/.cut"
    kill -s "$stop" "$server"
    looks=0
    while kill -s 0 "$server" && [ "$looks" -lt 100 ]; do
        looks=$((looks + 1))
        sleep 0.1
    done
    kill -s KILL "$server"
) 2>/dev/null &
watch=$!
wait "$server"
code=$?
kill "$watch" 2>/dev/null
[ -e "$folder/.cut" ] && rm -rf "$folder"
exit "$code"
"#;

/// A signal to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Hup,
    Int,
    Kill,
    Quit,
    Term,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hup => "HUP",
            Self::Int => "INT",
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
            Self::Term => "TERM",
        }
    }
}

/// What to keep.
pub(crate) struct Order<'a> {
    /// Removed when the holder is gone.
    pub(crate) folder: &'a Path,
    /// Gets what the server says on both outputs.
    pub(crate) log: &'a Path,
    pub(crate) run_as: RunAs,
    /// Ends the server in good order.
    pub(crate) stop: Signal,
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'a str, OsString)>,
    /// Whether the process sees nothing of our own environment but the search path.
    pub(crate) clean: bool,
}

/// A running, or just ended, server and the shell that minds it.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
    server: u32,
}

impl Keeper {
    pub(crate) fn spawn(order: Order<'_>) -> anyhow::Result<Self> {
        let name = order.program.display();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(order.log)
            .with_context(|| format!("open the log of {name}"))?;
        order.run_as.own(order.log)?;
        let mut command = Command::new("sh");
        if order.clean {
            command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        }
        let mut shell = command
            .arg("-c")
            .arg(SCRIPT)
            .arg("keeper")
            .arg(order.folder)
            .arg(order.stop.name())
            .args(order.run_as.prefix(order.stop.name())?)
            .arg(order.program)
            .args(order.args)
            .envs(order.env)
            .current_dir(order.folder)
            // Ctrl-C at a terminal goes to the holder alone: it decides in which order things end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        let mut first = String::new();
        if let Some(out) = shell.stdout.take() {
            BufReader::new(out)
                .read_line(&mut first)
                .with_context(|| format!("learn the process id of {name}"))?;
        }
        let server =
            first.trim().parse().with_context(|| format!("learn the process id of {name} from {first:?}"))?;
        Ok(Self { shell, server })
    }

    /// The server's process id.
    pub(crate) fn server(&self) -> u32 {
        self.server
    }

    /// The process id of the shell between us and the server.
    pub(crate) fn shell(&self) -> u32 {
        self.shell.id()
    }

    /// How the server ended, if it did.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.shell.try_wait().context("ask whether a server ended")
    }

    pub(crate) fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        wait_until("a server ends", within, || self.ended())
    }

    /// Sends a signal to the server alone. A server that has ended gets none.
    pub(crate) fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.ended()?.is_none() {
            send(signal, &[self.server])?;
        }
        Ok(())
    }

    /// Kills the server and its children as a power cut would.
    pub(crate) fn kill_all(&mut self) -> anyhow::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let children = children(self.server);
        send(Signal::Kill, &[self.server])?;
        // The server's children may notice by themselves and be gone already.
        send(Signal::Kill, &children)?;
        self.wait(Duration::from_secs(10))?;
        wait_until("the children of a killed server are gone", Duration::from_secs(10), || {
            Ok(children.iter().all(|child| !is_alive(*child)).then_some(()))
        })
    }
}

/// Sends a signal; processes that are gone are passed over.
fn send(signal: Signal, processes: &[u32]) -> anyhow::Result<()> {
    let script =
        "signal=$1; shift; for process; do kill -s \"$signal\" \"$process\" 2>/dev/null; done; exit 0";
    Command::new("sh")
        .args(["-c", script, "send", signal.name()])
        .args(processes.iter().map(u32::to_string))
        .stdin(Stdio::null())
        .status()
        .context("send a signal to a server")?;
    Ok(())
}

/// The children of a process, as far as the kernel tells (Linux).
fn children(of: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a process runs; one that ended but was not collected by its parent does not.
fn is_alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| {
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']))
    })
}
