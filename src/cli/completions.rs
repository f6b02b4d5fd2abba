//! `tidegate completions`: what a shell needs to complete commands.

use clap::Args as Arguments;
use clap_complete::{Shell, generate};

use super::{Context, Ended, command_line};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate completions bash > /etc/bash_completion.d/tidegate
  tidegate completions zsh > ~/.zfunc/_tidegate";

/// Print a completion script for a shell
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    shell: Shell,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let mut script = vec![];
    generate(args.shell, &mut command_line(), "tidegate", &mut script);
    context.printer.raw(&script)?;
    Ok(Exit::Done)
}
