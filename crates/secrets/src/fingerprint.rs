//! Tells one secret from another without telling anything about either.
//!
//! The key is made at random for each store and never leaves it: a fingerprint that got into a log is no
//! help for guessing the secret. It therefore means something only within one run.

use std::hash::{BuildHasher as _, RandomState};

/// Makes fingerprints of one store's secrets.
#[derive(Debug, Default)]
pub(crate) struct Fingerprint(RandomState);

impl Fingerprint {
    /// Returns the fingerprint of some bytes.
    pub(crate) fn of(&self, bytes: &[u8]) -> String {
        format!("{:016x}", self.0.hash_one(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_equal_only_within_one_store() {
        let (one, other) = (Fingerprint::default(), Fingerprint::default());
        assert_eq!(one.of(b"a"), one.of(b"a"));
        assert_ne!(one.of(b"a"), one.of(b"b"));
        assert_ne!(one.of(b"a"), other.of(b"a"));
    }
}
