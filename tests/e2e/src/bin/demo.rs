//! `demo`: the whole story on a private PostgreSQL; unattended with `--once`, else for people to play with.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to the person who called it"
)]

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use e2e::clock::Watch;
use e2e::story::{self, STEPS, Seen};
use e2e::world::{INTEGRATION, Options, World};
use e2e::{session, shop};
use serde_json::json;
use services::install::{self, Need};
use tokio::signal::unix::{SignalKind, signal};

/// Shows one access on a real PostgreSQL, from request to receipt.
#[derive(Parser)]
#[command(name = "demo")]
struct Cli {
    /// Runs the story unattended; ends with 0 only if every step was seen.
    #[arg(long)]
    once: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Installs what is missing without asking.
    #[arg(long)]
    yes: bool,
    /// With --once: keeps what agent and control plane said to each other, for tests of later releases.
    #[arg(long, value_name = "FILE", requires = "once")]
    record: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(run(&cli)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            if cli.json {
                println!("{}", json!({ "ok": false, "fault": format!("{fault:#}") }));
            }
            eprintln!("demo: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> anyhow::Result<()> {
    for need in [Need::Postgres15, Need::Psql, Need::Openssl] {
        tokio::task::block_in_place(|| install::ensure(need, cli.yes))?;
    }
    let mut stop = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let shown = async { if cli.once { once(cli).await } else { stay(cli).await } };
    // Whatever was started ends when what holds it is dropped.
    tokio::select! {
        done = shown => done,
        _ = tokio::signal::ctrl_c(), if cli.once => anyhow::bail!("stopped by Ctrl-C"),
        _ = stop.recv() => anyhow::bail!("stopped by SIGTERM"),
    }
}

async fn once(cli: &Cli) -> anyhow::Result<()> {
    let whole = Watch::start();
    if !cli.json {
        println!(
            "One access on a real PostgreSQL, from request to receipt. This takes about half a minute.\n"
        );
    }
    let world = World::start(&Options::default()).await?;
    let mut steps = vec![];
    let mut tell = |seen: &Seen| {
        if cli.json {
            println!("{}", serde_json::to_string(seen).unwrap_or_default());
        } else {
            println!("  {:<15}{:>7} ms  {}", seen.step, seen.ms, seen.seen);
        }
        steps.push(seen.step);
    };
    story::play(&world, whole, &mut tell).await?;
    anyhow::ensure!(steps == STEPS, "the story has other steps than it should: {steps:?}");
    if let (Some(path), Some(proxy)) = (&cli.record, &world.proxy) {
        session::keep(path, &proxy.tape().all())?;
    }
    tokio::task::block_in_place(|| drop(world));
    let ms = u64::try_from(whole.elapsed().as_millis()).unwrap_or(u64::MAX);
    if cli.json {
        println!("{}", json!({ "ok": true, "steps": steps.len(), "ms": ms }));
    } else {
        println!("\nAll {} steps were seen, in {:.1} s.", steps.len(), whole.elapsed().as_secs_f64());
    }
    Ok(())
}

async fn stay(cli: &Cli) -> anyhow::Result<()> {
    let world = World::start(&Options::default()).await?;
    let people = [("ann", &world.requester), ("piet", &world.approver), ("olga", &world.admin)];
    let functions = people.map(|(name, person)| format!("{name}() {{ {} \"$@\"; }}", person.line()));
    let lines = [
        ("ann sees what can be had", "ann resources".to_owned()),
        (
            "ann asks for reading a table for two minutes; it prints the ID",
            format!("ann request {} --permission READ_ONLY --for 2m --reason 'a look around'", shop::ORDERS),
        ),
        ("piet sees what waits for him", "piet list --state pending".into()),
        ("piet approves", "piet approve ID".into()),
        ("ann works with psql", "ann connect ID -- -c 'select count(*) from orders'".into()),
        ("ann gives it back, or waits until its time is over", "ann revoke ID --wait".into()),
        ("olga sees all that happened", "olga audit".into()),
        ("olga verifies the receipts", format!("olga receipts verify --integration {INTEGRATION}")),
    ];
    if cli.json {
        println!(
            "{}",
            json!({ "folder": world.folder().path(), "agent": world.agent.pid(), "control": world.plane.pid(), "target": world.target.pid() })
        );
        for function in &functions {
            println!("{}", json!({ "first": function }));
        }
        for (what, line) in &lines {
            println!("{}", json!({ "next": what, "command": line }));
        }
    } else {
        println!("PostgreSQL, control plane and agent run. In another terminal, paste this first:\n");
        for function in &functions {
            println!("{function}");
        }
        println!("\nThen, for example:\n");
        for (what, line) in &lines {
            println!("{line:<95} # {what}");
        }
        println!("\nWhat agent and control plane say: {}", world.agent.log().path().display());
        println!("                                  {}", world.plane.log().path().display());
        println!("Ctrl-C ends everything and removes it.");
    }
    tokio::signal::ctrl_c().await.context("wait for Ctrl-C")?;
    tokio::task::block_in_place(|| drop(world));
    Ok(())
}
