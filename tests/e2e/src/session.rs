//! A session's frames as they are kept: what an agent and a control plane of one release said to each other.
//!
//! A file begins with a line that says what it is; then, for each message, one byte for who said it (`A` or `C`), its
//! length (32 bits, big end first), and its bytes, a `proto` message as it was on the wire. Later releases must be able
//! to read them.

use std::path::Path;

use anyhow::{Context as _, bail};
use prost::Message as _;
use proto::v1::{AgentMessage, ControlMessage, agent_message, control_message, order, report};

use crate::proxy::{Heard, Side};

/// The first line of a file.
const MAGIC: &[u8] = b"tidegate session 1\n";

/// One message of a kept session.
#[derive(Clone, Debug)]
pub struct Spoken {
    pub by: Side,
    pub bytes: Vec<u8>,
}

/// Keeps the messages among what a proxy heard. Where the agent ran is nobody's business and is left out.
pub fn keep(path: &Path, heard: &[Heard]) -> anyhow::Result<()> {
    let mut file = MAGIC.to_vec();
    for heard in heard {
        let (by, bytes) = match heard {
            Heard::Message { by: Side::Agent, bytes, .. } => (b'A', without_place(bytes)?),
            Heard::Message { by: Side::Control, bytes, .. } => (b'C', bytes.to_vec()),
            Heard::Compressed { .. } => bail!("a message was compressed: the session cannot be kept"),
            Heard::Words { .. } => continue,
        };
        file.push(by);
        file.extend(u32::try_from(bytes.len()).context("a message is too long")?.to_be_bytes());
        file.extend(bytes);
    }
    std::fs::write(path, file).with_context(|| format!("write {}", path.display()))
}

/// Reads a kept session.
pub fn read(path: &Path) -> anyhow::Result<Vec<Spoken>> {
    let file = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let mut rest = file.strip_prefix(MAGIC).with_context(|| format!("{} is no session", path.display()))?;
    let mut messages = vec![];
    while let Some((&by, after)) = rest.split_first() {
        let by = match by {
            b'A' => Side::Agent,
            b'C' => Side::Control,
            other => bail!("message {} is said by {other:#x}", messages.len() + 1),
        };
        let (length, after) = after.split_first_chunk::<4>().context("the last message has no length")?;
        let length = usize::try_from(u32::from_be_bytes(*length)).context("a message is too long")?;
        let (bytes, after) = after.split_at_checked(length).context("the last message is not whole")?;
        messages.push(Spoken { by, bytes: bytes.to_vec() });
        rest = after;
    }
    Ok(messages)
}

fn without_place(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut message = AgentMessage::decode(bytes).context("read what the agent said")?;
    if let Some(agent_message::Message::Hello(hello)) = &mut message.message {
        hello.whereabouts = None;
        return Ok(message.encode_to_vec());
    }
    Ok(bytes.to_vec())
}

/// Names the kind of a message.
pub fn kind(spoken: &Spoken) -> anyhow::Result<&'static str> {
    let bytes = spoken.bytes.as_slice();
    let named = match spoken.by {
        Side::Agent => AgentMessage::decode(bytes)
            .context("read what the agent said")?
            .message
            .map(|said| of_agent(&said)),
        Side::Control => ControlMessage::decode(bytes)
            .context("read what the control plane said")?
            .message
            .map(|said| of_control(&said)),
    };
    named.flatten().context("a message says nothing")
}

fn of_agent(said: &agent_message::Message) -> Option<&'static str> {
    use agent_message::Message as Said;
    Some(match said {
        Said::Hello(_) => "hello",
        Said::Report(report) => of_report(report.report.as_ref()?),
        Said::Ack(_) => "ack of orders",
        Said::Heartbeat(_) => "agent's heartbeat",
        Said::StandingVerdict(_) => "standing verdict",
        Said::Goodbye(_) => "agent's goodbye",
    })
}

fn of_report(report: &report::Report) -> &'static str {
    use report::Report as Told;
    match report {
        Told::AccessChanged(_) => "access changed",
        Told::CredentialSealed(_) => "credential sealed",
        Told::AccountChanged(_) => "account changed",
        Told::IntegrationHealth(_) => "integration health",
        Told::ResourcePage(_) => "resource page",
        Told::DriftFound(_) => "drift found",
        Told::Receipt(_) => "receipt",
        Told::OrderRefused(_) => "order refused",
        Told::IntegrationRetired(_) => "integration retired",
        Told::Alarm(_) => "alarm",
    }
}

fn of_control(said: &control_message::Message) -> Option<&'static str> {
    use control_message::Message as Said;
    Some(match said {
        Said::Welcome(_) => "welcome",
        Said::Order(order) => of_order(order.order.as_ref()?),
        Said::Ack(_) => "ack of reports",
        Said::Heartbeat(_) => "control plane's heartbeat",
        Said::Standing(_) => "standing",
        Said::Goodbye(_) => "control plane's goodbye",
    })
}

fn of_order(order: &order::Order) -> &'static str {
    use order::Order as Asked;
    match order {
        Asked::PutIntegration(_) => "put integration",
        Asked::RetireIntegration(_) => "retire integration",
        Asked::PutAccess(_) => "put access",
        Asked::EndAccess(_) => "end access",
        Asked::RotateAccount(_) => "rotate account",
        Asked::DeleteAccount(_) => "delete account",
        Asked::CheckNow(_) => "check now",
        Asked::DiscoverNow(_) => "discover now",
        Asked::SurveyNow(_) => "survey now",
        Asked::CancelEnding(_) => "cancel ending",
        Asked::Pause(_) => "pause",
        Asked::Resume(_) => "resume",
        Asked::SetPolicy(_) => "set policy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Bytes;

    #[test]
    fn a_session_is_read_as_it_was_kept() {
        let path = std::env::temp_dir().join(format!("tidegate-session-{}", uuid::Uuid::new_v4().simple()));
        let hello = proto::v1::Hello {
            connector_id: "harbour-1".into(),
            whereabouts: Some(proto::v1::Whereabouts { host: "a machine".into(), ..Default::default() }),
            ..Default::default()
        };
        let said = AgentMessage { message: Some(agent_message::Message::Hello(hello)) };
        let welcome = control_message::Message::Welcome(proto::v1::Welcome::default());
        let answer = ControlMessage { message: Some(welcome) };
        let message = |by, bytes: Vec<u8>| Heard::Message { connection: 1, by, bytes: Bytes::from(bytes) };
        let heard = [
            Heard::Words { connection: 1, by: Side::Agent, text: "authorization: Bearer x".into() },
            message(Side::Agent, said.encode_to_vec()),
            message(Side::Control, answer.encode_to_vec()),
        ];
        keep(&path, &heard).unwrap();
        let kinds: Vec<_> = read(&path).unwrap().iter().map(|spoken| kind(spoken).unwrap()).collect();
        assert_eq!(kinds, ["hello", "welcome"]);
        let whole = std::fs::read(&path).unwrap();
        for private in ["a machine", "Bearer"] {
            assert!(!String::from_utf8_lossy(&whole).contains(private), "{private} was kept");
        }
        for torn in MAGIC.len() + 1..whole.len() {
            std::fs::write(&path, &whole[..torn]).unwrap();
            let read = read(&path);
            assert!(read.is_err() || read.is_ok_and(|messages| messages.len() == 1), "torn at {torn}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
