//! The pins in memory, and the files that they were read from.
//!
//! They are true for as long as the files bear the same stamps: every change replaces `pins.json` or makes
//! `pins.log` longer, and files that are held open keep their inode's number.

use std::borrow::Cow;
use std::sync::Arc;

use model::GranteeId;
use serde::{Deserialize, Serialize};

use super::files::{Folder, Known, Stamp};
use super::keyring::{self, Keyring};
use super::log::{self, End};
use super::tagged::{self, Kind};
use super::{GranteePin, IdentityFault, Pins};

/// How often files that change meanwhile are read, until they stand still.
const TRIES: u32 = 10;

/// What `pins.json` says.
#[derive(Serialize, Deserialize)]
pub(super) struct Settled<'p> {
    #[serde(flatten)]
    pub(super) pins: Cow<'p, Pins>,
    /// The number of the last line of the log that is in them. An older build knows of no log.
    pub(super) through: Option<u64>,
}

/// The pins, and what they were read from.
pub(super) struct Held {
    pub(super) pins: Pins,
    pub(super) end: End,
    keys: Known,
    settled: Known,
    log: Option<Arc<Known>>,
    /// The log's name is on disk, not only its lines.
    named: bool,
}

impl Held {
    /// Reads the pins. Needs no lock: it reads again when another process replaced what it reads.
    pub(super) fn read(folder: &Folder) -> Result<Self, IdentityFault> {
        let mut last = IdentityFault::InUse { path: folder.path().to_path_buf() };
        for _ in 0..TRIES {
            let before = stamps(folder)?;
            match Self::read_once(folder) {
                // That the log grows makes nothing untrue of what was read.
                Ok(held) if held.is_settled(folder)? => return Ok(held),
                Ok(_) => {}
                Err(fault) if stamps(folder)? == before => return Err(fault),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn read_once(folder: &Folder) -> Result<Self, IdentityFault> {
        let (bytes, keys) = folder.take(keyring::FILE)?;
        let keyring = Keyring::parse(&bytes, &folder.file(keyring::FILE))?;
        // The log after what it is added to: when it is folded in and removed meanwhile, that shows.
        let (bytes, settled) = folder.take(Kind::Pins.file())?;
        let path = folder.file(Kind::Pins.file());
        let Settled { pins, through } = tagged::read(&keyring, Kind::Pins, &bytes, &path)?;
        let (bytes, log) = match folder.take(log::FILE) {
            Ok((bytes, log)) => (bytes, Some(Arc::new(log))),
            Err(IdentityFault::Missing { .. }) => (Default::default(), None),
            Err(fault) => return Err(fault),
        };
        let mut pins = pins.into_owned();
        let end = log::read(&keyring, &bytes, &folder.file(log::FILE), through, &mut pins)?;
        Ok(Self { pins, end, keys, settled, log, named: false })
    }

    /// Returns true when nothing has changed since.
    pub(super) fn is_current(&self, folder: &Folder) -> Result<bool, IdentityFault> {
        let log = folder.stamp(log::FILE)?;
        Ok(log == self.log.as_ref().map(|log| log.stamp()) && self.is_settled(folder)?)
    }

    /// Takes the log as it is now for the one that was read; returns true when its name is on disk.
    pub(super) fn note_log(&mut self, log: Arc<Known>) -> bool {
        self.log = Some(log);
        self.named
    }

    /// Takes in a pin that is on disk, as is the log's name.
    pub(super) fn note_pin(&mut self, grantee: GranteeId, pin: GranteePin, end: End) {
        self.pins.put(grantee, pin);
        self.end = end;
        self.named = true;
    }

    fn is_settled(&self, folder: &Folder) -> Result<bool, IdentityFault> {
        Folder::open(folder.path())?;
        Ok(folder.stamp(Kind::Pins.file())? == Some(self.settled.stamp())
            && folder.stamp(keyring::FILE)? == Some(self.keys.stamp()))
    }
}

type Stamps = [Option<Stamp>; 3];

fn stamps(folder: &Folder) -> Result<Stamps, IdentityFault> {
    Ok([folder.stamp(keyring::FILE)?, folder.stamp(Kind::Pins.file())?, folder.stamp(log::FILE)?])
}
