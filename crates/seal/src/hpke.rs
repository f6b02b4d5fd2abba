//! HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//!
//! The one file that knows which library does it. Promises that only the holder of the secret key opens
//! what is sealed, and only with the same `info` and `aad`. Base mode says nothing about *who* sealed it:
//! anyone with the public key can. The length of the clear text shows in that of the ciphertext.

use std::fmt;

use model::Secret;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::keys::{KEY_BYTES, KeyFault, SealingKey, SealingPublic};

/// The longest text that is sealed or opened, in bytes.
pub const LONGEST_CLEAR: usize = 256 * 1024;

/// What AES-256-GCM adds to the clear text.
const TAG_BYTES: usize = 16;

/// Why something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    #[error("the key to seal to cannot be used: {0}")]
    Key(#[from] KeyFault),
    #[error("the key to seal to is refused as weak: its owner must make a new one")]
    WeakKey,
    #[error("the text has {found} bytes: at most {LONGEST_CLEAR} can be sealed")]
    TooLong { found: usize },
    #[error("{what} is damaged ({detail}): have it sealed again")]
    Malformed { what: &'static str, detail: &'static str },
    #[error(
        "it was sealed to the key {sealed_to}, and this key is {ours}: use that key, or ask for it to be sealed to this one"
    )]
    OtherKey { sealed_to: String, ours: String },
    #[error(
        "it does not open: sealed to another key, for another purpose than this one, or altered; have it sealed again"
    )]
    DoesNotOpen,
}

/// What only the holder of one key can open.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The sender's one-time public key.
    pub encapsulated: [u8; KEY_BYTES],
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
}

impl Sealed {
    /// Takes both parts as they came.
    ///
    /// # Errors
    /// [`SealFault::Malformed`] when a part has an impossible length.
    pub fn from_parts(encapsulated: &[u8], ciphertext: Vec<u8>) -> Result<Self, SealFault> {
        let fault = |detail| SealFault::Malformed { what: "the sealed text", detail };
        let encapsulated =
            encapsulated.try_into().map_err(|_| fault("the encapsulated key has not 32 bytes"))?;
        if ciphertext.len() < TAG_BYTES {
            return Err(fault("it was cut short"));
        }
        if ciphertext.len() > LONGEST_CLEAR + TAG_BYTES {
            return Err(fault("it is too long"));
        }
        Ok(Self { encapsulated, ciphertext })
    }

    /// Takes what [`Self::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`Self::from_parts`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealFault> {
        let (encapsulated, ciphertext) = bytes
            .split_at_checked(KEY_BYTES)
            .ok_or(SealFault::Malformed { what: "the sealed text", detail: "it was cut short" })?;
        Self::from_parts(encapsulated, ciphertext.to_vec())
    }

    /// Returns the encapsulated key followed by the ciphertext.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.encapsulated.as_slice(), &self.ciphertext].concat()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.ciphertext.len())
    }
}

/// Seals a text to a key, for one purpose (`info`) and bound to what `aad` says.
///
/// # Errors
/// [`SealFault::TooLong`], [`SealFault::WeakKey`].
pub fn seal(to: &SealingPublic, info: &[u8], aad: &[u8], clear: &Secret) -> Result<Sealed, SealFault> {
    let clear = clear.expose().as_bytes();
    if clear.len() > LONGEST_CLEAR {
        return Err(SealFault::TooLong { found: clear.len() });
    }
    let key = HpkePublicKey(to.as_bytes().to_vec());
    let (encapsulated, ciphertext) =
        DH_KEM_X25519_HKDF_SHA256_AES_256.seal(info, aad, clear, &key).map_err(|_| SealFault::WeakKey)?;
    Sealed::from_parts(&encapsulated.0, ciphertext)
}

/// Opens what was sealed to this key with the same `info` and `aad`.
///
/// # Errors
/// [`SealFault::DoesNotOpen`], without saying why: the cause is not knowable;
/// [`SealFault::Malformed`] when it opens to something that is not text.
pub fn open(key: &SealingKey, info: &[u8], aad: &[u8], sealed: &Sealed) -> Result<Secret, SealFault> {
    let secret_key = HpkePrivateKey::from(key.to_bytes().to_vec());
    let encapsulated = EncapsulatedSecret(sealed.encapsulated.to_vec());
    let clear = DH_KEM_X25519_HKDF_SHA256_AES_256
        .open(&encapsulated, info, aad, &sealed.ciphertext, &secret_key)
        .map_err(|_| SealFault::DoesNotOpen)?;
    String::from_utf8(clear).map(Secret::new).map_err(|fault| {
        drop(Zeroizing::new(fault.into_bytes()));
        SealFault::Malformed { what: "the sealed text", detail: "it is not UTF-8" }
    })
}

#[cfg(test)]
mod tests;
