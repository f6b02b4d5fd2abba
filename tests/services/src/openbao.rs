//! A private OpenBao in development mode: in memory, unsealed, with a root token.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::wait_until;
use crate::folder::{Folder, set_mode};
use crate::install::{self, Need};
use crate::keeper::{self, Keeper, Signal};
use crate::runas::RunAs;
use crate::{ports, random, run};

const PORT_TRIES: usize = 5;
const READY: Duration = Duration::from_secs(60);
const ENDED: Duration = Duration::from_secs(20);

/// A private OpenBao server.
#[derive(Debug)]
pub struct OpenBao {
    program: PathBuf,
    port: u16,
    token: String,
    keeper: Keeper,
    // Last, so that it outlives the server.
    folder: Folder,
}

impl OpenBao {
    /// Starts a server; returns when it is unsealed and answers.
    pub fn launch() -> anyhow::Result<Self> {
        let program = install::here(Need::OpenBao)?;
        let folder = Folder::fresh("bao", RunAs::Caller)?;
        set_mode(folder.path(), 0o700)?;
        let token = random::hex(16)?;
        let log = folder.path().join("server.log");
        for _ in 0..PORT_TRIES {
            let port = ports::free()?;
            let mut keeper = Keeper::spawn(keeper::Order {
                folder: folder.path(),
                log: &log,
                run_as: RunAs::Caller,
                stop: Signal::Term,
                program: &program,
                args: vec!["server".into(), "-dev".into(), "-dev-no-store-token".into()],
                env: vec![
                    ("HOME", folder.path().into()),
                    ("BAO_DEV_ROOT_TOKEN_ID", OsString::from(&token)),
                    ("BAO_DEV_LISTEN_ADDRESS", format!("127.0.0.1:{port}").into()),
                ],
                clean: false,
            })?;
            let ready = wait_until("OpenBao is ready", READY, || match keeper.ended()? {
                Some(_) => Ok(Some(false)),
                None => Ok(is_healthy(port).then_some(true)),
            })
            .with_context(|| format!("the log says:\n{}", run::tail(&log)))?;
            if ready {
                return Ok(Self { program, port, token, keeper, folder });
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            if !said.contains("address already in use") {
                bail!("OpenBao ended at its start; it said:\n{}", run::tail(&log));
            }
        }
        bail!(
            "OpenBao found its port taken {PORT_TRIES} times: is something on this machine taking all ports?"
        )
    }

    /// The address for `BAO_ADDR`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The root token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The `bao` program, server and client in one.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.keeper.server()
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server said.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let stopped = self.keeper.signal(Signal::Term).and_then(|()| self.keeper.wait(ENDED).map(drop));
        if stopped.is_err() {
            // The life line, cut when the keeper is dropped, is the last resort.
            let _cut_next = self.keeper.kill_all();
        }
    }
}

fn is_healthy(port: u16) -> bool {
    let patience = Duration::from_secs(5);
    let ask = || -> std::io::Result<bool> {
        let mut line = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), patience)?;
        line.set_read_timeout(Some(patience))?;
        line.write_all(b"GET /v1/sys/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = vec![0; 12];
        line.read_exact(&mut answer)?;
        Ok(answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
