//! Whom a server runs as: servers like PostgreSQL refuse root, so root hands them to a user without rights.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use anyhow::{Context as _, bail};

/// The users that root may hand a server to, the first that exists.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The user and group of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// The caller's own user, who is not root.
    Caller,
    /// Another user, because the caller is root.
    User { uid: u32, gid: u32 },
}

impl RunAs {
    /// Whoever is allowed to run a server that refuses root.
    pub(crate) fn not_root() -> anyhow::Result<Self> {
        if !is_root()? {
            return Ok(Self::Caller);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let found = CANDIDATES.iter().find_map(|name| find_user(&passwd, name));
        match found {
            Some((uid, gid)) => Ok(Self::User { uid, gid }),
            None => bail!(
                "this server refuses to run as root and there is neither a user `postgres` nor `nobody` to run it: \
                 add one, or run as another user than root"
            ),
        }
    }

    /// Makes a file or folder belong to this user.
    pub(crate) fn own(self, path: &Path) -> anyhow::Result<()> {
        match self {
            Self::Caller => Ok(()),
            Self::User { uid, gid } => chown(path, Some(uid), Some(gid))
                .with_context(|| format!("hand {} to user {uid}", path.display())),
        }
    }

    /// The words that go before a command so that it runs as this user and ends with its parent.
    pub(crate) fn prefix(self, parent_gone: &str) -> anyhow::Result<Vec<OsString>> {
        let mut words: Vec<OsString> = vec![];
        if has_setpriv() {
            words.extend(["setpriv".into(), "--pdeathsig".into(), parent_gone.into()]);
            if let Self::User { uid, gid } = self {
                words.push(format!("--reuid={uid}").into());
                words.push(format!("--regid={gid}").into());
                words.push("--clear-groups".into());
            }
            words.push("--".into());
        } else if self != Self::Caller {
            bail!(
                "`setpriv` is missing, which root needs to start a server as another user: install util-linux"
            );
        }
        Ok(words)
    }
}

/// Whether this process is root.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    if let Ok(own) = fs::metadata("/proc/self") {
        return Ok(own.uid() == 0);
    }
    let answer = std::process::Command::new("id").arg("-u").output().context("run `id -u`")?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim() == "0")
}

fn has_setpriv() -> bool {
    cfg!(target_os = "linux") && crate::run::which("setpriv").is_some()
}

fn find_user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((uid, gid))
    })
}

#[cfg(test)]
mod tests {
    use super::find_user;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nnobody2:x:7:8::/:/bin/sh\nnobody:x:65534:65533:n:/:/bin/sh\nbroken\n";
        let table = [
            ("first line", "root", Some((0, 0))),
            ("not a prefix", "nobody", Some((65534, 65533))),
            ("absent", "postgres", None),
            ("a broken line", "broken", None),
        ];
        for (name, user, expected) in table {
            assert_eq!(find_user(passwd, user), expected, "{name}");
        }
    }
}
