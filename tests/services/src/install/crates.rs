//! Programs that cargo builds below the cache folder.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::{cache, run};

/// Building takes longer than unpacking.
const BUILD: Duration = Duration::from_secs(2_700);

/// A program of a fixed version.
#[derive(Debug)]
pub(super) struct Built {
    package: &'static str,
    version: &'static str,
}

pub(super) static DENY: Built = Built { package: "cargo-deny", version: "0.20.2" };

impl Built {
    pub(super) fn plan(&self) -> String {
        let place = self.folder().map(|path| path.display().to_string()).unwrap_or_default();
        format!("cargo install --locked {} --version {} --root {place}", self.package, self.version)
    }

    pub(super) fn find(&self) -> Option<PathBuf> {
        self.folder().ok().map(|folder| folder.join("bin").join(self.package)).filter(|file| file.is_file())
    }

    pub(super) fn install(&self) -> anyhow::Result<()> {
        let folder = self.folder()?;
        let mut cargo = Command::new("cargo");
        cargo
            .args(["install", "--quiet", "--locked", self.package, "--version", self.version, "--root"])
            .arg(&folder);
        // Not among the project's own artefacts, and not with the project's own settings.
        cargo.current_dir(cache::folder()?).env("CARGO_TARGET_DIR", folder.join("build"));
        run::within(BUILD, &mut cargo, "")?;
        std::fs::remove_dir_all(folder.join("build")).context("remove what the build left")
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        Ok(cache::folder()?.join(format!("{}-{}", self.package, self.version)))
    }
}
