//! The socket's place: a folder that only the agent's user can enter, and the file in it.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketFault {
    #[error("the local socket {} cannot be used: name a short path on a local disk in `admin.socket`", .path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the local socket's folder {} {reason}: {way_out}", .folder.display())]
    Folder { folder: PathBuf, reason: String, way_out: String },
    #[error("there is something at {} that is no socket: move it away, or name another path in `admin.socket`", .path.display())]
    NoSocket { path: PathBuf },
    #[error("another agent answers at {}: give each agent a path of its own in `admin.socket`", .path.display())]
    InUse { path: PathBuf },
}

impl SocketFault {
    pub(super) fn unusable(path: &Path, cause: io::Error) -> Self {
        Self::Unusable { path: path.into(), cause }
    }
}

/// A bound socket; the file is removed when the value is dropped.
#[derive(Debug)]
pub(super) struct Place {
    listener: UnixListener,
    path: PathBuf,
    /// Which file was made, so that no other is removed.
    made: (u64, u64),
}

impl Place {
    /// Makes the folder if there is none, sees that only this user can enter it, and binds the socket. What an
    /// agent left behind that was killed is removed first. A folder of the agent's own is closed to others,
    /// any other that is open to them is refused.
    pub(super) fn take(path: &Path, own_folder: bool) -> Result<Self, SocketFault> {
        let fault = |cause| SocketFault::unusable(path, cause);
        let folder = path.parent().ok_or_else(|| fault(io::ErrorKind::InvalidInput.into()))?;
        closed(folder, own_folder, fault)?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketFault::NoSocket { path: path.into() });
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(SocketFault::InUse { path: path.into() });
            }
            Ok(_) => fs::remove_file(path).map_err(fault)?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(fault(cause)),
        }
        let listener = UnixListener::bind(path).map_err(fault)?;
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        let made = which(&fs::symlink_metadata(path).map_err(fault)?);
        Ok(Self { listener, path: path.into(), made })
    }

    /// Returns the listener for the runtime.
    pub(super) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| which(&found) == self.made) {
            // One that stays is removed at the next start.
            fs::remove_file(&self.path).ok();
        }
    }
}

fn which(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Says what is wrong with the socket's folder, without making or changing anything. Root, who may look for
/// another user's agent, is not asked whose it is.
///
/// # Errors
/// As the agent's own when it binds the socket.
pub fn examine(path: &Path, own_folder: bool) -> Result<(), SocketFault> {
    let fault = |cause| SocketFault::unusable(path, cause);
    let Some(folder) = path.parent().filter(|folder| folder.symlink_metadata().is_ok()) else {
        return Ok(());
    };
    let is_root = rustix::process::geteuid().is_root();
    let refused = is_open(folder, fault, !is_root)? && !own_folder;
    if refused { Err(open_to_others(folder)) } else { Ok(()) }
}

/// Sees that a folder is there and closed to others.
fn closed(
    folder: &Path,
    own_folder: bool,
    fault: impl Fn(io::Error) -> SocketFault + Copy,
) -> Result<(), SocketFault> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fault)?;
        }
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(fault(cause)),
        Ok(()) | Err(_) => {}
    }
    match is_open(folder, fault, true)? {
        false => Ok(()),
        true if own_folder => fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(fault),
        true => Err(open_to_others(folder)),
    }
}

/// Returns true when a folder is open to others than its owner.
fn is_open(
    folder: &Path,
    fault: impl Fn(io::Error) -> SocketFault,
    must_be_mine: bool,
) -> Result<bool, SocketFault> {
    let refused =
        |reason: String, way_out: String| Err(SocketFault::Folder { folder: folder.into(), reason, way_out });
    let found = fs::symlink_metadata(folder).map_err(fault)?;
    if !found.is_dir() {
        return refused("is not a folder".into(), "name the folder itself in `admin.socket`".into());
    }
    let me = rustix::process::geteuid().as_raw();
    if must_be_mine && found.uid() != me {
        let name = folder.display();
        let reason = format!("belongs to user {} and the agent is user {me}", found.uid());
        return refused(reason, format!("run `chown {me} {name}`, or name another one in `admin.socket`"));
    }
    Ok(found.mode() & OTHERS != 0)
}

fn open_to_others(folder: &Path) -> SocketFault {
    SocketFault::Folder {
        folder: folder.into(),
        reason: "can be entered by others".into(),
        way_out: format!("run `chmod 700 {}`, or name another one in `admin.socket`", folder.display()),
    }
}
