//! The folder that a journal lives in: who may look, who holds it, and the room kept back.
//!
//! The folder belongs to the journal alone and is closed to others. One process holds it at a time, by an
//! advisory lock that the system takes back when the process ends, however it ends. The database files
//! are never opened here while SQLite has them open: closing them would drop SQLite's own locks.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::faults::{damaged, unusable};
use crate::JournalFault;

/// Permission bits of everybody who is neither owner nor group. A group may look, because a Kubernetes
/// volume with `fsGroup` gives it that right on every mount.
const OTHERS: u32 = 0o007;

/// The paths of a journal's files.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) folder: PathBuf,
    pub(super) database: PathBuf,
    pub(super) log: PathBuf,
    index: PathBuf,
    lock: PathBuf,
    reserve: PathBuf,
}

impl Paths {
    pub(super) fn within(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            database: folder.join("journal.db"),
            log: folder.join("journal.db-wal"),
            index: folder.join("journal.db-shm"),
            lock: folder.join("journal.lock"),
            reserve: folder.join("journal.reserve"),
        }
    }

    /// Returns how many bytes the reserve holds back now.
    pub(super) fn reserve_bytes(&self) -> u64 {
        length(&self.reserve)
    }

    /// Gives the reserve back to the volume and returns how many bytes that freed.
    pub(super) fn release_reserve(&self) -> Result<u64, JournalFault> {
        let freed = self.reserve_bytes();
        match fs::remove_file(&self.reserve) {
            Ok(()) => Ok(freed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(unusable(&self.reserve, error)),
        }
    }

    /// Keeps `bytes` back, if they are not already; 0 keeps nothing.
    pub(super) fn keep_reserve(&self, bytes: u64) -> Result<(), JournalFault> {
        let partial = self.reserve.with_extension("reserve.partial");
        if self.reserve_bytes() == bytes {
            return Ok(());
        }
        if bytes == 0 {
            return self.release_reserve().map(|_| ());
        }
        let Err(error) = fill(&partial, bytes).and_then(|()| fs::rename(&partial, &self.reserve)) else {
            return Ok(());
        };
        if partial.exists() {
            fs::remove_file(&partial).map_err(|error| unusable(&partial, error))?;
        }
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let detail = format!("{bytes} bytes could not be kept back in `{}`", self.reserve.display());
            return Err(JournalFault::Full { detail });
        }
        Err(unusable(&self.reserve, error))
    }
}

/// A journal's folder, held by this process until the value is dropped, unless it is only visited.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) paths: Paths,
    identity: (u64, u64),
    _held: Option<File>,
}

impl Place {
    /// Makes the folder if there is none, checks who may look, and holds it.
    pub(super) fn take(folder: &Path) -> Result<Self, JournalFault> {
        let folder = made(folder).map_err(|error| unusable(folder, error))?;
        let paths = Paths::within(&folder);
        for path in [&folder, &paths.database, &paths.log, &paths.index, &paths.lock, &paths.reserve] {
            closed_to_others(path)?;
        }
        let held = hold(&paths.lock)?;
        if length(&paths.database) == 0 && length(&paths.log) > 0 {
            // SQLite would throw the log away and begin anew.
            return Err(damaged(&paths.database, "it is missing or empty, but its log is not"));
        }
        let identity = database(&paths).map_err(|error| unusable(&paths.database, error))?;
        Ok(Self { paths, identity, _held: Some(held) })
    }

    /// Looks at a folder that another process may hold; makes nothing and holds nothing.
    pub(super) fn visit(folder: &Path) -> Result<Self, JournalFault> {
        let folder = folder.canonicalize().map_err(|error| unusable(folder, error))?;
        let paths = Paths::within(&folder);
        for path in [&folder, &paths.database, &paths.log, &paths.index] {
            closed_to_others(path)?;
        }
        let found = fs::metadata(&paths.database).map_err(|error| unusable(&paths.database, error))?;
        Ok(Self { paths, identity: (found.dev(), found.ino()), _held: None })
    }

    /// Returns true when the database file at the path is no longer the one that was opened, so that what
    /// is written now would not be found again.
    pub(super) fn moved(&self) -> bool {
        fs::metadata(&self.paths.database).map(|found| (found.dev(), found.ino())).ok() != Some(self.identity)
    }
}

fn made(folder: &Path) -> io::Result<PathBuf> {
    if !folder.try_exists()? {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
    }
    // Absolute, so that SQLite never takes a name like `file:x` for a URI.
    folder.canonicalize()
}

fn closed_to_others(path: &Path) -> Result<(), JournalFault> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(path, error)),
    };
    if found.is_symlink() {
        return Err(unusable(path, "it is a symbolic link; put the file itself there"));
    }
    let mode = found.mode() & 0o777;
    if mode & OTHERS != 0 {
        let detail =
            format!("others than its owner and group may use it (mode {mode:04o}); run `chmod o-rwx` on it");
        return Err(unusable(path, detail));
    }
    Ok(())
}

fn hold(path: &Path) -> Result<File, JournalFault> {
    let file = owned(OpenOptions::new().write(true).create(true).truncate(false), path)
        .map_err(|error| unusable(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalFault::InUse { path: path.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(unusable(path, error)),
    }
}

/// Makes the database file if there is none, readable by its owner alone, and returns which file it is.
/// SQLite gives its log and index the same permissions.
fn database(paths: &Paths) -> io::Result<(u64, u64)> {
    match owned(OpenOptions::new().write(true).create_new(true), &paths.database) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    sync_folder(&paths.folder)?;
    let found = fs::metadata(&paths.database)?;
    Ok((found.dev(), found.ino()))
}

/// Makes an empty file beside `path` for a copy of the database; nothing is written over.
pub(super) fn begin_copy(path: &Path) -> io::Result<PathBuf> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if path.try_exists()? {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file already; name another"));
    }
    owned(OpenOptions::new().write(true).create(true).truncate(true), &partial)?;
    Ok(partial)
}

/// Puts a finished copy on disk under its name.
pub(super) fn finish_copy(partial: &Path, path: &Path) -> io::Result<()> {
    File::open(partial)?.sync_all()?;
    fs::rename(partial, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_folder(parent),
        None => sync_folder(Path::new(".")),
    }
}

/// Writes bytes that no file system can store in less room than they need.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = owned(OpenOptions::new().write(true).create(true).truncate(true), path)?;
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut left = usize::try_from(bytes).map_err(io::Error::other)?;
    let mut block = Vec::with_capacity(64 * 1024);
    while left > 0 {
        block.clear();
        while block.len() < left.min(64 * 1024) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            block.extend_from_slice(&state.to_le_bytes());
        }
        block.truncate(left);
        file.write_all(&block)?;
        left -= block.len();
    }
    file.sync_all()
}

fn owned(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.mode(0o600).open(path)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns a file's length, 0 when there is none.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
