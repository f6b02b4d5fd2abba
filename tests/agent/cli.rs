//! The agent's command line, by the real binary: what it prints, what it writes, how it ends.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks only at what it checks")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "cli/agent.rs"]
mod agent;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/bindings.rs"]
mod bindings;
#[path = "cli/cancel.rs"]
mod cancel;
#[path = "cli/clock.rs"]
mod clock;
#[path = "cli/close_only.rs"]
mod close_only;
#[path = "cli/configuring.rs"]
mod configuring;
#[path = "cli/door.rs"]
mod door;
#[path = "cli/enemy.rs"]
mod enemy;
#[path = "cli/glass.rs"]
mod glass;
#[path = "cli/hardship.rs"]
mod hardship;
#[path = "cli/hostile.rs"]
mod hostile;
#[path = "cli/hostile_frames.rs"]
mod hostile_frames;
#[path = "cli/keeping.rs"]
mod keeping;
#[cfg(target_os = "linux")]
#[path = "cli/many.rs"]
mod many;
#[path = "cli/mixed.rs"]
mod mixed;
#[path = "cli/operating.rs"]
mod operating;
#[path = "cli/outage.rs"]
mod outage;
#[path = "cli/passing.rs"]
mod passing;
#[path = "cli/plane.rs"]
mod plane;
#[path = "cli/rekeyed.rs"]
mod rekeyed;
#[path = "cli/rotating.rs"]
mod rotating;
#[path = "cli/running.rs"]
mod running;
#[path = "cli/starting.rs"]
mod starting;
#[path = "cli/stopping.rs"]
mod stopping;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/unread.rs"]
mod unread;
#[path = "cli/world.rs"]
mod world;
