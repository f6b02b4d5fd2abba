//! `approve`: lets a pending request become an access.

use model::AccessId;
use serde_json::json;

use super::{Desk, show};
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::shape::Request;

const EXAMPLES: &str = "\
Examples:
  tidegatectl approve acc-0192
  tidegatectl approve acc-0192 --reason 'on call'";

/// Approve a pending request
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list --state pending` shows it
    access: AccessId,
    /// Why; the grantee sees it
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("approve {}", args.access);
    let body = json!({ "reason": args.reason });
    let path = ["requests", args.access.as_str(), "approve"];
    let answer = api.call(Call::post(&path, body, &what)).await?;
    let request: Request = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| show::page(text, &request))?;
    Ok(Exit::Ok)
}
