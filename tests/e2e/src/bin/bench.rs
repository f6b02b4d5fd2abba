//! `bench`: the path of a grant, beside a bare client and OpenBao, in one run on one server.
//!
//! Figures are reported and never judged: a machine that is busy gives others.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to the person who called it"
)]

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use e2e::bench::bare::Bare;
use e2e::bench::figures::{Book, Size, Speed, median, rounded, side_by_side};
use e2e::bench::openbao::Bao;
use e2e::bench::ours::Ours;
use e2e::bench::{Party, ROLE, play};
use e2e::clock::{self, Watch};
use e2e::program;
use e2e::world::{Options, World};
use serde::Serialize;
use services::openbao::OpenBao;
use services::postgres;
use services::usage::Memory;

/// How many ask at a time.
const CROWDS: [usize; 2] = [1, 8];

/// Measures the path of a grant beside a bare client and OpenBao.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Only shows that every measurement runs; the figures mean nothing.
    #[arg(long)]
    smoke: bool,
    /// Measures only this one, for a look at its profile: bare, openbao or tidegate.
    #[arg(long, value_name = "WHO")]
    only: Option<String>,
}

/// How much is measured.
struct Extent {
    rounds: usize,
    /// Logins of a round, for one and for eight at a time.
    counts: [usize; 2],
    /// Before the first round.
    warm: usize,
    starts: usize,
    smoke: bool,
    only: Option<String>,
}

impl Extent {
    fn of(cli: &Cli) -> Self {
        if cli.smoke {
            return Self {
                rounds: 1,
                counts: [2, 8],
                warm: 1,
                starts: 1,
                smoke: true,
                only: cli.only.clone(),
            };
        }
        Self {
            rounds: 5,
            counts: [40, 160],
            warm: 8,
            starts: 5,
            smoke: cfg!(debug_assertions),
            only: cli.only.clone(),
        }
    }

    fn measures(&self, who: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == who)
    }

    fn people(&self) -> usize {
        self.warm + self.rounds * self.counts.iter().sum::<usize>()
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    program::run("bench", measure(&cli))
}

async fn measure(cli: &Cli) -> anyhow::Result<()> {
    let extent = Extent::of(cli);
    let tell = |text: &str| {
        if !cli.json {
            println!("{text}");
        }
    };
    if extent.smoke {
        eprintln!("bench: this is no measurement: few rounds or a debug build; the figures mean nothing");
    }
    let options = Options {
        target: postgres::Options::default(),
        proxied: false,
        approval: "auto",
        ..Options::default()
    };
    let mut world = World::start(&options).await?;
    let measured = everything(cli, &extent, &mut world, &tell).await;
    let (speeds, sizes) = measured.map_err(|fault| world.explained(fault))?;
    for speed in &speeds {
        if cli.json {
            println!("{}", line(speed)?);
        } else {
            let Speed { name, who, at_a_time, per_s, p50_ms, p99_ms, .. } = speed;
            println!(
                "{name:<10} {at_a_time} at a time  {who:<9} {per_s:>9.1} a second   p50 {p50_ms:>8.2} ms   p99 {p99_ms:>8.2} ms"
            );
        }
    }
    for size in &sizes {
        if cli.json {
            println!("{}", line(size)?);
        } else {
            println!("{:<18} {:<9} {:>9.1}", size.name, size.who, size.value);
        }
    }
    for words in side_by_side(&speeds) {
        if cli.json { eprintln!("{words}") } else { println!("{words}") }
    }
    tokio::task::block_in_place(|| drop(world));
    Ok(())
}

async fn everything(
    cli: &Cli,
    extent: &Extent,
    world: &mut World,
    tell: &impl Fn(&str),
) -> anyhow::Result<(Vec<Speed>, Vec<Size>)> {
    tell("starting everybody");
    let mut sizes = vec![];
    let mut size =
        |name, who, value: f64| sizes.push(Size { name, who, value: rounded(value), smoke: extent.smoke });
    let mut starts = vec![];
    for _ in 0..extent.starts {
        world.agent.stop()?;
        let watch = Watch::start();
        world.agent.start().await?;
        world.agent.wait_ready().await?;
        starts.push(millis(watch.elapsed()));
    }
    size("start_to_ready_ms", "tidegate", median(starts.into_iter()));
    world.wait_connected().await?;
    let mut starts = vec![];
    for _ in 1..extent.starts {
        let watch = Watch::start();
        let started = tokio::task::block_in_place(OpenBao::launch)?;
        starts.push(millis(watch.elapsed()));
        tokio::task::block_in_place(|| drop(started));
    }
    let watch = Watch::start();
    let started = tokio::task::block_in_place(OpenBao::launch)?;
    starts.push(millis(watch.elapsed()));
    size("start_to_ready_ms", "openbao", median(starts.into_iter()));

    let grants = format!("create role {ROLE} nologin; grant select on public.orders to {ROLE}");
    tokio::task::block_in_place(|| world.target.psql(e2e::shop::DATABASE, &grants))?;
    let bao = Arc::new(Bao::introduce(started, &world.target, CROWDS[1]).await?);
    let agent = world.agent.pid().context("the agent runs")?;
    let control = world.plane.pid().context("the control plane runs")?;
    size("idle_rss_mib", "tidegate", idle_rss(agent).await?);
    size("idle_rss_mib", "control", idle_rss(control).await?);
    size("idle_rss_mib", "openbao", idle_rss(bao.server().pid()).await?);
    size("binary_mib", "tidegate", file_mib(&program(agent)?)?);
    size("binary_mib", "openbao", file_mib(&program(bao.server().pid())?)?);

    let bare = Arc::new(Bare::connect(&world.target, CROWDS[1]).await?);
    let ours = Arc::new(Ours::gather(world, extent.people()).await?);
    play(&bare, 0, extent.warm, 1).await.context("warm the bare client")?;
    play(&bao, 0, extent.warm, 1).await.context("warm OpenBao")?;
    play(&ours, 0, extent.warm, 1).await.context("warm Tidegate")?;
    let mut book = Book::default();
    let mut first = extent.warm;
    for round in 1..=extent.rounds {
        tell(&format!("round {round} of {}", extent.rounds));
        for (at_a_time, count) in CROWDS.into_iter().zip(extent.counts) {
            let turn = Turn { at_a_time, count, first };
            if extent.measures("bare") {
                take(&mut book, "bare", &bare, &turn).await?;
                bare.clean().await?;
            }
            if extent.measures("openbao") {
                take(&mut book, "openbao", &bao, &turn).await?;
            }
            if extent.measures("tidegate") {
                take(&mut book, "tidegate", &ours, &turn).await?;
            }
            first += count;
        }
    }
    if !cli.json {
        println!();
    }
    Ok((book.speeds(extent.smoke), sizes))
}

/// One party's turn.
struct Turn {
    at_a_time: usize,
    count: usize,
    first: usize,
}

async fn take<P: Party>(
    book: &mut Book,
    who: &'static str,
    party: &Arc<P>,
    turn: &Turn,
) -> anyhow::Result<()> {
    let Turn { at_a_time, count, first } = *turn;
    let played = play(party, first, count, at_a_time).await;
    let (grants, revokes) = played.with_context(|| format!("{who}, {at_a_time} at a time"))?;
    book.add(("pg_grant", at_a_time, who), grants);
    book.add(("pg_revoke", at_a_time, who), revokes);
    Ok(())
}

/// The memory of a process that has nothing to do: the least of a second's looks.
async fn idle_rss(process: u32) -> anyhow::Result<f64> {
    let watch = Watch::start();
    let mut least = f64::INFINITY;
    clock::until("a second has passed", Duration::from_secs(5), async || {
        let kib = u32::try_from(Memory::of(process)?.now).context("a resident size")?;
        least = least.min(f64::from(kib) / 1024.0);
        Ok((watch.elapsed() > Duration::from_secs(1)).then_some(()))
    })
    .await?;
    Ok(least)
}

/// The file that a process runs.
fn program(process: u32) -> anyhow::Result<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{process}/exe")).context("find a process's program")
}

fn file_mib(path: &Path) -> anyhow::Result<f64> {
    let bytes = std::fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "no program is so big")]
    Ok(bytes as f64 / 1_048_576.0)
}

/// Writes a line for machines, its fields in their own order.
fn line(measured: &impl Serialize) -> anyhow::Result<String> {
    serde_json::to_string(measured).context("write a line")
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
