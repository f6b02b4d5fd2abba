//! What a proxy heard: headers, and gRPC messages cut out of the stream of bytes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};

use anyhow::Context as _;
use http::{HeaderMap, Uri};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use prost::Message as _;
use proto::v1::{AgentMessage, Report, agent_message};

/// Bytes before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Who said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Agent,
    Control,
}

/// Something that was said.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The path of a call, headers or trailers: name, colon, value, one a line.
    Words { connection: u64, by: Side, text: String },
    /// One whole message.
    Message { connection: u64, by: Side, bytes: Bytes },
    /// One whole message that was compressed, and that nobody can search.
    Compressed { connection: u64, by: Side },
}

/// All that was heard, in order. Clones are the same tape.
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<Vec<Heard>>>);

impl Tape {
    /// All that was heard so far.
    pub fn all(&self) -> Vec<Heard> {
        self.lock().clone()
    }

    /// How much was heard so far.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was heard so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The agent's reports after so much was heard, with the connection of each, as they came: more than once if they
    /// were sent more than once.
    pub fn reports(&self, after: usize) -> anyhow::Result<Vec<(u64, Report)>> {
        let mut reports = vec![];
        for heard in self.all().into_iter().skip(after) {
            let Heard::Message { connection, by: Side::Agent, bytes } = heard else { continue };
            let said = AgentMessage::decode(bytes).context("read what the agent said")?;
            if let Some(agent_message::Message::Report(report)) = said.message {
                reports.push((connection, report));
            }
        }
        Ok(reports)
    }

    pub(super) fn path(&self, connection: u64, uri: &Uri) {
        self.lock().push(Heard::Words { connection, by: Side::Agent, text: uri.to_string() });
    }

    pub(super) fn headers(&self, connection: u64, by: Side, headers: &HeaderMap) {
        let mut text = String::new();
        for (name, value) in headers {
            text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        }
        self.lock().push(Heard::Words { connection, by, text });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens to one direction of one call.
#[derive(Debug)]
pub(super) struct Listener {
    tape: Tape,
    connection: u64,
    by: Side,
    /// Of a message that is not whole yet.
    begun: Vec<u8>,
}

impl Listener {
    pub(super) fn new(tape: Tape, connection: u64, by: Side) -> Self {
        Self { tape, connection, by, begun: vec![] }
    }

    /// Listens to a body while it passes.
    pub(super) fn attend(self, body: Incoming) -> Attended {
        Attended { body, listener: self }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.begun.extend_from_slice(bytes);
        while let Some((compressed, message)) = self.next() {
            let (connection, by) = (self.connection, self.by);
            let heard = if compressed {
                Heard::Compressed { connection, by }
            } else {
                Heard::Message { connection, by, bytes: message }
            };
            self.tape.lock().push(heard);
        }
    }

    fn next(&mut self) -> Option<(bool, Bytes)> {
        let &[compressed, a, b, c, d] = self.begun.first_chunk::<PREFIX>()?;
        let end = PREFIX + usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        if self.begun.len() < end {
            return None;
        }
        let rest = self.begun.split_off(end);
        let whole = std::mem::replace(&mut self.begun, rest);
        Some((compressed != 0, Bytes::from(whole).slice(PREFIX..)))
    }
}

/// A body that is listened to.
#[derive(Debug)]
pub(super) struct Attended {
    body: Incoming,
    listener: Listener,
}

impl Body for Attended {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(bytes) = frame.data_ref() {
                self.listener.hear(bytes);
            }
            if let Some(trailers) = frame.trailers_ref() {
                self.listener.tape.headers(self.listener.connection, self.listener.by, trailers);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_whole_however_they_are_cut() {
        let said: &[&[u8]] = &[b"one", b"", b"and three"];
        let mut bytes = vec![];
        for message in said {
            bytes.push(0);
            bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
            bytes.extend(*message);
        }
        bytes.extend([1, 0, 0, 0, 1, 9]);
        for size in 1..=bytes.len() {
            let tape = Tape::default();
            let mut listener = Listener::new(tape.clone(), 1, Side::Agent);
            bytes.chunks(size).for_each(|piece| listener.hear(piece));
            let heard = tape.all();
            let messages: Vec<_> = heard
                .iter()
                .filter_map(|heard| match heard {
                    Heard::Message { bytes, .. } => Some(bytes.as_ref()),
                    Heard::Words { .. } | Heard::Compressed { .. } => None,
                })
                .collect();
            assert_eq!(messages, said, "in pieces of {size}");
            assert!(matches!(heard.last(), Some(Heard::Compressed { .. })), "in pieces of {size}");
        }
    }
}
