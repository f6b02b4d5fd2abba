//! Integrations: applied, retired, looked at.

use std::collections::BTreeMap;

use model::{
    ConnectorId, DriverKind, Integration, IntegrationId, Lifecycle, Policy, Position, Revision,
    SecretReference, Span,
};
use serde_json::json;

use super::{Deed, connector_of};
use crate::refusal::Refusal;
use crate::rules::order::Order;
use crate::rules::role::Doing;
use crate::rules::terms::{Approval, Offer, offer_faults};

/// What an admin wants an integration to be.
#[derive(Debug, Clone)]
pub struct Wish {
    pub connector: String,
    pub kind: String,
    pub title: Option<String>,
    pub settings: BTreeMap<String, String>,
    pub secret: String,
    pub policy: Policy,
    pub approval: Approval,
    pub access_details: Option<String>,
    pub longest: Option<Span>,
}

/// On which revision a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provided {
    /// Whatever there is.
    Always,
    /// Only when there is none yet.
    Absent,
    /// Only when this is the present one.
    At(Revision),
}

/// Reads the id of an integration that should exist.
///
/// # Errors
/// It is not an id, so there is no such integration.
pub fn parse(id: &str) -> Result<IntegrationId, Refusal> {
    IntegrationId::parse(id).map_err(|_| Refusal::missing("integration", id))
}

/// Returns an integration, or says that there is none.
///
/// # Errors
/// There is none.
pub async fn offer_of(deed: &mut Deed<'_>, id: &str) -> Result<Offer, Refusal> {
    let id = parse(id)?;
    deed.rows.offer(&id).await?.ok_or_else(|| Refusal::missing("integration", id))
}

/// Makes an integration, or replaces it whole. The same again changes nothing.
///
/// # Errors
/// All that is wrong with it; it is being retired; the revision is not the present one; no admin.
pub async fn apply(deed: &mut Deed<'_>, id: &str, wish: Wish, provided: Provided) -> Result<Offer, Refusal> {
    deed.may(Doing::ManageIntegrations)?;
    let id = IntegrationId::parse(id)
        .map_err(|fault| Refusal::invalid("id", fault.to_string(), "choose another id"))?;
    let before = deed.rows.offer(&id).await?;
    let current = before.as_ref().map_or(0, |offer| offer.integration.revision.0);
    let stands = match provided {
        Provided::Always => true,
        Provided::Absent => before.is_none(),
        Provided::At(revision) => before.is_some() && revision.0 == current,
    };
    if !stands {
        return Err(Refusal::Stale { current });
    }
    let offer = wished(deed, id, wish, before.as_ref())?;
    let connector = deed.rows.connector(&offer.connector).await?;
    let Some(connector) = connector else {
        let reason = format!("there is no connector `{}`", offer.connector);
        return Err(Refusal::invalid("connector", reason, "see `tidegatectl connectors list`"));
    };
    if let Some(before) = &before {
        fixed(before, &offer)?;
    }
    if connector.revoked_at.is_some() {
        return Err(Refusal::conflict("connector_revoked", format!("`{}` is revoked", connector.id)));
    }
    let drivers = deed.rows.drivers(Some(&connector.id)).await?;
    let driver = drivers.iter().find(|driver| driver.kind == offer.integration.kind.0);
    if driver.is_none() && connector.seen.is_some() {
        let known: Vec<_> = drivers.iter().map(|driver| driver.kind.as_str()).collect();
        let reason = format!("the connector `{}` has no driver `{}`", connector.id, offer.integration.kind);
        return Err(Refusal::invalid("kind", reason, format!("choose one of: {}", known.join(", "))));
    }
    let faults = offer_faults(&offer, driver.map(|driver| &driver.catalogue));
    if !faults.is_empty() {
        return Err(Refusal::Invalid { faults });
    }
    write(deed, before, offer).await
}

fn wished(deed: &Deed<'_>, id: IntegrationId, wish: Wish, before: Option<&Offer>) -> Result<Offer, Refusal> {
    let connector = ConnectorId::parse(wish.connector)
        .map_err(|fault| Refusal::invalid("connector", fault.to_string(), "name a connector"))?;
    let blank = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    Ok(Offer {
        connector,
        integration: Integration {
            id,
            revision: before.map_or(Revision(1), |before| before.integration.revision),
            kind: DriverKind(wish.kind),
            settings: wish.settings,
            secret: SecretReference(wish.secret),
            policy: wish.policy,
            lifecycle: Lifecycle::Live,
        },
        title: blank(wish.title),
        approval: wish.approval,
        access_details: blank(wish.access_details),
        longest: wish.longest,
        created_at: before.map_or(deed.now, |before| before.created_at),
        updated_at: before.map_or(deed.now, |before| before.updated_at),
        retired_at: None,
    })
}

/// What cannot change about an integration.
fn fixed(before: &Offer, offer: &Offer) -> Result<(), Refusal> {
    let id = &offer.integration.id;
    if before.integration.lifecycle == Lifecycle::Retiring {
        let detail =
            format!("`{id}` is retired or being retired, and its id never comes back: choose another id");
        return Err(Refusal::conflict("integration_retired", detail));
    }
    if before.connector != offer.connector {
        let detail =
            format!("`{id}` belongs to the connector `{}`: retire it and make another", before.connector);
        return Err(Refusal::conflict("connector_fixed", detail));
    }
    if before.integration.kind != offer.integration.kind {
        let detail = format!("`{id}` is a `{}`: retire it and make another", before.integration.kind);
        return Err(Refusal::conflict("kind_fixed", detail));
    }
    Ok(())
}

async fn write(deed: &mut Deed<'_>, before: Option<Offer>, mut offer: Offer) -> Result<Offer, Refusal> {
    let mut told = true;
    if let Some(before) = &before {
        if *before == offer {
            return Ok(offer);
        }
        told = before.integration != offer.integration;
        offer.integration.revision = before.integration.revision.next();
        offer.updated_at = deed.now;
    }
    deed.rows.put_offer(&offer).await?;
    let subject = format!("integration/{}", offer.integration.id);
    let was = before.as_ref().map(|before| json!(before));
    deed.note("integration.applied", subject, was, Some(json!(offer))).await?;
    if told {
        let order = Order::PutIntegration { integration: offer.integration.clone() };
        deed.order(&offer.connector, &order).await?;
    }
    Ok(offer)
}

/// Retires an integration: everything on it is closed, what is ours is removed; the id never comes back.
///
/// # Errors
/// There is none, the revision is not the present one, or the asker is no admin.
pub async fn retire(deed: &mut Deed<'_>, id: &str, provided: Provided) -> Result<Offer, Refusal> {
    deed.may(Doing::ManageIntegrations)?;
    let before = offer_of(deed, id).await?;
    let current = before.integration.revision;
    if !matches!(provided, Provided::Always) && provided != Provided::At(current) {
        return Err(Refusal::Stale { current: current.0 });
    }
    if before.integration.lifecycle == Lifecycle::Retiring {
        return Ok(before);
    }
    let mut offer = before;
    offer.integration.lifecycle = Lifecycle::Retiring;
    offer.integration.revision = current.next();
    offer.updated_at = deed.now;
    deed.rows.put_offer(&offer).await?;
    let integration = offer.integration.id.clone();
    // Nothing of it can be asked for any more.
    deed.rows.clear_snapshots(&integration).await?;
    deed.note("integration.retire_asked", format!("integration/{integration}"), None, None).await?;
    deed.order(&offer.connector, &Order::RetireIntegration { integration }).await?;
    Ok(offer)
}

/// What an admin can have done to an integration now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Check,
    Discover,
    Survey,
}

/// Orders a look at an integration.
///
/// # Errors
/// There is none, it is retired, or the asker is no admin.
pub async fn look(deed: &mut Deed<'_>, id: &str, look: Look) -> Result<(ConnectorId, Position), Refusal> {
    deed.may(Doing::ManageIntegrations)?;
    let offer = offer_of(deed, id).await?;
    if offer.retired_at.is_some() {
        return Err(Refusal::conflict("integration_retired", format!("`{id}` is retired")));
    }
    let connector = connector_of(deed.rows, &offer.connector).await?;
    if connector.revoked_at.is_some() {
        return Err(Refusal::conflict("connector_revoked", format!("`{}` is revoked", connector.id)));
    }
    let integration = offer.integration.id.clone();
    let (what, order) = match look {
        Look::Check => ("integration.check_asked", Order::CheckNow { integration }),
        Look::Discover => ("integration.discover_asked", Order::DiscoverNow { integration }),
        Look::Survey => ("integration.survey_asked", Order::SurveyNow { integration }),
    };
    deed.note(what, format!("integration/{id}"), None, None).await?;
    let position = deed.order(&offer.connector, &order).await?;
    Ok((offer.connector, position))
}
