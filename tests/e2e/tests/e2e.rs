//! The real programs together, from the request to the receipt.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "e2e/story.rs"]
mod story;
