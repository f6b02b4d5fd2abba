//! The secret stores of this build, as configured.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrets::Stores;
use secrets::env::EnvStore;
use secrets::file::{DirectoryFault, FileStore};

use crate::config;

/// Opens the stores. `environment` is the process's own, read once at the start.
///
/// # Errors
/// When the directory of secrets cannot be used.
pub fn open(
    config: &config::Secrets,
    environment: BTreeMap<String, String>,
) -> Result<Stores, DirectoryFault> {
    let stores = Stores::new(config.deadline).with(Arc::new(EnvStore::new(environment)));
    match &config.file_root {
        Some(root) => Ok(stores.with(Arc::new(FileStore::below(root)?))),
        None => Ok(stores),
    }
}
