//! `panic`: ends everything at once.

use model::{ConnectorId, IntegrationId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Desk;
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;

const EXAMPLES: &str = "\
Examples:
  tidegatectl panic --all --reason 'stolen laptop' --yes
  tidegatectl panic --connector eu-west --reason 'suspicious host' --yes
  tidegatectl panic --integration shop-db --reason 'leak' --yes
  tidegatectl list                        # watch them end
  tidegatectl connectors resume eu-west   # allow opening again

With --all or --connector nothing is opened from then on, until the connectors are resumed. If the control plane
cannot be trusted, end accesses beside the agent: tidegate close --all.";

/// End every access and pending request at once, and stop opening
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
    /// Do it
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Scope {
    /// Everything there is
    #[arg(long)]
    all: bool,
    /// All of one connector
    #[arg(long, value_name = "ID")]
    connector: Option<ConnectorId>,
    /// All of one integration
    #[arg(long, value_name = "ID")]
    integration: Option<IntegrationId>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    ended: u64,
    ending: u64,
    paused: Vec<String>,
    #[serde(default)]
    next: Option<String>,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let what = "end everything";
    if !args.yes {
        let way_out = "add --yes; `tidegatectl list` shows what would end";
        return Err(Fault::usage(what, "it ends every access in that scope at once", way_out));
    }
    let (api, _) = desk.api()?;
    let mut done = Page::default();
    loop {
        let body = json!({
            "connector": args.scope.connector,
            "integration": args.scope.integration,
            "reason": args.reason,
            "after": done.next,
        });
        let page: Page = read(api.call(Call::post(&["end-everything"], body, what)).await?, what)?;
        done.ended += page.ended;
        done.ending += page.ending;
        done.paused.extend(page.paused);
        done.next = page.next;
        if done.next.is_none() {
            break;
        }
        desk.printer.note(&format!("{} ends asked for so far", done.ended));
    }
    desk.printer.answer(&json!(done), |text| {
        text.pairs([
            ("ends asked for", Some(done.ended.to_string())),
            ("were ending before", Some(done.ending.to_string())),
            ("connectors paused", Some(done.paused.join(", "))),
        ]);
    })?;
    Ok(Exit::Ok)
}
