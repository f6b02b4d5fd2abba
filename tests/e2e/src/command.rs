//! Commands that are run to their end: what they said, how they ended, how long it took.

use std::ffi::OsStr;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::clock::{self, Watch};

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The command and its arguments.
    pub words: String,
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Finished {
    /// What it printed, if it succeeded.
    pub fn ok(self) -> anyhow::Result<String> {
        if self.status.success() { Ok(self.out) } else { Err(self.fault("failed")) }
    }

    /// What it printed, read as JSON, if it succeeded.
    pub fn json(self) -> anyhow::Result<Value> {
        let words = self.words.clone();
        let out = self.ok()?;
        serde_json::from_str(&out).with_context(|| format!("read what `{words}` printed: {out}"))
    }

    /// What it said on its error output, if it failed. A success is the fault here.
    pub fn refused(self) -> anyhow::Result<String> {
        if self.status.success() { Err(self.fault("succeeded and should not")) } else { Ok(self.err) }
    }

    fn fault(self, how: &str) -> anyhow::Error {
        let Self { words, status, out, err, .. } = self;
        anyhow::anyhow!("`{words}` {how} ({status})\n{out}{err}")
    }
}

/// Runs a command within a time, with this input. A command that is late is killed.
pub async fn run(mut command: Command, input: &str, limit: Duration) -> anyhow::Result<Finished> {
    let words = words(&command);
    let watch = Watch::start();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start `{words}`"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that ends before it has read everything says why in its own words.
        let _said_by_the_command = pipe.write_all(input.as_bytes()).await;
    }
    let waited = async { child.wait_with_output().await.with_context(|| format!("wait for `{words}`")) };
    let output = clock::within(&format!("`{words}`"), limit, waited).await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Finished {
        status: output.status,
        out: text(&output.stdout),
        err: text(&output.stderr),
        took: watch.elapsed(),
        words,
    })
}

/// Writes a command as a person would type it.
pub fn words(command: &Command) -> String {
    let command = command.as_std();
    std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect::<Vec<_>>().join(" ")
}

/// Writes a word for a shell.
pub fn word(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '=' | ':' | ',' | '@' | '+');
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Reads a text out of JSON.
pub fn text_at(value: &Value, pointer: &str) -> anyhow::Result<String> {
    match value.pointer(pointer).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => bail!("there is no text at {pointer} in {value}"),
    }
}
