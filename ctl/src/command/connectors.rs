//! `connectors`: agents and their tokens.

mod judged;

use model::{AccessId, ConnectorId, Span};
use serde_json::{Value, json};

use super::issued::Destination;
use super::{Desk, Paging};
use crate::api::{Call, read};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;
use crate::shape::Connector;

const EXAMPLES: &str = "\
Examples:
  tidegatectl connectors create eu-west --token-file connector.token
  tidegatectl connectors rotate-token eu-west --grace 1h --token-file connector.token
  tidegatectl connectors list
  tidegatectl connectors pause eu-west
  tidegatectl connectors resume eu-west
  tidegatectl connectors revoke eu-west
  tidegatectl connectors keys eu-west                # those it has, and those it offers
  tidegatectl connectors accept-keys eu-west --yes   # after its identity was made anew
  tidegatectl connectors strays eu-west              # accesses that only its agent knows
  tidegatectl connectors end-stray eu-west ACCESS
  tidegatectl connectors standing eu-west --confirm  # what is not in the list ends, however much";

/// Manage connectors: agents and their tokens
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a connector and its token, which is shown this once
    #[command(after_help = EXAMPLES)]
    Create {
        id: ConnectorId,
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        destination: Destination,
    },
    /// List connectors
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a new token; the old one is taken for a while longer
    #[command(after_help = EXAMPLES)]
    RotateToken {
        id: ConnectorId,
        /// How long the old one is still taken
        #[arg(long, value_name = "DURATION", default_value = "1h")]
        grace: Span,
        #[command(flatten)]
        destination: Destination,
    },
    /// Open nothing from now on; closing goes on
    #[command(after_help = EXAMPLES)]
    Pause { id: ConnectorId },
    /// Allow opening again
    #[command(after_help = EXAMPLES)]
    Resume { id: ConnectorId },
    /// Refuse the connector's agent from now on; what it opened still ends at its deadlines
    #[command(after_help = EXAMPLES)]
    Revoke { id: ConnectorId },
    /// Show its keys: those that are pinned, and those that its agent offers
    #[command(after_help = EXAMPLES)]
    Keys { id: ConnectorId },
    /// Pin the keys that its agent offers; until then what they sign counts as not verified
    #[command(after_help = EXAMPLES)]
    AcceptKeys {
        id: ConnectorId,
        /// They were compared with what `tidegate keys show` prints beside the agent
        #[arg(long)]
        yes: bool,
    },
    /// List accesses that its agent told of and nobody here knows
    #[command(after_help = EXAMPLES)]
    Strays { id: ConnectorId },
    /// End an access that nobody here knows
    #[command(after_help = EXAMPLES)]
    EndStray { id: ConnectorId, access: AccessId },
    /// Send its agent the list of what should be open
    #[command(after_help = EXAMPLES)]
    Standing {
        id: ConnectorId,
        /// What is not in the list is meant to end, however much it is
        #[arg(long)]
        confirm: bool,
    },
}

pub(crate) async fn run(args: Args, desk: &Desk<'_>) -> Result<Exit, Fault> {
    match args.verb {
        Verb::Create { id, description, destination } => {
            let body = json!({ "id": id, "description": description });
            issue(desk, &destination, &["connectors"], body, &format!("make the connector {id}")).await
        }
        Verb::RotateToken { id, grace, destination } => {
            let body = json!({ "grace_seconds": grace.as_millis() / 1000 });
            let path = ["connectors", id.as_str(), "rotate-token"];
            issue(desk, &destination, &path, body, &format!("rotate the token of {id}")).await
        }
        Verb::List { paging } => list(desk, &paging).await,
        Verb::Pause { id } => order(desk, &id, "pause").await,
        Verb::Resume { id } => order(desk, &id, "resume").await,
        Verb::Revoke { id } => revoke(desk, &id).await,
        Verb::Keys { id } => judged::keys(desk, &id).await,
        Verb::AcceptKeys { id, yes } => judged::accept(desk, &id, yes).await,
        Verb::Strays { id } => judged::strays(desk, &id).await,
        Verb::EndStray { id, access } => judged::end_stray(desk, &id, &access).await,
        Verb::Standing { id, confirm } => judged::standing(desk, &id, confirm).await,
    }
}

async fn issue(
    desk: &Desk<'_>,
    destination: &Destination,
    path: &[&str],
    body: Value,
    what: &str,
) -> Result<Exit, Fault> {
    destination.check(desk.printer)?;
    let (api, _) = desk.api()?;
    let mut answer = api.call(Call::post(path, body, what)).await?;
    let token = destination.deliver(&mut answer, desk.printer)?;
    let word = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let pairs = [
        ("connector", word("connector")),
        ("token", token.map(|token| token.expose().to_owned())),
        ("the old one until", word("previous_until")),
    ];
    desk.printer.answer(&answer, |text| text.pairs(pairs))?;
    Ok(Exit::Ok)
}

async fn list(desk: &Desk<'_>, paging: &Paging) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = "list connectors";
    let (items, more) = api.list(&["connectors"], &[], paging.most(), what).await?;
    let connectors: Vec<Connector> = read(Value::from(items.clone()), what)?;
    desk.printer.answer(&Value::from(items), |text| {
        let mut table = Table::new(&["ID", "STATE", "LAST SEEN", "VERSION", "DESCRIPTION"]);
        for connector in &connectors {
            table.row([
                connector.id.clone(),
                state(connector).to_owned(),
                connector.last_seen_at.clone().unwrap_or_default(),
                connector.version.clone().unwrap_or_default(),
                connector.description.clone().unwrap_or_default(),
            ]);
        }
        text.table(&table);
    })?;
    Paging::note(desk.printer, more);
    Ok(Exit::Ok)
}

fn state(connector: &Connector) -> &'static str {
    match connector {
        Connector { revoked_at: Some(_), .. } => "revoked",
        Connector { paused: true, connected: true, .. } => "paused",
        Connector { connected: true, .. } => "connected",
        _ => "away",
    }
}

async fn order(desk: &Desk<'_>, id: &ConnectorId, verb: &str) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let path = ["connectors", id.as_str(), verb];
    let answer = api.call(Call::post(&path, json!({}), format!("{verb} the connector {id}"))).await?;
    let word = ordered(&answer);
    desk.printer.answer(&answer, |text| {
        text.pairs([("connector", Some(id.to_string())), (verb, Some(word.to_owned()))]);
    })?;
    Ok(Exit::Ok)
}

/// What became of an order, in words.
fn ordered(answer: &Value) -> &'static str {
    if answer.get("connected").and_then(Value::as_bool).unwrap_or_default() {
        "ordered"
    } else {
        "ordered; its agent is away and takes it when it is back"
    }
}

async fn revoke(desk: &Desk<'_>, id: &ConnectorId) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("revoke the connector {id}");
    let path = ["connectors", id.as_str(), "revoke"];
    let answer = api.call(Call::post(&path, json!({}), &what)).await?;
    let connector: Connector = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| {
        text.pairs([("connector", Some(connector.id.clone())), ("revoked", connector.revoked_at.clone())]);
    })?;
    Ok(Exit::Ok)
}
