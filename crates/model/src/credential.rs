//! The grantee's credential: generated in the agent, sealed at once, delivered only sealed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::AccessId;
use crate::secret::Secret;

/// Which credential of an account this is, counted from 1; 0 is "none yet".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// Returns the generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A grantee's public HPKE key (X25519, 32 bytes as base64), to which credentials are sealed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GranteeKey(pub String);

impl fmt::Debug for GranteeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GranteeKey({})", self.0)
    }
}

/// What the target checks a login against, so that it never sees the clear text: a SCRAM verifier, a hash.
///
/// Not as precious as a password, but it opens the door to offline guessing: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Verifier(pub String);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// A credential that only the grantee can open.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCredential {
    pub generation: Generation,
    /// The access it was sealed for; part of what it is bound to, also when a later access joins.
    pub access: AccessId,
    /// The key it is sealed to.
    pub key: GranteeKey,
    /// HPKE encapsulated key and ciphertext, base64.
    pub encapsulated: String,
    pub ciphertext: String,
}

impl fmt::Debug for SealedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedCredential(generation {}, to {})", self.generation.0, self.key.0)
    }
}

/// A credential on its way to the target.
#[derive(Debug)]
pub enum NewCredential {
    /// The target takes a verifier; the clear text stays here.
    Verifier { generation: Generation, verifier: Verifier },
    /// The target needs the clear text.
    Clear { generation: Generation, secret: Secret },
}

impl NewCredential {
    /// Returns which credential of the account this is.
    pub const fn generation(&self) -> Generation {
        match self {
            Self::Verifier { generation, .. } | Self::Clear { generation, .. } => *generation,
        }
    }
}
