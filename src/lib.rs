//! The Tidegate agent: wiring and nothing else.
//!
//! The binary is `main.rs`; these are its rooms. What they do with one another is in `ARCHITECTURE.md`.

pub mod admin;
pub mod app;
mod binding;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crew;
pub mod drivers;
mod engine;
pub mod exit;
mod guardrails;
pub mod hardening;
mod journals;
mod leadership;
mod link;
pub mod measures;
mod office;
pub mod reload;
pub mod shutdown;
pub mod socket;
mod standby;
pub mod status;
pub mod stores;
pub mod telemetry;
mod text;
