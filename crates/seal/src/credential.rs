//! Credentials sealed to a grantee, and admin secrets sealed to a connector.
//!
//! Promises that a sealed text opens only in the place it was sealed for: a credential for one access,
//! account, grantee and generation; an admin secret for one integration, driver kind, host and TLS floor.
//! Who sealed it is not proven (see [`hpke`]); that a key is the grantee's own is left to
//! whoever pins it. The port is not part of a reference's binding: the pin on first use holds it.
//!
//! # What is bound
//! Fields are framed: each after its length in bytes as 8 bytes, most significant first.
//! - Credential: `info` = `tidegate credential v1`; `aad` = access, account (UUID with hyphens, lower
//!   case), grantee, generation (decimal).
//! - Reference: `info` = `tidegate reference v1`; `aad` = integration, driver kind, host (ASCII letters in
//!   lower case), TLS floor (its word).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use model::{
    AccessId, AccountId, DriverKind, Generation, GranteeId, GranteeKey, IntegrationId, KeyId,
    SealedCredential, Secret,
};

use crate::frame::framed;
use crate::hpke::{self, SealFault, Sealed};
use crate::keys::{SealingKey, SealingPublic};

const CREDENTIAL_INFO: &[u8] = b"tidegate credential v1";
const REFERENCE_INFO: &[u8] = b"tidegate reference v1";

/// How a sealed reference begins.
pub const REFERENCE_PREFIX: &str = "sealed://";

const REFERENCE_VERSION: &str = "1";

fn credential_aad(
    access: &AccessId,
    account: AccountId,
    grantee: &GranteeId,
    generation: Generation,
) -> Vec<u8> {
    framed(&[
        access.as_str().as_bytes(),
        account.to_string().as_bytes(),
        grantee.as_str().as_bytes(),
        generation.0.to_string().as_bytes(),
    ])
}

/// Seals a new credential to its grantee's key.
///
/// # Errors
/// [`SealFault::Key`] or [`SealFault::WeakKey`] when the grantee's key cannot be used.
pub fn seal_credential(
    access: &AccessId,
    account: AccountId,
    grantee: &GranteeId,
    generation: Generation,
    key: &GranteeKey,
    clear: &Secret,
) -> Result<SealedCredential, SealFault> {
    let to = SealingPublic::try_from(key)?;
    let aad = credential_aad(access, account, grantee, generation);
    let sealed = hpke::seal(&to, CREDENTIAL_INFO, &aad, clear)?;
    Ok(SealedCredential {
        generation,
        access: access.clone(),
        key: key.clone(),
        encapsulated: STANDARD.encode(sealed.encapsulated),
        ciphertext: STANDARD.encode(sealed.ciphertext),
    })
}

/// Opens a credential with the grantee's key.
///
/// # Errors
/// [`SealFault::OtherKey`] when it says that it was sealed to another key; [`SealFault::Malformed`];
/// [`SealFault::DoesNotOpen`] when it is not this account's and grantee's.
pub fn open_credential(
    key: &SealingKey,
    sealed: &SealedCredential,
    account: AccountId,
    grantee: &GranteeId,
) -> Result<Secret, SealFault> {
    let to = SealingPublic::try_from(&sealed.key)?;
    if to != *key.public() {
        return Err(SealFault::OtherKey { sealed_to: to.fingerprint(), ours: key.public().fingerprint() });
    }
    let fault = |detail| SealFault::Malformed { what: "the credential", detail };
    let encapsulated =
        STANDARD.decode(&sealed.encapsulated).map_err(|_| fault("the encapsulated key is not base64"))?;
    let ciphertext =
        STANDARD.decode(&sealed.ciphertext).map_err(|_| fault("the ciphertext is not base64"))?;
    let parts = Sealed::from_parts(&encapsulated, ciphertext)?;
    let aad = credential_aad(&sealed.access, account, grantee, sealed.generation);
    hpke::open(key, CREDENTIAL_INFO, &aad, &parts)
}

/// Where a sealed admin secret may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'p> {
    pub integration: &'p IntegrationId,
    pub kind: &'p DriverKind,
    pub host: &'p str,
    /// The floor's word, as in the integration's settings.
    pub tls_floor: &'p str,
}

impl Place<'_> {
    fn aad(&self) -> Vec<u8> {
        framed(&[
            self.integration.as_str().as_bytes(),
            self.kind.0.as_bytes(),
            self.host.to_ascii_lowercase().as_bytes(),
            self.tls_floor.as_bytes(),
        ])
    }
}

/// An admin secret sealed to a connector, in the form of a reference:
/// `sealed://1/` key id `/` base64url of encapsulated key and ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReference {
    /// Which of the connector's sealing keys opens it.
    pub key: KeyId,
    pub sealed: Sealed,
}

impl fmt::Display for SealedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sealed = URL_SAFE_NO_PAD.encode(self.sealed.to_bytes());
        write!(f, "{REFERENCE_PREFIX}{REFERENCE_VERSION}/{}/{sealed}", self.key.0)
    }
}

impl FromStr for SealedReference {
    type Err = SealFault;

    fn from_str(text: &str) -> Result<Self, SealFault> {
        let fault = |detail| SealFault::Malformed { what: "the sealed reference", detail };
        let rest =
            text.strip_prefix(REFERENCE_PREFIX).ok_or_else(|| fault("it does not begin with `sealed://`"))?;
        let (version, rest) = rest.split_once('/').ok_or_else(|| fault("it was cut short"))?;
        if version != REFERENCE_VERSION {
            return Err(fault("its version is not known to this build"));
        }
        let (key, sealed) = rest.split_once('/').ok_or_else(|| fault("it was cut short"))?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| fault("it is not base64url"))?;
        Ok(Self { key: KeyId(key.into()), sealed: Sealed::from_bytes(&sealed)? })
    }
}

/// Seals an admin secret to a connector, for one place.
///
/// # Errors
/// [`SealFault::WeakKey`], [`SealFault::TooLong`].
pub fn seal_reference(
    to: &SealingPublic,
    place: &Place<'_>,
    clear: &Secret,
) -> Result<SealedReference, SealFault> {
    Ok(SealedReference { key: to.id(), sealed: hpke::seal(to, REFERENCE_INFO, &place.aad(), clear)? })
}

/// Opens an admin secret in the place where it is about to be used.
///
/// # Errors
/// [`SealFault::OtherKey`] when it names another of the connector's keys;
/// [`SealFault::DoesNotOpen`] when it was sealed for another place.
pub fn open_reference(
    key: &SealingKey,
    place: &Place<'_>,
    reference: &SealedReference,
) -> Result<Secret, SealFault> {
    if reference.key != key.id() {
        return Err(SealFault::OtherKey { sealed_to: reference.key.0.clone(), ours: key.id().0 });
    }
    hpke::open(key, REFERENCE_INFO, &place.aad(), &reference.sealed)
}

#[cfg(test)]
mod tests;
