//! Private files in a private directory, replaced whole or not at all, or added to at their end.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
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
/// How often, and with what pause, the lock is asked for: two seconds in all. Short pauses, so that somebody
/// who takes it again and again leaves room for others.
const LOCK_TRIES: u32 = 2_000;
const LOCK_PAUSE: Duration = Duration::from_millis(1);

/// A directory that is ours alone.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// Held while something is read, changed and written.
pub(super) struct Lock {
    /// The lock goes when the file is closed.
    _file: File,
}

/// What one state of a file is told from another by, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            inode: (meta.dev(), meta.ino()),
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// A file as it was read. It is kept open, so that its inode's number cannot become another file's, and a
/// stamp that is the same is of the same file.
#[derive(Debug)]
pub(super) struct Known {
    file: File,
    stamp: Stamp,
}

impl Known {
    pub(super) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Waits until the disk has what was added.
    pub(super) fn sync(&self, path: &Path) -> Result<(), IdentityFault> {
        self.file.sync_data().map_err(|fault| io(path, "sync", &fault))
    }

    /// Takes back what was added after `bytes`, as far as the system lets it be.
    pub(super) fn cut(&self, bytes: u64) {
        if let Err(fault) = self.file.set_len(bytes) {
            tracing::debug!(error = %fault, "Pin that could not be written is still in the log");
        }
    }
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

    /// Looks at a file, and at who else could; returns nothing when there is none.
    pub(super) fn stamp(&self, name: &str) -> Result<Option<Stamp>, IdentityFault> {
        let path = self.file(name);
        match path.metadata() {
            Ok(meta) => ours(&path, &meta).map(|()| Some(Stamp::of(&meta))),
            Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(io(&path, "look at", &fault)),
        }
    }

    /// Reads a file, after looking at who else could. The bytes are wiped when they are dropped.
    pub(super) fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, IdentityFault> {
        self.take(name).map(|(bytes, _)| bytes)
    }

    /// Reads a file, and keeps it open.
    pub(super) fn take(&self, name: &str) -> Result<(Zeroizing<Vec<u8>>, Known), IdentityFault> {
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
        ours(&path, &meta)?;
        if meta.len() > LARGEST {
            return Err(IdentityFault::Damaged { path, detail: format!("it has {} bytes", meta.len()) });
        }
        // All the room at once: a buffer that grows leaves copies behind.
        let room = usize::try_from(meta.len()).unwrap_or(0).saturating_add(64);
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        (&file).take(meta.len()).read_to_end(&mut bytes).map_err(|fault| io(&path, "read", &fault))?;
        Ok((bytes, Known { file, stamp: Stamp::of(&meta) }))
    }

    /// Adds to a file after its first `at` bytes; what is behind them goes. The file is made when there is
    /// none. What was added is on disk once [`Known::sync`] has returned and, for a file that was made,
    /// [`Self::sync`]. The caller holds the lock.
    pub(super) fn add(&self, name: &str, at: u64, bytes: &[u8]) -> Result<Known, IdentityFault> {
        Self::open(&self.0)?;
        let path = self.file(name);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(PRIVATE_FILE)
            .open(&path)
            .map_err(|fault| io(&path, "open", &fault))?;
        let look = || file.metadata().map_err(|fault| io(&path, "look at", &fault));
        let meta = look()?;
        ours(&path, &meta)?;
        if meta.len() > at {
            file.set_len(at).map_err(|fault| io(&path, "cut", &fault))?;
        }
        if let Err(fault) = (&file).write_all(bytes) {
            let known = Known { stamp: Stamp::of(&meta), file };
            known.cut(at);
            return Err(io(&path, "write", &fault));
        }
        let stamp = Stamp::of(&look()?);
        Ok(Known { file, stamp })
    }

    /// Waits until the disk has the names of the files.
    pub(super) fn sync(&self) -> Result<(), IdentityFault> {
        sync_dir(&self.0)
    }

    /// Removes a file, if it is there. The caller holds the lock.
    pub(super) fn remove(&self, name: &str) -> Result<(), IdentityFault> {
        let path = self.file(name);
        match std::fs::remove_file(&path) {
            Err(fault) if fault.kind() != ErrorKind::NotFound => Err(io(&path, "remove", &fault)),
            _ => Ok(()),
        }
    }

    /// Replaces a file. The caller holds the lock.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), IdentityFault> {
        Self::open(&self.0)?;
        let new = format!(".{name}.new");
        let (path, temporary) = (self.file(name), self.file(&new));
        // What a crash left behind.
        self.remove(&new)?;
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

fn ours(path: &Path, meta: &Metadata) -> Result<(), IdentityFault> {
    if meta.is_file() {
        private(path, meta, PRIVATE_FILE)
    } else {
        Err(IdentityFault::WrongKind { path: path.to_path_buf(), wanted: "file" })
    }
}

fn private(path: &Path, meta: &Metadata, wanted: u32) -> Result<(), IdentityFault> {
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
