//! The end-to-end world: the real programs, a real PostgreSQL, and people who use them.
//!
//! Promises: everything is a child process on the loopback, in one folder, and gone when the world is dropped or this
//! process is killed; nothing is taken for done that was not seen; a wait has a deadline and says what it waited for.
//! Leaves to others: what the programs are to do. Nothing in here is product code.

pub mod agent;
pub mod authority;
pub mod bench;
pub mod census;
pub mod clock;
pub mod command;
pub mod gateway;
pub mod logs;
pub mod person;
pub mod plane;
pub mod program;
pub mod programs;
pub mod proxy;
pub mod psql;
pub mod random;
pub mod search;
pub mod session;
pub mod shop;
pub mod story;
pub mod transcript;
pub mod wire;
pub mod world;

use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::Context as _;

/// Makes a folder that only its owner may enter.
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("make the folder {}", path.display()))
}

/// Writes a file that only its owner may read.
pub fn private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("write {}", path.display()))
}
