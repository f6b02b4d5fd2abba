//! The contract suite: one for all drivers, run by each driver's tests on its own [`World`].

mod proxy;
mod recorder;
mod wire;
mod world;

pub use proxy::Proxy;
pub use recorder::Recorder;
pub use wire::{Cut, Wire};
pub use world::{Can, Fate, GranteeSession, LogLine, Planted, Resistance, Use, Wired, World, WorldFault};
