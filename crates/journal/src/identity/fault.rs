//! Why an identity cannot be read or written, and the way out.

use std::path::PathBuf;

use seal::keys::KeyFault;

/// Why an identity cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// There is no identity: a new one is made only on purpose, since it recognises no account of the old.
    #[error(
        "there is no identity in {}: mount the volume that holds it, put it back from a backup, or make a new one with `tidegate init`; a new one closes what the journal has and nothing else: `tidegate journal rebuild --dry-run` then names the accounts that are left to be closed by hand", .path.display()
    )]
    NotThere { path: PathBuf },
    /// There is one already.
    #[error(
        "{} is there already and its keys are not overwritten: use it, or choose another directory", .path.display()
    )]
    AlreadyThere { path: PathBuf },
    /// Others can read or change it: it is not trusted, and its keys may be known.
    #[error(
        "{} can be used by others (mode {mode:04o}): run `chmod {wanted:o} {}`, and if others had access, make a new identity with `tidegate init` once every access has ended", .path.display(), .path.display()
    )]
    Exposed { path: PathBuf, mode: u32, wanted: u32 },
    /// A directory stands where a file should be, or the other way round.
    #[error("{} is not a {wanted}: move it away and restore the identity from a backup", .path.display())]
    WrongKind { path: PathBuf, wanted: &'static str },
    /// One of the files is gone.
    #[error("{} is missing: restore it from a backup of the identity", .path.display())]
    Missing { path: PathBuf },
    /// It is not what this or an older build wrote.
    #[error("{} is damaged ({detail}): restore it from a backup of the identity", .path.display())]
    Damaged { path: PathBuf, detail: String },
    /// It was edited, or belongs to another connector: nothing in it is believed.
    #[error(
        "{} was changed by somebody else, its MAC does not verify: find out who, then restore it from a backup of the identity", .path.display()
    )]
    Tampered { path: PathBuf },
    /// A newer build wrote it.
    #[error("{} has format {found}, this build reads up to {ours}: run the newer build", .path.display())]
    TooNew { path: PathBuf, found: u32, ours: u32 },
    /// Another process is writing it, and did not finish in time.
    #[error("{} is being written by another process: try again", .path.display())]
    InUse { path: PathBuf },
    /// The key is the current one, or not one of the older ones.
    #[error(
        "{id} is none of the older keys for {key_use}: `tidegate keys show` lists them; a current key is rotated first"
    )]
    NoSuchKey { id: String, key_use: &'static str },
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] KeyFault),
    /// The system refused.
    #[error("cannot {doing} {}: {detail}", .path.display())]
    Io { path: PathBuf, doing: &'static str, detail: String },
}

impl IdentityFault {
    /// Returns true when one file is gone, damaged or altered, and trying again will not help: the others
    /// can still be used.
    pub const fn is_of_content(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. } | Self::Tampered { .. })
    }
}
