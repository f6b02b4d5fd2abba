//! What the control plane sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{EntitlementSet, Incarnation, Policy, Position, Span, Timestamp};
use proto::v1::control_message::Message;
use proto::{limits, v1};

use super::{to_duration, to_time};
use crate::changes::sessions::{Greeting, Standing};
use crate::record::NumberedOrder;
use crate::rules::live::digest;
use crate::rules::order::Order;

fn cursor(incarnation: Incarnation, position: Position) -> v1::Cursor {
    v1::Cursor { incarnation: incarnation.to_string(), position: position.0 }
}

const fn policy(policy: Policy) -> v1::Policy {
    v1::Policy {
        credentials_rotation_period_in_days: policy.credentials_rotation_period_in_days,
        credentials_cleanup_period_in_days: policy.credentials_cleanup_period_in_days,
    }
}

/// The session is accepted.
pub(in crate::stream) fn welcome(greeting: &Greeting, now: Timestamp, interval: Span) -> Message {
    let committed = greeting.committed.iter();
    Message::Welcome(v1::Welcome {
        protocol: proto::PROTOCOL,
        server_time: Some(to_time(now)),
        control_incarnation: greeting.log.incarnation.to_string(),
        last_order: greeting.log.last.0,
        reports_committed: committed.map(|(journal, through)| cursor(*journal, *through)).collect(),
        policy: Some(policy(greeting.policy)),
        heartbeat_interval: Some(to_duration(interval)),
        control_version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// Reports are committed through a place.
pub(in crate::stream) fn ack(journal: Incarnation, through: Position) -> Message {
    Message::Ack(v1::Ack { through: Some(cursor(journal, through)) })
}

/// The control plane is alive.
pub(in crate::stream) fn heartbeat(
    now: Timestamp,
    heard: Option<prost_types::Timestamp>,
    last_order: (Incarnation, Position),
    committed: (Incarnation, Position),
) -> Message {
    Message::Heartbeat(v1::ControlHeartbeat {
        time: Some(to_time(now)),
        heard,
        last_order: Some(cursor(last_order.0, last_order.1)),
        reports_committed: Some(cursor(committed.0, committed.1)),
    })
}

/// The control plane is about to end the session.
pub(in crate::stream) fn goodbye(reason: v1::GoodbyeReason, detail: &str, wait: Option<Span>) -> Message {
    let end =
        detail.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= limits::TEXT_BYTES);
    let detail = detail.get(..end.last().unwrap_or_default()).unwrap_or_default().to_owned();
    Message::Goodbye(v1::Goodbye { reason: reason.into(), detail, retry_after: wait.map(to_duration) })
}

/// The standing list, page by page.
pub(in crate::stream) fn standing(standing: &Standing, confirmed: bool) -> Vec<Message> {
    let digest = digest(&standing.accesses).to_vec();
    let count = u64::try_from(standing.accesses.len()).unwrap_or(u64::MAX);
    let all: Vec<_> = standing
        .accesses
        .iter()
        .map(|(access, revision)| v1::StandingAccess { access_id: access.to_string(), revision: revision.0 })
        .collect();
    let mut pages: Vec<&[v1::StandingAccess]> = all.chunks(limits::PAGE_ACCESSES).collect();
    if pages.is_empty() {
        pages.push(&[]);
    }
    let last = pages.len();
    let page = |(n, accesses): (usize, &[v1::StandingAccess])| {
        Message::Standing(v1::Standing {
            control_incarnation: standing.incarnation.to_string(),
            log_position: standing.position.0,
            count,
            digest: digest.clone(),
            page: u32::try_from(n + 1).unwrap_or(u32::MAX),
            accesses: accesses.to_vec(),
            last: n + 1 == last,
            confirmed,
        })
    };
    pages.into_iter().enumerate().map(page).collect()
}

fn entitlements(entitlements: EntitlementSet) -> Vec<v1::Entitlement> {
    let entitlement = |entitlement: model::Entitlement| v1::Entitlement {
        resource: Some(v1::ResourceId { kind: entitlement.resource.kind.0, path: entitlement.resource.path }),
        permission: entitlement.permission.0,
    };
    entitlements.into_iter().map(entitlement).collect()
}

/// Something to be done.
pub(in crate::stream) fn order(incarnation: Incarnation, numbered: NumberedOrder) -> Message {
    use v1::order::Order as Wire;
    let order = match numbered.order {
        Order::PutIntegration { integration } => Wire::PutIntegration(v1::PutIntegration {
            integration_id: integration.id.into(),
            revision: integration.revision.0,
            kind: integration.kind.0,
            settings: integration.settings,
            secret_reference: integration.secret.0,
            policy: Some(policy(integration.policy)),
        }),
        Order::RetireIntegration { integration } => {
            Wire::RetireIntegration(v1::RetireIntegration { integration_id: integration.into() })
        }
        Order::PutAccess(order) => Wire::PutAccess(v1::PutAccess {
            access_id: order.access.into(),
            revision: order.revision.0,
            integration_id: order.integration.into(),
            grantee: Some(v1::Grantee {
                id: order.grantee.into(),
                hint: order.hint,
                public_key: key(&order.key.0),
            }),
            entitlements: entitlements(order.entitlements),
            from: Some(to_time(order.from)),
            until: Some(to_time(order.until)),
            approval_id: order.approval.unwrap_or_default(),
        }),
        Order::EndAccess { access } => Wire::EndAccess(v1::EndAccess { access_id: access.into() }),
        Order::RotateAccount { integration, grantee, key: to } => Wire::RotateAccount(v1::RotateAccount {
            integration_id: integration.into(),
            grantee_id: grantee.into(),
            public_key: to.map(|to| key(&to.0)),
        }),
        Order::DeleteAccount { integration, grantee } => Wire::DeleteAccount(v1::DeleteAccount {
            integration_id: integration.into(),
            grantee_id: grantee.into(),
        }),
        Order::CheckNow { integration } => {
            Wire::CheckNow(v1::CheckNow { integration_id: integration.into() })
        }
        Order::DiscoverNow { integration } => {
            Wire::DiscoverNow(v1::DiscoverNow { integration_id: integration.into() })
        }
        Order::SurveyNow { integration } => {
            Wire::SurveyNow(v1::SurveyNow { integration_id: integration.into() })
        }
        Order::CancelEnding { access } => Wire::CancelEnding(v1::CancelEnding { access_id: access.into() }),
        Order::Pause => Wire::Pause(v1::Pause::default()),
        Order::Resume => Wire::Resume(v1::Resume::default()),
        Order::SetPolicy { policy: all } => Wire::SetPolicy(v1::SetPolicy { policy: Some(policy(all)) }),
    };
    Message::Order(v1::Order {
        control_incarnation: incarnation.to_string(),
        position: numbered.position.0,
        issued_at: Some(to_time(numbered.issued_at)),
        order: Some(order),
    })
}

/// Keys were checked when they were registered.
fn key(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}
