//! `tidegate health`: asks a running agent whether it is ready.

use std::net::SocketAddr;

use clap::Args as Arguments;
use serde_json::json;

use super::shared::block_on;
use super::{Context, Ended};
use crate::admin::ask::ask;
use crate::admin::{Link, Mode, Part, Report};
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate health
  tidegate health --quiet --address 127.0.0.1:9464      # in a container's health check

It ends with 0 when new accesses can be opened, else with 6.";

/// Ask the running agent whether it is ready
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Where its admin endpoints are [default: `admin.listen` of the configuration]
    #[arg(long, value_name = "IP:PORT")]
    address: Option<SocketAddr>,
    /// Ask only whether what is open can be closed
    #[arg(long)]
    closing: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let address = match args.address {
        Some(address) => address,
        None => context.config()?.admin_listen,
    };
    let path = if args.closing { "/healthz" } else { "/readyz" };
    let answer = block_on(async { Ok(ask(address, path).await?) })?;
    let good = answer.status == 200;
    match serde_json::from_str::<Report>(&answer.text) {
        Ok(report) => context.printer.answer(&report, |lines| tell(&report, lines))?,
        Err(_) => {
            let shown = json!({ "ready": good, "status": answer.status });
            context.printer.answer(&shown, |lines| {
                lines.push(format!("answered with status {}, which is no agent's report", answer.status));
            })?;
            return Ok(Exit::NotReady);
        }
    }
    Ok(if good { Exit::Done } else { Exit::NotReady })
}

fn tell(report: &Report, lines: &mut super::print::Lines) {
    let readiness = &report.readiness;
    lines.table(&[
        ["ready".into(), if report.ready { "yes" } else { "no" }.into()],
        ["mode".into(), mode_line(&readiness.mode)],
        ["link".into(), link_line(&readiness.link)],
        ["journal".into(), part_line(&readiness.journal)],
        ["identity".into(), part_line(&readiness.identity)],
    ]);
}

/// Says how a part is.
pub(super) fn part_line(part: &Part) -> String {
    match part {
        Part::Good => "good".to_owned(),
        Part::Bad { reason } => format!("bad: {reason}"),
    }
}

/// Says how the link is.
pub(super) fn link_line(link: &Link) -> String {
    match link {
        Link::Up { since } => format!("up since {since}"),
        Link::Down { since, reason } => format!("down since {since}: {reason}"),
    }
}

/// Says what the agent does.
pub(super) fn mode_line(mode: &Mode) -> String {
    match mode {
        Mode::Starting => "starting".to_owned(),
        Mode::Standby { active: Some(active), .. } => format!("stands by: {active} is active"),
        Mode::Standby { active: None, .. } => "stands by".to_owned(),
        Mode::Open => "opens and closes".to_owned(),
        Mode::CloseOnly { reason } => format!("closes only: {reason}"),
        Mode::Standstill { reason } => format!("stands still: {reason}"),
        Mode::Stopping => "stopping".to_owned(),
    }
}
