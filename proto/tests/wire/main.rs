//! What is promised about the wire: it only grows, it keeps what it is given, and nothing that comes in
//! can hurt the reader.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod bytes;
mod compatible;
mod example;
mod messages;
mod mixed;
mod sizes;

/// The wire as this build has it.
fn current() -> prost_types::FileDescriptorSet {
    prost::Message::decode(proto::DESCRIPTOR).unwrap()
}
