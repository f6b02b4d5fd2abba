//! `tidegate pause` and `tidegate resume`: stop opening beside the control plane, and allow it again.

use clap::Args as Arguments;
use model::IntegrationId;
use serde_json::json;

use super::fault::Fault;
use super::print::many;
use super::shared::{ask_agent, block_on};
use super::{Context, Ended};
use crate::exit::Exit;
use crate::socket::words::{Answer, Question};
use crate::status::Paused;

const PAUSE: &str = "\
Examples:
  tidegate pause                     # everywhere
  tidegate pause orders-db           # on one integration only

What is open stays open until its deadline and is closed then; `tidegate close` ends it at once.";

const RESUME: &str = "\
Examples:
  tidegate resume                    # the pause of everything; pauses of single integrations stand
  tidegate resume orders-db

The control plane's own pause is lifted by the control plane alone.";

/// Stop opening accesses, on all integrations or on some; closing goes on
///
/// The pause outlives a restart of the agent and stands beside the control plane's: only `tidegate resume` lifts it. Run
/// it as the agent's user or as root.
#[derive(Debug, Arguments)]
#[command(after_help = PAUSE)]
pub(super) struct Pause {
    /// On these integrations [default: on all]
    integrations: Vec<IntegrationId>,
}

/// Allow opening again after `tidegate pause`
///
/// Named integrations also take the target that answers now, when another one answered in its place.
#[derive(Debug, Arguments)]
#[command(after_help = RESUME)]
pub(super) struct Resume {
    /// On these integrations [default: the pause of all]
    integrations: Vec<IntegrationId>,
}

pub(super) fn pause(args: &Pause, context: &Context) -> Ended {
    each(&args.integrations, context, |integration| Question::Pause { integration })
}

pub(super) fn resume(args: &Resume, context: &Context) -> Ended {
    each(&args.integrations, context, |integration| Question::Resume { integration })
}

fn each(
    integrations: &[IntegrationId],
    context: &Context,
    question: impl Fn(Option<IntegrationId>) -> Question,
) -> Ended {
    let config = context.config()?;
    let wanted: Vec<_> = match integrations {
        [] => vec![None],
        named => named.iter().cloned().map(Some).collect(),
    };
    let mut told = vec![];
    for one in wanted {
        let answer = block_on(ask_agent(&config, &question(one.clone())))?;
        let Answer::Paused(paused) = answer else { return Err(Fault::unfit_answer()) };
        told.push((one, paused));
    }
    let answer: Vec<_> = told
        .iter()
        .map(|(on, paused)| json!({ "integration": on, "paused": paused.paused, "changed": paused.changed }))
        .collect();
    context.printer.answer(&answer, |lines| {
        for (on, paused) in &told {
            let name = on.as_ref().map_or("all integrations", |id| id.as_str());
            lines.push(sentence(name, paused));
            if on.is_none() && !paused.paused.here && paused.others > 0 {
                lines.push(format!(
                    "{}: `tidegate status` names them.",
                    many(
                        paused.others,
                        "integration has a pause of its own",
                        "integrations have a pause of their own"
                    )
                ));
            }
        }
    })?;
    Ok(Exit::Done)
}

fn sentence(on: &str, paused: &Paused) -> String {
    let was = if paused.changed { "" } else { " already" };
    match (paused.paused.here, paused.paused.by_order) {
        (true, _) => format!("Opening is paused{was} on {on}; closing goes on."),
        (false, false) => format!("Opening is allowed{was} on {on}, as far as operators here are concerned."),
        (false, true) => {
            format!("Nothing is paused beside the agent on {on}; the control plane's own pause stands.")
        }
    }
}
