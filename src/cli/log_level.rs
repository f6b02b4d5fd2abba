//! `tidegate log-level`: how much a running agent tells of itself, without a restart.

use clap::Args as Arguments;
use serde_json::json;

use super::fault::Fault;
use super::shared::{ask_agent, block_on};
use super::{Context, Ended};
use crate::exit::Exit;
use crate::socket::words::{Answer, Question};

const EXAMPLES: &str = "\
Examples:
  tidegate log-level                 # what it is
  tidegate log-level debug           # until the next start, or a reload (SIGHUP)";

/// Show or change how much the running agent tells of itself
///
/// `debug` names people and objects in the log. The change lasts until the agent's next start, or until it reads its
/// configuration again (SIGHUP).
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// error, warn, info, debug or trace
    level: Option<String>,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let question = Question::LogLevel { level: args.level.clone() };
    let answer = block_on(ask_agent(&context.config()?, &question))?;
    let Answer::LogLevel { level, before } = answer else { return Err(Fault::unfit_answer()) };
    context.printer.answer(&json!({ "level": level, "before": before }), |lines| {
        if level == before {
            lines.push(format!("The log level is {level}."));
        } else {
            lines.push(format!("The log level is {level}; it was {before}."));
        }
    })?;
    Ok(Exit::Done)
}
