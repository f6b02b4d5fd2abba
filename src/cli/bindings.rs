//! `tidegate bindings`: to which host which secret may be sent.

use clap::{Args as Arguments, Subcommand};
use secrets::Reference;
use secrets::binding::{Binding, Bindings, HostPattern, Origin, TlsFloor};
use serde_json::json;

use super::fault::Fault;
use super::shared::identity;
use super::{Context, Ended};
use crate::clock::{Clock as _, SystemClock};
use crate::drivers;
use crate::exit::Exit;

const EXAMPLES: &str = "\
Examples:
  tidegate bindings list
  tidegate bindings approve file://postgres/admin.json --kind postgres --host db.internal --port 5432 \\
      --tls verified_name
  tidegate bindings approve env://TIDEGATE_SECRET_PG --kind postgres --host '*.db.internal' --port 5432 \\
      --tls encrypted";

/// To which host which secret may be sent
#[derive(Debug, Arguments)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every binding
    List,
    /// Allow a secret to be sent to a host
    Approve(Approval),
}

#[derive(Debug, Arguments)]
struct Approval {
    /// The secret's reference, for example file://postgres/admin.json; a field after `#` makes no difference
    reference: Reference,
    /// The driver's kind
    #[arg(long)]
    kind: String,
    /// A host, or a family of hosts as *.example.com
    #[arg(long)]
    host: HostPattern,
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// The least protection of the connection: none, encrypted, verified_chain, verified_name
    #[arg(long, value_name = "FLOOR")]
    tls: TlsFloor,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let (store, _) = identity(&context.config()?)?;
    match &args.what {
        What::List => {
            let bindings: Bindings = store.pins()?.bindings()?;
            let rows: Vec<_> = bindings
                .iter()
                .flat_map(|(document, bound)| bound.iter().map(move |one| (document, one)))
                .collect();
            let answer: Vec<_> = rows
                .iter()
                .map(|(document, binding)| json!({ "reference": document, "binding": binding }))
                .collect();
            context.printer.answer(&answer, |lines| {
                let titles = ["REFERENCE", "KIND", "HOST", "PORT", "TLS FLOOR", "BY", "SINCE"];
                let mut table = vec![titles.map(str::to_owned)];
                table.extend(rows.iter().map(|(document, binding)| row(document.as_str(), binding)));
                lines.table(&table);
            })?;
        }
        What::Approve(approval) => {
            if drivers::all().all(|driver| driver.manifest().kind != approval.kind) {
                let kind = &approval.kind;
                return Err(Fault::Usage(format!(
                    "this build has no driver `{kind}`: `tidegate drivers` lists them"
                )));
            }
            let binding = Binding {
                kind: approval.kind.clone(),
                host: approval.host.clone(),
                port: approval.port,
                tls_floor: approval.tls,
                origin: Origin::Approved,
                since: SystemClock.wall(),
            };
            let document = approval.reference.document();
            store.update_pins(|pins| {
                let mut bindings: Bindings = pins.bindings()?;
                bindings.add(document.clone(), binding.clone());
                pins.set_bindings(&bindings)
            })??;
            context.printer.answer(&json!({ "reference": document, "binding": binding }), |lines| {
                lines.push(format!(
                    "{document} may be sent to {} {} port {} with TLS floor {}.",
                    binding.kind, binding.host, binding.port, binding.tls_floor
                ));
            })?;
        }
    }
    Ok(Exit::Done)
}

fn row(document: &str, binding: &Binding) -> [String; 7] {
    let by = match binding.origin {
        Origin::Pinned => "first use",
        Origin::Approved => "approved",
        Origin::Listed => "listed",
    };
    // A sealed reference is as long as what is sealed in it.
    let short: String = document.chars().take(60).collect();
    let shown = if short.len() < document.len() { format!("{short}…") } else { short };
    [
        shown,
        binding.kind.clone(),
        binding.host.to_string(),
        binding.port.to_string(),
        binding.tls_floor.to_string(),
        by.into(),
        binding.since.to_string(),
    ]
}
