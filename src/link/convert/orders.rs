//! Orders, from the wire.

use std::collections::BTreeMap;

use model::{
    AccessId, DriverKind, Incarnation, Integration, IntegrationId, Lifecycle, Position, Revision,
    SecretReference, Timestamp,
};
use proto::{limits, v1};
use rules::{AccessOrder, Grantee, Order};

use super::words::{need_time, read_entitlements, read_key, read_policy, read_time};
use super::{Fault, from_one, id, name, optional_id, text, uuid};

/// An order that has a place in the control plane's log, whether or not it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) incarnation: Incarnation,
    pub(crate) position: Position,
    pub(crate) order: Result<Order, Refusal>,
}

/// Why an order is not taken: to be reported at its place, and acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The access that it was about, where that could be read.
    pub(crate) access: Option<AccessId>,
    pub(crate) fault: Fault,
}

/// Reads an order.
///
/// # Errors
/// When it has no place in a log: it can be neither refused nor acknowledged, and the session is broken.
pub(crate) fn received(wire: v1::Order) -> Result<Received, Fault> {
    Ok(Received {
        incarnation: uuid("order.control_incarnation", &wire.control_incarnation)?,
        position: Position(from_one("order.position", wire.position)?),
        order: match wire.order {
            Some(order) => {
                let access = access_of(&order);
                read(order).map_err(|fault| Refusal { access, fault })
            }
            None => Err(Refusal { access: None, fault: Fault::UnknownKind { field: "order" } }),
        },
    })
}

fn access_of(order: &v1::order::Order) -> Option<AccessId> {
    use v1::order::Order as Wire;
    match order {
        Wire::PutAccess(wire) => wire.access_id.parse().ok(),
        Wire::EndAccess(wire) => wire.access_id.parse().ok(),
        Wire::CancelEnding(wire) => wire.access_id.parse().ok(),
        Wire::PutIntegration(_)
        | Wire::RetireIntegration(_)
        | Wire::RotateAccount(_)
        | Wire::DeleteAccount(_)
        | Wire::CheckNow(_)
        | Wire::DiscoverNow(_)
        | Wire::SurveyNow(_)
        | Wire::Pause(_)
        | Wire::Resume(_)
        | Wire::SetPolicy(_) => None,
    }
}

fn read(order: v1::order::Order) -> Result<Order, Fault> {
    use v1::order::Order as Wire;
    Ok(match order {
        Wire::PutIntegration(wire) => Order::PutIntegration(read_integration(wire)?),
        Wire::RetireIntegration(wire) => Order::RetireIntegration {
            integration: id("retire_integration.integration_id", &wire.integration_id)?,
        },
        Wire::PutAccess(wire) => Order::PutAccess(read_access(wire)?),
        Wire::EndAccess(wire) => Order::EndAccess { access: id("end_access.access_id", &wire.access_id)? },
        Wire::RotateAccount(wire) => Order::RotateAccount {
            integration: id("rotate_account.integration_id", &wire.integration_id)?,
            grantee: id("rotate_account.grantee_id", &wire.grantee_id)?,
            key: wire.public_key.map(|key| read_key("rotate_account.public_key", &key)).transpose()?,
        },
        Wire::DeleteAccount(wire) => Order::DeleteAccount {
            integration: id("delete_account.integration_id", &wire.integration_id)?,
            grantee: id("delete_account.grantee_id", &wire.grantee_id)?,
        },
        Wire::CheckNow(wire) => {
            Order::CheckNow { integration: id("check_now.integration_id", &wire.integration_id)? }
        }
        Wire::DiscoverNow(wire) => {
            Order::DiscoverNow { integration: id("discover_now.integration_id", &wire.integration_id)? }
        }
        Wire::SurveyNow(wire) => {
            Order::SurveyNow { integration: id("survey_now.integration_id", &wire.integration_id)? }
        }
        Wire::CancelEnding(wire) => {
            Order::CancelEnding { access: id("cancel_ending.access_id", &wire.access_id)? }
        }
        Wire::Pause(wire) => {
            Order::Pause { integration: optional_id("pause.integration_id", &wire.integration_id)? }
        }
        Wire::Resume(wire) => {
            Order::Resume { integration: optional_id("resume.integration_id", &wire.integration_id)? }
        }
        Wire::SetPolicy(wire) => Order::SetPolicy { policy: read_policy(wire.policy) },
    })
}

fn read_integration(wire: v1::PutIntegration) -> Result<Integration, Fault> {
    const REFERENCE: &str = "put_integration.secret_reference";
    if wire.secret_reference.is_empty() {
        return Err(Fault::Missing { field: REFERENCE });
    }
    Ok(Integration {
        id: id("put_integration.integration_id", &wire.integration_id)?,
        revision: Revision(from_one("put_integration.revision", wire.revision)?),
        kind: DriverKind(name("put_integration.kind", wire.kind)?),
        settings: read_settings(wire.settings)?,
        secret: SecretReference(text(REFERENCE, wire.secret_reference, limits::SETTING_BYTES)?),
        policy: read_policy(wire.policy),
        lifecycle: Lifecycle::Live,
    })
}

fn read_settings(wire: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
    const FIELD: &str = "put_integration.settings";
    if wire.len() > limits::SETTINGS {
        return Err(Fault::TooMany { field: FIELD, found: wire.len(), most: limits::SETTINGS });
    }
    let read = |(key, value)| Ok((name(FIELD, key)?, text(FIELD, value, limits::SETTING_BYTES)?));
    wire.into_iter().map(read).collect()
}

/// An empty text is none.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn read_access(wire: v1::PutAccess) -> Result<AccessOrder, Fault> {
    let integration: IntegrationId = id("put_access.integration_id", &wire.integration_id)?;
    let grantee = wire.grantee.ok_or(Fault::Missing { field: "put_access.grantee" })?;
    Ok(AccessOrder {
        id: id("put_access.access_id", &wire.access_id)?,
        revision: Revision(from_one("put_access.revision", wire.revision)?),
        integration,
        grantee: Grantee {
            id: id("put_access.grantee.id", &grantee.id)?,
            hint: text("put_access.grantee.hint", grantee.hint, limits::NAME_BYTES)?,
            key: read_key("put_access.grantee.public_key", &grantee.public_key)?,
        },
        entitlements: read_entitlements(wire.entitlements)?,
        from: read_time("put_access.from", wire.from)?.unwrap_or(Timestamp::ZERO),
        until: need_time("put_access.until", wire.until)?,
        approval: some(text("put_access.approval_id", wire.approval_id, limits::NAME_BYTES)?),
    })
}
