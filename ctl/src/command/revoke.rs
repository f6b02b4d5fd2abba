//! `revoke`: ends an access before its deadline, or takes a pending request back.

use model::AccessId;
use serde_json::json;

use super::{Desk, show};
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::shape::Request;
use crate::wait::{self, Look, Waiting};

const EXAMPLES: &str = "\
Examples:
  tidegatectl revoke acc-0192 --reason 'done' --wait

With --wait it returns when the end was seen on the target, and tells what may outlive it.";

/// End an access, or take a pending request back
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list` shows it
    access: AccessId,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("revoke {}", args.access);
    let path = ["requests", args.access.as_str(), "revoke"];
    let body = json!({ "reason": args.reason });
    let answer = api.call(Call::post(&path, body, &what)).await?;
    let request: Request = read(answer.clone(), &what)?;
    let (request, answer) = match args.waiting.wait {
        None => (request, answer),
        Some(limit) => wait::until(&api, desk.printer, &args.access, limit, ended).await?,
    };
    desk.printer.answer(&answer, |text| show::page(text, &request))?;
    Ok(Exit::Ok)
}

/// Nothing of it is left, as far as was seen. A canceled close is none: the access may remain.
fn ended(request: &Request) -> Look {
    match request.state.as_str() {
        "canceled" => Look::Lost,
        _ if request.over => Look::Done,
        _ => Look::NotYet,
    }
}
