//! Connectors, integrations and resources as the API gives them.

use model::{Lifecycle, Policy, Span};

use crate::http::view::integration as view;
use crate::office::Limits;
use crate::record::{Connector, KeyUse, Pin, Stray};
use crate::rules::terms::Offer;
use crate::store::rows::FoundResource;
use crate::store::{Rows, StoreFault};
use crate::stream::alive::Alive;

pub(in crate::http) fn seconds(span: Span) -> u64 {
    span.as_std().as_secs()
}

pub(in crate::http) const fn policy(policy: Policy) -> view::PolicyView {
    view::PolicyView {
        credentials_rotation_period_in_days: policy.credentials_rotation_period_in_days,
        credentials_cleanup_period_in_days: policy.credentials_cleanup_period_in_days,
    }
}

fn key(pin: &Pin) -> view::ConnectorKey {
    use base64::Engine as _;
    let raw = base64::engine::general_purpose::STANDARD.decode(&pin.key).unwrap_or_default();
    view::ConnectorKey {
        purpose: match pin.purpose {
            KeyUse::Sealing => "sealing".into(),
            KeyUse::Receipts => "receipts".into(),
        },
        key_id: pin.key_id.clone(),
        public_key: pin.key.clone(),
        fingerprint: seal::keys::fingerprint(&raw),
        current: pin.current,
    }
}

pub(in crate::http) async fn connector(
    rows: &mut dyn Rows,
    alive: &Alive,
    connector: &Connector,
) -> Result<view::Connector, StoreFault> {
    let log = rows.log(&connector.id).await?;
    let session = alive.session(&connector.id);
    let seen = connector.seen.as_ref();
    let heard = session.as_ref().map(|session| session.heard_at).or(seen.map(|seen| seen.at));
    let (last, taken) = log.map_or((0, 0), |log| (log.last.0, log.taken.0));
    Ok(view::Connector {
        id: connector.id.to_string(),
        description: connector.description.clone(),
        created_at: connector.created_at.to_string(),
        revoked_at: connector.revoked_at.map(|at| at.to_string()),
        connected: session.is_some(),
        last_seen_at: heard.map(|at| at.to_string()),
        version: seen.map(|seen| seen.version.clone()),
        instance: seen.map(|seen| seen.instance.to_string()),
        journal_incarnation: seen.map(|seen| seen.journal.to_string()),
        place: seen.map(|seen| seen.place.clone()).unwrap_or_default(),
        keys: connector.pins.iter().map(key).collect(),
        keys_offered: connector.offered.iter().map(key).collect(),
        paused: connector.paused,
        orders_waiting: last.saturating_sub(taken),
        log_incarnation: log.map(|log| log.incarnation.to_string()).unwrap_or_default(),
        last_order: last,
        pulse: session.and_then(|session| session.pulse),
        standing: connector.standing.clone(),
    })
}

pub(in crate::http) fn stray(stray: &Stray) -> view::Stray {
    view::Stray {
        access: stray.access.to_string(),
        connector: stray.connector.to_string(),
        integration: stray.integration.to_string(),
        account: stray.account.to_string(),
        state: stray.state.word().into(),
        at: stray.at.to_string(),
    }
}

/// Settings, secret reference, policy and drift only for those who may read them.
pub(in crate::http) async fn integration(
    rows: &mut dyn Rows,
    alive: &Alive,
    limits: Limits,
    offer: &Offer,
    settings: bool,
) -> Result<view::Integration, StoreFault> {
    let id = &offer.integration.id;
    let condition = rows.condition(id).await?;
    // What was found before it was retired is nothing to ask for.
    let snapshot = rows.snapshot(id).await?.filter(|_| offer.integration.lifecycle == Lifecycle::Live);
    let discovering_pages = rows.pages_under_way(id).await?;
    let longest = offer.longest.map_or(limits.longest, |own| own.min(limits.longest));
    let lifecycle = match (offer.integration.lifecycle, offer.retired_at) {
        (_, Some(_)) => "retired",
        (Lifecycle::Retiring, None) => "retiring",
        (Lifecycle::Live, None) => "live",
    };
    Ok(view::Integration {
        id: id.to_string(),
        revision: offer.integration.revision.0,
        connector: offer.connector.to_string(),
        kind: offer.integration.kind.0.clone(),
        title: offer.title.clone(),
        lifecycle: lifecycle.into(),
        approval: offer.approval,
        max_duration_seconds: seconds(longest),
        access_details: offer.access_details.clone(),
        connected: alive.is_connected(&offer.connector),
        health: condition.health,
        drift: condition.drift.filter(|_| settings),
        resources: snapshot.as_ref().map_or(0, |snapshot| snapshot.resources),
        discovered_at: snapshot.as_ref().map(|snapshot| snapshot.completed_at.to_string()),
        discovering_pages,
        unlisted: snapshot.map(|snapshot| snapshot.unlisted).filter(|unlisted| unlisted.count > 0),
        updated_at: offer.updated_at.to_string(),
        settings: settings.then(|| offer.integration.settings.clone()),
        secret: settings.then(|| offer.integration.secret.0.clone()),
        policy: settings.then(|| policy(offer.integration.policy)),
    })
}

pub(in crate::http) fn resource(found: FoundResource) -> view::Resource {
    view::Resource {
        integration: found.integration.to_string(),
        kind: found.resource.id.kind.0,
        path: found.resource.id.path,
        permissions: found.resource.permissions.into_iter().map(|permission| permission.0).collect(),
        tags: found.resource.tags,
    }
}
