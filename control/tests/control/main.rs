//! The control plane from outside: rules by tables, the store by its contract, changes by their traces, REST
//! through real sockets, agents by a scripted one over the real wire.
#![expect(clippy::unwrap_used, reason = "helpers of tests: a fault is the test's failure")]

mod agent;
mod changes;
mod commands;
mod hostile_frames;
mod mixed;
mod rest;
mod restored;
mod rules;
mod store;
mod stream;
mod world;
