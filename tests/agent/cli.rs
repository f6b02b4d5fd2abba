//! The agent's command line, by the real binary: what it prints, what it writes, how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/configuring.rs"]
mod configuring;
#[path = "cli/keeping.rs"]
mod keeping;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/starting.rs"]
mod starting;
