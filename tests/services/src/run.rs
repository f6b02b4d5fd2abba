//! Running a command to its end, with a deadline and a fault that shows what the command said.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::wait_until;
use crate::folder::Folder;
use crate::runas::RunAs;

/// How much of a failed command's output a fault repeats.
const TAIL: usize = 2_000;

/// Finds a program on the path.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a command within a time, feeds it `input`, and gives its standard output. No input means none, not the caller's.
pub(crate) fn within(span: Duration, command: &mut Command, input: &str) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let scratch = Folder::fresh("run", RunAs::Caller)?;
    let (out, err) = (scratch.path().join("out"), scratch.path().join("err"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(File::create(&out).context("make a file for the output")?)
        .stderr(File::create(&err).context("make a file for the output")?)
        .spawn()
        .with_context(|| format!("start `{name}`"))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A command that ends before it has read everything says why in its own words.
        let _said_by_the_command = pipe.write_all(input.as_bytes());
    }
    let ended = wait_until(&format!("`{name}` ends"), span, || {
        child.try_wait().context("ask for the end of a command")
    });
    let status = match ended {
        Ok(status) => status,
        Err(late) => {
            child.kill().with_context(|| format!("kill `{name}`"))?;
            child.wait().with_context(|| format!("wait for `{name}`"))?;
            bail!("{late}\n{}", tail(&err));
        }
    };
    if !status.success() {
        bail!("`{name}` failed with {status}\n{}{}", tail(&out), tail(&err));
    }
    std::fs::read_to_string(&out).with_context(|| format!("read the output of `{name}`"))
}

/// The last part of a text file, for a fault; empty when there is none.
pub(crate) fn tail(file: &Path) -> String {
    let text =
        std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let skip = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(skip).collect()
}
