//! One installation at a time on a machine and cache folder.

use std::fs::{File, TryLockError};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::cache;
use crate::clock::wait_until;

/// Holds the lock until the value is dropped or its process ends.
pub(super) fn hold(patience: Duration) -> anyhow::Result<File> {
    let path = cache::folder()?.join("install.lock");
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    wait_until("another installation ends", patience, || match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(fault)) => bail!("lock {}: {fault}", path.display()),
    })?;
    Ok(file)
}
