//! What the tests of several rooms start from.

use model::mark::{EntitlementDeadline, Mark, MarkDraft};
use model::{
    AccountId, ConnectorId, Entitlement, ImmutableId, IntegrationId, ResourceId, Revision, TargetIdentity,
    Timestamp,
};

use crate::keys::{MarkKey, ReceiptKey, SealingKey};

/// The private key of the recipient in RFC 9180's vectors for X25519, HKDF-SHA256 and AES-GCM.
pub(crate) const RFC_9180_SECRET: &str = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";
/// Its public half.
pub(crate) const RFC_9180_PUBLIC: &str = "430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c";

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

pub(crate) fn mark_key(n: u8) -> MarkKey {
    MarkKey::from_bytes(&[n; 32]).unwrap()
}

pub(crate) fn sealing_key(n: u8) -> SealingKey {
    SealingKey::from_bytes(&[n; 32]).unwrap()
}

pub(crate) fn receipt_key(n: u8) -> ReceiptKey {
    ReceiptKey::from_bytes(&[n; 32]).unwrap()
}

pub(crate) fn connector() -> ConnectorId {
    ConnectorId::parse("eu-west").unwrap()
}

pub(crate) fn integration(id: &str) -> IntegrationId {
    IntegrationId::parse(id).unwrap()
}

pub(crate) fn account() -> AccountId {
    "018f5a2e-7b1c-7d3e-9f40-0123456789ab".parse().unwrap()
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A mark with two deadlines, hostile names among them.
pub(crate) fn mark() -> Mark {
    let deadline = |path: &[&str], permission, until| EntitlementDeadline {
        entitlement: Entitlement::new(ResourceId::new("postgresql-table", path.to_vec()), permission),
        until: time(until),
    };
    MarkDraft {
        connector: connector(),
        integration: integration("orders-db"),
        account: account(),
        revision: Revision(7),
        deadlines: vec![
            deadline(&["shop", "public", "orders"], "READ_ONLY", "2026-03-01T10:00:00Z"),
            deadline(&["shop", "pub:lic", "it's \"é\" -- 漢\n"], "READ_WRITE", "2026-03-01T09:00:00Z"),
        ],
        until: Some(time("2026-03-01T10:00:00Z")),
        last_revoked: Some(time("2026-02-28T23:59:59.999Z")),
    }
    .complete(TargetIdentity("7351234567890123456".into()), ImmutableId("16431".into()))
}
