//! The identity of a connector, kept apart from the journal: its id and keys, its pins, and the
//! last-known configurations of its integrations.
//!
//! A directory of its own, best on another volume: with it and an empty journal the agent still recognises
//! what it made and closes it. It holds `identity.json` (id and keys), `pins.json`, `pins.log` (what was
//! pinned since that was written) and `integrations.json`. No admin secret is ever in it, only references.
//!
//! What it promises: a file is there whole, as it was or as it is to be, whatever crashes; nothing is read
//! that another user could have read or changed; pins and configurations carry a MAC of a mark key, so
//! that what was edited, or copied from another connector, is refused. Each of the three is read by itself:
//! damage to one leaves the others usable. A grantee who was met before costs a look at the files' stamps,
//! a new one a line and a sync, however many there are.
//!
//! What it cannot tell: that a whole older copy was put back, or the log's last lines cut off; that somebody
//! who may read the directory took the keys.
//!
//! What it leaves to others: what a new pin means, when keys change, where the directory is. Calls block
//! on the disk; pins are kept between them, no key is, except in the [`Identity`] that is handed out.

mod desk;
mod fault;
mod files;
mod held;
mod keyring;
mod log;
mod pins;
mod tagged;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use model::{ConnectorId, Integration, IntegrationId, KeyId};
use seal::keys::{ReceiptKey, ReceiptPublic, SealingKey};
use seal::mark::MarkKeys;

pub use fault::IdentityFault;
pub use pins::{GranteePin, Meeting, PinFault, Pins};

use desk::Desk;
use files::Folder;
use held::Held;
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

/// An identity directory. Clones share what they know of it.
#[derive(Clone)]
pub struct IdentityStore {
    folder: Folder,
    desk: Arc<Desk>,
}

impl IdentityStore {
    /// Opens the directory and checks that it is private and holds an identity that can be read.
    ///
    /// # Errors
    /// [`IdentityFault::NotThere`], [`IdentityFault::Exposed`], and those of [`Self::load`].
    pub fn open(dir: &Path) -> Result<Self, IdentityFault> {
        let store = Self::within(Folder::open(dir)?);
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
        let store = Self::within(Folder::create(dir)?);
        let turn = store.turn()?;
        if store.folder.has(keyring::FILE)? {
            return Err(IdentityFault::AlreadyThere { path: store.folder.file(keyring::FILE) });
        }
        let keyring = Keyring::generate(connector)?;
        store.folder.remove(log::FILE)?;
        store.write_pins(&keyring, &Pins::default(), 0)?;
        store.write_tagged(&keyring, Kind::Integrations, &BTreeMap::<IntegrationId, Integration>::new())?;
        // The keys last: a directory without them is no identity, and making one may be tried again.
        store.write_keyring(&keyring)?;
        drop(turn);
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
        let _turn = self.turn()?;
        self.write_tagged(&self.keyring()?, Kind::Integrations, integrations)
    }

    /// Makes a new current key for one use; the old one becomes the first of the older ones. Returns the id
    /// of the new key. A running agent goes on with what it loaded until it loads again.
    ///
    /// # Errors
    /// As [`Self::update_pins`], and [`IdentityFault::Key`] without randomness.
    pub fn rotate(&self, key_use: KeyUse) -> Result<KeyId, IdentityFault> {
        let _turn = self.turn()?;
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
        let _turn = self.turn()?;
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

    fn within(folder: Folder) -> Self {
        Self { folder, desk: Arc::default() }
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
        let pins =
            Held::read(&self.folder).and_then(|held| self.write_pins(keyring, &held.pins, held.end.number));
        let integrations = self.read_tagged::<serde_json::Value>(keyring, Kind::Integrations);
        let integrations =
            integrations.and_then(|content| self.write_tagged(keyring, Kind::Integrations, &content));
        for done in [pins, integrations] {
            done.or_else(|fault| if fault.is_of_content() { Ok(()) } else { Err(fault) })?;
        }
        Ok(())
    }
}

impl fmt::Debug for IdentityStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityStore").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
