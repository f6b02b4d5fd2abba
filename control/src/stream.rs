//! The agents' side: one gRPC stream a connector, orders out, reports in.
//!
//! A report is acknowledged when it is committed, never before; an order is sent until the agent has it. What
//! a report means is for `changes`; here are sessions, windows and deadlines.

pub mod alive;
mod convert;
mod service;
mod session;

pub use service::Agents;
