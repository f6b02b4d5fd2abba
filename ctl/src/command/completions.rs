//! `completions SHELL`: what a shell needs in order to complete the commands.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Printer;

const EXAMPLES: &str = "\
Examples:
  tidegatectl completions bash > /etc/bash_completion.d/tidegatectl
  tidegatectl completions zsh > ~/.zfunc/_tidegatectl";

/// Print what a shell needs in order to complete commands
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    shell: Shell,
}

pub(crate) fn run(args: Args, printer: &Printer) -> Result<Exit, Fault> {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "tidegatectl", &mut script);
    printer.raw(&script)?;
    Ok(Exit::Ok)
}
