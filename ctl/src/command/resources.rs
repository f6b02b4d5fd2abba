//! `resources`: what can be asked for.

use super::{Desk, Paging};
use crate::api::read;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::resource;
use crate::shape::Resource;
use model::IntegrationId;
use serde_json::Value;

const EXAMPLES: &str = "\
Examples:
  tidegatectl resources --search orders
  tidegatectl resources --integration shop-db --kind postgresql-schema --all -o json";

/// List what can be asked for
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Only those of this integration
    #[arg(long, value_name = "ID")]
    integration: Option<IntegrationId>,
    /// Only those of this kind, for example postgresql-table
    #[arg(long)]
    kind: Option<String>,
    /// Only those whose path has all these words
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "list resources";
    let mut query = vec![];
    query.extend(args.integration.map(|id| ("integration", id.to_string())));
    query.extend(args.kind.map(|kind| ("kind", kind)));
    query.extend(args.search.map(|words| ("search", words)));
    let (items, more) = api.list(&["resources"], &query, args.paging.most(), what).await?;
    let resources: Vec<Resource> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table = Table::new(&["RESOURCE", "PERMISSIONS", "INTEGRATION", "TAGS"]);
        for found in &resources {
            let tags: Vec<_> = found.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            table.row([
                resource::text(&found.kind, &found.path),
                found.permissions.join(", "),
                found.integration.clone(),
                tags.join(", "),
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}
