//! `tidegate close`: breaks the glass: ends accesses beside the agent, also while the control plane is away.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use clap::{ArgGroup, Args as Arguments};
use model::{AccessId, IntegrationId, Span};
use rules::book::Which;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use super::fault::Fault;
use super::print::many;
use super::progress::Progress;
use super::shared::{ask_agent, block_on};
use super::{Context, Ended};
use crate::config::Config;
use crate::exit::Exit;
use crate::socket::words::{Answer, Question};
use crate::status::{Ends, Left};

const EXAMPLES: &str = "\
Examples:
  tidegate close --access acc-4711 --reason 'laptop stolen, ticket 812'
  tidegate close --integration orders-db --reason 'intrusion on the database' --yes
  tidegate pause && tidegate close --all --reason 'control plane taken over'

It ends with 0 when everything was seen closed, with 1 when something is still being closed: the agent goes on
trying. New accesses can still be ordered; `tidegate pause` stops that.";

/// How often the agent is asked what is left.
const LOOK: Duration = Duration::from_millis(500);

/// Break the glass: end accesses now and for good, whatever the control plane says
///
/// Works while the control plane is away. Each ended access has a report and a receipt that say who ended it and
/// why. An access that was ended never opens again; people have to ask for a new one. Run it as the agent's user or
/// as root.
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("which").required(true))]
pub(super) struct Args {
    /// End every access on every integration
    #[arg(long, group = "which")]
    all: bool,
    /// End every access on this integration
    #[arg(long, group = "which", value_name = "ID")]
    integration: Option<IntegrationId>,
    /// End this access
    #[arg(long, group = "which", value_name = "ID")]
    access: Option<AccessId>,
    /// Why, for the receipts
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Do not ask first
    #[arg(long)]
    yes: bool,
    /// How long to wait until everything was seen closed; 0s does not wait
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    wait: Span,
}

impl Args {
    fn which(&self) -> Which {
        match (&self.integration, &self.access) {
            (Some(id), _) => Which::Integration(id.clone()),
            (None, Some(id)) => Which::Access(id.clone()),
            (None, None) => Which::All,
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let (config, which) = (context.config()?, args.which());
    let would = ends(&config, &Question::WouldClose { which: which.clone() })?;
    if would.accesses > 0 && !args.yes {
        confirm(&which, &would)?;
    }
    let close = Question::Close { which: which.clone(), reason: args.reason.clone() };
    let ended = ends(&config, &close)?;
    let left = block_on(wait(&config, &which, args, context))?;
    let answer = json!({ "ends": ended, "left": left });
    context.printer.answer(&answer, |lines| {
        lines.push(match (ended.accesses, left.accesses) {
            (0, 0) => format!("Nothing is open on {which}."),
            (0, left) => format!("Nothing more is open on {which}; {} being ended already.", many(left, "access was", "accesses were")),
            (ended, 0) => format!("{} ended: {which}.", many(ended, "access has", "accesses have")),
            (ended, _) => format!("{} being ended: {which}.", many(ended, "access is", "accesses are")),
        });
        if left.accesses > 0 {
            lines.push(format!("{} not seen closed yet; the agent goes on trying:", many(left.accesses, "is", "are")));
        }
        for one in &left.examples {
            let shut = if one.contained { "its login is shut" } else { "its login may be open" };
            let why = one.code.as_ref().map(|code| format!(", {code}: {}", one.detail)).unwrap_or_default();
            lines.push(format!("  {} on {}: {shut}, {} tries{why}", one.access, one.integration, one.attempts));
        }
        if !ended.recorded {
            lines.push("The journal did not take it: keep the agent running, which goes on trying, or run this again after its start.");
        }
    })?;
    Ok(match (ended.recorded, left.accesses) {
        (false, _) => Exit::Journal,
        (true, 0) => Exit::Done,
        (true, _) => Exit::Failed,
    })
}

fn ends(config: &Config, question: &Question) -> Result<Ends, Fault> {
    let Answer::Ends(ends) = block_on(ask_agent(config, question))? else {
        return Err(Fault::unfit_answer());
    };
    Ok(ends)
}

/// Asks the person who sits there; who does not sit there has to say so before.
fn confirm(which: &Which, would: &Ends) -> Result<(), Fault> {
    let stop = |reason: &str| Err(Fault::Usage(reason.to_owned()));
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return stop("nobody can be asked here: add --yes to end these accesses");
    }
    let question = format!(
        "This ends {} on {} now and for good: {which}. Type yes to go on: ",
        many(would.accesses, "access", "accesses"),
        many(would.integrations.len(), "integration", "integrations")
    );
    let asked = io::stderr().lock().write_all(question.as_bytes());
    asked.map_err(Fault::Output)?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|cause| Fault::System { doing: "read the answer", cause })?;
    if answer.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { stop("nothing was ended") }
}

/// Waits until nothing is left, or for as long as was asked.
async fn wait(config: &Config, which: &Which, args: &Args, context: &Context) -> Result<Left, Fault> {
    let mut progress = Progress::new(&context.printer);
    let until = Instant::now() + args.wait.as_std();
    loop {
        let answer = ask_agent(config, &Question::Closing { which: which.clone() }).await?;
        let Answer::Left(left) = answer else { return Err(Fault::unfit_answer()) };
        if left.accesses == 0 || Instant::now() >= until {
            return Ok(left);
        }
        progress.show(&format!("{} not seen closed yet", many(left.accesses, "access is", "accesses are")));
        sleep(LOOK).await;
    }
}
