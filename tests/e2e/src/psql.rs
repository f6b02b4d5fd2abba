//! A grantee at psql: single statements, and a session that stays open.
//!
//! psql gets the password by a file that only its owner may read; nothing secret stands in arguments or environment.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use model::Secret;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::clock;
use crate::command::{self, Finished};

const A_STATEMENT: Duration = Duration::from_secs(30);
/// Printed by psql after each answer of an open session.
const MARK: &str = "-- end of answer --";

/// Who logs in where, with what.
#[derive(Debug)]
pub struct Login {
    pub program: PathBuf,
    pub port: u16,
    pub database: String,
    pub user: String,
    pub password: Secret,
    /// Of a server that speaks TLS.
    pub authority: Option<PathBuf>,
    /// Where the password file lies while psql runs.
    pub runtime: PathBuf,
}

impl Login {
    /// Runs statements in a session of their own; gives the rows as `a|b` lines.
    pub async fn run(&self, statements: &str) -> anyhow::Result<Finished> {
        let file = Passfile::write(self)?;
        command::run(self.command(&file.0), statements, A_STATEMENT).await
    }

    /// Logs in and stays.
    pub async fn stay(&self) -> anyhow::Result<Session> {
        let file = Passfile::write(self)?;
        let mut psql = self.command(&file.0);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = psql.spawn().context("start psql")?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            bail!("psql has no input or output");
        };
        let mut session = Session { child, input, output: BufReader::new(output).lines(), errors };
        session.ask("select 1").await.context("log in with psql")?;
        Ok(session)
    }

    fn command(&self, passfile: &Path) -> Command {
        let mut psql = Command::new(&self.program);
        let target = format!(
            "host=localhost port={} user={} dbname={} sslmode={}",
            self.port,
            quoted(&self.user),
            quoted(&self.database),
            if self.authority.is_some() { "verify-full" } else { "disable" }
        );
        psql.args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-d", &target]);
        psql.env_clear().env("PGPASSFILE", passfile).env("PGCONNECT_TIMEOUT", "20");
        if let Some(authority) = &self.authority {
            psql.env("PGSSLROOTCERT", authority);
        }
        psql
    }
}

/// An open session of psql.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    errors: ChildStderr,
}

impl Session {
    /// Runs a statement and gives its rows.
    pub async fn ask(&mut self, statement: &str) -> anyhow::Result<Vec<String>> {
        let asked = async {
            let text = format!("{statement};\n\\echo {}\n", MARK.replace(' ', "' '"));
            let written = self.input.write_all(text.as_bytes()).await;
            let mut rows = vec![];
            while let Some(row) = self.output.next_line().await.context("read from psql")? {
                if row == MARK {
                    return Ok(rows);
                }
                rows.push(row);
            }
            written.context("write to psql")?;
            bail!("psql ended before it answered")
        };
        let answer = clock::within("a statement", A_STATEMENT, asked).await;
        match answer {
            Ok(rows) => Ok(rows),
            Err(fault) => {
                let said = self.said().await;
                Err(fault.context(format!("ask psql for `{statement}`; it said: {said}")))
            }
        }
    }

    /// Waits for psql's end after its server has ended the session, and gives how it ended and what it said.
    pub async fn ended(&mut self, limit: Duration) -> anyhow::Result<(ExitStatus, String)> {
        // psql notices a lost session at its next statement.
        let _may_be_gone_already = self.input.write_all(b"select 1;\n").await;
        let waited = async { self.child.wait().await.context("wait for psql") };
        let status = clock::within("the end of psql", limit, waited).await?;
        Ok((status, self.said().await))
    }

    /// The process id of psql.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    async fn said(&mut self) -> String {
        let mut said = vec![];
        let reading = async { self.errors.read_to_end(&mut said).await.context("read from psql") };
        // What came until then is told.
        let _told_as_far_as_it_came =
            clock::within("psql's last words", Duration::from_secs(1), reading).await;
        String::from_utf8_lossy(&said).trim().to_owned()
    }
}

/// A password file, gone when dropped.
struct Passfile(PathBuf);

impl Passfile {
    fn write(login: &Login) -> anyhow::Result<Self> {
        let path = login.runtime.join(format!("pass-{}", uuid::Uuid::new_v4().simple()));
        let escaped = |text: &str| text.replace('\\', r"\\").replace(':', r"\:");
        let line = format!(
            "localhost:{}:*:{}:{}\n",
            login.port,
            escaped(&login.user),
            escaped(login.password.expose())
        );
        crate::private_file(&path, &line)?;
        Ok(Self(path))
    }
}

impl Drop for Passfile {
    fn drop(&mut self) {
        // Its folder goes with the world.
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

/// Writes a value of a connection string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
