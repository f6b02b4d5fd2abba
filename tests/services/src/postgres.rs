//! A private PostgreSQL: a fresh cluster in a folder of its own, TLS on, an administrator with a random password; or a
//! standby of one.
//!
//! Promises: `launch` returns when the server answers; the port stays the same over stops and starts; dropping the value
//! ends the server and removes the folder. Leaves to others: databases, roles, and everything else inside.

mod dump;
mod find;
mod ground;
mod settings;
mod standby;

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::clock::{Deadline, wait_until};
use crate::folder::Folder;
use crate::install::{self, Need};
use crate::keeper::{self, Keeper, Signal};
use crate::runas::RunAs;
use crate::{ports, random, run, tls};

pub(crate) use find::bin_dir as find_bin_dir;
pub use ground::{Admin, Ground, Server};
pub use settings::{LogStatement, Options, Tls};

/// The administrator of every private server.
pub const SUPERUSER: &str = "tidegate_admin";

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PORT_TRIES: usize = 5;
const MAKING: Duration = Duration::from_secs(120);
const READY: Duration = Duration::from_secs(60);
const ENDED: Duration = Duration::from_secs(60);
const A_SQL_CALL: Duration = Duration::from_secs(120);

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// When the last client has gone.
    Smart,
    /// After ending the sessions.
    Fast,
    /// At once; the next start recovers as after a crash.
    Immediate,
}

/// A private PostgreSQL server. Its methods may be called from several threads.
#[derive(Debug)]
pub struct Postgres {
    bin_dir: PathBuf,
    run_as: RunAs,
    port: u16,
    password: String,
    tls: tls::Identity,
    /// The programs are built with TLS.
    speaks_tls: bool,
    keeper: Mutex<Option<Keeper>>,
    // Last, so that it outlives the server.
    folder: Folder,
}

impl Postgres {
    /// Makes a fresh cluster and starts it; returns when it answers.
    pub fn launch(options: &Options) -> anyhow::Result<Self> {
        let bin_dir = match &options.bin_dir {
            Some(chosen) => chosen.clone(),
            None => install::here(Need::Postgres15)?,
        };
        let run_as = RunAs::not_root()?;
        let folder = Folder::fresh("pg", run_as)?;
        let password = random::hex(24)?;
        initdb(&bin_dir, run_as, &folder, &password)?;
        let speaks_tls = speaks_tls(&bin_dir, &folder)?;
        if !speaks_tls && options.tls == Tls::Needed {
            bail!(
                "the PostgreSQL in {} is built without TLS: take another, or say `Tls::AsBuilt`",
                bin_dir.display()
            );
        }
        let tls = tls::make(&folder, run_as)?;
        settings::write(&folder, speaks_tls.then_some(&tls), options)?;
        folder.write_private("passfile", &pass_file(&password))?;
        Self { bin_dir, run_as, port: 0, password, tls, speaks_tls, keeper: Mutex::new(None), folder }
            .on_a_free_port()
    }

    fn on_a_free_port(mut self) -> anyhow::Result<Self> {
        for _ in 0..PORT_TRIES {
            self.port = ports::free()?;
            match self.try_start() {
                Ok(keeper) => {
                    *self.lock() = Some(keeper);
                    return Ok(self);
                }
                Err(StartFault::PortTaken) => {}
                Err(StartFault::Other(fault)) => return Err(fault),
            }
        }
        bail!(
            "PostgreSQL found its port taken {PORT_TRIES} times: is something on this machine taking all ports?"
        )
    }

    /// The address that the server listens on.
    pub fn host(&self) -> String {
        HOST.to_string()
    }

    /// The port it listens on, the same for its whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The administrator's name.
    pub fn superuser(&self) -> &str {
        SUPERUSER
    }

    /// The administrator's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The certificate of the authority that signed the server's certificate (localhost, 127.0.0.1, ::1).
    pub fn ca_file(&self) -> PathBuf {
        self.tls.authority.clone()
    }

    /// Whether it speaks TLS; with programs that are built without it, it does not.
    pub fn speaks_tls(&self) -> bool {
        self.speaks_tls
    }

    /// A libpq password file with the administrator's password.
    pub fn pass_file(&self) -> PathBuf {
        self.folder.path().join("passfile")
    }

    /// The server's folder, which also holds its unix socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The cluster's own folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the server said, from its first start on.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// The folder of the server's programs.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The server's process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Keeper::server)
    }

    /// The process id of the shell that minds the server while it runs.
    pub fn keeper_pid(&self) -> Option<u32> {
        self.lock().as_ref().map(Keeper::shell)
    }

    /// Starts a stopped or killed server on the same port; returns when it answers.
    pub fn start(&self) -> anyhow::Result<()> {
        let mut held = self.lock();
        if let Some(keeper) = held.as_mut()
            && keeper.ended()?.is_none()
        {
            bail!("this PostgreSQL runs already: stop it first");
        }
        *held = None;
        let deadline = Deadline::after(READY);
        loop {
            match self.try_start() {
                Ok(keeper) => {
                    *held = Some(keeper);
                    return Ok(());
                }
                Err(StartFault::PortTaken) if deadline.passed() => {
                    bail!("somebody else took port {} while PostgreSQL was stopped", self.port)
                }
                Err(StartFault::PortTaken) => {}
                Err(StartFault::Other(fault)) => return Err(fault),
            }
        }
    }

    /// Stops the server and waits for its end. A server that does not run is stopped already.
    pub fn stop(&self, mode: Mode) -> anyhow::Result<()> {
        let mut held = self.lock();
        let Some(keeper) = held.as_mut() else { return Ok(()) };
        keeper.signal(match mode {
            Mode::Smart => Signal::Term,
            Mode::Fast => Signal::Int,
            Mode::Immediate => Signal::Quit,
        })?;
        keeper.wait(ENDED).with_context(|| format!("stop PostgreSQL ({mode:?})"))?;
        *held = None;
        Ok(())
    }

    /// Stops the server fast and starts it again.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.stop(Mode::Fast)?;
        self.start()
    }

    /// Puts another system in its place: a fresh cluster under the same address, certificate, settings and administrator.
    /// Gives where the former files are, for [`Self::put_back`].
    pub fn replace(&self) -> anyhow::Result<PathBuf> {
        let former = self.folder.path().join("former");
        self.stop(Mode::Immediate)?;
        fs::rename(self.data_dir(), &former).with_context(|| format!("move to {}", former.display()))?;
        initdb(&self.bin_dir, self.run_as, &self.folder, &self.password)?;
        for name in ["postgresql.conf", "pg_hba.conf"] {
            let text = fs::read(former.join(name)).with_context(|| format!("read the former {name}"))?;
            fs::write(self.data_dir().join(name), text).with_context(|| format!("write {name}"))?;
        }
        self.start()?;
        Ok(former)
    }

    /// Puts files that were moved away in the place of those that are there.
    pub fn put_back(&self, former: &Path) -> anyhow::Result<()> {
        self.stop(Mode::Immediate)?;
        fs::remove_dir_all(self.data_dir()).context("remove the files in their place")?;
        fs::rename(former, self.data_dir()).with_context(|| format!("move {}", former.display()))?;
        self.start()
    }

    /// Kills the server and all its sessions as a power cut would.
    pub fn kill9(&self) -> anyhow::Result<()> {
        let mut held = self.lock();
        if let Some(mut keeper) = held.take() {
            keeper.kill_all()?;
        }
        Ok(())
    }

    /// Runs statements as the administrator through `psql`, over TLS where there is some; gives the rows as `a|b` lines. Stops at the first
    /// error.
    pub fn psql(&self, database: &str, statements: &str) -> anyhow::Result<String> {
        let mut command = Command::new(self.psql_program()?);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.target(database)]);
        command.env("PGPASSFILE", self.pass_file()).env("PGCONNECT_TIMEOUT", "10");
        run::within(A_SQL_CALL, &mut command, statements)
    }

    /// Runs a script file's text as the administrator through `psql`, and answers what it asks for, a line each, in
    /// place of a person at a terminal.
    pub fn psql_script(&self, database: &str, script: &str, answers: &str) -> anyhow::Result<String> {
        let scratch = Folder::fresh("script", RunAs::Caller)?;
        let file = scratch.write_private("script.sql", script)?;
        // Without a terminal `psql` reads answers from its input.
        let mut command =
            Command::new(run::which("setsid").context("`setsid` is missing: install util-linux")?);
        command.arg("--wait").arg(self.psql_program()?);
        command.args(["-X", "-q", "-A", "-t", "-d", &self.target(database), "-f"]).arg(file);
        command.env("PGPASSFILE", self.pass_file()).env("PGCONNECT_TIMEOUT", "10");
        run::within(A_SQL_CALL, &mut command, answers)
    }

    fn psql_program(&self) -> anyhow::Result<PathBuf> {
        let beside = self.bin_dir.join("psql");
        if beside.is_file() { Ok(beside) } else { install::here(Need::Psql) }
    }

    fn target(&self, database: &str) -> String {
        let database = database.replace('\\', r"\\").replace('\'', r"\'");
        format!("{} dbname='{database}'", self.conninfo())
    }

    /// Where the administrator finds it, for libpq, without the password.
    pub fn conninfo(&self) -> String {
        let target = format!("host={HOST} port={} user={SUPERUSER}", self.port);
        if self.speaks_tls {
            format!("{target} sslmode=verify-full sslrootcert='{}'", self.tls.authority.display())
        } else {
            format!("{target} sslmode=disable")
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_start(&self) -> Result<Keeper, StartFault> {
        let log = self.log_file();
        let said_before = fs::metadata(&log).map(|found| found.len()).unwrap_or(0);
        let mut keeper = Keeper::spawn(keeper::Order {
            folder: self.folder.path(),
            log: &log,
            run_as: self.run_as,
            stop: Signal::Int,
            program: &self.bin_dir.join("postgres"),
            args: vec![
                OsString::from("-D"),
                self.data_dir().into(),
                OsString::from("-p"),
                self.port.to_string().into(),
            ],
            env: vec![
                ("HOME", self.folder.path().into()),
                ("LC_ALL", OsString::from("C")),
                ("TZ", OsString::from("UTC")),
            ],
            clean: false,
        })?;
        let stands = wait_until("PostgreSQL is ready", READY, || match keeper.ended()? {
            Some(status) => Ok(Some(Stands::Ended(status.to_string()))),
            None => Ok(self.listening(keeper.server())),
        })
        .with_context(|| format!("the log says:\n{}", run::tail(&log)))?;
        match stands {
            Stands::Ready => {
                self.answers().with_context(|| format!("the log says:\n{}", run::tail(&log)))?;
                Ok(keeper)
            }
            Stands::Elsewhere => {
                keeper.signal(Signal::Quit)?;
                keeper.wait(ENDED)?;
                Err(StartFault::PortTaken)
            }
            Stands::Ended(status) => {
                let said = fs::read(&log).unwrap_or_default();
                let fresh = said.get(usize::try_from(said_before).unwrap_or(0)..).unwrap_or_default();
                let fresh = String::from_utf8_lossy(fresh);
                if fresh.contains("Address already in use") || fresh.contains("is still in use") {
                    return Err(StartFault::PortTaken);
                }
                Err(StartFault::Other(anyhow!(
                    "PostgreSQL ended at its start with {status}; it said:\n{fresh}"
                )))
            }
        }
    }

    /// Reads the server's own state file: process, address and state have fixed lines there.
    fn listening(&self, server: u32) -> Option<Stands> {
        let state = fs::read_to_string(self.data_dir().join("postmaster.pid")).ok()?;
        let lines: Vec<&str> = state.lines().map(str::trim).collect();
        let answers = lines.get(7).is_some_and(|state| ["ready", "standby"].contains(state));
        if lines.first().and_then(|pid| pid.parse().ok()) != Some(server) || !answers {
            return None;
        }
        // When another program holds the port on 127.0.0.1, the server takes what is left, ::1, and goes on.
        let here = lines.get(5).is_some_and(|address| *address == HOST.to_string());
        Some(if here { Stands::Ready } else { Stands::Elsewhere })
    }

    /// Asks for TLS as a client would, up to the server's first byte.
    fn answers(&self) -> anyhow::Result<()> {
        const TLS_PLEASE: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
        let patience = Duration::from_secs(10);
        let mut line = TcpStream::connect_timeout(&SocketAddr::from((HOST, self.port)), patience)?;
        line.set_read_timeout(Some(patience))?;
        line.write_all(&TLS_PLEASE)?;
        let mut answer = [0];
        line.read_exact(&mut answer)?;
        match answer {
            [b'S' | b'N'] => Ok(()),
            [other] => bail!("port {} answered {other:#x} instead of yes or no to TLS", self.port),
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.stop(Mode::Fast).is_err() {
            // The life line, cut when the keeper is dropped, is the last resort.
            let _cut_next = self.kill9();
        }
    }
}

/// How far a starting server has come.
enum Stands {
    Ready,
    /// It runs, but 127.0.0.1 was taken.
    Elsewhere,
    Ended(String),
}

enum StartFault {
    /// Another port, or a little later.
    PortTaken,
    Other(anyhow::Error),
}

impl From<anyhow::Error> for StartFault {
    fn from(fault: anyhow::Error) -> Self {
        Self::Other(fault)
    }
}

fn initdb(bin_dir: &Path, run_as: RunAs, folder: &Folder, password: &str) -> anyhow::Result<()> {
    let password_file = folder.write_private("initdb-password", &format!("{password}\n"))?;
    let locale = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };
    let args = vec![
        "-D".into(),
        folder.path().join("data").into(),
        "-U".into(),
        SUPERUSER.into(),
        "-A".into(),
        "scram-sha-256".into(),
        "--encoding=UTF8".into(),
        format!("--locale={locale}").into(),
        // The folder does not outlive its server: there is no power cut to survive.
        "--no-sync".into(),
        "--pwfile".into(),
        password_file.clone().into(),
    ];
    make(&bin_dir.join("initdb"), args, run_as, folder)?;
    fs::remove_file(&password_file).with_context(|| format!("remove {}", password_file.display()))
}

/// Runs a program that makes a cluster, as its user, to its end.
fn make(program: &Path, args: Vec<OsString>, run_as: RunAs, folder: &Folder) -> anyhow::Result<()> {
    let log = folder.path().join("making.log");
    let mut keeper = Keeper::spawn(keeper::Order {
        folder: folder.path(),
        log: &log,
        run_as,
        stop: Signal::Term,
        program,
        args,
        // libpq looks for certificates at home, and may not look into ours.
        env: vec![("HOME", folder.path().into())],
        clean: false,
    })?;
    let status = keeper.wait(MAKING).context("make a PostgreSQL cluster")?;
    if !status.success() {
        bail!("{} failed with {status}\n{}", program.display(), run::tail(&log));
    }
    Ok(())
}

fn pass_file(password: &str) -> String {
    format!("*:*:*:{SUPERUSER}:{password}\n")
}

/// Asks the server's program, which refuses the setting when it is built without TLS.
fn speaks_tls(bin_dir: &Path, folder: &Folder) -> anyhow::Result<bool> {
    let mut command = Command::new(bin_dir.join("postgres"));
    // In this order: root may ask for a setting, and for nothing else.
    command.args(["-C", "ssl", "-D"]).arg(folder.path().join("data")).args(["-c", "ssl=on"]);
    let answer = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("ask the PostgreSQL in {} whether it has TLS", bin_dir.display()))?;
    let (said, refused) = (String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    match said.trim() {
        "on" => Ok(true),
        _ if refused.contains("not supported by this build") => Ok(false),
        _ => bail!("the PostgreSQL in {} does not tell whether it has TLS: {refused}", bin_dir.display()),
    }
}
