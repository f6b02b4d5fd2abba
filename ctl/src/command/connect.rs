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
use tokio::signal::unix::{Signal as Hearing, SignalKind, signal};

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
  tidegatectl connect acc-0192 --database shop
  tidegatectl connect acc-0192 -- -c 'select count(*) from orders' --csv

Where the target's certificate is to be proven, psql believes the authorities that the integration names; set
PGSSLROOTCERT yourself for others. psql is told to prove the password by SCRAM and never to send it in clear (PGREQUIREAUTH, psql 16 and
later); set that variable yourself for a target that asks for another kind of proof.";

/// Variables with which psql would go elsewhere, or use another password.
const MISLEADING: [&str; 4] = ["PGPASSWORD", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"];

/// The exit code with which psql says that it has no connection, or lost it.
const NO_CONNECTION: i32 = 2;

/// Connect to the target of an access with psql
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list` shows it
    access: AccessId,
    /// Which database, when the access is on several [default: the first]
    #[arg(short, long, value_name = "NAME")]
    database: Option<String>,
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
    let target = Target::of(&args.access, args.database.as_deref(), &credential)?;
    let opened = confidential::open(&desk.home, &settings, &args.access, credential)?;
    known::accept(&desk.home, &opened.credential.integration, &target.host, target.port, args.new_target)?;
    let what = "run psql";
    // Signals are heard before there is a file that must not stay.
    let signals = Signals::hear().map_err(|fault| Fault::system(what, &fault))?;
    let (passfile, roots) = passfile(desk, &target, &opened)?;
    let mut psql = Command::new("psql");
    psql.arg("--no-password").arg("--dbname").arg(&target.uri).args(&args.args);
    for name in MISLEADING {
        psql.env_remove(name);
    }
    if desk.environment.require_auth.is_none() {
        psql.env("PGREQUIREAUTH", "scram-sha-256");
    }
    if let Roots::Integrations(path) = &roots {
        psql.env("PGSSLROOTCERT", path);
    }
    psql.env("PGPASSFILE", passfile.path()).stdin(Stdio::inherit()).kill_on_drop(true);
    let ended = match psql.spawn() {
        Ok(child) => signals.attend(child).await.map_err(|fault| Fault::system(what, &fault)),
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
            let way_out = match status.code() {
                Some(NO_CONNECTION) => roots.way_out(&args.access),
                _ => "see above what psql says".to_owned(),
            };
            Err(Fault::new(Exit::Failed, "finish in psql", format!("psql ended with {status}")).or(way_out))
        }
    }
}

/// Whose certificates psql believes.
enum Roots {
    /// Whose does not matter: the name of the server is not proven.
    Any,
    /// The person has said it.
    Persons,
    /// Those of the integration, in this file.
    Integrations(PathBuf),
    /// Those that psql finds by itself.
    Psqls,
}

impl Roots {
    /// What to look at when no connection came about.
    fn way_out(&self, access: &AccessId) -> String {
        let active = format!("see above; is the access still active? tidegatectl show {access}");
        match self {
            Self::Any => active,
            Self::Persons => format!("{active}; if a certificate is refused, correct or unset PGSSLROOTCERT"),
            Self::Integrations(_) => format!(
                "{active}; if a certificate is refused, an admin has to correct `ca_certificates` of the integration, or set PGSSLROOTCERT to the file of the target's authority yourself"
            ),
            Self::Psqls => format!(
                "{active}; the integration names no authority of its own: if a root certificate is missing or a certificate is refused, set PGSSLROOTCERT to the file of the target's authority, or to `system` for those of this machine (psql 16 and later)"
            ),
        }
    }
}

/// Where psql is to go.
struct Target {
    uri: String,
    /// psql is to prove whose certificate the server has.
    verifies: bool,
    host: String,
    port: u16,
}

impl Target {
    fn of(access: &AccessId, database: Option<&str>, credential: &Credential) -> Result<Self, Fault> {
        let what = format!("connect to {access}");
        let lines: Vec<(String, Url)> = credential
            .lines
            .iter()
            .filter_map(|line| Some((line.text.clone(), Url::parse(&line.text).ok()?)))
            .filter(|(_, url)| matches!(url.scheme(), "postgresql" | "postgres"))
            .collect();
        let names: Vec<String> = lines.iter().map(|(_, url)| named(url)).collect();
        let wanted = database.map_or(Some(0), |wanted| names.iter().position(|name| name == wanted));
        let Some((uri, url)) = wanted.and_then(|n| lines.into_iter().nth(n)) else {
            return Err(if names.is_empty() {
                Fault::new(Exit::Failed, what, "its target is not one for psql")
                    .or(format!("see how to connect with tidegatectl credential {access}"))
            } else {
                Fault::usage(
                    what,
                    "the access is on no such database",
                    format!("choose one of: {}", names.join(", ")),
                )
            });
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
        let verifies = url.query_pairs().any(|(key, value)| key == "sslmode" && value.starts_with("verify-"));
        Ok(Self { uri, verifies, host: host.to_owned(), port: url.port().unwrap_or(5432) })
    }
}

/// Returns the database that a connection line names.
fn named(url: &Url) -> String {
    let mut bytes = vec![];
    let mut rest = url.path().trim_start_matches('/').bytes();
    while let Some(byte) = rest.next() {
        let hex = |digit: Option<u8>| char::from(digit.unwrap_or(0)).to_digit(16);
        match (byte, hex(rest.clone().next()), hex(rest.clone().nth(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.extend(u8::try_from(high * 16 + low));
                rest.nth(1);
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_secret(key: &str) -> bool {
    matches!(key, "password" | "passfile" | "sslpassword")
}

/// Writes what psql reads: the password, and whose certificates it is to believe.
fn passfile(desk: &Desk<'_>, target: &Target, opened: &Opened) -> Result<(Passfile, Roots), Fault> {
    // The user's runtime folder lies in memory and is emptied when the user leaves.
    let runtime = desk.environment.runtime_dir.clone().filter(|folder| folder.is_dir());
    let base: PathBuf = runtime.unwrap_or_else(std::env::temp_dir);
    let fault = |fault| Fault::system(format!("write a password file below {}", base.display()), &fault);
    let credential = &opened.credential;
    let file = Passfile::write(&base, &target.host, target.port, &credential.account_name, &opened.clear)
        .map_err(fault)?;
    let roots = match &credential.ca_certificates {
        _ if !target.verifies => Roots::Any,
        _ if desk.environment.root_certificates.is_some() => Roots::Persons,
        Some(pem) => Roots::Integrations(file.add_authorities(pem).map_err(fault)?),
        None => Roots::Psqls,
    };
    Ok((file, roots))
}

enum Ended {
    Itself(ExitStatus),
    /// This command was told to stop, and told psql.
    Told(u8),
}

/// The signals that would end this command and leave the file behind.
struct Signals {
    interrupt: Hearing,
    quit: Hearing,
    terminate: Hearing,
    hangup: Hearing,
}

impl Signals {
    fn hear() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for psql. Keys like Ctrl-C reach psql itself; a signal to this command is passed on.
    async fn attend(mut self, mut child: Child) -> io::Result<Ended> {
        let mut told = None;
        loop {
            let (signal, number) = tokio::select! {
                status = child.wait() => {
                    let status = status?;
                    return Ok(told.map_or(Ended::Itself(status), Ended::Told));
                }
                _ = self.interrupt.recv() => continue,
                _ = self.quit.recv() => continue,
                _ = self.terminate.recv() => (Signal::TERM, 15),
                _ = self.hangup.recv() => (Signal::HUP, 1),
            };
            told = Some(number);
            if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
                kill_process(pid, signal)?;
            }
        }
    }
}
