//! `request`: asks for access to resources, and waits for it if told to.
//!
//! Names are looked up among what was discovered: a typing mistake is found here and not by an approver,
//! and the integration need not be named when only one has such a resource.

use model::{AccessId, Entitlement, EntitlementSet, IntegrationId, ResourceId, Span, Timestamp};
use serde_json::{Value, json};

use super::{Desk, show};
use crate::api::{Api, Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::resource::{self, Name};
use crate::shape::{Request, Resource};
use crate::wait::{self, Look, Waiting};

const EXAMPLES: &str = "\
Examples:
  tidegatectl request postgresql-table:shop/public/orders --permission READ_ONLY --for 90m --reason 'ticket 4711'
  tidegatectl request shop/public/orders shop/public/items --permission READ_WRITE --for 2h \\
      --reason 'restore prices' --integration shop-db --wait=5m
  tidegatectl request postgresql-database:shop --permission ADMIN --for 1h --from 2026-03-01T20:00:00Z \\
      --reason 'planned upgrade' -o json

A slash within a name is written \\/ and a backslash \\\\; what `tidegatectl resources` prints can be pasted.";

/// The server's fields, and with which option each is given.
const OPTIONS: [(&str, &str); 2] = [("duration_seconds", "--for"), ("justification", "--reason")];

/// Most resources that are looked through for one name.
const MOST: usize = 10_000;

/// Ask for access
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to: KIND:PART/PART, or PART/PART when only one kind has it
    #[arg(required = true, value_name = "RESOURCE")]
    resources: Vec<Name>,
    /// What to be allowed there, for example READ_ONLY
    #[arg(short, long)]
    permission: String,
    /// How long, for example 90m or 1h30m
    #[arg(long = "for", value_name = "DURATION")]
    duration: Span,
    /// What it is for; approvers see it
    #[arg(short, long, visible_alias = "justification", value_name = "TEXT")]
    reason: String,
    /// On which integration [default: the one that has the resources]
    #[arg(short, long, value_name = "ID")]
    integration: Option<IntegrationId>,
    /// Not before this time, for example 2026-03-01T20:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    #[command(flatten)]
    waiting: Waiting,
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let (seconds, rest) = (args.duration.as_millis() / 1000, args.duration.as_millis() % 1000);
    if seconds < 1 || rest != 0 {
        return Err(Fault::usage(
            "ask for access",
            "an access lasts whole seconds, one at least",
            "give for example --for 90m",
        ));
    }
    let (integration, entitlements) = resolve(&api, &args).await?;
    let what = "ask for access";
    let body = json!({
        "integration": integration,
        "entitlements": entitlements,
        "duration_seconds": seconds,
        "justification": args.reason,
        "from": args.from,
    });
    let answer = api.call(Call::post(&["requests"], body, what)).await.map_err(as_options)?;
    let request: Request = read(answer.clone(), what)?;
    let (request, answer) = match args.waiting.wait {
        None => (request, answer),
        Some(limit) => {
            let id = AccessId::parse(request.id.as_str())
                .map_err(|fault| Fault::system("read the request's id", &fault))?;
            wait::until(&api, desk.printer, &id, limit, active).await?
        }
    };
    desk.printer.answer(&answer, |text| show::page(text, &request))?;
    if request.state == "active" {
        desk.printer.note(&format!("connect with: tidegatectl connect {}", request.id));
    }
    Ok(Exit::Ok)
}

/// Says by its option what the server says by the name of a field.
fn as_options(mut fault: Fault) -> Fault {
    for (field, option) in OPTIONS {
        fault.why = fault.why.replace(field, option);
        for found in fault.fields.iter_mut().filter(|found| found.field == field) {
            found.field = option.into();
        }
    }
    fault
}

fn active(request: &Request) -> Look {
    match request.state.as_str() {
        "active" => Look::Done,
        "ending" => Look::Lost,
        _ if request.over => Look::Lost,
        _ => Look::NotYet,
    }
}

/// Finds the resources, and the one integration that has them all.
async fn resolve(api: &Api, args: &Args) -> Result<(String, EntitlementSet), Fault> {
    let mut entitlements = EntitlementSet::nothing();
    let mut integration = args.integration.as_ref().map(ToString::to_string);
    for name in &args.resources {
        let found = find(api, name, integration.as_deref()).await?;
        let one = only(name, &found)?;
        if !one.permissions.contains(&args.permission) {
            let why = format!("{name} has no permission {}", args.permission);
            return Err(Fault::usage("ask for access", why, choose(&one.permissions)));
        }
        match &integration {
            Some(before) if *before != one.integration => {
                let why = format!("{name} is on integration {}, the others are on {before}", one.integration);
                return Err(Fault::usage("ask for access", why, "ask for each integration by itself"));
            }
            _ => integration = Some(one.integration.clone()),
        }
        let resource = ResourceId::new(&one.kind, one.path.clone());
        entitlements.insert(Entitlement::new(resource, &args.permission));
    }
    let integration = integration
        .ok_or_else(|| Fault::usage("ask for access", "no resource is named", "name at least one"))?;
    Ok((integration, entitlements))
}

/// Returns the resources of exactly this path.
async fn find(api: &Api, name: &Name, integration: Option<&str>) -> Result<Vec<Resource>, Fault> {
    let what = format!("find {name}");
    let mut query = vec![("search", name.path.join(" "))];
    query.extend(integration.map(|id| ("integration", id.to_owned())));
    query.extend(name.kind.clone().map(|kind| ("kind", kind)));
    let (items, more) = api.list(&["resources"], &query, Some(MOST), &what).await?;
    if more {
        return Err(Fault::usage(
            what,
            "too many names are like this one",
            "name the kind in front, and --integration",
        ));
    }
    let near: Vec<Resource> = read(Value::from(items), &what)?;
    let (found, near): (Vec<_>, Vec<_>) = near.into_iter().partition(|found| found.path == name.path);
    if found.is_empty() {
        if let Some(id) = integration {
            let any = [("integration", id.to_owned())];
            let (items, _) = api.list(&["resources"], &any, Some(1), &what).await?;
            if items.is_empty() {
                let why = format!("nothing was discovered on an integration `{id}`");
                return Err(Fault::new(Exit::NotFound, what, why).or(
                    "correct --integration; `tidegatectl resources` shows on which integration each is",
                ));
            }
        }
        let near: Vec<_> = near.iter().take(5).map(|near| resource::text(&near.kind, &near.path)).collect();
        let way_out = if near.is_empty() {
            "look with `tidegatectl resources`; it shows what the last discovery found".to_owned()
        } else {
            format!("did you mean: {}", near.join(", "))
        };
        return Err(Fault::new(Exit::NotFound, what, "no such resource was discovered").or(way_out));
    }
    Ok(found)
}

/// Returns the resource when only one is meant.
fn only<'f>(name: &Name, found: &'f [Resource]) -> Result<&'f Resource, Fault> {
    match found {
        [one] => Ok(one),
        several => {
            let all: Vec<_> = several
                .iter()
                .map(|one| format!("{} on {}", resource::text(&one.kind, &one.path), one.integration))
                .collect();
            let why = format!("{name} can be each of: {}", all.join(", "));
            Err(Fault::usage("ask for access", why, "name the kind in front, and --integration"))
        }
    }
}

fn choose(permissions: &[String]) -> String {
    if permissions.is_empty() {
        "choose another resource".into()
    } else {
        format!("choose one of: {}", permissions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Field;

    #[test]
    fn the_servers_fields_are_told_as_options() {
        let field = |name: &str| Field { field: name.into(), reason: "r".into(), way_out: "w".into() };
        let said = as_options(Fault {
            fields: [field("duration_seconds"), field("justification"), field("entitlements")].into(),
            ..Fault::new(Exit::Failed, "ask", "`duration_seconds` is 0")
        });
        let names: Vec<_> = said.fields.iter().map(|found| found.field.as_str()).collect();
        assert_eq!(names, ["--for", "--reason", "entitlements"]);
        assert_eq!(said.why, "`--for` is 0");
    }
}
