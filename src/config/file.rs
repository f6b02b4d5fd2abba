//! The configuration file: TOML, read into texts by key with the line of each.
//!
//! All that is wrong is told at once. No fault repeats a value or a line: what stands in a wrong place may
//! be a secret. What a text means is for `check` to say.

use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, KEYS};
use super::{ConfigFault, Given, Origin};

/// The largest file that is read, in bytes.
pub const LARGEST: u64 = 1024 * 1024;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) given: Vec<(&'static str, Given)>,
    pub(super) faults: Vec<ConfigFault>,
    /// The file could not be read to its end, so that a key that is missing may be there after all.
    pub(super) is_torn: bool,
}

/// Reads the text of a file.
pub(super) fn read(path: &Path, text: &str) -> Read {
    let mut reader = Reader { path, text, read: Read::default() };
    let (table, broken) = DeTable::parse_recoverable(text);
    for fault in &broken {
        let place = reader.origin(&fault.span().unwrap_or_default());
        reader.read.faults.push(ConfigFault {
            key: String::new(),
            origin: place,
            reason: format!("is not TOML: {}", fault.message()),
            way_out: "write `key = \"text\"` under `[section]`, one a line".into(),
        });
    }
    reader.read.is_torn = !broken.is_empty();
    reader.table("", table.get_ref());
    reader.read
}

struct Reader<'t> {
    path: &'t Path,
    text: &'t str,
    read: Read,
}

impl Reader<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let full = if section.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{section}.{}", name.get_ref())
            };
            if let DeValue::Table(inner) = value.get_ref()
                && is_section(&full)
            {
                self.table(&full, inner);
            } else {
                self.value(&full, &name.span(), value);
            }
        }
    }

    fn value(&mut self, name: &str, place: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        let origin = self.origin(place);
        let Some(key) = keys::find(name) else {
            self.read.faults.push(ConfigFault::unknown(name, origin));
            return;
        };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.read.faults.push(ConfigFault {
                    key: name.into(),
                    origin,
                    reason: "is not a text, whole number, true or false".into(),
                    way_out: format!("give {}", key.limits()),
                });
                return;
            }
        };
        self.read.given.push((key.name, Given { text, origin }));
    }

    fn origin(&self, place: &Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..place.start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.into(), line }
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.parts().0 == name)
}
