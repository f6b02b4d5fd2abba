//! Identifiers, each its own type: an access can never be handed where an account is meant.
//!
//! Ids that the control plane makes (accesses, integrations, grantees, connectors) are opaque text of a
//! narrow alphabet, so that they can stand in names, marks, logs and URLs without quoting. The account's
//! id is derived by the agent and is a UUID.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest text an id may have, in bytes.
pub const LONGEST: usize = 64;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdFault {
    #[error("the id is empty: give 1 to {LONGEST} characters of a-z, A-Z, 0-9, `-`, `_`, `.`")]
    Empty,
    #[error("the id has {len} bytes: the most is {LONGEST}")]
    TooLong { len: usize },
    #[error("the id has the character {found:?}: allowed are a-z, A-Z, 0-9, `-`, `_`, `.`")]
    Character { found: char },
}

fn checked(text: &str) -> Result<(), IdFault> {
    if text.is_empty() {
        return Err(IdFault::Empty);
    }
    if text.len() > LONGEST {
        return Err(IdFault::TooLong { len: text.len() });
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        Some(found) => Err(IdFault::Character { found }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a text and takes it as this kind of id.
            ///
            /// # Errors
            /// Empty, longer than [`LONGEST`], or with a character outside `[A-Za-z0-9._-]`.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdFault> {
                let text = text.into();
                checked(&text)?;
                Ok(Self(text.into_boxed_str()))
            }

            /// Returns the id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdFault;
            fn try_from(text: String) -> Result<Self, IdFault> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into_string()
            }
        }

        impl FromStr for $name {
            type Err = IdFault;
            fn from_str(text: &str) -> Result<Self, IdFault> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_id! {
    /// One logical agent: id, token, keys.
    ConnectorId
}
text_id! {
    /// One configured target.
    IntegrationId
}
text_id! {
    /// What one person asked for on one integration, from–until.
    AccessId
}
text_id! {
    /// The person who asked.
    GranteeId
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID as this kind of id.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Returns the UUID.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

uuid_id! {
    /// A grantee's user on one target: what drivers act on. Derived from connector, integration and
    /// grantee, so that a retried or rebuilt opening meets its own account.
    AccountId
}
uuid_id! {
    /// One running process of a connector.
    InstanceId
}
uuid_id! {
    /// One life of a numbered log: a journal's, or the control plane's. Numbers mean something only
    /// within an incarnation.
    Incarnation
}

/// A place in a numbered log, counted from 1; 0 is "nothing yet".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Returns the place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that only rises: which of two versions of the same thing is the later one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// Returns the revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_would_need_quoting() {
        let table = [
            ("empty", "", Err(IdFault::Empty)),
            ("plain", "prod-db_1.eu", Ok(())),
            ("quote", "a'b", Err(IdFault::Character { found: '\'' })),
            ("newline", "a\nb", Err(IdFault::Character { found: '\n' })),
            ("unicode", "é", Err(IdFault::Character { found: 'é' })),
        ];
        for (name, text, expected) in table {
            assert_eq!(AccessId::parse(text).map(|_| ()), expected, "{name}");
        }
        assert_eq!(AccessId::parse("x".repeat(65)), Err(IdFault::TooLong { len: 65 }));
    }

    #[test]
    fn a_bad_id_does_not_come_in_by_json() {
        assert!(serde_json::from_str::<GranteeId>("\"a b\"").is_err());
        assert!(serde_json::from_str::<GranteeId>("\"ann\"").is_ok());
    }
}
