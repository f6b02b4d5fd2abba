//! `tidegatectl`, the command line for people who ask for, approve and use access.
//!
//! One file a command, each a few calls of the control plane's REST API and one page of output. What people
//! read and what machines read come from the same answer. Credentials are opened here and nowhere else:
//! the key never leaves its file. Rules are the control plane's and the agent's; nothing is decided here.

mod api;
mod cli;
mod command;
mod confidential;
mod exit;
mod fault;
mod home;
mod known;
mod passfile;
mod print;
mod resource;
mod shape;
mod wait;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Environment};
use crate::exit::Exit;
use crate::print::Printer;

/// Reads the command line, runs the command, and says how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return usage(&fault),
    };
    let environment = Environment::of_process();
    let printer = Printer::new(&cli.global, &environment);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            printer.fault(&fault::Fault::system("start", &fault));
            return Exit::Failed.into();
        }
    };
    match runtime.block_on(command::run(cli, &environment, &printer)) {
        Ok(exit) => exit.into(),
        Err(fault) => {
            printer.fault(&fault);
            fault.exit.into()
        }
    }
}

/// Prints what clap has to say: help on the standard output, faults on the error output.
fn usage(fault: &clap::Error) -> ExitCode {
    let told = fault.print().is_ok();
    if fault.use_stderr() || !told { Exit::Usage.into() } else { Exit::Ok.into() }
}

/// Returns the whole command line as clap sees it, for generated pages.
pub fn command_line() -> clap::Command {
    Cli::command()
}
