//! The stores against their one contract, and the cache over a store that is driven by hand.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod cache;
mod env;
mod file;
mod stores;
