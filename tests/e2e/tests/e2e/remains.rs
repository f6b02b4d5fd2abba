//! A demo that is killed leaves no process and no folder.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::command::text_at;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn nothing_is_left_of_a_demo_that_was_killed() {
    unwrapped(play().await);
}

async fn play() -> anyhow::Result<()> {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_demo"));
    demo.arg("--json").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut demo = demo.spawn().context("start the demo")?;
    let output = demo.stdout.take().context("an output")?;
    let first = async { BufReader::new(output).lines().next_line().await.context("read from the demo") };
    let line = clock::within("the demo's start", SOON, first).await?.context("the demo ended")?;
    let started: Value = serde_json::from_str(&line).context("read what the demo printed")?;
    let folder = text_at(&started, "/folder")?;
    let mut processes = vec![];
    for name in ["agent", "control", "target"] {
        let pid = started.get(name).and_then(Value::as_u64).with_context(|| format!("the {name} runs"))?;
        ensure!(runs(pid), "the {name} runs not");
        processes.push((name, pid));
    }
    ensure!(Path::new(&folder).is_dir(), "{folder} is no folder");

    demo.kill().await.context("kill the demo")?;
    for (name, pid) in processes {
        clock::until(&format!("the {name} is gone"), SOON, async || Ok((!runs(pid)).then_some(()))).await?;
    }
    let gone = async || Ok((!Path::new(&folder).exists()).then_some(()));
    clock::until("the folder is gone", SOON, gone).await
}

/// Whether a process runs; a dead one whose parent has not asked for it yet does not.
fn runs(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']))
    })
}
