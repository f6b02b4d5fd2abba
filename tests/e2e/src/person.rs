//! A person with a folder of `tidegatectl`: logs in, and types commands.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::process::Command;

use crate::command::{self, Finished};

const A_COMMAND: Duration = Duration::from_secs(120);

/// What every person of a world shares.
#[derive(Clone, Debug)]
pub struct Desk {
    pub ctl: PathBuf,
    /// Where psql is.
    pub psql: PathBuf,
    /// The control plane's address and authority.
    pub url: String,
    pub authority: PathBuf,
    /// For short-lived files.
    pub runtime: PathBuf,
}

/// A person. Only who logged in can type commands.
#[derive(Clone, Debug)]
pub struct Person {
    pub email: String,
    folder: PathBuf,
    desk: Desk,
}

impl Person {
    /// Logs in with a token from a file.
    pub async fn login(desk: &Desk, folder: &Path, email: &str, token_file: &Path) -> anyhow::Result<Self> {
        let person = Self { email: email.to_owned(), folder: folder.to_owned(), desk: desk.clone() };
        let mut login = person.command(["login", "--server", &desk.url, "--token-file"]);
        login.arg(token_file).arg("--ca").arg(&desk.authority);
        command::run(login, "", A_COMMAND).await?.ok().with_context(|| format!("log in {email}"))?;
        Ok(person)
    }

    /// Their folder of `tidegatectl`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command of theirs, not yet running.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.desk.ctl);
        command.arg("--config").arg(&self.folder).args(args).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<_> = std::env::split_paths(&path).collect();
        folders.extend(self.desk.psql.parent().map(Path::to_owned));
        if let Ok(path) = std::env::join_paths(folders) {
            command.env("PATH", path);
        }
        command
            .env("HOME", &self.folder)
            .env("XDG_RUNTIME_DIR", &self.desk.runtime)
            .env("PGCONNECT_TIMEOUT", "20");
        command
    }

    /// Runs a command of theirs to its end.
    pub async fn ctl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> anyhow::Result<Finished> {
        command::run(self.command(args), "", A_COMMAND).await
    }

    /// Runs a command of theirs and reads its answer for machines.
    pub async fn ask<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> anyhow::Result<Value> {
        let mut asked = self.command(["--json"]);
        asked.args(args);
        command::run(asked, "", A_COMMAND).await?.json()
    }

    /// Writes their `tidegatectl`, as it is called in a shell.
    pub fn line(&self) -> String {
        let word = |path: &Path| command::word(path.as_os_str());
        format!("{} --config {}", word(&self.desk.ctl), word(&self.folder))
    }
}
