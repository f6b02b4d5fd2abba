//! `integrations`: configured targets.

use std::path::PathBuf;

use model::IntegrationId;
use serde_json::{Value, json};

use super::{Desk, Paging};
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::{Driver, Integration};

mod apply;

const EXAMPLES: &str = "\
Examples:
  tidegatectl integrations apply -f shop-db.yaml
  tidegatectl integrations list
  tidegatectl integrations show shop-db
  tidegatectl integrations check shop-db
  tidegatectl integrations discover shop-db
  tidegatectl integrations survey shop-db
  tidegatectl integrations drivers postgres

A file for apply holds one or more of these, as YAML documents, a YAML list, or JSON:
  id: shop-db
  connector: eu-west
  kind: postgres
  title: The shop's orders
  settings:
    hostname: db.example.com
    port: 5432
    sslmode: verify-full
  secret: file://postgres/admin.json
  policy:
    credentials_cleanup_period_in_days: 30
  approval:
    mode: approve          # or auto
    self_approval: false
  max_duration_seconds: 28800";

/// Manage integrations: configured targets
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make integrations, or replace them whole; the same again changes nothing
    #[command(after_help = EXAMPLES)]
    Apply {
        /// YAML or JSON; `-` for the standard input
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// List integrations
    #[command(after_help = EXAMPLES)]
    List {
        /// Also those that are retired
        #[arg(long)]
        retired: bool,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show an integration and what the last check found
    #[command(after_help = EXAMPLES)]
    Show { id: IntegrationId },
    /// Have the agent check the target now; `show` tells what it found
    #[command(after_help = EXAMPLES)]
    Check { id: IntegrationId },
    /// Have the agent list the target's resources now
    #[command(after_help = EXAMPLES)]
    Discover { id: IntegrationId },
    /// Have the agent look over the target's accounts now
    #[command(after_help = EXAMPLES)]
    Survey { id: IntegrationId },
    /// Show the kinds of targets that the connected agents can guard, and the settings of each
    #[command(after_help = EXAMPLES)]
    Drivers {
        /// Only this kind
        kind: Option<String>,
    },
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    match args.verb {
        Verb::Apply { file } => apply::run(&file, desk).await,
        Verb::List { retired, paging } => list(desk, retired, &paging).await,
        Verb::Show { id } => show(desk, &id).await,
        Verb::Check { id } => look(desk, &id, "check").await,
        Verb::Discover { id } => look(desk, &id, "discover").await,
        Verb::Survey { id } => look(desk, &id, "survey").await,
        Verb::Drivers { kind } => drivers(desk, kind.as_deref()).await,
    }
}

async fn look(desk: &Desk<'_>, id: &IntegrationId, verb: &str) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let path = ["integrations", id.as_str(), verb];
    let answer = api.call(Call::post(&path, json!({}), format!("{verb} the integration {id}"))).await?;
    let connected = answer.get("connected").and_then(Value::as_bool).unwrap_or_default();
    let word = if connected { "ordered" } else { "ordered; its agent is away and takes it when it is back" };
    desk.printer.answer(&answer, |text| {
        text.pairs([("integration", Some(id.to_string())), (verb, Some(word.to_owned()))]);
    })?;
    Ok(Exit::Ok)
}

async fn list(desk: &Desk<'_>, retired: bool, paging: &Paging) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "list integrations";
    let query: Vec<_> = retired.then(|| ("retired", "true".to_owned())).into_iter().collect();
    let (items, more) = api.list(&["integrations"], &query, paging.most(), what).await?;
    let integrations: Vec<Integration> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table =
            Table::new(&["ID", "TITLE", "KIND", "CONNECTOR", "STATE", "HEALTH", "APPROVAL", "RESOURCES"]);
        for one in &integrations {
            table.row([
                one.id.clone(),
                one.title.clone().unwrap_or_default(),
                one.kind.clone(),
                one.connector.clone(),
                one.lifecycle.clone(),
                health(one),
                one.approval.mode.clone(),
                one.resources.to_string(),
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}

async fn drivers(desk: &Desk<'_>, kind: Option<&str>) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "list drivers";
    let mut answer = api.call(Call::get(&["drivers"], what)).await?;
    if let (Some(kind), Some(items)) = (kind, answer.as_array_mut()) {
        items.retain(|item| item.get("kind").and_then(Value::as_str) == Some(kind));
    }
    let found: Vec<Driver> = read(answer.clone(), what)?;
    desk.printer.answer(&answer, |text| {
        let mut table = Table::new(&["KIND", "CONNECTOR", "SETTING", "REQUIRED", "DEFAULT", "HELP"]);
        for driver in &found {
            let settings = driver.manifest.fields.iter().map(|field| (field.key.clone(), field));
            let secret = driver.manifest.secret_keys.iter();
            let secret = secret.map(|field| (format!("(in the secret) {}", field.key), field));
            for (name, field) in settings.chain(secret) {
                table.row([
                    driver.kind.clone(),
                    driver.connector.clone(),
                    name,
                    if field.required { "yes".into() } else { String::new() },
                    field.default.clone().unwrap_or_default(),
                    field.help.clone(),
                ]);
            }
        }
        text.table(&table);
    })?;
    Ok(Exit::Ok)
}

fn health(integration: &Integration) -> String {
    match (&integration.health, integration.connected) {
        (_, false) => "away".into(),
        (None, true) => "unchecked".into(),
        (Some(health), true) => health.state.clone(),
    }
}

async fn show(desk: &Desk<'_>, id: &IntegrationId) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("show the integration {id}");
    let answer = api.call(Call::get(&["integrations", id.as_str()], &what)).await?;
    let found: Integration = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| {
        let approval = if found.approval.self_approval { "approve, also one's own" } else { "approve" };
        let approval = if found.approval.mode == "auto" { "auto" } else { approval };
        let told = found.health.as_ref();
        let product = told.and_then(|health| health.product.clone());
        let version = told.and_then(|health| health.version.clone());
        text.pairs([
            ("id", Some(found.id.clone())),
            ("title", found.title.clone()),
            ("kind", Some(found.kind.clone())),
            ("connector", Some(found.connector.clone())),
            ("revision", Some(found.revision.to_string())),
            ("state", Some(found.lifecycle.clone())),
            ("approval", Some(approval.into())),
            ("health", Some(health(&found))),
            ("checked", told.and_then(|health| health.checked_at.clone())),
            ("product", product.map(|product| format!("{product} {}", version.unwrap_or_default()))),
            ("code", told.and_then(|health| health.code.clone())),
            ("detail", told.and_then(|health| health.detail.clone())),
            ("resources", Some(found.resources.to_string())),
            ("discovered", found.discovered_at.clone()),
            ("discovering", found.discovering_pages.map(|pages| format!("{pages} pages so far"))),
            ("access details", found.access_details.clone()),
            ("secret", found.secret.clone()),
        ]);
        if let Some(settings) = found.settings.as_ref().filter(|settings| !settings.is_empty()) {
            text.heading("Settings");
            text.pairs(settings.iter().map(|(key, value)| (key.as_str(), Some(value.clone()))));
        }
        if let Some(health) = told.filter(|health| !health.probes.is_empty()) {
            text.heading("Last check");
            let mut table = Table::new(&["PROBE", "GRADE", "DETAIL"]);
            for probe in &health.probes {
                table.row([probe.name.clone(), probe.grade.clone(), probe.detail.clone()]);
            }
            text.table(&table);
        }
        if let Some(unlisted) = &found.unlisted {
            text.heading(&format!("Not discovered ({})", unlisted.count));
            let mut table = Table::new(&["BELOW", "CODE", "DETAIL"]);
            for part in &unlisted.parts {
                let below = format!("{}:{}", part.kind, part.path.join("/"));
                table.row([below, part.code.clone(), part.detail.clone()]);
            }
            text.table(&table);
        }
        if let Some(drift) = found.drift.as_ref().filter(|drift| !drift.is_empty()) {
            text.heading("Last survey");
            let mut table = Table::new(&["DRIFT", "COUNT", "DETAIL", "EXAMPLES"]);
            for one in drift {
                let examples = one.examples.join(", ");
                table.row([one.kind.clone(), one.count.to_string(), one.detail.clone(), examples]);
            }
            text.table(&table);
        }
    })?;
    Ok(Exit::Ok)
}
