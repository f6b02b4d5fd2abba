//! Private servers come up, are what they promise, and leave nothing behind, however their holder ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod openbao;
mod postgres;
mod process;

use std::path::Path;
use std::time::Duration;

/// Waits for something to become true. A test fails when it does not.
fn wait_for(what: &str, look: impl Fn() -> bool) {
    const LOOKS: u32 = 3_000;
    for _ in 0..LOOKS {
        if look() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for this: {what}");
}

/// Whether a process runs; a dead one whose parent has not asked for it yet does not.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X']))
}

fn is_gone(folder: &Path) -> bool {
    !folder.exists()
}

fn kill9(pid: u32) {
    let done =
        std::process::Command::new("sh").args(["-c", "kill -9 \"$1\"", "kill", &pid.to_string()]).status();
    assert!(done.unwrap().success());
}
