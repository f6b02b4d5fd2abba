//! Sessions of released builds, kept as they were on the wire: today's wire must be able to read them.

use std::collections::BTreeMap;
use std::path::Path;

use e2e::proxy::Side;
use e2e::session::{self, Spoken};

use crate::unwrapped;

/// What a story of v0.1.0 cannot do without.
const OF_THE_STORY: [&str; 15] = [
    "hello",
    "welcome",
    "put integration",
    "put access",
    "end access",
    "ack of orders",
    "ack of reports",
    "access changed",
    "account changed",
    "credential sealed",
    "integration health",
    "resource page",
    "receipt",
    "agent's heartbeat",
    "control plane's heartbeat",
];

#[test]
fn the_session_of_the_first_release_can_be_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/v0.1.0.session");
    let session = unwrapped(session::read(&path));
    let kinds: Vec<_> = session.iter().map(|spoken| unwrapped(session::kind(spoken))).collect();
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in &kinds {
        *counted.entry(kind).or_default() += 1;
    }
    for kind in OF_THE_STORY {
        assert!(counted.contains_key(kind), "no {kind} among {counted:?}");
    }
    assert_eq!(kinds.first(), Some(&"hello"));
    let answer = session.iter().zip(&kinds).find(|(spoken, _)| spoken.by == Side::Control);
    assert_eq!(answer.map(|(_, kind)| *kind), Some("welcome"));
    assert!(
        counted["put access"] >= 3 && counted["end access"] >= 2 && counted["receipt"] >= 3,
        "{counted:?}"
    );
}

#[test]
fn what_was_read_is_whole_when_written_again() {
    use prost::Message as _;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded/v0.1.0.session");
    for Spoken { by, bytes } in unwrapped(session::read(&path)) {
        let again = match by {
            Side::Agent => proto::v1::AgentMessage::decode(bytes.as_slice()).unwrap().encode_to_vec(),
            Side::Control => proto::v1::ControlMessage::decode(bytes.as_slice()).unwrap().encode_to_vec(),
        };
        // Maps come in any order; what is unknown today would be lost and make it shorter.
        assert_eq!(again.len(), bytes.len());
    }
}
