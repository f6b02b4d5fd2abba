//! `tidegate bindings`: to which host which secret may be sent.

use clap::{Args as Arguments, Subcommand};
use secrets::Reference;
use secrets::binding::{Authorities, Binding, Bindings, HostPattern, Mode, Origin, TlsFloor};
use serde_json::json;

use super::fault::Fault;
use super::shared::{ask_agent, block_on, identity};
use super::{Context, Ended};
use crate::clock::{Clock as _, SystemClock};
use crate::exit::Exit;
use crate::socket::words::{Answer, Question};
use crate::{drivers, journals};

const EXAMPLES: &str = "\
Examples:
  tidegate bindings list
  tidegate bindings approve file://postgres/admin.json --kind postgres --host db.internal --port 5432 \\
      --tls verified_name
  tidegate bindings approve env://TIDEGATE_SECRET_PG --kind postgres --host '*.db.internal' --port 5432 \\
      --tls encrypted
  tidegate bindings remove file://postgres/admin.json
  tidegate bindings reset --yes          # with no backup of the identity";

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
    #[command(after_help = EXAMPLES)]
    List,
    /// Allow a secret to be sent to a host
    #[command(after_help = EXAMPLES)]
    Approve(Approval),
    /// Take back where a secret may be sent
    ///
    /// Its next use binds it anew, to where the integration leads then: with a running agent that is its next look at
    /// the target. In strict mode nothing does. What is connected stays so until the agent is restarted.
    #[command(after_help = EXAMPLES)]
    Remove {
        /// The secret's reference; a field after `#` makes no difference
        reference: Reference,
    },
    /// Begin with no bindings and no grantees' keys, when the old ones cannot be read any more
    ///
    /// The next use of each secret binds it anew, to where the control plane says; in strict mode nothing does.
    /// Prefer a backup of the identity.
    #[command(after_help = EXAMPLES)]
    Reset {
        /// Do it
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Arguments)]
struct Approval {
    /// The secret's reference, for example file://postgres/admin.json; a field after `#` makes no difference
    reference: Reference,
    /// The driver's kind, or `journal` for the journal's own server
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
    /// Whose certificates are believed there: system, or sha256:… as a refusal prints it; whichever when left out
    #[arg(long, value_name = "WHOSE")]
    authorities: Option<Authorities>,
}

pub(super) fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    let (store, _) = identity(&config)?;
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
                let titles = ["REFERENCE", "KIND", "HOST", "PORT", "TLS FLOOR", "AUTHORITIES", "BY", "SINCE"];
                let mut table = vec![titles.map(str::to_owned)];
                table.extend(rows.iter().map(|(document, binding)| row(document.as_str(), binding)));
                lines.table(&table);
            })?;
        }
        What::Approve(approval) => {
            let is_known = |driver: &'static dyn driver::Driver| driver.manifest().kind == approval.kind;
            if approval.kind != journals::KIND && !drivers::all().any(is_known) {
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
                authorities: approval.authorities.clone(),
                origin: Origin::Approved,
                since: SystemClock.wall(),
                trial: None,
            };
            let document = approval.reference.document();
            store.update_pins(|pins| {
                let mut bindings: Bindings = pins.bindings()?;
                bindings.add(document.clone(), binding.clone());
                pins.set_bindings(&bindings)
            })??;
            let looking = look_now(&config);
            context.printer.answer(&json!({ "reference": document, "binding": binding }), |lines| {
                lines.push(format!(
                    "{document} may be sent to {} {} port {} with TLS floor {} and authorities {}.",
                    binding.kind,
                    binding.host,
                    binding.port,
                    binding.tls_floor,
                    whose(&binding)
                ));
                if looking {
                    lines.push("The running agent looks at its targets again now.");
                }
            })?;
        }
        What::Remove { reference } => {
            let document = reference.document();
            let removed = store.update_pins(|pins| {
                let mut bindings: Bindings = pins.bindings()?;
                let removed = bindings.remove(&document);
                pins.set_bindings(&bindings).map(|()| removed)
            })??;
            if removed.is_empty() {
                return Err(Fault::Usage(format!(
                    "{document} is bound to nothing: `tidegate bindings list` lists what is"
                )));
            }
            let mode = config.secrets.bindings;
            let answer = json!({
                "reference": document,
                "removed": removed,
                "next_use_binds_anew": mode == Mode::FirstUse,
            });
            context.printer.answer(&answer, |lines| {
                lines.push(format!("{document} is bound to nothing any more."));
                lines.push(after(mode));
                lines.push("Restart the agent to end what is connected.");
            })?;
        }
        What::Reset { yes } => {
            if !yes {
                return Err(Fault::Usage(
                    "this forgets every binding and every grantee's key: add --yes if no backup can be had"
                        .into(),
                ));
            }
            store.reset_pins()?;
            context.printer.answer(&json!({ "reset": true }), |lines| {
                lines.push("Nothing is bound any more, and no grantee's key is pinned.");
                lines.push(after(config.secrets.bindings));
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Has a running agent look at its targets; whether one does. There may be none, or an older one.
fn look_now(config: &crate::config::Config) -> bool {
    matches!(block_on(ask_agent(config, &Question::CheckNow)), Ok(Answer::Checking { .. }))
}

/// Says what becomes of a secret that is bound to nothing.
const fn after(mode: Mode) -> &'static str {
    match mode {
        Mode::FirstUse => {
            "Its next use binds it anew, to where the integration leads then: with a running agent that is its next look at the target. To have it sent nowhere before you approve, set `secrets.bindings` to \"strict\"."
        }
        Mode::Strict => "It is sent nowhere before `tidegate bindings approve` says where.",
    }
}

fn row(document: &str, binding: &Binding) -> [String; 8] {
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
        whose(binding).chars().take("sha256:".len() + 12).collect(),
        by.into(),
        binding.since.to_string(),
    ]
}

/// Whose certificates are believed, in words.
fn whose(binding: &Binding) -> String {
    binding.authorities.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string)
}
