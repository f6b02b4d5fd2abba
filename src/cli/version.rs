//! `tidegate version`: which build this is.

use clap::Args as Arguments;
use serde_json::json;

use super::{Context, Ended};
use crate::drivers;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate version --json | jq -r .version";

/// Show which build this is, and its drivers
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, context: &Context) -> Ended {
    let version = env!("CARGO_PKG_VERSION");
    let kinds: Vec<_> = drivers::all().map(|driver| driver.manifest().kind).collect();
    context.printer.answer(&json!({ "version": version, "drivers": kinds }), |lines| {
        lines.push(format!("tidegate {version}"));
        lines.push(format!("drivers: {}", kinds.join(", ")));
    })?;
    Ok(Exit::Done)
}
