//! A fresh folder for one server, removed with it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::random;
use crate::runas::RunAs;

/// A folder below the system's temporary folder. Dropping it removes it with all that is in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    owner: RunAs,
}

impl Folder {
    /// Makes a new folder that others may enter and only `owner` may write to.
    pub(crate) fn fresh(kind: &str, owner: RunAs) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("tidegate-{kind}-{}", random::hex(5)?));
        fs::create_dir(&path).with_context(|| format!("make the folder {}", path.display()))?;
        let folder = Self { path, owner };
        set_mode(&folder.path, 0o755)?;
        owner.own(&folder.path)?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only the owner may read.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, "").with_context(|| format!("make {}", path.display()))?;
        set_mode(&path, 0o600)?;
        self.owner.own(&path)?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Whoever removed it before was right to do so.
        let _gone_already = fs::remove_dir_all(&self.path);
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("set the rights of {}", path.display()))
}
