//! Every place in a world where a secret must not be.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::World;
use crate::census::{Census, Side as Sight};
use crate::proxy::Heard;
use crate::search::Wanted;

/// Something that is searched: where it is, and all that is in it.
#[derive(Debug)]
pub struct Place {
    pub name: &'static str,
    /// A file, or what else it is a piece of.
    pub piece: String,
    pub bytes: Vec<u8>,
}

/// The names of all places.
pub const PLACES: [&str; 9] = [
    "the control plane's database",
    "the control plane's log",
    "the agent's journal",
    "the agent's identity",
    "the agent's log",
    "the target's log",
    "what agent and control plane say",
    "arguments of a process",
    "environment of a process",
];

impl World {
    /// Collects all places as they are now.
    pub fn places(&self, census: &Census) -> anyhow::Result<Vec<Place>> {
        let [database, control_log, journal, identity, agent_log, target_log, frames, arguments, environment] =
            PLACES;
        let mut places = vec![];
        let files = [
            (database, self.plane.data()),
            (control_log, self.plane.log().path().to_owned()),
            (journal, self.agent.journal()),
            (identity, self.agent.identity()),
            (agent_log, self.agent.log().path().to_owned()),
            (target_log, self.target.log_file()),
        ];
        for (name, path) in files {
            for file in below(&path)? {
                let bytes = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
                places.push(Place { name, piece: file.display().to_string(), bytes });
            }
        }
        let tape = self.proxy.as_ref().context("a proxy that listens")?.tape().all();
        for (number, heard) in tape.into_iter().enumerate() {
            let (by, bytes) = match heard {
                Heard::Words { by, text, .. } => (by, text.into_bytes()),
                Heard::Message { by, bytes, .. } => (by, bytes.to_vec()),
                Heard::Compressed { by, .. } => {
                    anyhow::bail!("message {number} by {by:?} is compressed: nobody can search it")
                }
            };
            places.push(Place { name: frames, piece: format!("number {number}, by {by:?}"), bytes });
        }
        for (name, side) in [(arguments, Sight::Arguments), (environment, Sight::Environment)] {
            for bytes in census.all(side) {
                let first = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                places.push(Place { name, piece: String::from_utf8_lossy(first).into_owned(), bytes });
            }
        }
        Ok(places)
    }
}

/// Tells where something is: place, piece, form.
pub fn find(wanted: &Wanted, places: &[Place]) -> Vec<(&'static str, String, &'static str)> {
    places
        .iter()
        .filter_map(|place| Some((place.name, place.piece.clone(), wanted.found_in(&place.bytes)?)))
        .collect()
}

/// A file, or all files below a folder.
fn below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = vec![];
    for entry in path.read_dir().with_context(|| format!("read {}", path.display()))? {
        let entry = entry.with_context(|| format!("read {}", path.display()))?;
        // A pipe or socket holds nothing.
        let kind = entry.file_type().with_context(|| format!("look at {}", entry.path().display()))?;
        if kind.is_dir() || kind.is_file() {
            files.extend(below(&entry.path())?);
        }
    }
    Ok(files)
}
