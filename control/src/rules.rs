//! The control plane's rules: pure, synchronous, deterministic.
//!
//! Who may do what, whether a request can be made and decided, how a report of the agent changes it, which
//! label a person sees, what an agent that says hello is answered. No I/O and no clock: the time is an
//! argument. Rows, orders and audit entries are written by `changes`.

pub mod approval;
pub mod asking;
pub mod cursor;
pub mod fault;
pub mod hello;
pub mod label;
pub mod live;
pub mod order;
pub mod pace;
pub mod report;
pub mod request;
pub mod role;
pub mod setting;
pub mod terms;
pub mod throttle;
pub mod told;
