//! Where installed programs are kept between runs: `$TIDEGATE_CACHE`, else `~/.cache/tidegate`.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::runas::is_root;

/// The cache folder, made when it is missing.
pub(crate) fn folder() -> anyhow::Result<PathBuf> {
    let path = match (env::var_os("TIDEGATE_CACHE"), env::var_os("HOME")) {
        (Some(chosen), _) if !chosen.is_empty() => PathBuf::from(chosen),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache/tidegate"),
        _ => bail!("there is no folder for installed programs: set TIDEGATE_CACHE or HOME"),
    };
    fs::create_dir_all(&path).with_context(|| format!("make the cache folder {}", path.display()))?;
    Ok(path)
}

/// The cache folder for programs that root runs as another user: one that the other user can enter.
pub(crate) fn folder_for_others() -> anyhow::Result<PathBuf> {
    let own = folder()?;
    if !is_root()? || open_to_all(&own) {
        return Ok(own);
    }
    let shared = PathBuf::from("/var/cache/tidegate");
    fs::create_dir_all(&shared).with_context(|| format!("make the cache folder {}", shared.display()))?;
    Ok(shared)
}

fn open_to_all(path: &Path) -> bool {
    path.ancestors().all(|part| {
        part.as_os_str().is_empty()
            || fs::metadata(part).is_ok_and(|found| found.permissions().mode() & 0o005 == 0o005)
    })
}
