//! `identity.json`: the connector's id and keys.
//!
//! Secret bytes are in it as base64. They are read without copying them out of the buffer, and written to
//! one buffer of the right size; both are wiped. Faults never quote the file.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ConnectorId, KeyId};
use seal::keys::{KEY_BYTES, KeyFault, MarkKey, ReceiptKey, ReceiptPublic, SealingKey};
use seal::mark::MarkKeys;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Identity, IdentityFault, KeyUse};

pub(super) const FILE: &str = "identity.json";
const FORMAT: u32 = 1;
/// More than the file needs besides its keys, and what each key needs at most.
const ROOM: usize = 4096;
const ROOM_FOR_KEY: usize = 4 * KEY_BYTES;

/// A key in use, and those before it, the latest first.
struct Ring<K> {
    current: K,
    older: Vec<K>,
}

impl<K> Ring<K> {
    const fn of(current: K) -> Self {
        Self { current, older: Vec::new() }
    }

    fn rotate(&mut self, new: K) {
        let old = std::mem::replace(&mut self.current, new);
        self.older.insert(0, old);
    }

    fn all(&self) -> impl Iterator<Item = &K> {
        std::iter::once(&self.current).chain(&self.older)
    }

    fn forget(&mut self, is_it: impl Fn(&K) -> bool) -> bool {
        let before = self.older.len();
        self.older.retain(|key| !is_it(key));
        self.older.len() < before
    }
}

/// The keys as they stand in the file.
pub(super) struct Keyring {
    connector: ConnectorId,
    marks: Ring<MarkKey>,
    sealing: Ring<SealingKey>,
    receipt: ReceiptKey,
    older_receipts: Vec<ReceiptPublic>,
}

/// The format alone, so that a newer file is told from a damaged one.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The file, field for field. The first of several keys is the current one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text<'t> {
    format: u32,
    connector: ConnectorId,
    #[serde(borrow)]
    mark_keys: Vec<&'t str>,
    #[serde(borrow)]
    sealing_keys: Vec<&'t str>,
    receipt_key: &'t str,
    older_receipt_publics: Vec<ReceiptPublic>,
}

impl Keyring {
    pub(super) fn generate(connector: ConnectorId) -> Result<Self, KeyFault> {
        Ok(Self {
            connector,
            marks: Ring::of(MarkKey::generate()?),
            sealing: Ring::of(SealingKey::generate()?),
            receipt: ReceiptKey::generate()?,
            older_receipts: vec![],
        })
    }

    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, IdentityFault> {
        let damaged = |detail: String| IdentityFault::Damaged { path: path.into(), detail };
        let Format { format } = serde_json::from_slice(bytes)
            .map_err(|_| damaged("it is not a JSON object with a `format`".into()))?;
        if format > FORMAT {
            return Err(IdentityFault::TooNew { path: path.into(), found: format, ours: FORMAT });
        }
        let text: Text<'_> = serde_json::from_slice(bytes).map_err(|fault| {
            let (line, column) = (fault.line(), fault.column());
            damaged(format!("line {line}, column {column}: a field is missing, unknown or wrong"))
        })?;
        let of = |field: &'static str| move |fault: KeyFault| damaged(format!("`{field}`: {fault}"));
        let receipt = decode(text.receipt_key).and_then(|bytes| ReceiptKey::from_bytes(&bytes));
        Ok(Self {
            connector: text.connector,
            marks: ring(&text.mark_keys, MarkKey::from_bytes).map_err(of("mark_keys"))?,
            sealing: ring(&text.sealing_keys, SealingKey::from_bytes).map_err(of("sealing_keys"))?,
            receipt: receipt.map_err(of("receipt_key"))?,
            older_receipts: text.older_receipt_publics,
        })
    }

    pub(super) fn to_text(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityFault> {
        let marks: Vec<_> = self.marks.all().map(|key| encode(&key.to_bytes())).collect();
        let sealing: Vec<_> = self.sealing.all().map(|key| encode(&key.to_bytes())).collect();
        let receipt = encode(&self.receipt.to_bytes());
        let text = Text {
            format: FORMAT,
            connector: self.connector.clone(),
            mark_keys: marks.iter().map(|key| key.as_str()).collect(),
            sealing_keys: sealing.iter().map(|key| key.as_str()).collect(),
            receipt_key: &receipt,
            older_receipt_publics: self.older_receipts.clone(),
        };
        let keys = marks.len() + sealing.len() + self.older_receipts.len() + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM + keys * ROOM_FOR_KEY));
        serde_json::to_writer_pretty(&mut *bytes, &text)
            .map_err(|fault| IdentityFault::Damaged { path: path.into(), detail: fault.to_string() })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub(super) fn into_identity(self) -> Identity {
        let mut sealing = vec![self.sealing.current];
        sealing.extend(self.sealing.older);
        let mut receipt_publics = vec![*self.receipt.public()];
        receipt_publics.extend(self.older_receipts);
        Identity {
            marks: MarkKeys::new(self.connector.clone(), self.marks.current, self.marks.older),
            connector: self.connector,
            sealing,
            receipt: self.receipt,
            receipt_publics,
        }
    }

    pub(super) const fn connector(&self) -> &ConnectorId {
        &self.connector
    }

    /// Returns the current mark key, with which the other files are held to be ours.
    pub(super) const fn mark_key(&self) -> &MarkKey {
        &self.marks.current
    }

    /// Returns every mark key, the current one first.
    pub(super) fn mark_keys(&self) -> impl Iterator<Item = &MarkKey> {
        self.marks.all()
    }

    /// Makes a new current key and returns its id.
    pub(super) fn rotate(&mut self, key_use: KeyUse) -> Result<KeyId, KeyFault> {
        Ok(match key_use {
            KeyUse::Marks => {
                self.marks.rotate(MarkKey::generate()?);
                self.marks.current.id().clone()
            }
            KeyUse::Sealing => {
                self.sealing.rotate(SealingKey::generate()?);
                self.sealing.current.id()
            }
            KeyUse::Receipts => {
                self.older_receipts.insert(0, *self.receipt.public());
                self.receipt = ReceiptKey::generate()?;
                self.receipt.id().clone()
            }
        })
    }

    /// Drops an older key; returns false when there is none of that id.
    pub(super) fn forget(&mut self, key_use: KeyUse, id: &KeyId) -> bool {
        match key_use {
            KeyUse::Marks => self.marks.forget(|key| key.id() == id),
            KeyUse::Sealing => self.sealing.forget(|key| key.id() == *id),
            KeyUse::Receipts => {
                let before = self.older_receipts.len();
                self.older_receipts.retain(|key| key.id() != *id);
                self.older_receipts.len() < before
            }
        }
    }
}

fn ring<K>(texts: &[&str], make: impl Fn(&[u8]) -> Result<K, KeyFault>) -> Result<Ring<K>, KeyFault> {
    let (current, older) = texts.split_first().ok_or(KeyFault::Length { found: 0 })?;
    let key = |text: &&str| decode(text).and_then(|bytes| make(&bytes));
    Ok(Ring { current: key(current)?, older: older.iter().map(key).collect::<Result<_, _>>()? })
}

fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES));
    STANDARD.decode_vec(text, &mut bytes).map_err(|_| KeyFault::NotBase64)?;
    Ok(bytes)
}

fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len() + 4));
    STANDARD.encode_string(bytes, &mut text);
    text
}
