//! `connect`: runs psql with the credential of an access.
//!
//! psql gets the password by a file that only this user may read, for the one target; its name stands in
//! the environment, nothing secret does, and nothing in the arguments. The file goes away with psql, also
//! when this command is told to stop.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use model::AccessId;
use reqwest::Url;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::Desk;
use crate::confidential::{self, Opened};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::known;
use crate::passfile::Passfile;
use crate::shape::Credential;

const EXAMPLES: &str = "\
Examples:
  tidegatectl connect acc-0192
  tidegatectl connect acc-0192 -- -c 'select count(*) from orders' --csv

psql is told to prove the password by SCRAM and never to send it in clear (PGREQUIREAUTH, psql 16 and
later); set that variable yourself for a target that asks for another kind of proof.";

/// Variables with which psql would go elsewhere, or use another password.
const MISLEADING: [&str; 5] = ["PGPASSWORD", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE", "PGOPTIONS"];

/// Connect to the target of an access with psql
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list` shows it
    access: AccessId,
    /// Follow the integration's target to another host or port than at the first connect
    #[arg(long)]
    new_target: bool,
    /// Arguments for psql, after `--`
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, settings) = desk.api()?;
    let (credential, _) = confidential::sealed(&api, &args.access).await?;
    let target = Target::of(&args.access, &credential)?;
    known::accept(&desk.home, &credential.integration, &target.host, target.port, args.new_target)?;
    let opened = confidential::open(&desk.home, &settings, &args.access, credential)?;
    let passfile = passfile(desk, &target, &opened)?;
    let what = "run psql";
    let mut psql = Command::new("psql");
    psql.arg("--no-password").arg("--dbname").arg(&target.uri).args(&args.args);
    for name in MISLEADING {
        psql.env_remove(name);
    }
    if desk.environment.require_auth.is_none() {
        psql.env("PGREQUIREAUTH", "scram-sha-256");
    }
    psql.env("PGPASSFILE", passfile.path()).stdin(Stdio::inherit()).kill_on_drop(true);
    let ended = match psql.spawn() {
        Ok(child) => attend(child).await.map_err(|fault| Fault::system(what, &fault)),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Err(Fault::new(
            Exit::Failed,
            what,
            "psql is not installed",
        )
        .or("install it: apt-get install postgresql-client, dnf install postgresql, or brew install libpq")),
        Err(fault) => Err(Fault::system(what, &fault)),
    };
    passfile.remove().map_err(|fault| Fault::system("remove the password file", &fault))?;
    match ended? {
        Ended::Told(signal) => Ok(Exit::Signal(signal)),
        Ended::Itself(status) if status.success() => Ok(Exit::Ok),
        Ended::Itself(status) => {
            Err(Fault::new(Exit::Failed, "finish in psql", format!("psql ended with {status}"))
                .or(format!("see above; is the access still active? tidegatectl show {}", args.access)))
        }
    }
}

/// Where psql is to go.
struct Target {
    uri: String,
    host: String,
    port: u16,
}

impl Target {
    fn of(access: &AccessId, credential: &Credential) -> Result<Self, Fault> {
        let what = format!("connect to {access}");
        let found = credential.lines.iter().find_map(|line| {
            let url = Url::parse(&line.text).ok()?;
            matches!(url.scheme(), "postgresql" | "postgres").then_some((line.text.clone(), url))
        });
        let Some((uri, url)) = found else {
            return Err(Fault::new(Exit::Failed, what, "its target is not one for psql")
                .or(format!("see how to connect with tidegatectl credential {access}")));
        };
        let odd =
            |why: &str| Fault::new(Exit::Failed, what.clone(), why).or("tell an admin of the integration");
        if url.password().is_some() || url.query_pairs().any(|(key, _)| is_secret(&key)) {
            return Err(odd("the connection line has a password or names a file of one"));
        }
        if url.query_pairs().any(|(key, _)| matches!(&*key, "host" | "hostaddr" | "port" | "service")) {
            return Err(odd("the connection line names its host twice"));
        }
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let plain = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
        if !plain {
            return Err(odd("the connection line has no host"));
        }
        Ok(Self { uri, host: host.to_owned(), port: url.port().unwrap_or(5432) })
    }
}

fn is_secret(key: &str) -> bool {
    matches!(key, "password" | "passfile" | "sslpassword")
}

fn passfile(desk: &Desk<'_>, target: &Target, opened: &Opened) -> Result<Passfile, Fault> {
    // The user's runtime folder lies in memory and is emptied when the user leaves.
    let runtime = desk.environment.runtime_dir.clone().filter(|folder| folder.is_dir());
    let base: PathBuf = runtime.unwrap_or_else(std::env::temp_dir);
    Passfile::write(&base, &target.host, target.port, &opened.credential.account_name, &opened.clear)
        .map_err(|fault| Fault::system(format!("write a password file below {}", base.display()), &fault))
}

enum Ended {
    Itself(ExitStatus),
    /// This command was told to stop, and told psql.
    Told(u8),
}

/// Waits for psql. Keys like Ctrl-C reach psql itself; a signal to this command is passed on.
async fn attend(mut child: Child) -> io::Result<Ended> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut told = None;
    loop {
        let passed = tokio::select! {
            status = child.wait() => {
                let status = status?;
                return Ok(told.map_or(Ended::Itself(status), Ended::Told));
            }
            _ = interrupt.recv() => continue,
            _ = quit.recv() => continue,
            _ = terminate.recv() => (Signal::TERM, 15),
            _ = hangup.recv() => (Signal::HUP, 1),
        };
        let (signal, number) = passed;
        told = Some(number);
        if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            kill_process(pid, signal)?;
        }
    }
}
