//! An integration: one configured target, without its secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{IntegrationId, Revision};
use crate::time::Span;

/// Which driver an integration uses, for example `postgres`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DriverKind(pub String);

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the secret is, never what it is: `scheme://…#field`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretReference(pub String);

/// How long accounts are kept, and how often their credentials change. `None` means "not set here".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Days after which a shut account's credential is changed again.
    pub credentials_rotation_period_in_days: Option<u32>,
    /// Days after the last revocation after which the account is deleted; 0 = at each close.
    pub credentials_cleanup_period_in_days: Option<u32>,
}

impl Policy {
    /// Returns the stricter of two policies, key by key: the shorter period wins, a set one beats none.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        fn least(a: Option<u32>, b: Option<u32>) -> Option<u32> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        }
        Self {
            credentials_rotation_period_in_days: least(
                self.credentials_rotation_period_in_days,
                other.credentials_rotation_period_in_days,
            ),
            credentials_cleanup_period_in_days: least(
                self.credentials_cleanup_period_in_days,
                other.credentials_cleanup_period_in_days,
            ),
        }
    }

    /// Returns how long after the last revocation the account is deleted.
    pub fn cleanup_after(self) -> Option<Span> {
        self.credentials_cleanup_period_in_days.map(|days| Span::from_days(i64::from(days)))
    }

    /// Returns how long a shut account keeps a credential.
    pub fn rotate_after(self) -> Option<Span> {
        self.credentials_rotation_period_in_days.map(|days| Span::from_days(i64::from(days.max(1))))
    }
}

/// Whether the integration is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifecycle {
    #[default]
    Live,
    /// Being retired: everything on it closes, then what is ours and shared is removed.
    Retiring,
}

/// One configured target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    pub id: IntegrationId,
    pub revision: Revision,
    pub kind: DriverKind,
    /// The driver's own settings, by key, as text.
    pub settings: BTreeMap<String, String>,
    pub secret: SecretReference,
    #[serde(default)]
    pub policy: Policy,
    #[serde(default)]
    pub lifecycle: Lifecycle,
}

impl Integration {
    /// Returns true when both lead to the same target in the same way: a connection made for one serves the
    /// other.
    pub fn leads_where(&self, other: &Self) -> bool {
        self.kind == other.kind && self.settings == other.settings && self.secret == other.secret
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_policy_wins_key_by_key() {
        let policy = |rotation, cleanup| Policy {
            credentials_rotation_period_in_days: rotation,
            credentials_cleanup_period_in_days: cleanup,
        };
        let table = [
            (
                "shorter wins",
                policy(Some(30), Some(90)),
                policy(Some(7), Some(180)),
                policy(Some(7), Some(90)),
            ),
            ("empty takes the other", policy(None, None), policy(Some(7), Some(0)), policy(Some(7), Some(0))),
            ("zero is the strictest", policy(None, Some(0)), policy(None, Some(1)), policy(None, Some(0))),
            ("neither", policy(None, None), policy(None, None), policy(None, None)),
        ];
        for (name, a, b, expected) in table {
            assert_eq!(a.stricter(b), expected, "{name}");
            assert_eq!(b.stricter(a), expected, "{name}, the other way round");
        }
    }
}
