//! `storm`: very many accesses that end in the same second, with what that takes.
//!
//! Ends with 0 when every access was closed in each storm and nobody was starved. Figures are reported and never judged:
//! a machine that is busy gives others.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program talks to the person who called it"
)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::{Parser, value_parser};
use e2e::program;
use storm::agent::PROGRAM;
use storm::disk;
use storm::figures::{Figures, growth};
use storm::play::{Plan, play};

/// What is played when nobody says otherwise: the cost of an access should be the same in each.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// What only shows that every measurement runs.
const SAMPLE: usize = 400;
/// How long targets are in trouble.
const TROUBLE: Duration = Duration::from_secs(30);
/// For what is not opening: starting twice, surveying, looking on.
const ASIDE: Duration = Duration::from_secs(45);
/// How long opening an access takes at most, before it was measured.
const OPENING: Duration = Duration::from_millis(15);
/// The same on a real target.
const OPENING_REAL: Duration = Duration::from_millis(50);

/// Lets very many accesses on very many targets end in the same second.
#[derive(Parser)]
#[command(name = "storm")]
struct Cli {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Only shows that every measurement runs; the figures mean nothing.
    #[arg(long)]
    smoke: bool,
    /// How many accesses, in place of one storm each of 1,000, 10,000 and 100,000.
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(1..=1_000_000))]
    accesses: Option<u32>,
    /// On how many targets.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 200,
        value_parser = value_parser!(u32).range(1..=999)
    )]
    targets: u32,
    /// How many more on one real PostgreSQL, in place of one for each hundred.
    #[arg(long, value_name = "COUNT", value_parser = value_parser!(u32).range(0..=10_000))]
    real: Option<u32>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    program::run("storm", storms(&cli))
}

async fn storms(cli: &Cli) -> anyhow::Result<()> {
    let smoke = cli.smoke || cfg!(debug_assertions);
    if smoke {
        eprintln!("storm: this is no measurement: a small storm or a debug build; the figures mean nothing");
    }
    let kind = disk::kind(&std::env::temp_dir())?;
    if disk::is_in_memory(&kind) {
        eprintln!("storm: the journal is in memory ({kind}): name a folder on a disk in TMPDIR");
    }
    let own = std::env::current_exe().context("find this program's own place")?;
    let agent = own.with_file_name(PROGRAM);
    ensure!(agent.is_file(), "{} is missing: `cargo xtask storm` builds it", agent.display());
    let tell = |text: &str| {
        if !cli.json {
            println!("{text}");
        }
    };
    let mut all: Vec<Figures> = vec![];
    let (mut starved, mut an_opening) = (vec![], OPENING);
    for accesses in sizes(cli) {
        let opening = an_opening.saturating_mul(u32::try_from(accesses).unwrap_or(u32::MAX));
        let real = cli.real.map_or_else(|| Ok((accesses / 100).max(1)), usize::try_from)?;
        let opening_real = OPENING_REAL.saturating_mul(u32::try_from(real).unwrap_or(u32::MAX));
        let trouble = if cli.smoke { Duration::from_secs(5) } else { TROUBLE };
        let plan = Plan {
            agent: agent.clone(),
            accesses,
            targets: usize::try_from(cli.targets).context("so many targets")?,
            real,
            trouble,
            lead: opening.max(opening_real) + ASIDE,
            smoke,
        };
        let played = play(&plan, &tell).await?;
        // Twice what it took here, for the next: nobody waits long for a deadline, and few storms are begun anew.
        an_opening = played.opened * 2 / u32::try_from(accesses).unwrap_or(u32::MAX).max(1);
        if cli.json {
            println!("{}", serde_json::to_string(&played.figures).context("write figures")?);
        } else {
            played.figures.lines().iter().for_each(|line| println!("{line}"));
        }
        starved.extend(played.starved);
        all.push(played.figures);
    }
    if let Some(words) = growth(&all) {
        if cli.json { eprintln!("{words}") } else { println!("{words}") }
    }
    ensure!(starved.is_empty(), "somebody was starved: {}", starved.join("; "));
    Ok(())
}

fn sizes(cli: &Cli) -> Vec<usize> {
    match cli.accesses {
        Some(count) => usize::try_from(count).into_iter().collect(),
        None if cli.smoke => vec![SAMPLE],
        None => SIZES.to_vec(),
    }
}
