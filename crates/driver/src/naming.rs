//! Names and ids of what we make on a target: derived, so that a retried opening meets its own account.
//!
//! An account's name is `<prefix><slug>_<hash>`: the slug is for people, the hash makes it one grantee's on
//! one integration of one connector. Names hold only `[a-z0-9_]` and begin with a letter, whatever the
//! hint held. A name is derived once and then frozen in journal and mark; nothing here renames.

mod slug;

use std::fmt;

use aws_lc_rs::digest;
use model::{AccountId, AccountName, ConnectorId, GranteeId, InstanceId, IntegrationId};
use serde::{Serialize, Serializer};
use uuid::Builder;

/// The prefix of all our names, where the operator has set no other.
pub const PREFIX: &str = "tidegate_";
/// The prefix on targets whose names have no room for [`PREFIX`].
pub const SHORT_PREFIX: &str = "tg_";

/// Longest slug: more does not help people, and names stay alike on all targets.
const LONGEST_SLUG: usize = 24;
/// Shortest slug before the hash gives way.
const ROOMY_SLUG: usize = 8;
const LONG_HASH: usize = 10;
const SHORT_HASH: usize = 8;
/// The shortest name length that a target may have: `tg_`, one letter, `_`, short hash.
const LEAST_BYTES: usize = SHORT_PREFIX.len() + 1 + 1 + SHORT_HASH;
/// Begins of names that some target keeps for itself.
const RESERVED: [&str; 6] = ["pg_", "rds", "mysql", "sys", "azure_", "cloudsql"];

/// In which case a target keeps unquoted names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameCase {
    Lower,
    /// For targets that fold names to upper case.
    Upper,
}

/// What names a target allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct NameLimits {
    /// Longest name, in bytes. Our names are ASCII, so it is also the number of characters.
    pub max_bytes: usize,
    pub case: NameCase,
}

/// Why no name can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("the name limit of {max_bytes} bytes is too short: a name needs {LEAST_BYTES}")]
    NoRoom { max_bytes: usize },
    #[error("the prefix is not usable: begin with a letter, then a-z, 0-9 or `_`, at most 16 characters")]
    Prefix,
    #[error("the prefix begins with `{reserved}`, which targets keep for themselves: choose another")]
    Reserved { reserved: &'static str },
}

/// The begin of all our names on a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Takes a text as prefix.
    ///
    /// # Errors
    /// When it is not `[a-z][a-z0-9_]*` of at most 16 characters, or some target keeps it for itself.
    pub fn parse(text: impl Into<String>) -> Result<Self, NameFault> {
        let text = text.into();
        let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain || text.len() > 16 || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(NameFault::Prefix);
        }
        match RESERVED.into_iter().find(|reserved| text.starts_with(reserved)) {
            Some(reserved) => Err(NameFault::Reserved { reserved }),
            None => Ok(Self(text)),
        }
    }

    /// Returns our own prefix, the short one where the target leaves no room for the long one.
    pub fn ours(limits: NameLimits) -> Self {
        let room = PREFIX.len() + ROOMY_SLUG + 1 + LONG_HASH;
        Self(if limits.max_bytes >= room { PREFIX } else { SHORT_PREFIX }.to_owned())
    }

    /// Returns the prefix as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl NameLimits {
    /// Returns an error when not even the shortest name fits.
    ///
    /// # Errors
    /// [`NameFault::NoRoom`].
    pub const fn check(self) -> Result<(), NameFault> {
        if self.max_bytes < LEAST_BYTES {
            return Err(NameFault::NoRoom { max_bytes: self.max_bytes });
        }
        Ok(())
    }

    fn cased(self, name: String) -> String {
        match self.case {
            NameCase::Lower => name,
            NameCase::Upper => name.to_ascii_uppercase(),
        }
    }

    /// Returns how long slug and hash may be behind a prefix; the hash is never given up.
    fn room(self, prefix: &Prefix) -> Result<(usize, usize), NameFault> {
        let rest = self.max_bytes.saturating_sub(prefix.0.len() + 1);
        let hash = if rest >= ROOMY_SLUG + LONG_HASH { LONG_HASH } else { SHORT_HASH };
        match rest.checked_sub(hash) {
            None | Some(0) => Err(NameFault::NoRoom { max_bytes: self.max_bytes }),
            Some(slug) => Ok((slug.min(LONGEST_SLUG), hash)),
        }
    }
}

/// Derives the name of a grantee's account.
///
/// `hint` is how the grantee calls themselves, for example an e-mail address; any text will do.
///
/// # Errors
/// When prefix and hash have no room within the limits.
pub fn account_name(
    prefix: &Prefix,
    hint: &str,
    connector: &ConnectorId,
    integration: &IntegrationId,
    grantee: &GranteeId,
    limits: NameLimits,
) -> Result<AccountName, NameFault> {
    let (slug_bytes, hash_length) = limits.room(prefix)?;
    let slug = slug::slug(hint, slug_bytes);
    let parts = [connector.as_str(), integration.as_str(), grantee.as_str()];
    let hash = short_hash("tidegate account name 1", &parts, hash_length);
    Ok(AccountName(limits.cased(format!("{prefix}{slug}_{hash}"))))
}

/// Derives the id of a grantee's account: a UUID of version 8 from SHA-256.
pub fn account_id(connector: &ConnectorId, integration: &IntegrationId, grantee: &GranteeId) -> AccountId {
    let parts = [connector.as_str(), integration.as_str(), grantee.as_str()];
    let hash = hash("tidegate account id 1", &parts);
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    AccountId::from_uuid(Builder::from_custom_bytes(bytes).into_uuid())
}

/// Derives the name of a permission role: one per connector, integration, scope and permission.
///
/// `word` is a short word for people, for example `ro`; `scope` and `permission` go into the hash as they
/// are, so two scopes whose names are cut or folded alike still have two roles.
///
/// # Errors
/// When prefix, word and hash have no room within the limits.
pub fn role_name<S: AsRef<str>>(
    prefix: &Prefix,
    word: &str,
    connector: &ConnectorId,
    integration: &IntegrationId,
    scope: &[S],
    permission: &str,
    limits: NameLimits,
) -> Result<String, NameFault> {
    let (word_bytes, hash_length) = limits.room(prefix)?;
    let word = slug::slug(word, word_bytes);
    let fixed = [connector.as_str(), integration.as_str(), permission];
    let parts: Vec<&str> = fixed.into_iter().chain(scope.iter().map(AsRef::as_ref)).collect();
    let hash = short_hash("tidegate role name 1", &parts, hash_length);
    Ok(limits.cased(format!("{prefix}{word}_{hash}")))
}

/// Returns what sessions of every instance of a connector begin their name with, where a target lets a session have
/// one.
pub fn sessions_of(connector: &ConnectorId) -> String {
    format!("tidegate/{}/", short_hash("tidegate sessions 1", &[connector.as_str()], SHORT_HASH))
}

/// Returns the name of one instance's sessions: the connector's part, the instance, the epoch. 63 bytes, the most that
/// PostgreSQL keeps, as long as the epoch has no more than eight digits.
pub fn session_name(connector: &ConnectorId, instance: InstanceId, epoch: u64) -> String {
    format!("{}{instance}/{epoch}", sessions_of(connector))
}

/// Hashes parts behind a purpose; each is preceded by its length, so that no two lists are one text.
fn hash(purpose: &str, parts: &[&str]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in std::iter::once(&purpose).chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish()
}

/// Returns the first characters of a hash in base32 (RFC 4648, lower case).
fn short_hash(purpose: &str, parts: &[&str], length: usize) -> String {
    let hash = hash(purpose, parts);
    let bits = hash.as_ref().iter().flat_map(|byte| (0..8).rev().map(move |n| (byte >> n) & 1));
    let mut text = String::with_capacity(length);
    let mut value = 0;
    for (n, bit) in bits.take(length * 5).enumerate() {
        value = (value << 1) | bit;
        if n % 5 == 4 {
            text.push(char::from(if value < 26 { b'a' + value } else { b'2' + value - 26 }));
            value = 0;
        }
    }
    text
}

#[cfg(test)]
mod tests;
