//! Spoilt messages of an agent: refused by name or taken whole, never a panic.

use model::Timestamp;
use prost::Message as _;
use proto::v1;
use proto::v1::agent_message::Message;

use super::{hello, incoming, pulse, verdict};

/// What an agent of version 0.1.0 said to a control plane.
const RECORDED: &[u8] = include_bytes!("../../../../tests/e2e/recorded/v0.1.0.session");

/// The messages of the agent in a recorded session.
fn recorded() -> Vec<Vec<u8>> {
    let mut rest = RECORDED.strip_prefix(b"tidegate session 1\n").unwrap();
    let mut messages = vec![];
    while let Some((&by, after)) = rest.split_first() {
        let (length, after) = after.split_first_chunk::<4>().unwrap();
        let (bytes, after) = after.split_at(u32::from_be_bytes(*length).try_into().unwrap());
        if by == b'A' {
            messages.push(bytes.to_vec());
        }
        rest = after;
    }
    messages
}

#[test]
fn fuzz_messages_of_an_agent() {
    let now = Timestamp::from_secs(1_800_000_000);
    fuzz::hammer("messages of an agent", &recorded(), |bytes| {
        let Ok(message) = v1::AgentMessage::decode(bytes) else { return };
        match message.message {
            Some(Message::Hello(wire)) => drop(hello(wire)),
            Some(Message::Report(wire)) => drop(incoming(wire, now)),
            Some(Message::Heartbeat(wire)) => drop(pulse(wire, now)),
            Some(Message::StandingVerdict(wire)) => drop(verdict(wire)),
            Some(Message::Ack(_) | Message::Goodbye(_)) | None => {}
        }
    });
}
