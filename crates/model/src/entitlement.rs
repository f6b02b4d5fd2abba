//! What can be had: resource + permission, and sets of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a resource in a driver's manifest, for example `postgresql-table`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ResourceKind(pub String);

/// A permission of a resource kind, for example `READ_ONLY`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(pub String);

/// What a driver discovers, by kind and path. The parts of the path are names as the target spells them,
/// outermost first (`[database, schema, table]`): attacker-controlled text, quoted by the driver.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId {
    pub kind: ResourceKind,
    pub path: Vec<String>,
}

impl ResourceId {
    /// Names a resource.
    pub fn new<P: Into<String>>(kind: &str, path: impl IntoIterator<Item = P>) -> Self {
        Self { kind: ResourceKind(kind.into()), path: path.into_iter().map(Into::into).collect() }
    }
}

impl fmt::Display for ResourceId {
    /// `kind:part/part`, for people; parts are escaped so that a line stays a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind.0)?;
        for (n, part) in self.path.iter().enumerate() {
            if n > 0 {
                f.write_str("/")?;
            }
            write!(f, "{}", part.escape_debug())?;
        }
        Ok(())
    }
}

/// One permission on one resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entitlement {
    pub resource: ResourceId,
    pub permission: Permission,
}

impl Entitlement {
    /// Names an entitlement.
    pub fn new(resource: ResourceId, permission: &str) -> Self {
        Self { resource, permission: Permission(permission.into()) }
    }
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.permission.0, self.resource)
    }
}

/// A sorted set of entitlements. A wider one does not absorb a narrower one: they end at different times.
///
/// Most hold one or two and live as long as their account, in great numbers: it takes no room that it does not
/// use.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "Vec<Entitlement>")]
pub struct EntitlementSet(Vec<Entitlement>);

impl EntitlementSet {
    /// The set of nothing.
    pub const fn nothing() -> Self {
        Self(Vec::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn contains(&self, entitlement: &Entitlement) -> bool {
        self.0.binary_search(entitlement).is_ok()
    }

    pub fn insert(&mut self, entitlement: Entitlement) {
        if let Err(place) = self.0.binary_search(&entitlement) {
            self.0.reserve_exact(1);
            self.0.insert(place, entitlement);
        }
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: &Self) {
        let missing = other.minus(self);
        if !missing.is_empty() {
            self.0.reserve_exact(missing.len());
            self.0.extend(missing);
            self.0.sort_unstable();
        }
    }

    /// Returns what is in this set and not in `other`.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.iter().filter(|one| !other.contains(one)).cloned().collect()
    }

    /// Returns what is in both sets.
    #[must_use]
    pub fn both(&self, other: &Self) -> Self {
        self.iter().filter(|one| other.contains(one)).cloned().collect()
    }

    /// Returns true when all of this set is in `other`.
    pub fn within(&self, other: &Self) -> bool {
        self.iter().all(|one| other.contains(one))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entitlement> {
        self.0.iter()
    }
}

impl From<Vec<Entitlement>> for EntitlementSet {
    fn from(mut items: Vec<Entitlement>) -> Self {
        items.sort_unstable();
        items.dedup();
        items.shrink_to_fit();
        Self(items)
    }
}

impl FromIterator<Entitlement> for EntitlementSet {
    fn from_iter<I: IntoIterator<Item = Entitlement>>(items: I) -> Self {
        items.into_iter().collect::<Vec<_>>().into()
    }
}

impl IntoIterator for EntitlementSet {
    type Item = Entitlement;
    type IntoIter = std::vec::IntoIter<Entitlement>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
