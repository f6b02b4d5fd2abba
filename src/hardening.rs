//! What the process gives up at its start, so that secrets in its memory stay there.
//!
//! No core file, no reading of its memory by other processes of the same user, no file that others can
//! read. Done before any secret is read; a platform that refuses one of them is told of, not obeyed.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

/// Something that the platform refused.
#[derive(Debug, thiserror::Error)]
#[error("{what} was refused by the system: secrets in this process's memory are less protected")]
pub struct HardeningFault {
    what: &'static str,
    #[source]
    cause: io::Error,
}

/// Hardens this process and returns what the platform refused.
pub fn harden() -> Vec<HardeningFault> {
    umask(Mode::from_raw_mode(0o077));
    let mut refused = vec![];
    let mut tried = |what, done: rustix::io::Result<()>| {
        refused.extend(done.err().map(|cause| HardeningFault { what, cause: cause.into() }));
    };
    tried(
        "turning core files off (RLIMIT_CORE=0)",
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }),
    );
    tried("closing the process's memory to others (PR_SET_DUMPABLE=0)", not_dumpable());
    refused
}

#[cfg(target_os = "linux")]
fn not_dumpable() -> rustix::io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
}

/// Only Linux has it.
#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> rustix::io::Result<()> {
    Ok(())
}
