//! The rules of Tidegate: what to write, what to do next, and when to wake up. Nothing else.
//!
//! Floor 1: no I/O, no clock, no runtime. Orders, answers, sightings and the time come in as values;
//! steps go out. A seed replays exactly. [`book::Book`] is the whole; [`plan::plan`] is the heart: a total
//! function from what is remembered of one account and the time to what it needs next.
//!
//! What it promises: actions come out only against the proof that their intent is on disk; towards less is
//! always and by itself, towards more only for an order not yet completed; *ended* is reported only after
//! it was seen. What it leaves to others: doing (the shell), remembering (the journal), signing and naming
//! (the office).

pub mod account;
pub mod action;
pub mod answer;
#[cfg(test)]
mod bench;
pub mod book;
pub mod box_map;
pub mod clock;
pub mod drift;
pub mod effects;
pub mod guard;
pub mod invariant;
pub mod ladder;
pub mod order;
pub mod plan;
pub mod report;
pub mod retry;
pub mod standing;

pub use account::AccountRecord;
pub use action::{Act, Action, Answer, Ticket};
pub use book::{Book, ChainHead, Input, Office, Step};
pub use clock::{Reading, Source};
pub use guard::{Forbidden, Guard, Guardrails, Living, Stretch, Wish};
pub use ladder::{Climb, Ladder, Task};
pub use order::{AccessOrder, Grantee, NumberedOrder, Order, Standing};
pub use report::{ConnectionLine, Report};
