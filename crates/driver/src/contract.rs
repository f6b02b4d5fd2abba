//! The contract suite: one for all drivers, run by each driver's tests on its own [`World`].
//!
//! [`run`] plays every case, one after another, prints what the world lists as not applicable, and panics at
//! the end with the names of all broken cases; a case that cannot be played and is not in that list is one. Cases share one target and one integration; each has its own
//! grantees and puts them away; the last case retires the integration, so nothing of ours is left.

mod case;
mod check;
mod closing;
mod crash;
mod expiry;
mod foreign;
mod hostile_names;
mod many;
mod opening;
mod outage;
mod overlap;
mod owned;
mod proxy;
mod recorder;
mod resisting;
mod restored;
mod retire;
mod secrecy;
mod stage;
mod survey;
mod watched;
mod wire;
mod world;

pub use case::{Report, play, run};
pub use proxy::Proxy;
pub use recorder::Recorder;
pub use wire::{Cut, Wire};
pub use world::{Can, Fate, GranteeSession, LogLine, Planted, Resistance, Use, Wired, World, WorldFault};
