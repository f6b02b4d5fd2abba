//! Secret references, the stores that they point into, and what a reference is bound to.
//!
//! A reference says where a secret is kept; a [`SecretStore`] reads it at use; [`cache`] keeps it briefly;
//! [`binding`] says to which endpoint it may be sent. Nothing here holds a secret longer than the cache's
//! short time, and no failure repeats one. Which integration uses which reference, and when a binding is
//! recorded, is for the agent; sending is for the drivers. [`contract::run`] holds every store to its
//! promises.

pub mod binding;
pub mod cache;
pub mod contract;
pub mod env;
pub mod file;
mod fingerprint;
pub mod logins;
pub mod reference;
pub mod sealed;
pub mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Code, Failure, Retry, Secret};

pub use reference::{Document, Reference, ReferenceFault, Scheme};

/// Which version of a secret this is. Equal versions are equal secrets within one run of the agent; it
/// tells nothing about the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    /// Takes a store's own name of a version.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

/// A secret as the store gave it: its keys in lower case, and which version it is.
#[derive(Debug)]
pub struct Fetched {
    pub values: BTreeMap<String, Secret>,
    pub version: Version,
}

impl Fetched {
    /// Returns second owners of all values, for a driver.
    pub fn duplicate_values(&self) -> BTreeMap<String, Secret> {
        self.values.iter().map(|(key, value)| (key.clone(), value.duplicate())).collect()
    }
}

/// A place where secrets are kept.
///
/// A store MUST read anew at each call, give another version when the secret changed, and keep the secret
/// out of its failures. `secret_missing`, `secret_denied`, `secret_malformed` and
/// `secret_store_unreachable` are its codes.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// Returns the scheme of the references that it reads.
    fn scheme(&self) -> Scheme;

    /// Reads a secret.
    ///
    /// # Errors
    /// Missing, denied, malformed, or the store did not answer.
    async fn fetch(&self, reference: &Reference) -> Result<Fetched, Failure>;
}

/// The stores of one agent, by scheme, each call under one deadline.
pub struct Stores {
    stores: BTreeMap<Scheme, Arc<dyn SecretStore>>,
    deadline: Duration,
}

impl Stores {
    /// Begins with no store; every read is given up after `deadline`.
    pub const fn new(deadline: Duration) -> Self {
        Self { stores: BTreeMap::new(), deadline }
    }

    /// Adds a store, in place of another one of the same scheme.
    #[must_use]
    pub fn with(mut self, store: Arc<dyn SecretStore>) -> Self {
        self.stores.insert(store.scheme(), store);
        self
    }

    /// Reads a secret from the store of its scheme.
    ///
    /// # Errors
    /// `config_refused` when there is no such store, `secret_store_unreachable` when the deadline passed,
    /// else what the store says.
    pub async fn fetch(&self, reference: &Reference) -> Result<Fetched, Failure> {
        let scheme = reference.scheme();
        let Some(store) = self.stores.get(&scheme) else {
            return Err(
                Failure::refused(Code::CONFIG_REFUSED, self.absent(scheme)).with_retry(Retry::NeedsHuman)
            );
        };
        match tokio::time::timeout(self.deadline, store.fetch(reference)).await {
            Ok(fetched) => fetched,
            // Reading a secret changes nothing on a target: not done is certain.
            Err(_) => Err(Failure::not_done(
                Code::SECRET_STORE_UNREACHABLE,
                format!(
                    "the {scheme} store did not give {reference} within {} ms",
                    self.deadline.as_millis()
                ),
            )),
        }
    }

    fn absent(&self, scheme: Scheme) -> String {
        let known: Vec<_> = self.stores.keys().map(|known| format!("{known}://")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!(
            "no store for {scheme}:// is configured (configured: {known}): configure it or move the secret"
        )
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("schemes", &self.stores.keys()).finish_non_exhaustive()
    }
}

/// The failures of stores, in one place, so that they read alike.
pub mod faults {
    use model::{Code, Failure, Retry};

    use crate::reference::Reference;
    use crate::value::ValueFault;

    /// The store has no such secret.
    pub fn missing(reference: &Reference, way_out: &str) -> Failure {
        Failure::refused(Code::SECRET_MISSING, format!("{reference} is not there: {way_out}"))
            .with_retry(Retry::AfterNewSecret)
    }

    /// The store refused to give the secret.
    pub fn denied(reference: &Reference, reason: &str) -> Failure {
        Failure::refused(Code::SECRET_DENIED, format!("{reference} is not read: {reason}"))
            .with_retry(Retry::NeedsHuman)
    }

    /// The secret is not readable.
    pub fn malformed(reference: &Reference, fault: &ValueFault) -> Failure {
        unreadable(reference, &fault.to_string())
    }

    /// The secret, or what it is wrapped in, is not readable.
    pub fn unreadable(reference: &Reference, reason: &str) -> Failure {
        Failure::refused(Code::SECRET_MALFORMED, format!("{reference}: {reason}"))
            .with_retry(Retry::AfterNewSecret)
    }
}
