//! What a process said: a file that only grows.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// How much of a log a failed story repeats.
const TAIL: usize = 6_000;

/// A log file. It may not be there yet.
#[derive(Clone, Debug)]
pub struct Log(PathBuf);

impl Log {
    /// The log that is at a place, or will be.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All of it.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.after(0)?).into_owned())
    }

    /// What stands after a place: of a long log only that is read.
    fn after(&self, place: u64) -> anyhow::Result<Vec<u8>> {
        let mut bytes = vec![];
        let read = File::open(&self.0).and_then(|mut file| {
            file.seek(SeekFrom::Start(place))?;
            file.read_to_end(&mut bytes)
        });
        match read {
            Ok(_) => Ok(bytes),
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
            Err(fault) => Err(fault).with_context(|| format!("read {}", self.0.display())),
        }
    }

    /// How long it is, in bytes.
    pub fn end(&self) -> u64 {
        std::fs::metadata(&self.0).map(|found| found.len()).unwrap_or(0)
    }

    /// The whole lines that begin at or after a place.
    pub fn lines_after(&self, place: u64) -> anyhow::Result<Vec<String>> {
        let fresh = self.after(place)?;
        let whole = fresh.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let fresh = String::from_utf8_lossy(fresh.get(..whole).unwrap_or_default()).into_owned();
        Ok(fresh.lines().map(str::to_owned).collect())
    }

    /// The last part of it.
    pub fn tail(&self) -> String {
        let text = self.text().unwrap_or_default();
        let skip = text.chars().count().saturating_sub(TAIL);
        text.chars().skip(skip).collect()
    }
}
