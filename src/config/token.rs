//! The connector's token, read from its file at each use.
//!
//! A file that others could have read is refused: whoever has the token can speak as this connector.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use model::Secret;
use zeroize::Zeroizing;

/// The longest token, in bytes.
const LONGEST: usize = 4096;
/// Mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    #[error("the token file {} cannot be read: put the token that the control plane gave there, for the agent's user", .path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the token file {} is not a plain file: name the file itself", .path.display())]
    NotAFile { path: PathBuf },
    #[error(
        "the token file {} can be read by others (mode {mode:04o}): run `chmod 600 {}`, and get a new token if others had access", .path.display(), .path.display()
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error("the token file {} {reason}: write the token as it was given, on one line, and nothing else", .path.display())]
    Malformed { path: PathBuf, reason: &'static str },
}

/// Reads the token. Blocks on the disk.
///
/// # Errors
/// When the file is not there, open to others, or holds no token.
pub fn read(path: &Path) -> Result<Secret, TokenFault> {
    let unreadable = |cause| TokenFault::Unreadable { path: path.into(), cause };
    let malformed = |reason| TokenFault::Malformed { path: path.into(), reason };
    // Looked at before it is opened: opening a pipe would wait.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TokenFault::NotAFile { path: path.into() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(TokenFault::Exposed { path: path.into(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    let most = u64::try_from(LONGEST + 1).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LONGEST {
        return Err(malformed("is too long"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("is not text"))?.trim();
    if text.is_empty() {
        return Err(malformed("is empty"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("has a space, a line break or a letter that no token has"));
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_is_read_only_from_a_private_file_of_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let table: [(&str, &[u8], u32, &str); 8] = [
            ("plain", b"tg_abc.DEF-1", 0o600, ""),
            ("with a newline", b"tg_abc\n", 0o400, ""),
            ("group may read", b"tg_abc", 0o640, "can be read by others"),
            ("all may read", b"tg_abc", 0o604, "can be read by others"),
            ("empty", b" \n", 0o600, "is empty"),
            ("two lines", b"one\ntwo", 0o600, "has a space"),
            ("not text", &[0xff, 0xfe], 0o600, "is not text"),
            ("too long", &[b'a'; LONGEST + 1], 0o600, "is too long"),
        ];
        for (name, content, mode, expected) in table {
            fs::remove_file(&path).ok();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(token) => {
                    assert_eq!(expected, "", "{name} was taken");
                    assert_eq!(token.expose().as_bytes(), content.trim_ascii(), "{name}");
                }
                Err(fault) => {
                    let told = fault.to_string();
                    assert!(!expected.is_empty() && told.contains(expected), "{name}: {told}");
                    assert!(!told.contains("tg_abc") && !told.contains("two"), "{name}: {told}");
                }
            }
        }
        assert!(matches!(read(dir.path()), Err(TokenFault::NotAFile { .. })));
        assert!(matches!(read(&dir.path().join("none")), Err(TokenFault::Unreadable { .. })));
    }
}
