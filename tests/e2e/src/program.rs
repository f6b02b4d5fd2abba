//! The frame of a program that measures: a runtime, an end on request, one line about a fault.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the work of a program of that name, until it is done or somebody stops it. Whatever it started ends when what
/// holds it is dropped.
pub fn run(name: &str, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(until_stopped(work)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            #[expect(clippy::print_stderr, reason = "it is told to the person who called the program")]
            {
                eprintln!("{name}: {fault:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn until_stopped(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut stop = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => bail!("stopped by Ctrl-C"),
        _ = stop.recv() => bail!("stopped by SIGTERM"),
    }
}
