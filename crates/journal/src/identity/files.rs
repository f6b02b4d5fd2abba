//! Private files in a private directory, replaced whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::IdentityFault;

const PRIVATE_DIR: u32 = 0o700;
const PRIVATE_FILE: u32 = 0o600;
/// What others may have: nothing.
const OTHERS: u32 = 0o077;
const LOCK: &str = ".lock";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;
/// How often, and with what pause, the lock is asked for: two seconds in all.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A directory that is ours alone.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// Held while something is read, changed and written.
pub(super) struct Lock {
    /// The lock goes when the file is closed.
    _file: File,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, IdentityFault> {
        let folder = Self(path.to_path_buf());
        let meta = match path.metadata() {
            Ok(meta) => meta,
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                return Err(IdentityFault::NotThere { path: folder.0 });
            }
            Err(fault) => return Err(io(path, "look at", &fault)),
        };
        if !meta.is_dir() {
            return Err(IdentityFault::WrongKind { path: folder.0, wanted: "directory" });
        }
        private(path, &meta, PRIVATE_DIR)?;
        Ok(folder)
    }

    /// Opens the directory, or makes it.
    pub(super) fn create(path: &Path) -> Result<Self, IdentityFault> {
        match DirBuilder::new().mode(PRIVATE_DIR).create(path) {
            Ok(()) => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                sync_dir(parent.unwrap_or(Path::new(".")))?;
            }
            Err(fault) if fault.kind() == ErrorKind::AlreadyExists => {}
            Err(fault) => return Err(io(path, "make", &fault)),
        }
        Self::open(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(super) fn has(&self, name: &str) -> Result<bool, IdentityFault> {
        let path = self.file(name);
        path.try_exists().map_err(|fault| io(&path, "look at", &fault))
    }

    /// Takes the lock, or waits for whoever has it.
    pub(super) fn lock(&self) -> Result<Lock, IdentityFault> {
        let path = self.file(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE_FILE)
            .open(&path)
            .map_err(|fault| io(&path, "open", &fault))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(fault)) => return Err(io(&path, "lock", &fault)),
            }
        }
        Err(IdentityFault::InUse { path: self.0.clone() })
    }

    /// Reads a file, after looking at who else could. The bytes are wiped when they are dropped.
    pub(super) fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, IdentityFault> {
        Self::open(&self.0)?;
        let path = self.file(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == ErrorKind::NotFound => {
                return Err(IdentityFault::Missing { path });
            }
            Err(fault) => return Err(io(&path, "open", &fault)),
        };
        let meta = file.metadata().map_err(|fault| io(&path, "look at", &fault))?;
        if !meta.is_file() {
            return Err(IdentityFault::WrongKind { path, wanted: "file" });
        }
        private(&path, &meta, PRIVATE_FILE)?;
        if meta.len() > LARGEST {
            return Err(IdentityFault::Damaged { path, detail: format!("it has {} bytes", meta.len()) });
        }
        // All the room at once: a buffer that grows leaves copies behind.
        let room = usize::try_from(meta.len()).unwrap_or(0).saturating_add(64);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(meta.len()).read_to_end(&mut bytes).map_err(|fault| io(&path, "read", &fault))?;
        Ok(bytes)
    }

    /// Replaces a file. The caller holds the lock.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), IdentityFault> {
        Self::open(&self.0)?;
        let (path, temporary) = (self.file(name), self.file(&format!(".{name}.new")));
        // What a crash left behind.
        match std::fs::remove_file(&temporary) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => {
                return Err(io(&temporary, "remove", &fault));
            }
            _ => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(PRIVATE_FILE)
            .open(&temporary)
            .map_err(|fault| io(&temporary, "make", &fault))?;
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(|fault| io(&temporary, "write", &fault))?;
        std::fs::rename(&temporary, &path).map_err(|fault| io(&path, "replace", &fault))?;
        sync_dir(&self.0)
    }

    pub(super) fn shares_volume_with(&self, other: &Path) -> Result<bool, IdentityFault> {
        let device =
            |path: &Path| path.metadata().map(|meta| meta.dev()).map_err(|fault| io(path, "look at", &fault));
        Ok(device(&self.0)? == device(other)?)
    }
}

fn sync_dir(path: &Path) -> Result<(), IdentityFault> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|fault| io(path, "sync", &fault))
}

fn private(path: &Path, meta: &std::fs::Metadata, wanted: u32) -> Result<(), IdentityFault> {
    let mode = meta.mode() & 0o7777;
    if mode & OTHERS == 0 {
        Ok(())
    } else {
        Err(IdentityFault::Exposed { path: path.to_path_buf(), mode, wanted })
    }
}

fn io(path: &Path, doing: &'static str, fault: &std::io::Error) -> IdentityFault {
    IdentityFault::Io { path: path.to_path_buf(), doing, detail: fault.to_string() }
}
