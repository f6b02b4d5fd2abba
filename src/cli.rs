//! The command line: what stands for every command, the list of commands, and how a command ends.
//!
//! One file per command. A command reads its configuration, does one thing, and answers on the standard
//! output, for people or with `--json` for machines; notes and faults go to the error output. What the
//! agent itself does is `app`.

mod bindings;
mod check;
mod close;
mod completions;
mod config;
mod drivers;
mod export;
mod fault;
mod guardrails;
mod health;
mod init;
mod journal;
mod keys;
mod log_level;
mod pause;
mod print;
mod progress;
mod receipts;
mod run;
mod setup_script;
mod shared;
mod status;
mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};

use crate::config::env;
use crate::exit::Exit;
use crate::hardening::harden;
use fault::Fault;
use print::Printer;

/// Where the configuration is when nobody says.
pub(crate) const CONFIG_FILE: &str = "/etc/tidegate/tidegate.toml";

const EXAMPLES: &str = "\
Examples:
  tidegate init --connector prod-eu-1 --url https://tidegate.example.com:8443
  tidegate config check
  tidegate check
  tidegate run
  tidegate status
  tidegate health --quiet && echo ready";

/// Opens access for a while, closes it by itself, and proves it: the agent beside the systems it guards.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, after_help = EXAMPLES, after_long_help = long_help())]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

fn long_help() -> String {
    let codes: Vec<_> =
        Exit::ALL.iter().map(|(exit, meaning)| format!("  {:<4} {meaning}", exit.code())).collect();
    format!("{EXAMPLES}\n\nExit codes:\n{}", codes.join("\n"))
}

/// What stands for every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Configuration file [default: /etc/tidegate/tidegate.toml if it is there]
    #[arg(long, global = true, env = env::FILE, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override one key of the configuration, for example log.level=debug
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
    /// Print no notes, only the answer
    #[arg(short, long, global = true)]
    quiet: bool,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Init(init::Args),
    Check(check::Args),
    Config(config::Args),
    Drivers(drivers::Args),
    SetupScript(setup_script::Args),
    Keys(keys::Args),
    Bindings(bindings::Args),
    Guardrails(guardrails::Args),
    Journal(journal::Args),
    Receipts(receipts::Args),
    Status(status::Args),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Close(close::Args),
    LogLevel(log_level::Args),
    Health(health::Args),
    Version(version::Args),
    Completions(completions::Args),
}

/// What a command has at hand.
struct Context {
    global: Global,
    /// The process's environment as far as it is the agent's, read once.
    environment: BTreeMap<String, String>,
    printer: Printer,
}

/// Reads the command line, runs the command, and says how it went.
pub fn main() -> ExitCode {
    let refused = harden();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return usage(&fault).into(),
    };
    let printer = Printer::new(cli.global.json, cli.global.quiet);
    let context = Context { global: cli.global, environment: env::read_process(), printer };
    let is_agent = matches!(cli.command, Command::Run(_));
    let ended = match cli.command {
        Command::Run(args) => run::run(&args, &context, &refused),
        Command::Init(args) => init::run(&args, &context),
        Command::Check(args) => check::run(&args, &context),
        Command::Config(args) => config::run(&args, &context),
        Command::Drivers(args) => drivers::run(&args, &context),
        Command::SetupScript(args) => setup_script::run(&args, &context),
        Command::Keys(args) => keys::run(&args, &context),
        Command::Bindings(args) => bindings::run(&args, &context),
        Command::Guardrails(args) => guardrails::run(&args, &context),
        Command::Journal(args) => journal::run(&args, &context),
        Command::Receipts(args) => receipts::run(&args, &context),
        Command::Status(args) => status::run(&args, &context),
        Command::Pause(args) => pause::pause(&args, &context),
        Command::Resume(args) => pause::resume(&args, &context),
        Command::LogLevel(args) => log_level::run(&args, &context),
        Command::Close(args) => close::run(&args, &context),
        Command::Health(args) => health::run(&args, &context),
        Command::Version(args) => version::run(&args, &context),
        Command::Completions(args) => completions::run(&args, &context),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(fault) => {
            let exit = fault.exit();
            if is_agent {
                printer.last_fault(fault);
            } else {
                printer.fault(&fault);
            }
            exit.into()
        }
    }
}

/// Prints what clap has to say: help on the standard output, faults on the error output.
fn usage(fault: &clap::Error) -> Exit {
    let told = fault.print().is_ok();
    if fault.use_stderr() || !told { Exit::Usage } else { Exit::Done }
}

/// Returns the whole command line as clap sees it, for generated pages.
pub fn command_line() -> clap::Command {
    Cli::command()
}

/// How a command ends: its code, or why it could not.
type Ended = Result<Exit, Fault>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command_line().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn walk(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().for_each(walk);
        }
        walk(&command_line());
    }
}
