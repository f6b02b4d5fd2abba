//! Where an export goes: a new file that nobody else may read, or the standard output; line by line.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::fault::Fault;

/// An export under way.
pub(super) struct Export {
    path: PathBuf,
    out: Box<dyn Write>,
}

impl Export {
    /// Begins one; without a path it goes to the standard output.
    ///
    /// # Errors
    /// When the file is there already or cannot be made.
    pub(super) fn to(path: Option<&Path>) -> Result<Self, Fault> {
        let (path, out): (PathBuf, Box<dyn Write>) = match path {
            None => ("the standard output".into(), Box::new(io::BufWriter::new(io::stdout()))),
            Some(path) => {
                let mut open = OpenOptions::new();
                let opened = open.write(true).create_new(true).mode(0o600).open(path);
                let file = opened.map_err(|cause| Fault::of_new_file(path, "write", cause))?;
                (path.into(), Box::new(io::BufWriter::new(file)))
            }
        };
        Ok(Self { path, out })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Fault> {
        let written = writeln!(self.out, "{text}");
        self.sorted(written)
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(mut self) -> Result<(), Fault> {
        let flushed = self.out.flush();
        self.sorted(flushed)
    }

    fn sorted(&self, written: io::Result<()>) -> Result<(), Fault> {
        match written {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
                Err(Fault::File { doing: "write", path: self.path.clone(), cause })
            }
            // A reader who has gone away is no fault.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
