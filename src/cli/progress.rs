//! One line that says how far a command has come: rewritten in place on a terminal, absent elsewhere.

use std::io::{self, IsTerminal as _, Write as _};

use super::print::{Printer, visible};

/// The longest line, in characters: a terminal that folds it could not take it back.
const WIDTH: usize = 78;

/// A line on the error output, taken away when the value is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    on: bool,
    shown: bool,
}

impl Progress {
    /// Begins with nothing shown. Shows nothing when the error output is no terminal, or quiet was asked for.
    pub(super) fn new(printer: &Printer) -> Self {
        Self { on: printer.tells_notes() && io::stderr().is_terminal(), shown: false }
    }

    /// Shows a line in the place of the last one.
    pub(super) fn show(&mut self, text: &str) {
        if self.on {
            let line: String = visible(text).chars().take(WIDTH).collect();
            self.shown = true;
            // Nobody is left to tell when that fails.
            write!(io::stderr(), "\r\u{1b}[K{line}").ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            write!(io::stderr(), "\r\u{1b}[K").ok();
        }
    }
}
