//! The real `tidegatectl` against a scripted server with TLS. The server holds every request, and every
//! answer of the script, to the control plane's own OpenAPI document.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod admin;
mod asking;
mod connect;
mod credential;
mod described;
mod faults;
mod login;
mod receipts;
mod samples;
mod seal;
mod server;
mod world;
