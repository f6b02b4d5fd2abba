//! A private PostgreSQL: a fresh cluster in a folder of its own, TLS on, an administrator with a random password.
//!
//! Promises: `launch` returns when the server answers; the port stays the same over stops and starts; dropping the value
//! ends the server and removes the folder. Leaves to others: databases, roles, and everything else inside.

mod find;
mod settings;

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
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
pub use settings::{LogStatement, Options};

/// The administrator of every private server.
pub const SUPERUSER: &str = "tidegate_admin";

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const PORT_TRIES: usize = 5;
const INITDB: Duration = Duration::from_secs(120);
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
    keeper: Mutex<Option<Keeper>>,
    // Last, so that it outlives the server.
    folder: Folder,
}

impl Postgres {
    /// Makes a fresh cluster and starts it; returns when it answers.
    pub fn launch(options: &Options) -> anyhow::Result<Self> {
        let bin_dir = match &options.bin_dir {
            Some(chosen) => chosen.clone(),
            None => install::find(Need::Postgres15).with_context(|| install::missing(Need::Postgres15))?,
        };
        let run_as = RunAs::not_root()?;
        let folder = Folder::fresh("pg", run_as)?;
        let password = random::hex(24)?;
        initdb(&bin_dir, run_as, &folder, &password)?;
        let tls = tls::make(&folder, run_as)?;
        settings::write(&folder, &tls, options)?;
        folder.write_private("passfile", &format!("*:*:*:{SUPERUSER}:{password}\n"))?;
        let mut server = Self { bin_dir, run_as, port: 0, password, tls, keeper: Mutex::new(None), folder };
        for _ in 0..PORT_TRIES {
            server.port = ports::free()?;
            match server.try_start() {
                Ok(keeper) => {
                    *server.lock() = Some(keeper);
                    return Ok(server);
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

    /// Kills the server and all its sessions as a power cut would.
    pub fn kill9(&self) -> anyhow::Result<()> {
        let mut held = self.lock();
        if let Some(mut keeper) = held.take() {
            keeper.kill_all()?;
        }
        Ok(())
    }

    /// Runs statements as the administrator through `psql`, over TLS; gives the rows as `a|b` lines. Stops at the first
    /// error.
    pub fn psql(&self, database: &str, statements: &str) -> anyhow::Result<String> {
        let beside = self.bin_dir.join("psql");
        let program = if beside.is_file() {
            beside
        } else {
            install::find(Need::Psql).with_context(|| install::missing(Need::Psql))?
        };
        let database = database.replace('\\', r"\\").replace('\'', r"\'");
        let target = format!(
            "host={HOST} port={} user={SUPERUSER} dbname='{database}' sslmode=verify-full sslrootcert='{}'",
            self.port,
            self.tls.authority.display()
        );
        let mut command = Command::new(program);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &target]);
        command.env("PGPASSFILE", self.pass_file()).env("PGCONNECT_TIMEOUT", "10");
        run::within(A_SQL_CALL, &mut command, statements)
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
            env: vec![("LC_ALL", OsString::from("C")), ("TZ", OsString::from("UTC"))],
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
        if lines.first().and_then(|pid| pid.parse().ok()) != Some(server) || lines.get(7) != Some(&"ready") {
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
    let log = folder.path().join("initdb.log");
    let locale = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };
    let mut keeper = Keeper::spawn(keeper::Order {
        folder: folder.path(),
        log: &log,
        run_as,
        stop: Signal::Term,
        program: &bin_dir.join("initdb"),
        args: vec![
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
        ],
        env: vec![],
        clean: false,
    })?;
    let status = keeper.wait(INITDB).context("make a fresh PostgreSQL cluster")?;
    if !status.success() {
        bail!("initdb in {} failed with {status}\n{}", bin_dir.display(), run::tail(&log));
    }
    fs::remove_file(&password_file).with_context(|| format!("remove {}", password_file.display()))
}
