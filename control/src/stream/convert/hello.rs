//! Hello and heartbeats as they come in.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Position, Timestamp};
use proto::{limits, v1};

use super::{Unreadable, at_most, bytes, id, name, optional_time, text, time, unreadable, uuid};
use crate::record::{Hindrance, KeyUse, Pin, Pulse};
use crate::rules::hello::Hello;

/// Reads who an agent is.
pub(in crate::stream) fn hello(wire: v1::Hello) -> Result<Hello, Unreadable> {
    at_most("manifests", wire.manifests.len(), limits::MANIFESTS)?;
    at_most("public_keys", wire.public_keys.len(), limits::PUBLIC_KEYS)?;
    at_most("orders_taken", wire.orders_taken.len(), limits::CURSORS)?;
    let connector = id("connector_id", &wire.connector_id)?;
    let mut taken = BTreeMap::new();
    for cursor in wire.orders_taken {
        taken.insert(uuid("orders_taken.incarnation", &cursor.incarnation)?, Position(cursor.position));
    }
    let mut drivers = BTreeMap::new();
    for manifest in wire.manifests {
        let driver = super::manifest::driver(&connector, manifest)?;
        drivers.insert(driver.kind.clone(), driver);
    }
    let mut keys = BTreeSet::new();
    for key in wire.public_keys {
        keys.extend(pin(key)?);
    }
    Ok(Hello {
        connector,
        instance: uuid("instance_id", &wire.instance_id)?,
        version: text("agent_version", wire.agent_version, limits::NAME_BYTES)?,
        protocols: (wire.oldest_protocol, wire.newest_protocol),
        journal: uuid("journal_incarnation", &wire.journal_incarnation)?,
        epoch: wire.epoch,
        taken,
        last_report: Position(wire.last_report),
        drivers: drivers.into_values().collect(),
        keys,
        place: wire.whereabouts.map(place).transpose()?.unwrap_or_default(),
        time: optional_time("agent_time", wire.agent_time)?,
    })
}

/// A key for a use that this build does not know is skipped.
fn pin(key: v1::PublicKey) -> Result<Option<Pin>, Unreadable> {
    let purpose = match v1::KeyPurpose::try_from(key.purpose) {
        Ok(v1::KeyPurpose::Sealing) => KeyUse::Sealing,
        Ok(v1::KeyPurpose::Receipts) => KeyUse::Receipts,
        Ok(v1::KeyPurpose::Unspecified) | Err(_) => return Ok(None),
    };
    bytes("public_keys.key", &key.key, limits::KEY_BYTES)?;
    let key_id = name("public_keys.key_id", key.key_id)?;
    if key_id.len() > 64 {
        return Err(unreadable("public_keys.key_id", "has more than 64 bytes"));
    }
    Ok(Some(Pin { purpose, key_id, key: STANDARD.encode(&key.key), current: key.current }))
}

fn place(wire: v1::Whereabouts) -> Result<BTreeMap<String, String>, Unreadable> {
    at_most("whereabouts.labels", wire.labels.len(), limits::LABELS)?;
    let known = [
        ("cloud", wire.cloud),
        ("account", wire.account),
        ("region", wire.region),
        ("host", wire.host),
        ("kubernetes_cluster", wire.kubernetes_cluster),
        ("kubernetes_namespace", wire.kubernetes_namespace),
        ("kubernetes_pod", wire.kubernetes_pod),
    ];
    let known = known.into_iter().map(|(key, value)| (key.to_owned(), value));
    let labels = wire.labels.into_iter().map(|(key, value)| (format!("label.{key}"), value));
    let mut place = BTreeMap::new();
    for (key, value) in known.chain(labels).filter(|(_, value)| !value.is_empty()) {
        place.insert(
            text("whereabouts", key, limits::NAME_BYTES + "label.".len())?,
            text("whereabouts", value, limits::NAME_BYTES)?,
        );
    }
    Ok(place)
}

/// Reads how an agent is.
pub(in crate::stream) fn pulse(wire: v1::AgentHeartbeat, now: Timestamp) -> Result<Pulse, Unreadable> {
    at_most("hindrances", wire.hindrances.len(), limits::LABELS)?;
    let agent_time = time("time", wire.time)?;
    let mut hindrances = vec![];
    for hindrance in wire.hindrances {
        let kind = match hindrance.kind() {
            v1::HindranceKind::CloseOnly => "close_only",
            v1::HindranceKind::Paused => "paused",
            v1::HindranceKind::Clock => "clock",
            v1::HindranceKind::Reconciling => "reconciling",
            v1::HindranceKind::Unspecified => "other",
        };
        hindrances.push(Hindrance {
            kind: kind.into(),
            code: name("hindrances.code", hindrance.code)?,
            detail: text("hindrances.detail", hindrance.detail, limits::TEXT_BYTES)?,
        });
    }
    Ok(Pulse {
        active: wire.active,
        opening: wire.opening,
        ending: wire.ending,
        overdue: wire.overdue,
        queue: wire.queue,
        hindrances,
        clock_skew_milliseconds: agent_time.as_millis() - now.as_millis(),
    })
}
