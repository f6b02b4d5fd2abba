//! `list`: requests and accesses.

use clap::builder::PossibleValuesParser;
use model::IntegrationId;
use serde_json::Value;

use super::{Desk, Paging, users};
use crate::api::read;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::Request;

const EXAMPLES: &str = "\
Examples:
  tidegatectl list --mine --open
  tidegatectl list --state pending
  tidegatectl list --grantee ann@example.com --all -o json";

const STATES: [&str; 12] = [
    "pending",
    "rejected",
    "withdrawn",
    "accepted",
    "granting",
    "active",
    "interrupted",
    "ending",
    "ended",
    "refused",
    "failed",
    "canceled",
];

/// List requests and accesses, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only your own
    #[arg(long)]
    mine: bool,
    /// Only those that can still change
    #[arg(long)]
    open: bool,
    /// Only those in this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Only those on this integration
    #[arg(long, value_name = "ID")]
    integration: Option<IntegrationId>,
    /// Only those of this person, by e-mail address or id
    #[arg(long, value_name = "USER")]
    grantee: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "list requests";
    let mut query = vec![];
    query.extend(args.mine.then(|| ("mine", "true".to_owned())));
    query.extend(args.open.then(|| ("open", "true".to_owned())));
    query.extend(args.state.map(|state| ("state", state)));
    query.extend(args.integration.map(|id| ("integration", id.to_string())));
    if let Some(who) = args.grantee {
        query.push(("grantee", users::id(&api, &who).await?));
    }
    let (items, more) = api.list(&["requests"], &query, args.paging.most(), what).await?;
    let requests: Vec<Request> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table = Table::new(&["ID", "STATE", "GRANTEE", "INTEGRATION", "ENTITLEMENTS", "UNTIL"]);
        for request in &requests {
            table.row([
                request.id.clone(),
                request.label.clone(),
                request.grantee.email.clone(),
                request.integration.clone(),
                request.entitlement_line(),
                request.until.clone().unwrap_or_default(),
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}
