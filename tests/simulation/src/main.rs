//! `sim`: runs made-up worlds from seeds, and prints the story of the first that breaks a promise.
#![expect(clippy::print_stdout, reason = "a command for developers, who read its output")]

use std::process::ExitCode;

use clap::Parser;
use simulation::{Fault, run};

#[derive(Parser)]
#[command(about = "Runs the rules in made-up worlds, one a seed")]
struct Flags {
    /// How many worlds.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plants a mistake; the run then succeeds when the mistake is caught.
    #[arg(long)]
    fault: Option<Fault>,
    /// Prints at most this many lines of a story, its last ones.
    #[arg(long, default_value_t = 400)]
    lines: usize,
    /// Goes on after a broken promise, and lists every seed that broke one at the end.
    #[arg(long, conflicts_with = "fault")]
    keep_going: bool,
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut steps = 0;
    let mut broken_seeds = vec![];
    for seed in flags.from..flags.from.saturating_add(flags.seeds) {
        match run(seed, flags.fault) {
            Ok(taken) => steps += taken,
            Err(broken) => {
                let skipped = broken.story.len().saturating_sub(flags.lines);
                for line in broken.story.iter().skip(skipped) {
                    println!("{line}");
                }
                println!("seed {} breaks a promise: {}", broken.seed, broken.why);
                let planted = flags.fault.map_or_else(String::new, |fault| format!(" --fault {fault}"));
                println!("replay: cargo xtask sim --from {} --seeds 1{planted}", broken.seed);
                if flags.keep_going {
                    broken_seeds.push(broken.seed);
                    continue;
                }
                return if flags.fault.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            }
        }
    }
    if !broken_seeds.is_empty() {
        let seeds: Vec<_> = broken_seeds.iter().map(u64::to_string).collect();
        println!("{} of {} worlds break a promise: {}", seeds.len(), flags.seeds, seeds.join(" "));
        return ExitCode::FAILURE;
    }
    match flags.fault {
        None => {
            println!("{} worlds, {steps} events: every promise kept", flags.seeds);
            ExitCode::SUCCESS
        }
        Some(fault) => {
            println!("{} worlds, and the planted fault `{fault}` was not caught", flags.seeds);
            ExitCode::FAILURE
        }
    }
}
