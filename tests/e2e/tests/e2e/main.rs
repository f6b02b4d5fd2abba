//! The real programs together, from the request to the receipt.

mod bindings;
mod cancel;
mod drift;
mod guardrails;
mod keys;
mod ladder;
mod link;
mod lost_journal;
#[cfg(target_os = "linux")]
mod many;
mod outage;
mod panic;
mod receipts;
mod recorded;
#[cfg(target_os = "linux")]
mod remains;
mod restored;
mod retire;
mod runbook;
#[cfg(target_os = "linux")]
mod secrecy;
#[cfg(target_os = "linux")]
mod standby;
mod story;

/// Unwraps, and shows a fault with its causes and without a backtrace, which says nothing here.
#[track_caller]
fn unwrapped<T>(done: anyhow::Result<T>) -> T {
    match done {
        Ok(value) => value,
        Err(fault) => panic!("{fault:#}"),
    }
}
