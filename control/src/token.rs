//! Tokens and ids that the control plane makes.
//!
//! A token is 256 random bits in text; only its SHA-256 is ever kept, and it is found by that hash, so no
//! comparison of secrets takes place whose duration could tell something.

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Incarnation, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The SHA-256 of a token, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash(pub String);

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no randomness: nothing secret can be made")]
pub struct NoRandomness;

/// Whose a token is; part of its text, so that a leaked one can be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    Person,
    Connector,
}

impl Holder {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Person => "tgu_",
            Self::Connector => "tgc_",
        }
    }
}

/// Makes a token.
///
/// # Errors
/// The system gave no randomness.
pub fn issue(holder: Holder) -> Result<Secret, NoRandomness> {
    let mut bytes = zeroize_on_drop();
    rand::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
    Ok(Secret::new(format!("{}{}", holder.prefix(), URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
}

fn zeroize_on_drop() -> zeroize::Zeroizing<[u8; 32]> {
    zeroize::Zeroizing::new([0; 32])
}

/// Returns the hash by which a token is found.
pub fn hash(token: &str) -> TokenHash {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    TokenHash(hex(hash.as_ref()))
}

/// Writes bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String does not fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// Returns a new id: the prefix, then time and randomness, so that ids sort by when they were made.
pub fn new_id(prefix: &str, now: Timestamp) -> String {
    let millis = now.as_millis().unsigned_abs();
    let nanos = u32::try_from(millis % 1000 * 1_000_000).unwrap_or_default();
    let at = uuid::Timestamp::from_unix(uuid::NoContext, millis / 1000, nanos);
    format!("{prefix}-{}", Uuid::new_v7(at).simple())
}

/// Returns a new life of a numbered log.
pub fn new_incarnation() -> Incarnation {
    Incarnation::from_uuid(Uuid::new_v4())
}
