//! `receipts`: signed statements of what was done, and whether they hold.

use std::path::PathBuf;

use model::{AccessId, IntegrationId};
use serde_json::Value;

use super::{Desk, Paging};
use crate::api::{Call, chunk, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::Receipt;

mod verify;

const EXAMPLES: &str = "\
Examples:
  tidegatectl receipts list --access acc-0192
  tidegatectl receipts export --integration shop-db --to shop-db.jsonl
  tidegatectl receipts verify shop-db.jsonl --key BASE64 --head heads.json
  tidegatectl receipts verify --integration shop-db -o json > heads.json

verify finds what was changed, left out, put elsewhere or added. That the newest receipts were held back it
can only find with --head: the output of an earlier verify, kept where nobody else can change it.";

/// List, export and verify receipts
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List receipts
    #[command(after_help = EXAMPLES)]
    List {
        /// Only those of this integration
        #[arg(long, value_name = "ID")]
        integration: Option<IntegrationId>,
        /// Only those of this access
        #[arg(long, value_name = "ID")]
        access: Option<AccessId>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Write one integration's chain as signed, one receipt a line
    #[command(after_help = EXAMPLES)]
    Export {
        #[arg(long, value_name = "ID")]
        integration: IntegrationId,
        /// Only those after this number
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
        /// To this file [default: the standard output]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Verify signatures and chains
    #[command(after_help = EXAMPLES)]
    Verify(verify::Args),
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    match args.verb {
        Verb::List { integration, access, paging } => list(desk, integration, access, &paging).await,
        Verb::Export { integration, after, to } => {
            let text = exported(desk, &integration, after).await?;
            match to {
                None => desk.printer.raw(&text)?,
                Some(path) => {
                    let what = format!("write {}", path.display());
                    crate::home::replace(&path, &text).map_err(|fault| Fault::system(what, &fault))?;
                    desk.printer.note(&format!("the chain is in {}", path.display()));
                }
            }
            Ok(Exit::Ok)
        }
        Verb::Verify(args) => verify::run(args, desk).await,
    }
}

/// Reads a chain from the server, exactly as signed.
async fn exported(
    desk: &Desk<'_>,
    integration: &IntegrationId,
    after: Option<u64>,
) -> Result<Vec<u8>, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("export the receipts of {integration}");
    let call =
        Call::get(&["receipts", "export"], &what).with("integration", Some(integration)).with("after", after);
    let mut answer = api.send(call).await?;
    let mut text = vec![];
    while let Some(piece) = chunk(&mut answer, &what).await? {
        text.extend_from_slice(piece.as_ref());
    }
    Ok(text)
}

async fn list(
    desk: &Desk<'_>,
    integration: Option<IntegrationId>,
    access: Option<AccessId>,
    paging: &Paging,
) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "list receipts";
    let mut query = vec![];
    query.extend(integration.map(|id| ("integration", id.to_string())));
    query.extend(access.map(|id| ("access", id.to_string())));
    let (items, more) = api.list(&["receipts"], &query, paging.most(), what).await?;
    let receipts: Vec<Receipt> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table = Table::new(&["INTEGRATION", "NUMBER", "DEED", "ACCESS", "RECEIVED", "VERIFIED"]);
        for receipt in &receipts {
            let verified = match (receipt.verified, &receipt.fault) {
                (true, _) => "yes".to_owned(),
                (false, Some(fault)) => format!("no: {fault}"),
                (false, None) => "no".to_owned(),
            };
            table.row([
                receipt.integration.clone(),
                receipt.number.to_string(),
                receipt.deed.clone(),
                receipt.access.clone().unwrap_or_default(),
                receipt.received_at.clone(),
                verified,
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}
