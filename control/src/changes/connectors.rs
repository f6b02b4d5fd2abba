//! Connectors: their tokens, keys, pauses; the policy that holds for all of them.

use model::{AccessId, ConnectorId, Policy, Position, Secret, Span, Timestamp};
use serde_json::json;

use super::people::no_randomness;
use super::{Deed, connector_of};
use crate::bells::Bell;
use crate::record::Connector;
use crate::refusal::Refusal;
use crate::rules::fault::{Fault, text_fault};
use crate::rules::order::Order;
use crate::rules::role::Doing;
use crate::rules::terms::MOST_DAYS;
use crate::token::{self, Holder};

/// How long an old token is taken when nobody says.
pub const USUAL_GRACE: Span = Span::from_hours(1);
/// The longest that an old token is taken.
pub const LONGEST_GRACE: Span = Span::from_days(7);

/// Reads the id of a connector that should exist.
///
/// # Errors
/// It is not an id, so there is no such connector.
pub fn parse(id: &str) -> Result<ConnectorId, Refusal> {
    ConnectorId::parse(id).map_err(|_| Refusal::missing("connector", id))
}

fn subject(id: &ConnectorId) -> String {
    format!("connector/{id}")
}

/// Makes a connector and its token.
///
/// # Errors
/// The id is taken or wrong, or the asker is no admin.
pub async fn create(
    deed: &mut Deed<'_>,
    id: &str,
    description: Option<String>,
) -> Result<(Connector, Secret), Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let id = ConnectorId::parse(id)
        .map_err(|fault| Refusal::invalid("id", fault.to_string(), "choose another id"))?;
    if let Some(fault) = description.as_deref().and_then(|text| text_fault("description", text, 400, true)) {
        return Err(Refusal::Invalid { faults: vec![fault] });
    }
    if deed.rows.connector(&id).await?.is_some() {
        return Err(Refusal::conflict("connector_taken", format!("there is a connector `{id}` already")));
    }
    let clear = token::issue(Holder::Connector).map_err(|fault| no_randomness(&fault))?;
    let connector = Connector {
        id,
        description,
        created_at: deed.now,
        revoked_at: None,
        token: token::hash(clear.expose()),
        previous: None,
        paused: false,
        pins: Default::default(),
        offered: Default::default(),
        seen: None,
        standing: None,
    };
    deed.rows.put_connector(&connector, token::new_incarnation()).await?;
    deed.note("connector.created", subject(&connector.id), None, None).await?;
    let policy = deed.rows.policy().await?;
    if policy != Policy::default() {
        deed.order(&connector.id, &Order::SetPolicy { policy }).await?;
    }
    Ok((connector, clear))
}

async fn change(deed: &mut Deed<'_>, connector: &Connector) -> Result<(), Refusal> {
    deed.rows.put_connector(connector, token::new_incarnation()).await?;
    Ok(())
}

/// Makes a new token; the one before is taken for a while longer.
///
/// # Errors
/// There is no such connector, it is revoked, the grace is too long, or the asker is no admin.
pub async fn rotate_token(
    deed: &mut Deed<'_>,
    id: &str,
    grace: Option<Span>,
) -> Result<(Connector, Secret, Option<Timestamp>), Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let connector = not_revoked(deed, id).await?;
    let grace = grace.unwrap_or(USUAL_GRACE);
    if grace > LONGEST_GRACE {
        let reason = format!("it is more than {LONGEST_GRACE}");
        return Err(Refusal::invalid("grace_seconds", reason, "choose less"));
    }
    let clear = token::issue(Holder::Connector).map_err(|fault| no_randomness(&fault))?;
    let until = (grace > Span::ZERO).then(|| deed.now.plus(grace));
    let previous = until.map(|until| (connector.token.clone(), until));
    let connector = Connector { token: token::hash(clear.expose()), previous, ..connector };
    change(deed, &connector).await?;
    let after = json!({ "previous_until": until });
    deed.note("connector.token_rotated", subject(&connector.id), None, Some(after)).await?;
    Ok((connector, clear, until))
}

async fn not_revoked(deed: &mut Deed<'_>, id: &str) -> Result<Connector, Refusal> {
    let connector = connector_of(deed.rows, &parse(id)?).await?;
    if connector.revoked_at.is_some() {
        return Err(Refusal::conflict("connector_revoked", format!("the connector `{id}` is revoked")));
    }
    Ok(connector)
}

/// Revokes a connector: its agent is refused from now on.
///
/// # Errors
/// There is no such connector, or the asker is no admin.
pub async fn revoke(deed: &mut Deed<'_>, id: &str) -> Result<Connector, Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let connector = connector_of(deed.rows, &parse(id)?).await?;
    if connector.revoked_at.is_some() {
        return Ok(connector);
    }
    let connector = Connector { revoked_at: Some(deed.now), previous: None, ..connector };
    change(deed, &connector).await?;
    deed.note("connector.revoked", subject(&connector.id), None, None).await?;
    deed.ring(Bell::Connector(connector.id.clone()));
    Ok(connector)
}

/// Pins the keys that the agent offers, besides those that are pinned.
///
/// # Errors
/// There is no such connector, it offers none, or the asker is no admin.
pub async fn accept_keys(deed: &mut Deed<'_>, id: &str) -> Result<Connector, Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let mut connector = connector_of(deed.rows, &parse(id)?).await?;
    if connector.offered.is_empty() {
        let detail = "the agent offers no key that is not pinned";
        return Err(Refusal::conflict("no_keys_offered", detail));
    }
    let offered = std::mem::take(&mut connector.offered);
    let ids: Vec<_> = offered.iter().map(|pin| pin.key_id.clone()).collect();
    connector.pins.retain(|pin| !offered.iter().any(|new| new.same_key(pin)));
    connector.pins.extend(offered);
    change(deed, &connector).await?;
    deed.note("connector.keys_accepted", subject(&connector.id), None, Some(json!({ "key_ids": ids })))
        .await?;
    Ok(connector)
}

/// Orders a pause, or its end.
///
/// # Errors
/// There is no such connector, or the asker is no admin.
pub async fn pause(deed: &mut Deed<'_>, id: &str, paused: bool) -> Result<Position, Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let connector = not_revoked(deed, id).await?;
    let connector = Connector { paused, ..connector };
    change(deed, &connector).await?;
    let (what, order) =
        if paused { ("connector.paused", Order::Pause) } else { ("connector.resumed", Order::Resume) };
    deed.note(what, subject(&connector.id), None, None).await?;
    Ok(deed.order(&connector.id, &order).await?)
}

/// Notes that an admin has the standing list sent.
///
/// # Errors
/// There is no such connector, or the asker is no admin.
pub async fn standing_asked(deed: &mut Deed<'_>, id: &str, confirmed: bool) -> Result<Connector, Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let connector = not_revoked(deed, id).await?;
    let after = json!({ "confirmed": confirmed });
    deed.note("connector.standing_asked", subject(&connector.id), None, Some(after)).await?;
    Ok(connector)
}

/// Orders the end of an access that nobody here knows.
///
/// # Errors
/// There is no such stray, or the asker is no admin.
pub async fn end_stray(deed: &mut Deed<'_>, id: &str, access: &str) -> Result<Position, Refusal> {
    deed.may(Doing::ManageConnectors)?;
    let connector = not_revoked(deed, id).await?;
    let strays = deed.rows.strays(&connector.id).await?;
    let access = AccessId::parse(access).map_err(|_| Refusal::missing("stray", access))?;
    if !strays.iter().any(|stray| stray.access == access) {
        return Err(Refusal::missing("stray", access));
    }
    deed.note("stray.end_asked", format!("stray/{access}"), None, None).await?;
    Ok(deed.order(&connector.id, &Order::EndAccess { access }).await?)
}

/// Replaces the policy that holds for all integrations.
///
/// # Errors
/// A period is too long, or the asker is no admin.
pub async fn set_policy(deed: &mut Deed<'_>, policy: Policy) -> Result<Policy, Refusal> {
    deed.may(Doing::ManageIntegrations)?;
    let periods = [
        ("credentials_rotation_period_in_days", policy.credentials_rotation_period_in_days, 1),
        ("credentials_cleanup_period_in_days", policy.credentials_cleanup_period_in_days, 0),
    ];
    let faults: Vec<_> = periods
        .into_iter()
        .filter(|(_, days, least)| days.is_some_and(|days| !(*least..=MOST_DAYS).contains(&days)))
        .map(|(field, _, least)| {
            Fault::new(field, format!("it is not between {least} and {MOST_DAYS}"), "give whole days")
        })
        .collect();
    if !faults.is_empty() {
        return Err(Refusal::Invalid { faults });
    }
    let before = deed.rows.policy().await?;
    if before == policy {
        return Ok(policy);
    }
    deed.rows.put_policy(&policy).await?;
    deed.note("policy.changed", "policy", Some(json!(before)), Some(json!(policy))).await?;
    let mut after: Option<String> = None;
    loop {
        let page = deed.rows.connectors(after.as_deref(), 500).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.to_string());
        for connector in page.iter().filter(|connector| connector.revoked_at.is_none()) {
            deed.order(&connector.id, &Order::SetPolicy { policy }).await?;
        }
    }
    Ok(policy)
}
