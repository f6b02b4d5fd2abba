//! `cancel`: stops waiting for a close that does not succeed.

use model::AccessId;
use serde_json::json;

use super::{Desk, show};
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::shape::Request;

const EXAMPLES: &str = "\
Examples:
  tidegatectl cancel acc-0192 --reason 'the database is gone for good'

Possible only while an access is ending and has failed often. THE ACCESS MAY REMAIN: the state says so. The agent goes
on trying slowly, and so does each survey.";

/// Stop waiting for a close that does not succeed; the access may remain
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// As `tidegatectl list` shows it
    access: AccessId,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("cancel the end of {}", args.access);
    let path = ["requests", args.access.as_str(), "cancel"];
    let answer = api.call(Call::post(&path, json!({ "reason": args.reason }), &what)).await?;
    let request: Request = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| show::page(text, &request))?;
    Ok(Exit::Ok)
}
