//! Random text from the operating system.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use anyhow::Context as _;

/// Gives `bytes` random bytes in hex: fit for passwords, tokens and names of folders.
pub(crate) fn hex(bytes: usize) -> anyhow::Result<String> {
    let mut raw = vec![0; bytes];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut raw))
        .context("read /dev/urandom")?;
    Ok(raw.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    }))
}

/// Gives a random number below `limit`.
pub(crate) fn below(limit: u16) -> anyhow::Result<u16> {
    let number = u32::from_str_radix(&hex(3)?, 16).context("read a random number")?;
    Ok(u16::try_from(number % u32::from(limit.max(1))).unwrap_or(0))
}
