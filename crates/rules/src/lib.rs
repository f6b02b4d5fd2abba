//! The rules of Tidegate: what to write, what to do next, and when to wake up. Nothing else.
//!
//! Floor 1: no I/O, no clock, no runtime. Orders, answers, sightings and the time come in as values;
//! steps go out. A seed replays exactly. See [`book::Book`] for the whole.

pub mod order;
pub mod report;
