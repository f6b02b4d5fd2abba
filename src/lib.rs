//! The Tidegate agent: wiring and nothing else.
//!
//! The binary is `main.rs`; these are its rooms. What they do with one another is in `ARCHITECTURE.md`.

pub mod clock;
pub mod config;
pub mod crew;
pub mod exit;
pub mod hardening;
pub mod shutdown;
