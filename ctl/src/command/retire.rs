//! `retire`: closes everything on an integration and takes what is ours away from its target.

use model::IntegrationId;

use super::Desk;
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::shape::Integration;

const EXAMPLES: &str = "\
Examples:
  tidegatectl retire shop-db              # says what would happen
  tidegatectl retire shop-db --yes
  tidegatectl integrations list --retired # retiring, then retired
  tidegatectl receipts list --integration shop-db";

/// Close everything on an integration and remove what is ours from its target, for good
///
/// Its accesses end, its accounts are deleted, what they own goes to a heir without power, and roles that we made
/// are removed; a receipt names what was removed and what had to be left. The id never comes back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    integration: IntegrationId,
    /// Do it
    #[arg(long)]
    yes: bool,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("retire the integration {}", args.integration);
    let path = ["integrations", args.integration.as_str()];
    let call = if args.yes { Call::delete(&path, &what) } else { Call::get(&path, &what) };
    let answer = api.call(call).await?;
    let found: Integration = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| {
        text.pairs([
            ("id", Some(found.id.clone())),
            ("kind", Some(found.kind.clone())),
            ("connector", Some(found.connector.clone())),
            ("state", Some(found.lifecycle.clone())),
        ]);
    })?;
    if !args.yes {
        desk.printer.note("nothing was done: add --yes to end every access on it and to remove what is ours");
    }
    Ok(Exit::Ok)
}
