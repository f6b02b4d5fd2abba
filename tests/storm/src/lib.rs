//! The storm: very many accesses on very many targets that all end in the same second, some targets slow, some down.
//!
//! Promises: the agent is the real one as a process of its own, with its own command line, link, engine and journal on a
//! disk; only the targets are made up ([`target`]), but for one PostgreSQL with a sample ([`real`]). What it says is held against what the targets
//! hold: a storm in which an access is missing, ended early or was left open has no figures. Figures are told and never
//! judged. Leaves to others: very many on a real target (`cargo xtask test --only many`), the path of one grant (`cargo xtask bench`).
//! Nothing in here is product code.

pub mod agent;
pub mod clock;
pub mod disk;
pub mod fair;
pub mod figures;
pub mod plane;
pub mod play;
pub mod real;
pub mod target;
