//! The keys of a connector: one kind for marks, one for sealing, one for receipts, never shared.
//!
//! Promises that secret bytes leave only through `to_bytes`, are overwritten when dropped and are in no
//! `Debug`. A key's id is derived from the key, so the same bytes always have the same id. Where keys are
//! kept, and when they change, is left to others.

use std::fmt;

use aws_lc_rs::agreement::{self, X25519};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{GranteeKey, KeyId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The length of every key here, secret or public, in bytes.
pub const KEY_BYTES: usize = 32;

const MARK_KEY_ID_LABEL: &[u8] = b"tidegate mark key id v1";

/// Why a key cannot be had or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("the key has {found} bytes: it must have {KEY_BYTES}")]
    Length { found: usize },
    #[error("the key is not base64 with padding: give the {KEY_BYTES} bytes as 44 characters")]
    NotBase64,
    #[error("the key is not usable for its purpose: make a new one")]
    Unusable,
    #[error("the system gave no random bytes: no key can be made until it does")]
    NoRandomness,
}

/// Secret bytes that stay in one place on the heap and are wiped there.
struct SecretBytes(Box<Zeroizing<[u8; KEY_BYTES]>>);

impl SecretBytes {
    fn random() -> Result<Self, KeyFault> {
        let mut bytes = Box::new(Zeroizing::new([0; KEY_BYTES]));
        rand::fill(bytes.as_mut_slice()).map_err(|_| KeyFault::NoRandomness)?;
        Ok(Self(bytes))
    }

    fn copy_of(bytes: &[u8]) -> Result<Self, KeyFault> {
        if bytes.len() != KEY_BYTES {
            return Err(KeyFault::Length { found: bytes.len() });
        }
        let mut own = Box::new(Zeroizing::new([0; KEY_BYTES]));
        own.copy_from_slice(bytes);
        Ok(Self(own))
    }

    fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn to_zeroizing(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.as_slice().to_vec())
    }
}

/// The key with which a connector recognises its own marks.
pub struct MarkKey {
    id: KeyId,
    bytes: SecretBytes,
}

impl MarkKey {
    /// Makes a new random key.
    ///
    /// # Errors
    /// [`KeyFault::NoRandomness`].
    pub fn generate() -> Result<Self, KeyFault> {
        SecretBytes::random().map(Self::of)
    }

    /// Takes the bytes that [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// [`KeyFault::Length`] unless there are [`KEY_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyFault> {
        SecretBytes::copy_of(bytes).map(Self::of)
    }

    fn of(bytes: SecretBytes) -> Self {
        let mut labelled = digest::Context::new(&digest::SHA256);
        labelled.update(MARK_KEY_ID_LABEL);
        labelled.update(bytes.as_slice());
        let id = KeyId(hex_of_first_eight(labelled.finish().as_ref()));
        Self { id, bytes }
    }

    /// Returns the key's id: the first 8 bytes, in hex, of SHA-256 over a label and the key.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the secret bytes, to be kept with the identity and nowhere else.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.bytes.to_zeroizing()
    }

    /// Computes HMAC-SHA256 over `label`, a zero byte and `data`. One label for one purpose.
    pub fn tag(&self, label: &str, data: &[u8]) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.hmac());
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(data);
        context.sign().as_ref().to_vec()
    }

    /// Returns true when `tag` is what [`Self::tag`] gives; takes the same time for every wrong tag.
    pub fn verifies(&self, label: &str, data: &[u8], tag: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(label, data), tag).is_ok()
    }

    fn hmac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.bytes.as_slice())
    }
}

impl fmt::Debug for MarkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MarkKey({})", self.id.0)
    }
}

macro_rules! public_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; KEY_BYTES]);

        impl $name {
            /// Takes the raw bytes.
            ///
            /// # Errors
            /// [`KeyFault::Length`] unless there are [`KEY_BYTES`].
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyFault> {
                bytes.try_into().map(Self).map_err(|_| KeyFault::Length { found: bytes.len() })
            }

            /// Reads the key from base64 with padding, its one text form.
            ///
            /// # Errors
            /// [`KeyFault::NotBase64`], [`KeyFault::Length`].
            pub fn from_base64(text: &str) -> Result<Self, KeyFault> {
                Self::from_bytes(&STANDARD.decode(text).map_err(|_| KeyFault::NotBase64)?)
            }

            /// Returns the raw bytes.
            pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
                &self.0
            }

            /// Returns the key as base64 with padding.
            pub fn to_base64(&self) -> String {
                STANDARD.encode(self.0)
            }

            /// Returns the key's id: the first 8 bytes of its SHA-256, in hex.
            pub fn id(&self) -> KeyId {
                KeyId(hex_of_first_eight(digest::digest(&digest::SHA256, &self.0).as_ref()))
            }

            /// Returns what people compare by eye: 100 bits of the key's SHA-256, as four groups of five.
            pub fn fingerprint(&self) -> String {
                fingerprint(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = KeyFault;
            fn try_from(text: String) -> Result<Self, KeyFault> {
                Self::from_base64(&text)
            }
        }

        impl From<$name> for String {
            fn from(key: $name) -> Self {
                key.to_base64()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.to_base64())
            }
        }
    };
}

public_key! {
    /// An X25519 key to which something can be sealed: a grantee's, or a connector's.
    SealingPublic
}
public_key! {
    /// An Ed25519 key that verifies receipts and checkpoints.
    ReceiptPublic
}

impl SealingPublic {
    /// Returns the key as a grantee's.
    pub fn to_grantee_key(&self) -> GranteeKey {
        GranteeKey(self.to_base64())
    }
}

impl TryFrom<&GranteeKey> for SealingPublic {
    type Error = KeyFault;
    fn try_from(key: &GranteeKey) -> Result<Self, KeyFault> {
        Self::from_base64(&key.0)
    }
}

impl ReceiptPublic {
    /// Returns true when `signature` over `data` was made with the secret half.
    pub fn verifies(&self, data: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(data, signature).is_ok()
    }
}

/// An X25519 pair: opens what was sealed to its public half. A connector has one, and so has a grantee.
pub struct SealingKey {
    public: SealingPublic,
    bytes: SecretBytes,
}

impl SealingKey {
    /// Makes a new random pair.
    ///
    /// # Errors
    /// [`KeyFault::NoRandomness`].
    pub fn generate() -> Result<Self, KeyFault> {
        Self::of(SecretBytes::random()?)
    }

    /// Takes the bytes that [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// [`KeyFault::Length`], [`KeyFault::Unusable`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyFault> {
        Self::of(SecretBytes::copy_of(bytes)?)
    }

    fn of(bytes: SecretBytes) -> Result<Self, KeyFault> {
        let secret = agreement::PrivateKey::from_private_key(&X25519, bytes.as_slice())
            .map_err(|_| KeyFault::Unusable)?;
        let public = secret.compute_public_key().map_err(|_| KeyFault::Unusable)?;
        Ok(Self { public: SealingPublic::from_bytes(public.as_ref())?, bytes })
    }

    /// Returns the public half.
    pub const fn public(&self) -> &SealingPublic {
        &self.public
    }

    /// Returns the key's id, which is that of its public half.
    pub fn id(&self) -> KeyId {
        self.public.id()
    }

    /// Returns the secret bytes, to be kept by their owner and nowhere else.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.bytes.to_zeroizing()
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id().0)
    }
}

/// An Ed25519 pair: signs a connector's receipts and checkpoints.
pub struct ReceiptKey {
    public: ReceiptPublic,
    id: KeyId,
    seed: SecretBytes,
    pair: Ed25519KeyPair,
}

impl ReceiptKey {
    /// Makes a new random pair.
    ///
    /// # Errors
    /// [`KeyFault::NoRandomness`].
    pub fn generate() -> Result<Self, KeyFault> {
        Self::of(SecretBytes::random()?)
    }

    /// Takes the bytes that [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// [`KeyFault::Length`], [`KeyFault::Unusable`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyFault> {
        Self::of(SecretBytes::copy_of(bytes)?)
    }

    fn of(seed: SecretBytes) -> Result<Self, KeyFault> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyFault::Unusable)?;
        let public = ReceiptPublic::from_bytes(pair.public_key().as_ref())?;
        Ok(Self { id: public.id(), public, seed, pair })
    }

    /// Returns the public half.
    pub const fn public(&self) -> &ReceiptPublic {
        &self.public
    }

    /// Returns the key's id, which is that of its public half.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the 32-byte seed of the secret key, to be kept with the identity and nowhere else.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.seed.to_zeroizing()
    }

    /// Signs `data`; the same data gives the same signature.
    ///
    /// # Errors
    /// [`KeyFault::Unusable`] when the library refuses, which it does not for a key that it took.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, KeyFault> {
        self.pair.try_sign(data).map(|signature| signature.as_ref().to_vec()).map_err(|_| KeyFault::Unusable)
    }
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiptKey({})", self.id.0)
    }
}

/// Returns what people compare by eye for any public key: 100 bits of its SHA-256, as four groups of five
/// characters that are hard to confuse (no `i`, `l`, `o`, `u`).
pub fn fingerprint(public: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let hash = digest::digest(&digest::SHA256, public);
    let bits = hash.as_ref().iter().take(13).fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
    let mut text = String::with_capacity(23);
    for n in 0..20_u32 {
        if n > 0 && n % 5 == 0 {
            text.push('-');
        }
        // 13 bytes are 104 bits: the first five bits are the topmost ones.
        let five = (bits >> (99 - 5 * n)) & 31;
        text.extend(usize::try_from(five).ok().and_then(|at| ALPHABET.get(at)).map(|c| char::from(*c)));
    }
    text
}

/// Writes bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn hex_of_first_eight(hash: &[u8]) -> String {
    hex(hash.get(..8).unwrap_or(hash))
}

#[cfg(test)]
mod tests;
