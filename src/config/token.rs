//! The connector's token, and the login at a proxy, each read from its file at each use.
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

/// What a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Token,
    ProxyLogin,
}

impl Kind {
    const fn file(self) -> &'static str {
        match self {
            Self::Token => "token file",
            Self::ProxyLogin => "file of `control_plane.proxy_credentials_file`,",
        }
    }

    const fn put(self) -> &'static str {
        match self {
            Self::Token => "put the token that the control plane gave there",
            Self::ProxyLogin => "put `user:password` of the proxy there",
        }
    }

    const fn renew(self) -> &'static str {
        match self {
            Self::Token => "get a new token",
            Self::ProxyLogin => "have the password changed",
        }
    }

    const fn write(self) -> &'static str {
        match self {
            Self::Token => "the token as it was given",
            Self::ProxyLogin => "`user:password`",
        }
    }
}

/// Why there is no token or login.
#[derive(Debug, thiserror::Error)]
pub enum TokenFault {
    #[error("the {} {} cannot be read: {}, for the agent's user", .of.file(), .path.display(), .of.put())]
    Unreadable {
        of: Kind,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the {} {} is not a plain file: name the file itself", .of.file(), .path.display())]
    NotAFile { of: Kind, path: PathBuf },
    #[error(
        "the {} {} can be read by others (mode {mode:04o}): run `chmod 600 {}`, and {} if others had access", .of.file(), .path.display(), .path.display(), .of.renew()
    )]
    Exposed { of: Kind, path: PathBuf, mode: u32 },
    #[error("the {} {} {reason}: write {}, on one line, and nothing else", .of.file(), .path.display(), .of.write())]
    Malformed { of: Kind, path: PathBuf, reason: &'static str },
}

/// Reads the token. Blocks on the disk.
///
/// # Errors
/// When the file is not there, open to others, or holds no token.
pub fn read(path: &Path) -> Result<Secret, TokenFault> {
    let of = Kind::Token;
    let malformed = |reason| TokenFault::Malformed { of, path: path.into(), reason };
    let text = line(path, of)?;
    if !text.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("has a space, a line break or a letter that no token has"));
    }
    Ok(text)
}

/// Reads the login at the proxy. Blocks on the disk.
///
/// # Errors
/// When the file is not there, open to others, or holds no `user:password`.
pub fn proxy_login(path: &Path) -> Result<Secret, TokenFault> {
    let of = Kind::ProxyLogin;
    let text = line(path, of)?;
    let user = text.expose().split_once(':').map(|(user, _)| user);
    if user.is_none_or(str::is_empty) || text.expose().chars().any(char::is_control) {
        let reason = "has no user, no colon, or more than one line";
        return Err(TokenFault::Malformed { of, path: path.into(), reason });
    }
    Ok(text)
}

/// Reads a private file's text without what surrounds it.
fn line(path: &Path, of: Kind) -> Result<Secret, TokenFault> {
    let unreadable = |cause| TokenFault::Unreadable { of, path: path.into(), cause };
    let malformed = |reason| TokenFault::Malformed { of, path: path.into(), reason };
    // Looked at before it is opened: opening a pipe would wait.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(TokenFault::NotAFile { of, path: path.into() });
    }
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(TokenFault::Exposed { of, path: path.into(), mode });
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
        let logins = [
            ("ann:pass word", true),
            ("ann:a:b\n", true),
            ("ann:", true),
            ("ann", false),
            (":pw", false),
            ("a:b\nc:d", false),
        ];
        for (content, taken) in logins {
            fs::remove_file(&path).ok();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let found = proxy_login(&path);
            assert_eq!(found.is_ok(), taken, "{content}");
            let told = found.err().map(|fault| fault.to_string()).unwrap_or_default();
            assert!(taken || told.contains("`control_plane.proxy_credentials_file`"), "{content}: {told}");
        }
        assert!(matches!(read(dir.path()), Err(TokenFault::NotAFile { .. })));
        assert!(matches!(read(&dir.path().join("none")), Err(TokenFault::Unreadable { .. })));
    }
}
