//! `file://…`: secrets in files below one configured directory.
//!
//! Each read resolves every symbolic link and insists that the result lies below the directory, is a plain
//! file of at most [`value::LARGEST`] bytes, and is closed to group and others. The version is made of
//! time, length and content, so that a rotation is noticed even when a tool keeps the time.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use model::{Code, Failure};
use zeroize::Zeroizing;

use crate::faults;
use crate::fingerprint::Fingerprint;
use crate::reference::{Reference, Scheme};
use crate::value::{self, ValueFault};
use crate::{Fetched, SecretStore, Version};

/// Mode bits that let others than the owner read or write.
const OTHERS: u32 = 0o077;
/// Mode bits that let others than the owner write.
const OTHERS_WRITE: u32 = 0o022;

/// Why a directory cannot hold secrets.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryFault {
    #[error("the secret directory `{}` cannot be opened: create it or correct the setting", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the secret directory `{}` is not a directory: correct the setting", path.display())]
    NotADirectory { path: PathBuf },
    #[error(
        "the secret directory `{}` can be written by group or others (mode {mode:o}): run chmod go-w on it", path.display()
    )]
    Writable { path: PathBuf, mode: u32 },
}

/// The files below one directory.
#[derive(Debug)]
pub struct FileStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    fingerprint: Fingerprint,
}

impl FileStore {
    /// Takes a directory, resolved once: what the path means later is of no matter.
    ///
    /// # Errors
    /// When it is not there, no directory, or open to others for writing.
    pub fn below(path: &Path) -> Result<Self, DirectoryFault> {
        let unreadable = |cause| DirectoryFault::Unreadable { path: path.into(), cause };
        let directory = fs::canonicalize(path).map_err(unreadable)?;
        let found = fs::metadata(&directory).map_err(unreadable)?;
        if !found.is_dir() {
            return Err(DirectoryFault::NotADirectory { path: path.into() });
        }
        if found.mode() & OTHERS_WRITE != 0 {
            return Err(DirectoryFault::Writable { path: path.into(), mode: found.mode() & 0o7777 });
        }
        Ok(Self { inner: Arc::new(Inner { directory, fingerprint: Fingerprint::default() }) })
    }
}

#[async_trait]
impl SecretStore for FileStore {
    fn scheme(&self) -> Scheme {
        Scheme::File
    }

    async fn fetch(&self, reference: &Reference) -> Result<Fetched, Failure> {
        if reference.scheme() != Scheme::File {
            return Err(faults::denied(reference, "this store reads file:// only"));
        }
        let (inner, wanted) = (Arc::clone(&self.inner), reference.clone());
        // A file on a dead network disk may hang: the blocking pool carries it, the caller's deadline ends it.
        match tokio::task::spawn_blocking(move || inner.fetch(&wanted)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(Failure::not_done(
                Code::SECRET_STORE_UNREACHABLE,
                format!("{reference} was not read: the agent is stopping"),
            )),
        }
    }
}

impl Inner {
    fn fetch(&self, reference: &Reference) -> Result<Fetched, Failure> {
        let (bytes, found) = self.read(reference)?;
        let values =
            value::parse(&bytes, reference.field()).map_err(|fault| faults::malformed(reference, &fault))?;
        let version = format!(
            "file-{}.{:09}-{}-{}",
            found.mtime(),
            found.mtime_nsec(),
            bytes.len(),
            self.fingerprint.of(&bytes)
        );
        Ok(Fetched { values, version: Version::new(version) })
    }

    fn read(&self, reference: &Reference) -> Result<(Zeroizing<Vec<u8>>, Metadata), Failure> {
        let sorted = |cause: io::Error| sorted(reference, &cause);
        let path = fs::canonicalize(self.directory.join(reference.locator())).map_err(sorted)?;
        if !path.starts_with(&self.directory) {
            return Err(faults::denied(
                reference,
                "a symbolic link leads out of the secret directory: move the file below it",
            ));
        }
        let before = fs::symlink_metadata(&path).map_err(sorted)?;
        fit(reference, &before)?;
        let mut file = File::open(&path).map_err(sorted)?;
        let found = file.metadata().map_err(sorted)?;
        fit(reference, &found)?;
        if (before.dev(), before.ino()) != (found.dev(), found.ino()) {
            return Err(Failure::not_done(
                Code::SECRET_STORE_UNREACHABLE,
                format!("{reference} was replaced while it was opened: it is read again"),
            ));
        }
        let bytes = whole(&mut file).map_err(sorted)?;
        if bytes.len() > value::LARGEST {
            return Err(too_large(reference, bytes.len()));
        }
        Ok((bytes, found))
    }
}

/// Reads at most one byte more than is allowed, into memory that does not move.
fn whole(file: &mut File) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; value::LARGEST + 1]);
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
            Err(fault) => return Err(fault),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

fn fit(reference: &Reference, found: &Metadata) -> Result<(), Failure> {
    if !found.is_file() {
        return Err(faults::denied(reference, "it is not a plain file: name the file itself"));
    }
    let mode = found.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(faults::denied(
            reference,
            &format!("group or others may open the file (mode {mode:o}): run chmod 600 on it"),
        ));
    }
    match usize::try_from(found.len()) {
        Ok(len) if len <= value::LARGEST => Ok(()),
        Ok(len) => Err(too_large(reference, len)),
        Err(_) => Err(too_large(reference, usize::MAX)),
    }
}

fn too_large(reference: &Reference, len: usize) -> Failure {
    faults::malformed(reference, &ValueFault::TooLarge { len })
}

/// What the system says about a file, sorted.
fn sorted(reference: &Reference, cause: &io::Error) -> Failure {
    use io::ErrorKind as K;
    let kind = cause.kind();
    if matches!(kind, K::NotFound | K::NotADirectory) {
        faults::missing(reference, "put the file below the secret directory")
    } else if matches!(kind, K::InvalidFilename | K::InvalidInput) {
        faults::missing(reference, "the system does not take this name: shorten it")
    } else if kind == K::PermissionDenied {
        faults::denied(reference, "the system denies it to the agent's user: make that user its owner")
    } else {
        Failure::not_done(
            Code::SECRET_STORE_UNREACHABLE,
            format!("{reference} was not read: {kind}: look at the disk and at symbolic links"),
        )
    }
}
