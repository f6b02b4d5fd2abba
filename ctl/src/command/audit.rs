//! `audit`: what was done on the control plane, and by whom.

use serde_json::Value;

use super::{Desk, Paging};
use crate::api::read;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::AuditEntry;

const EXAMPLES: &str = "\
Examples:
  tidegatectl audit --what alarm.
  tidegatectl audit --subject request/acc-0192 --all -o json";

/// List the audit log, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only what this one did: an e-mail address, policy, agent:… or system
    #[arg(long)]
    who: Option<String>,
    /// Only what begins so, for example request. or alarm.
    #[arg(long)]
    what: Option<String>,
    /// Only what was done to this, for example request/acc-0192
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "read the audit log";
    let mut query = vec![];
    query.extend(args.who.map(|who| ("who", who)));
    query.extend(args.what.map(|what| ("what", what)));
    query.extend(args.subject.map(|subject| ("subject", subject)));
    let (items, more) = api.list(&["audit"], &query, args.paging.most(), what).await?;
    let entries: Vec<AuditEntry> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table = Table::new(&["NUMBER", "TIME", "WHO", "WHAT", "SUBJECT"]);
        for entry in &entries {
            table.row([
                entry.number.to_string(),
                entry.at.clone(),
                entry.who.clone(),
                entry.what.clone(),
                entry.subject.clone(),
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}
