//! Spoilt messages of a control plane: refused by name or taken whole, never a panic.

use prost::Message as _;
use proto::v1;
use proto::v1::control_message::Message;

use crate::link::convert::{ack, control_heartbeat, goodbye, received, standing_page, welcome};

/// What a control plane of version 0.1.0 said to an agent.
const RECORDED: &[u8] = include_bytes!("../../../../tests/e2e/recorded/v0.1.0.session");

/// The messages of the control plane in a recorded session.
fn recorded() -> Vec<Vec<u8>> {
    let mut rest = RECORDED.strip_prefix(b"tidegate session 1\n").unwrap();
    let mut messages = vec![];
    while let Some((&by, after)) = rest.split_first() {
        let (length, after) = after.split_first_chunk::<4>().unwrap();
        let (bytes, after) = after.split_at(u32::from_be_bytes(*length).try_into().unwrap());
        if by == b'C' {
            messages.push(bytes.to_vec());
        }
        rest = after;
    }
    messages
}

#[test]
fn fuzz_messages_of_a_control_plane() {
    fuzz::hammer("messages of a control plane", &recorded(), |bytes| {
        let Ok(message) = v1::ControlMessage::decode(bytes) else { return };
        match message.message {
            Some(Message::Welcome(wire)) => drop(welcome(wire)),
            Some(Message::Order(wire)) => drop(received(wire)),
            Some(Message::Ack(wire)) => drop(ack(&wire)),
            Some(Message::Heartbeat(wire)) => drop(control_heartbeat(&wire)),
            Some(Message::Standing(wire)) => drop(standing_page(wire)),
            Some(Message::Goodbye(wire)) => drop(goodbye(&wire)),
            None => {}
        }
    });
}
