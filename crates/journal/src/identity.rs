//! The identity of a connector, kept apart from the journal: its id and keys, its pins, and the
//! last-known configurations of its integrations.
//!
//! A directory of its own, best on another volume: with it and an empty journal the agent still recognises
//! what it made and closes it. It holds `identity.json` (id and keys), `pins.json` and
//! `integrations.json`. No admin secret is ever in it, only references.
//!
//! What it promises: a file is there whole, as it was or as it is to be, whatever crashes; nothing is read
//! that another user could have read or changed; pins and configurations carry a MAC of a mark key, so
//! that what was edited, or copied from another connector, is refused. Each file is read by itself: damage
//! to one leaves the others usable.
//!
//! What it cannot tell: that a whole older copy was put back; that somebody who may read the directory
//! took the keys.
//!
//! What it leaves to others: what a new pin means, when keys change, where the directory is. Calls block
//! on the disk; no key is kept between them except in the [`Identity`] that is handed out.

mod fault;
mod files;
mod keyring;
mod pins;
mod tagged;

use std::collections::BTreeMap;
use std::path::Path;

use model::{ConnectorId, GranteeId, GranteeKey, Integration, IntegrationId, KeyId, Timestamp};
use seal::keys::{ReceiptKey, ReceiptPublic, SealingKey};
use seal::mark::MarkKeys;

pub use fault::IdentityFault;
pub use pins::{GranteePin, Meeting, PinFault, Pins};

use files::Folder;
use keyring::Keyring;
use tagged::Kind;

/// Who a connector is, with its secret keys.
#[derive(Debug)]
pub struct Identity {
    pub connector: ConnectorId,
    /// The mark keys, current and older.
    pub marks: MarkKeys,
    /// The sealing keys, the current one first; older ones still open what was sealed to them.
    pub sealing: Vec<SealingKey>,
    /// The key that signs receipts.
    pub receipt: ReceiptKey,
    /// The public receipt keys, the current one first; older ones still verify what they signed.
    pub receipt_publics: Vec<ReceiptPublic>,
}

/// Which of a connector's keys is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyUse {
    Marks,
    Sealing,
    Receipts,
}

impl KeyUse {
    /// Every use.
    pub const ALL: [Self; 3] = [Self::Marks, Self::Sealing, Self::Receipts];

    /// Returns the word for commands and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Marks => "marks",
            Self::Sealing => "sealing",
            Self::Receipts => "receipts",
        }
    }
}

/// An identity directory.
#[derive(Debug, Clone)]
pub struct IdentityStore {
    folder: Folder,
}

impl IdentityStore {
    /// Opens the directory and checks that it is private and holds an identity that can be read.
    ///
    /// # Errors
    /// [`IdentityFault::NotThere`], [`IdentityFault::Exposed`], and those of [`Self::load`].
    pub fn open(dir: &Path) -> Result<Self, IdentityFault> {
        let store = Self { folder: Folder::open(dir)? };
        if !store.folder.has(keyring::FILE)? && !store.folder.has(Kind::Pins.file())? {
            return Err(IdentityFault::NotThere { path: dir.to_path_buf() });
        }
        store.keyring()?;
        Ok(store)
    }

    /// Makes a new identity with new keys. The directory is made when it is not there; its parent must be.
    ///
    /// # Errors
    /// [`IdentityFault::AlreadyThere`]: keys are never overwritten; [`IdentityFault::Exposed`] when the
    /// directory is there and open to others; [`IdentityFault::Key`] without randomness.
    pub fn create(dir: &Path, connector: ConnectorId) -> Result<Self, IdentityFault> {
        let store = Self { folder: Folder::create(dir)? };
        let _lock = store.folder.lock()?;
        if store.folder.has(keyring::FILE)? {
            return Err(IdentityFault::AlreadyThere { path: store.folder.file(keyring::FILE) });
        }
        let keyring = Keyring::generate(connector)?;
        store.write_tagged(&keyring, Kind::Pins, &Pins::default())?;
        store.write_tagged(&keyring, Kind::Integrations, &BTreeMap::<IntegrationId, Integration>::new())?;
        // The keys last: a directory without them is no identity, and making one may be tried again.
        store.write_keyring(&keyring)?;
        Ok(store)
    }

    /// Returns the directory.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Reads id and keys.
    ///
    /// # Errors
    /// [`IdentityFault::Exposed`], [`IdentityFault::Missing`], [`IdentityFault::Damaged`],
    /// [`IdentityFault::TooNew`].
    pub fn load(&self) -> Result<Identity, IdentityFault> {
        self.keyring().map(Keyring::into_identity)
    }

    /// Reads the pins.
    ///
    /// # Errors
    /// As [`Self::load`], and [`IdentityFault::Tampered`].
    pub fn pins(&self) -> Result<Pins, IdentityFault> {
        self.read_tagged(&self.keyring()?, Kind::Pins)
    }

    /// Changes the pins; they are on disk when this returns. Another command that changes them at the same
    /// time waits, so neither loses the other's pins. Nothing is written when nothing changes.
    ///
    /// # Errors
    /// As [`Self::pins`], [`IdentityFault::InUse`], and [`IdentityFault::Io`] when it cannot be written:
    /// then the pins are as they were.
    pub fn update_pins<T>(&self, change: impl FnOnce(&mut Pins) -> T) -> Result<T, IdentityFault> {
        let _lock = self.folder.lock()?;
        let keyring = self.keyring()?;
        let before: Pins = self.read_tagged(&keyring, Kind::Pins)?;
        let mut after = before.clone();
        let answer = change(&mut after);
        if after != before {
            self.write_tagged(&keyring, Kind::Pins, &after)?;
        }
        Ok(answer)
    }

    /// Pins a grantee's key, or says that another one was pinned before.
    ///
    /// # Errors
    /// As [`Self::update_pins`].
    pub fn pin(
        &self,
        grantee: &GranteeId,
        key: &GranteeKey,
        now: Timestamp,
    ) -> Result<Meeting, IdentityFault> {
        self.update_pins(|pins| pins.meet(grantee, key, now))
    }

    /// Begins with no pins, for when the old ones cannot be read any more: everything is pinned anew.
    ///
    /// # Errors
    /// As [`Self::load`], [`IdentityFault::InUse`], [`IdentityFault::Io`].
    pub fn reset_pins(&self) -> Result<(), IdentityFault> {
        let _lock = self.folder.lock()?;
        self.write_tagged(&self.keyring()?, Kind::Pins, &Pins::default())
    }

    /// Reads the last-known configurations of the integrations.
    ///
    /// # Errors
    /// As [`Self::load`], and [`IdentityFault::Tampered`].
    pub fn snapshot(&self) -> Result<BTreeMap<IntegrationId, Integration>, IdentityFault> {
        self.read_tagged(&self.keyring()?, Kind::Integrations)
    }

    /// Replaces the last-known configurations; they are on disk when this returns.
    ///
    /// # Errors
    /// As [`Self::load`], [`IdentityFault::InUse`], and [`IdentityFault::Io`]: then the old ones stand.
    pub fn save_snapshot(
        &self,
        integrations: &BTreeMap<IntegrationId, Integration>,
    ) -> Result<(), IdentityFault> {
        let _lock = self.folder.lock()?;
        self.write_tagged(&self.keyring()?, Kind::Integrations, integrations)
    }

    /// Makes a new current key for one use; the old one becomes the first of the older ones. Returns the id
    /// of the new key. A running agent goes on with what it loaded until it loads again.
    ///
    /// # Errors
    /// As [`Self::update_pins`], and [`IdentityFault::Key`] without randomness.
    pub fn rotate(&self, key_use: KeyUse) -> Result<KeyId, IdentityFault> {
        let _lock = self.folder.lock()?;
        let mut keyring = self.keyring()?;
        let id = keyring.rotate(key_use)?;
        self.write_keyring(&keyring)?;
        if key_use == KeyUse::Marks {
            self.tag_anew(&keyring)?;
        }
        Ok(id)
    }

    /// Drops an older key, for when nothing needs it any more: all accounts are marked anew, all references
    /// sealed anew, all receipts that it signed are archived with its public half.
    ///
    /// # Errors
    /// As [`Self::update_pins`], and [`IdentityFault::NoSuchKey`] when it is the current one or unknown.
    pub fn forget(&self, key_use: KeyUse, id: &KeyId) -> Result<(), IdentityFault> {
        let _lock = self.folder.lock()?;
        let mut keyring = self.keyring()?;
        if key_use == KeyUse::Marks {
            self.tag_anew(&keyring)?;
        }
        if !keyring.forget(key_use, id) {
            return Err(IdentityFault::NoSuchKey { id: id.0.clone(), key_use: key_use.word() });
        }
        self.write_keyring(&keyring)
    }

    /// Returns true when the path is on the same volume as the identity, so that one loss takes both.
    ///
    /// # Errors
    /// [`IdentityFault::Io`] when either cannot be looked at.
    pub fn shares_volume_with(&self, path: &Path) -> Result<bool, IdentityFault> {
        self.folder.shares_volume_with(path)
    }

    fn keyring(&self) -> Result<Keyring, IdentityFault> {
        let path = self.folder.file(keyring::FILE);
        Keyring::parse(&self.folder.read(keyring::FILE)?, &path)
    }

    fn write_keyring(&self, keyring: &Keyring) -> Result<(), IdentityFault> {
        let path = self.folder.file(keyring::FILE);
        self.folder.write(keyring::FILE, &keyring.to_text(&path)?)
    }

    fn read_tagged<T: serde::de::DeserializeOwned>(
        &self,
        keyring: &Keyring,
        kind: Kind,
    ) -> Result<T, IdentityFault> {
        let bytes = self.folder.read(kind.file())?;
        tagged::read(keyring, kind, &bytes, &self.folder.file(kind.file()))
    }

    fn write_tagged<T: serde::Serialize>(
        &self,
        keyring: &Keyring,
        kind: Kind,
        content: &T,
    ) -> Result<(), IdentityFault> {
        let bytes = tagged::write(keyring, kind, content, &self.folder.file(kind.file()))?;
        self.folder.write(kind.file(), &bytes)
    }

    /// Brings the MACs to the current mark key. What does not verify stays as it is, and is refused as
    /// before.
    fn tag_anew(&self, keyring: &Keyring) -> Result<(), IdentityFault> {
        for kind in Kind::ALL {
            match self.read_tagged::<serde_json::Value>(keyring, kind) {
                Ok(content) => self.write_tagged(keyring, kind, &content)?,
                Err(fault) if fault.is_of_content() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
