//! Where the product's programs are: beside the program that runs this.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use services::install::{self, Need};

/// The programs that a world is made of.
#[derive(Clone, Debug)]
pub struct Programs {
    pub agent: PathBuf,
    pub control: PathBuf,
    pub ctl: PathBuf,
    pub psql: PathBuf,
}

impl Programs {
    /// Finds them. Tests lie one folder deeper than programs do.
    pub fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("find this program's own place")?;
        let beside = own.parent().context("find this program's own folder")?;
        let folder = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
        let program = |name: &str| {
            let path = folder.join(name);
            if path.is_file() {
                return Ok(path);
            }
            bail!(
                "{} is missing: run `cargo build --package tidegate --package control --package ctl` first \
                 (`cargo xtask` does)",
                path.display()
            )
        };
        Ok(Self {
            agent: program("tidegate")?,
            control: program("tidegate-control")?,
            ctl: program("tidegatectl")?,
            psql: install::find(Need::Psql).with_context(|| install::missing(Need::Psql))?,
        })
    }
}
