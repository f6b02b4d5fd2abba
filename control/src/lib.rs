//! The reference control plane: decides who may have what until when, and never holds a target credential.
//!
//! Rooms: `rules` (pure), `store` (durable memory), `changes` (rules and store in one transaction), `stream`
//! (agents by gRPC), `http` (people's tools by REST), `app` (wiring). It trusts an agent for what is on the
//! target and nobody for what they may do.

pub mod app;
pub mod bells;
pub mod changes;
pub mod cli;
pub mod clock;
pub mod http;
pub mod office;
pub mod record;
pub mod refusal;
pub mod rules;
pub mod store;
pub mod stream;
pub mod tls;
pub mod token;
