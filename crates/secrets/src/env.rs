//! `env://TIDEGATE_SECRET_…`: secrets in the agent's own environment.
//!
//! The environment is handed in once, at start; only names with the prefix are kept. A change needs a
//! restart, which makes this store fit for trials and for orchestrators that restart on a new secret.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::{Failure, Secret};

use crate::faults;
use crate::fingerprint::Fingerprint;
use crate::reference::{ENV_PREFIX, Reference, Scheme};
use crate::value;
use crate::{Fetched, SecretStore, Version};

/// The variables that begin with [`ENV_PREFIX`].
#[derive(Debug)]
pub struct EnvStore {
    variables: BTreeMap<String, Secret>,
    fingerprint: Fingerprint,
}

impl EnvStore {
    /// Keeps the variables that hold secrets and drops all others.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = environment
            .into_iter()
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .map(|(name, text)| (name, Secret::new(text)))
            .collect();
        Self { variables, fingerprint: Fingerprint::default() }
    }
}

#[async_trait]
impl SecretStore for EnvStore {
    fn scheme(&self) -> Scheme {
        Scheme::Env
    }

    async fn fetch(&self, reference: &Reference) -> Result<Fetched, Failure> {
        if reference.scheme() != Scheme::Env {
            return Err(faults::denied(reference, "this store reads env:// only"));
        }
        let text = self.variables.get(reference.locator()).ok_or_else(|| {
            faults::missing(reference, "set the variable in the agent's environment and restart the agent")
        })?;
        let bytes = text.expose().as_bytes();
        let values =
            value::parse(bytes, reference.field()).map_err(|fault| faults::malformed(reference, &fault))?;
        Ok(Fetched { values, version: Version::new(format!("env-{}", self.fingerprint.of(bytes))) })
    }
}
