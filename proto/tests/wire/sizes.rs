//! The largest things that the limits allow fit into one message.

use prost::Message;
use proto::limits::{
    CIPHERTEXT_BYTES, CONNECTION_LINES, ENTITLEMENT_BYTES, ENTITLEMENTS, MESSAGE_BYTES, NAME_BYTES,
    PAGE_ACCESSES, PROBES, RECEIPT_BYTES, RESIDUALS, SETTING_BYTES, SETTINGS, TEXT_BYTES,
};
use proto::v1::{self, agent_message, control_message};

/// The longest id of an access, integration, connector or grantee.
const ID_BYTES: usize = 64;

fn text(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn agent(report: v1::report::Report) -> usize {
    let report = v1::Report {
        journal_incarnation: text(ID_BYTES),
        position: u64::MAX,
        made_at: Some(prost_types::Timestamp { seconds: 253_402_207_200, nanos: 999_000_000 }),
        report: Some(report),
    };
    v1::AgentMessage { message: Some(agent_message::Message::Report(report)) }.encoded_len()
}

fn control(order: v1::order::Order) -> usize {
    let order = v1::Order {
        control_incarnation: text(ID_BYTES),
        position: u64::MAX,
        issued_at: None,
        order: Some(order),
    };
    v1::ControlMessage { message: Some(control_message::Message::Order(order)) }.encoded_len()
}

fn largest_access() -> usize {
    // Four texts of equal length make up the bytes that all entitlements may have together.
    let part = text(ENTITLEMENT_BYTES / ENTITLEMENTS / 4);
    let entitlement = v1::Entitlement {
        resource: Some(v1::ResourceId { kind: part.clone(), path: vec![part.clone(); 2] }),
        permission: part,
    };
    let access = v1::PutAccess { entitlements: vec![entitlement; ENTITLEMENTS], ..Default::default() };
    control(v1::order::Order::PutAccess(access))
}

fn largest_integration() -> usize {
    let settings = (0..SETTINGS).map(|n| (format!("{n:0NAME_BYTES$}"), text(SETTING_BYTES)));
    let integration = v1::PutIntegration {
        settings: settings.collect(),
        secret_reference: text(SETTING_BYTES),
        ..Default::default()
    };
    control(v1::order::Order::PutIntegration(integration))
}

fn largest_ended() -> usize {
    let residual = v1::Residual { kind: 9, detail: text(TEXT_BYTES), ends_at: None };
    let ended = v1::access_state::Ended { verdict: 1, residual: vec![residual; RESIDUALS], at: None };
    let state = v1::AccessState { state: Some(v1::access_state::State::Ended(ended)) };
    agent(v1::report::Report::AccessChanged(v1::AccessChanged { state: Some(state), ..Default::default() }))
}

fn largest_credential() -> usize {
    let line = v1::ConnectionLine { label: text(NAME_BYTES), text: text(TEXT_BYTES) };
    agent(v1::report::Report::CredentialSealed(v1::CredentialSealed {
        ciphertext: vec![0; CIPHERTEXT_BYTES],
        connection_lines: vec![line; CONNECTION_LINES],
        ..Default::default()
    }))
}

fn largest_health() -> usize {
    let probe = v1::Probe { name: text(NAME_BYTES), grade: 3, detail: text(TEXT_BYTES) };
    agent(v1::report::Report::IntegrationHealth(v1::IntegrationHealth {
        probes: vec![probe; PROBES],
        ..Default::default()
    }))
}

fn largest_receipt() -> usize {
    agent(v1::report::Report::Receipt(v1::Receipt { body: text(RECEIPT_BYTES), ..Default::default() }))
}

fn largest_standing() -> usize {
    let access = v1::StandingAccess { access_id: text(ID_BYTES), revision: u64::MAX };
    let standing = v1::Standing { accesses: vec![access; PAGE_ACCESSES], ..Default::default() };
    v1::ControlMessage { message: Some(control_message::Message::Standing(standing)) }.encoded_len()
}

#[test]
fn the_largest_that_is_allowed_fits_into_a_message() {
    let table = [
        ("an access", largest_access()),
        ("an integration", largest_integration()),
        ("an ended access", largest_ended()),
        ("a credential", largest_credential()),
        ("a check", largest_health()),
        ("a receipt", largest_receipt()),
        ("a page of a standing list", largest_standing()),
    ];
    for (name, bytes) in table {
        assert!(bytes <= MESSAGE_BYTES, "{name} takes {bytes} bytes of {MESSAGE_BYTES}");
        assert!(bytes > 256 * 1024, "{name} takes {bytes} bytes: the example is not large");
    }
}
