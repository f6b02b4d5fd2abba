//! What only a person can judge of a connector: new keys, a list that ends much, accesses that nobody knows.

use model::{AccessId, ConnectorId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Call, read};
use crate::command::Desk;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::print::Table;

/// Its keys: those that are believed, and those that its agent offers.
#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
    keys_offered: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    purpose: String,
    key_id: String,
    fingerprint: String,
    current: bool,
}

#[derive(Deserialize)]
struct Stray {
    access: String,
    integration: String,
    account: String,
    state: String,
    at: String,
}

pub(super) async fn keys(desk: &Desk<'_>, id: &ConnectorId) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("read the keys of {id}");
    let answer = api.call(Call::get(&["connectors", id.as_str()], &what)).await?;
    tell(desk, answer, &what)
}

pub(super) async fn accept(desk: &Desk<'_>, id: &ConnectorId, yes: bool) -> Result<Exit, Fault> {
    let what = format!("accept the keys of {id}");
    if !yes {
        let way_out = format!(
            "compare `tidegatectl connectors keys {id}` with `tidegate keys show` beside the agent, then add --yes"
        );
        return Err(Fault::usage(&what, "what they sign counts from then on", way_out));
    }
    let (api, _) = desk.api()?;
    let path = ["connectors", id.as_str(), "accept-keys"];
    let answer = api.call(Call::post(&path, json!({}), &what)).await?;
    tell(desk, answer, &what)
}

fn tell(desk: &Desk<'_>, answer: Value, what: &str) -> Result<Exit, Fault> {
    let known: Keys = read(answer.clone(), what)?;
    let part = json!({ "keys": answer.get("keys"), "keys_offered": answer.get("keys_offered") });
    desk.printer.answer(&part, |text| {
        let mut table = Table::new(&["PURPOSE", "ID", "FINGERPRINT", "STATE"]);
        let pinned = known.keys.iter().map(|key| (key, if key.current { "pinned" } else { "pinned, old" }));
        let offered = known.keys_offered.iter().map(|key| (key, "offered"));
        for (key, state) in pinned.chain(offered) {
            table.row([key.purpose.clone(), key.key_id.clone(), key.fingerprint.clone(), state.to_owned()]);
        }
        text.table(&table);
    })?;
    Ok(Exit::Ok)
}

pub(super) async fn standing(desk: &Desk<'_>, id: &ConnectorId, confirmed: bool) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let path = ["connectors", id.as_str(), "standing"];
    let body = json!({ "confirmed": confirmed });
    let answer = api.call(Call::post(&path, body, format!("send {id} the standing list"))).await?;
    let word = if confirmed { "sent; what it lacks ends" } else { "sent" };
    desk.printer.answer(&answer, |text| {
        text.pairs([("connector", Some(id.to_string())), ("standing list", Some(word.to_owned()))]);
    })?;
    Ok(Exit::Ok)
}

pub(super) async fn strays(desk: &Desk<'_>, id: &ConnectorId) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let what = format!("list the strays of {id}");
    let answer = api.call(Call::get(&["connectors", id.as_str(), "strays"], &what)).await?;
    let strays: Vec<Stray> = read(answer.clone(), &what)?;
    desk.printer.answer(&answer, |text| {
        let mut table = Table::new(&["ACCESS", "INTEGRATION", "ACCOUNT", "STATE", "TOLD"]);
        for Stray { access, integration, account, state, at } in strays {
            table.row([access, integration, account, state, at]);
        }
        text.table(&table);
    })?;
    Ok(Exit::Ok)
}

pub(super) async fn end_stray(desk: &Desk<'_>, id: &ConnectorId, access: &AccessId) -> Result<Exit, Fault> {
    let (api, _) = desk.api()?;
    let path = ["connectors", id.as_str(), "strays", access.as_str(), "end"];
    let answer = api.call(Call::post(&path, json!({}), format!("end the stray {access}"))).await?;
    desk.printer.answer(&answer, |text| {
        text.pairs([("access", Some(access.to_string())), ("end", Some(super::ordered(&answer).to_owned()))]);
    })?;
    Ok(Exit::Ok)
}
