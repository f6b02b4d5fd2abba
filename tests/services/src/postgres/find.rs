//! Where PostgreSQL's programs are.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::install;

/// The oldest server that will do.
const LEAST: u32 = 15;
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of the programs: the one named in `TIDEGATE_POSTGRES_BIN`, else Debian's 15, else the oldest newer one
/// there, else what was installed in the cache folder.
pub(crate) fn bin_dir() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("TIDEGATE_POSTGRES_BIN").filter(|name| !name.is_empty()) {
        return Some(PathBuf::from(named)).filter(|folder| has_server(folder));
    }
    let mut versions: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|version| *version >= LEAST)
        .collect();
    versions.sort_unstable();
    let debian = versions.into_iter().map(|version| Path::new(DEBIAN).join(version.to_string()).join("bin"));
    debian.chain(install::wheel_bin_dirs()).find(|folder| has_server(folder))
}

fn has_server(folder: &Path) -> bool {
    ["postgres", "initdb"].iter().all(|program| folder.join(OsStr::new(program)).is_file())
}
