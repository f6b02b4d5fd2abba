//! `show`: one request with all that happened to it.

use model::AccessId;

use super::Desk;
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::{Table, Text};
use crate::resource;
use crate::shape::{Decision, Request};

const EXAMPLES: &str = "\
Examples:
  tidegatectl show acc-0192
  tidegatectl show acc-0192 -o json";

/// Show a request, the access that it became, and its history
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list` shows it
    access: AccessId,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("show {}", args.access);
    let answer = api.call(Call::get(&["requests", args.access.as_str()], &what)).await?;
    let request: Request = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| page(text, &request))?;
    Ok(Exit::Ok)
}

/// Writes a request for people.
pub(crate) fn page(text: &mut Text, request: &Request) {
    let agent = request.agent.as_ref();
    let entitlements: Vec<_> = request.entitlements.iter().map(resource::entitlement_text).collect();
    let yes = |set: bool, yes: &str| set.then(|| yes.to_owned());
    text.pairs([
        ("id", Some(request.id.clone())),
        ("state", Some(request.label.clone())),
        ("warning", request.warning.clone()),
        ("note", request.note.clone()),
        ("grantee", Some(request.grantee.email.clone())),
        ("integration", Some(request.integration.clone())),
        ("entitlements", Some(entitlements.join("\n"))),
        ("reason", Some(request.justification.clone())),
        ("requested", Some(request.requested_at.clone())),
        (
            "for",
            Some(
                model::Span::from_secs(i64::try_from(request.duration_seconds).unwrap_or(i64::MAX))
                    .to_string(),
            ),
        ),
        ("from", request.from.clone()),
        ("until", request.until.clone()),
        ("decision", request.decision.as_ref().map(decision)),
        ("account", agent.and_then(|agent| agent.account.clone())),
        ("code", agent.and_then(|agent| agent.code.clone())),
        ("detail", agent.and_then(|agent| agent.detail.clone())),
        (
            "closing",
            agent.filter(|agent| agent.attempts > 0 && request.state == "ending").map(|agent| {
                let login = if agent.contained { "login shut" } else { "login not yet shut" };
                format!("{login}, tries: {}", agent.attempts)
            }),
        ),
        ("credential", yes(request.credential_ready, "ready")),
        ("you can", (!request.can.is_empty()).then(|| request.can.join(", "))),
    ]);
    if let Some(agent) = agent.filter(|agent| !agent.residual.is_empty()) {
        text.heading("What may outlive the access");
        let mut table = Table::new(&["KIND", "DETAIL", "ENDS"]);
        for left in &agent.residual {
            let ends = left.ends_at.clone().unwrap_or_else(|| "not by itself".into());
            table.row([left.kind.clone(), left.detail.clone(), ends]);
        }
        text.table(&table);
    }
    if !request.history.is_empty() {
        text.heading("History");
        let mut table = Table::new(&["TIME", "BY", "WHAT", "DETAIL"]);
        for line in &request.history {
            table.row([
                line.at.clone(),
                line.by.clone(),
                line.what.clone(),
                line.detail.clone().unwrap_or_default(),
            ]);
        }
        text.table(&table);
    }
}

fn decision(decision: &Decision) -> String {
    let word = if decision.approved { "approved" } else { "rejected" };
    let reason = decision.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{word} by {} at {}{reason}", decision.by, decision.at)
}
