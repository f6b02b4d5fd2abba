//! The REST API: JSON over TLS for people's tools, described by `control/openapi.json`.
//!
//! It authenticates by bearer token, asks `changes` to do things and `show` to tell them. Every refusal is a
//! problem with a stable code. Bodies, times and calls under way are limited here.

mod body;
mod caller;
mod describe;
mod etag;
mod once;
mod path;
mod problem;
mod query;
mod route;
mod show;
mod surroundings;
pub mod view;

pub use describe::openapi_json;
pub use surroundings::router;
