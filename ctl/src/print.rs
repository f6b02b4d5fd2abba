//! What a command prints: one answer on the standard output, notes and faults on the error output.
//!
//! Names and reasons come from targets and other people; no control character of theirs reaches the
//! terminal. Colour stands only where the output is a terminal and nobody forbids it.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cli::{Environment, Global};
use crate::fault::Fault;

pub(crate) use table::Table;
pub(crate) use text::{Text, visible};

mod table;
mod text;
mod yaml;

/// How the answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// Where and how to print.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    quiet: bool,
    color: bool,
    /// Whether a person reads the standard output.
    pub(crate) terminal: bool,
}

impl Printer {
    pub(crate) fn new(global: &Global, environment: &Environment) -> Self {
        let format = if global.json { Format::Json } else { global.output.unwrap_or(Format::Table) };
        let terminal = io::stdout().is_terminal();
        Self { format, quiet: global.quiet, color: terminal && !environment.no_color, terminal }
    }

    /// Prints the answer: `value` for machines, or what `human` makes for people.
    ///
    /// # Errors
    /// When the output cannot be written; a reader who has gone away is no fault.
    pub(crate) fn answer(&self, value: &Value, human: impl FnOnce(&mut Text)) -> Result<(), Fault> {
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(value)
                    .map_err(|fault| Fault::system("print the answer", &fault))?;
                self.raw(format!("{text}\n").as_bytes())
            }
            Format::Yaml => self.raw(yaml::document(value).as_bytes()),
            Format::Table => {
                let mut text = Text::new(self.color);
                human(&mut text);
                self.raw(text.finish().as_bytes())
            }
        }
    }

    /// Writes bytes to the standard output as they are.
    ///
    /// # Errors
    /// When they cannot be written; a reader who has gone away is no fault.
    #[expect(clippy::unused_self, reason = "whoever prints has a printer")]
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => {
                Err(Fault::system("write to the standard output", &fault))
            }
            _ => Ok(()),
        }
    }

    /// Says something besides the answer.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            Self::tell(&visible(text));
        }
    }

    /// Says something that must be known, also when only the answer was asked for.
    pub(crate) fn warn(&self, text: &str) {
        Self::tell(&format!("warning: {}", visible(text)));
    }

    /// Says why the command did not succeed.
    pub(crate) fn fault(&self, fault: &Fault) {
        if self.format == Format::Json {
            let told = json!({ "error": {
                "what": fault.what, "why": fault.why, "way_out": fault.way_out,
                "code": fault.code, "faults": fault.fields, "exit": fault.exit.code(),
            }});
            return Self::tell(&told.to_string());
        }
        Self::tell(&format!("error: could not {}", visible(&fault.what)));
        Self::tell(&format!("  why: {}", visible(&fault.why)));
        if fault.fields.len() > 1 {
            for field in fault.fields.iter() {
                let line = format!("{}: {}; {}", field.field, field.reason, field.way_out);
                Self::tell(&format!("       {}", visible(&line)));
            }
        }
        if let Some(way_out) = &fault.way_out {
            Self::tell(&format!("  what to do: {}", visible(way_out)));
        }
    }

    fn tell(line: &str) {
        // Nobody can be told that the error output is gone.
        writeln!(io::stderr().lock(), "{line}").unwrap_or_default();
    }
}
