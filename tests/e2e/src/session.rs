//! A session's frames as they are kept: what an agent and a control plane of one release said to each other.
//!
//! A file begins with a line that says what it is; then, for each message, one byte for who said it (`A` or `C`), its
//! length (32 bits, big end first), and its bytes, a `proto` message as it was on the wire. Later releases must be able
//! to read them.

use std::path::Path;

use anyhow::{Context as _, bail};
use prost::Message as _;
use proto::v1::{AgentMessage, ControlMessage, agent_message};

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

/// Names the kind of a message, for people and tests.
pub fn kind(spoken: &Spoken) -> anyhow::Result<String> {
    let told = match spoken.by {
        Side::Agent => format!("{:?}", AgentMessage::decode(spoken.bytes.as_slice())?.message),
        Side::Control => format!("{:?}", ControlMessage::decode(spoken.bytes.as_slice())?.message),
    };
    Ok(told)
}
