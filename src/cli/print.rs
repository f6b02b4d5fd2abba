//! What a command prints: one answer on the standard output, notes and faults on the error output.
//!
//! Names and reasons come from targets and other people; no control character of theirs reaches the
//! terminal.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::json;

use super::fault::Fault;
use crate::exit;
use crate::telemetry::LAST_WORDS;
pub(super) use crate::text::visible;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    json: bool,
    quiet: bool,
}

impl Printer {
    pub(super) const fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Prints the answer: `value` for machines, or the lines that `human` makes for people.
    ///
    /// # Errors
    /// When the output cannot be written; a reader who has gone away is no fault.
    pub(super) fn answer<T: Serialize>(
        &self,
        value: &T,
        human: impl FnOnce(&mut Lines),
    ) -> Result<(), Fault> {
        if self.json {
            let text = serde_json::to_string_pretty(value)
                .map_err(|fault| Fault::Output(io::Error::other(fault)))?;
            return self.raw(format!("{text}\n").as_bytes());
        }
        let mut lines = Lines::default();
        human(&mut lines);
        self.raw(lines.0.as_bytes())
    }

    /// Writes bytes to the standard output as they are.
    ///
    /// # Errors
    /// As [`Self::answer`].
    #[expect(clippy::unused_self, reason = "whoever prints has a printer")]
    pub(super) fn raw(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(Fault::Output(fault)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns true when a person may be told what is going on.
    pub(super) const fn tells_notes(&self) -> bool {
        !self.quiet
    }

    /// Tells a person what is going on, unless they asked for quiet.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            told(&visible(text));
        }
    }

    /// Tells why the agent could not, and does not wait for ever for somebody to read it.
    pub(super) fn last_fault(self, fault: Fault) {
        let (done, told) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            self.fault(&fault);
            done.send(()).ok();
        });
        told.recv_timeout(LAST_WORDS).ok();
    }

    /// Tells why the command could not.
    pub(super) fn fault(&self, fault: &Fault) {
        if self.json {
            told(&json!({ "error": exit::chain(fault), "exit": fault.exit().code() }).to_string());
        } else {
            // A configuration's faults stand in lines of their own.
            let text: Vec<_> = exit::chain(fault).lines().map(visible).collect();
            told(&format!("tidegate: {}", text.join("\n")));
        }
    }
}

/// Writes a line to the error output. Nobody is left to tell when that fails.
fn told(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

/// Lines of an answer for people.
#[derive(Debug, Default)]
pub(super) struct Lines(String);

impl Lines {
    /// Adds a line; control characters in it are made visible.
    pub(super) fn push(&mut self, line: impl AsRef<str>) {
        self.0.push_str(&visible(line.as_ref()));
        self.0.push('\n');
    }

    /// Adds rows as columns, each as wide as its widest text.
    pub(super) fn table<const N: usize>(&mut self, rows: &[[String; N]]) {
        let width = |column: usize| {
            rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max()
        };
        let widths: Vec<_> = (0..N).map(|column| width(column).unwrap_or_default()).collect();
        for row in rows {
            let mut line = String::new();
            for (text, width) in row.iter().zip(&widths) {
                // Writing to a String does not fail.
                write!(line, "{text:<width$}  ").ok();
            }
            self.push(line.trim_end());
        }
    }
}

/// Writes a number with its noun.
pub(super) fn many<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str, more: &str) -> String {
    let noun = if count == N::from(1) { one } else { more };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_moves_the_cursor() {
        let mut lines = Lines::default();
        lines.push("ok \u{1b}[2J\rgone\u{9b}1m\nrow \u{202e}x");
        assert_eq!(lines.0, "ok \\u{1b}[2J\\rgone\\u{9b}1m\\nrow \\u{202e}x\n");
    }

    #[test]
    fn one_is_not_many() {
        let table = [(0, "0 accesses"), (1, "1 access"), (2, "2 accesses")];
        for (count, expected) in table {
            assert_eq!(many::<u64>(count, "access", "accesses"), expected);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_text() {
        let mut lines = Lines::default();
        lines.table(&[["a".into(), "b".into()], ["ärger".into(), "d".into()]]);
        assert_eq!(lines.0, "a      b\närger  d\n");
    }
}
