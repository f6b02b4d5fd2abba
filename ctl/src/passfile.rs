//! A password file for libpq: in a folder of its own that only its owner may enter, gone when dropped. The
//! certificates that psql is to believe may lie beside it.
//!
//! It names one host and port, so that psql gives the password to no other server, whatever its arguments.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use model::Secret;
use zeroize::Zeroizing;

/// The file and its folder.
#[derive(Debug)]
pub(crate) struct Passfile {
    folder: tempfile::TempDir,
}

impl Passfile {
    /// Writes the file below `base`.
    pub(crate) fn write(
        base: &Path,
        host: &str,
        port: u16,
        user: &str,
        password: &Secret,
    ) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("tidegatectl-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base)?;
        let line = line(host, port, user, password);
        let mut file =
            tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder.path())?;
        file.write_all(line.as_bytes())?;
        file.persist(folder.path().join("passfile"))?;
        Ok(Self { folder })
    }

    /// Writes certificates beside the file, and returns where they are.
    pub(crate) fn add_authorities(&self, pem: &str) -> io::Result<PathBuf> {
        let path = self.folder.path().join("authorities.pem");
        std::fs::write(&path, pem)?;
        Ok(path)
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("passfile")
    }

    /// Removes file and folder now, to hear when that fails.
    pub(crate) fn remove(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// Returns `host:port:database:user:password` as libpq reads it.
fn line(host: &str, port: u16, user: &str, password: &Secret) -> Zeroizing<String> {
    let mut line = Zeroizing::new(String::with_capacity(1024 + 2 * password.expose().len()));
    escape(host, &mut line);
    line.push_str(&format!(":{port}:*:"));
    escape(user, &mut line);
    line.push(':');
    escape(password.expose(), &mut line);
    line.push('\n');
    line
}

fn escape(text: &str, line: &mut String) {
    for c in text.chars() {
        if matches!(c, ':' | '\\') {
            line.push('\\');
        }
        line.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let line = line("::1", 5432, "a:b", &Secret::new(r"p\w:d".into()));
        assert_eq!(*line, "\\:\\:1:5432:*:a\\:b:p\\\\w\\:d\n");
    }

    #[test]
    fn it_is_closed_to_others_and_goes_away() {
        let base = tempfile::tempdir().unwrap();
        let file = Passfile::write(base.path(), "h", 1, "u", &Secret::new("p".into())).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file.path()), mode(file.folder.path())), (0o600, 0o700));
        file.remove().unwrap();
        assert_eq!(base.path().read_dir().unwrap().count(), 0);
    }
}
