//! The commands of people who work on Tidegate: `cargo xtask --help`.
//!
//! Promises: every command ends with 0 only if what it is for was done; what is missing is named with the way to get it.
//! Leaves to others: the work itself; this package only says what runs, in which order, and counts.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these commands talk to the person who called them"
)]

mod clock;
mod floors;
mod generate;
mod run;
mod serve;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests, shows and measures Tidegate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks that each package leans only on lower floors, and what else floors.toml says.
    Floors,
    /// Runs the checks and tests; what CI runs when called without a choice.
    Test(test::Choice),
    /// Runs the rules in made-up worlds; a failing seed prints its story.
    Sim(run::Sim),
    /// Hammers what reads other people's bytes with spoilt copies of good ones.
    Fuzz(run::Fuzz),
    /// Shows the whole story on a private PostgreSQL.
    Demo(run::Demo),
    /// Measures the path of a grant beside a bare client and OpenBao.
    Bench(run::Bench),
    /// Lets very many accesses on very many made-up targets end in the same second.
    Storm(run::Storm),
    /// Starts a private server in the foreground, or installs what the tests need.
    Services(serve::Services),
    /// Makes the files that are generated from the code.
    Gen(generate::Gen),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Floors => floors::command(),
        Command::Test(choice) => test::command(&choice),
        Command::Sim(sim) => sim.command(),
        Command::Fuzz(fuzz) => fuzz.command(),
        Command::Demo(demo) => demo.command(),
        Command::Bench(bench) => bench.command(),
        Command::Storm(storm) => storm.command(),
        Command::Services(services) => services.command(),
        Command::Gen(wanted) => generate::command(&wanted),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("xtask: {fault:#}");
            ExitCode::FAILURE
        }
    }
}
