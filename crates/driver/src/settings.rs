//! An integration's settings: raw text by key, read once into typed values, all faults told together.
//!
//! A driver reads its settings through a [`Reader`], which takes defaults, limits and allowed words from
//! the manifest. Empty text counts as not given, because forms send it so. A fault names the key, the
//! reason and the way out; it never repeats the value, which may be a secret in the wrong field. What a
//! host or a port *answers* is not looked at here.

mod host;

use std::collections::BTreeMap;
use std::fmt;

use model::Span;
use serde::{Deserialize, Serialize};

use crate::manifest::{Field, FieldFormat, Manifest};

pub use host::{Host, HostFault};

/// Settings as an integration carries them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Takes settings by key.
    pub const fn new(values: BTreeMap<String, String>) -> Self {
        Self(values)
    }

    /// Returns these settings with one key more or changed.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.insert(key.into(), value.into());
        self
    }

    /// Returns the text of a key; `None` when it is not given or blank.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// Begins reading by a manifest; keys that it does not have are faults from the start.
    pub fn reader(&self, manifest: &'static Manifest) -> Reader<'_> {
        let mut faults = vec![];
        for key in self.0.keys().filter(|key| manifest.field(key).is_none()) {
            let known: Vec<_> = manifest.fields.iter().map(|field| field.key).collect();
            faults.push(ConfigFault::new(
                key.as_str(),
                format!("is not a setting of {}", manifest.kind),
                format!("remove it, or use one of: {}", known.join(", ")),
            ));
        }
        Reader { settings: self, manifest, faults }
    }
}

impl FromIterator<(String, String)> for Settings {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// One thing that is wrong with an integration's settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigFault {
    pub key: String,
    pub reason: String,
    pub way_out: String,
}

impl ConfigFault {
    /// Names a fault. Neither text may repeat the value.
    pub fn new(key: impl Into<String>, reason: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into(), way_out: way_out.into() }
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}: {}", self.key.escape_debug(), self.reason, self.way_out)
    }
}

impl std::error::Error for ConfigFault {}

/// Reads settings field by field and collects what is wrong.
///
/// Each read returns a value at once, a stand-in where there is a fault; no stand-in is ever used, because
/// [`Reader::finish`] then refuses.
#[derive(Debug)]
pub struct Reader<'a> {
    settings: &'a Settings,
    manifest: &'static Manifest,
    faults: Vec<ConfigFault>,
}

impl Reader<'_> {
    /// Returns the checked text of a field, its default, or `None`; the one way into the settings.
    fn checked(&mut self, key: &str) -> Option<String> {
        let Some(field) = self.manifest.field(key) else {
            self.fault(
                key,
                format!("is read by the driver {} and not in its manifest", self.manifest.kind),
                "this is a fault of the driver: report it",
            );
            return None;
        };
        let Some(text) = self.settings.text(key) else {
            if field.required {
                self.fault(key, "is missing", format!("give it: {}", field.help));
            }
            return field.default.map(str::to_owned);
        };
        match misfit(field, text) {
            Some(fault) => {
                self.faults.push(fault);
                None
            }
            None => Some(text.to_owned()),
        }
    }

    /// Returns true when the key is given, whatever it says.
    pub fn is_given(&self, key: &str) -> bool {
        self.settings.text(key).is_some()
    }

    /// Reads a text that has to be there.
    pub fn required_text(&mut self, key: &str) -> String {
        self.checked(key).unwrap_or_default()
    }

    /// Reads a text; `None` when it is not given and has no default.
    pub fn text(&mut self, key: &str) -> Option<String> {
        self.checked(key)
    }

    /// Reads a host name or IP address that has to be there.
    pub fn host(&mut self, key: &str) -> Host {
        self.checked(key).and_then(|text| Host::parse(&text).ok()).unwrap_or_else(Host::stand_in)
    }

    /// Reads a TCP port.
    pub fn port(&mut self, key: &str) -> u16 {
        self.checked(key).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Reads one of several words; `absent` is what it means when it is neither given nor has a default.
    pub fn choice<T: Copy>(&mut self, key: &str, absent: T, table: &[(&str, T)]) -> T {
        let Some(text) = self.checked(key) else { return absent };
        if let Some((_, value)) = table.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let words: Vec<_> = table.iter().map(|(word, _)| *word).collect();
        self.fault(key, "is none of the allowed words", format!("use one of: {}", words.join(", ")));
        absent
    }

    /// Reads a whole number; `None` when it is not given and has no default.
    pub fn whole(&mut self, key: &str) -> Option<u64> {
        self.checked(key).and_then(|text| text.parse().ok())
    }

    /// Reads `true` or `false`; not given means `false`, unless the manifest says otherwise.
    pub fn flag(&mut self, key: &str) -> bool {
        self.checked(key).as_deref() == Some("true")
    }

    /// Reads a length of time; `None` when it is not given and has no default.
    pub fn duration(&mut self, key: &str) -> Option<Span> {
        self.checked(key).and_then(|text| text.parse().ok())
    }

    /// Adds what the driver itself finds wrong, for example two settings that do not go together.
    pub fn fault(&mut self, key: &str, reason: impl Into<String>, way_out: impl Into<String>) {
        self.faults.push(ConfigFault::new(key, reason, way_out));
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All faults at once, sorted by key, when there is any.
    pub fn finish(mut self) -> Result<(), Vec<ConfigFault>> {
        self.faults.sort();
        self.faults.dedup();
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults) }
    }
}

/// Returns why a text does not fit a field.
pub(crate) fn misfit(field: &Field, text: &str) -> Option<ConfigFault> {
    let fault = |reason: &str, way_out: String| Some(ConfigFault::new(field.key, reason, way_out));
    let multi_line = matches!(field.format, FieldFormat::Pem);
    if text.chars().any(|c| c.is_control() && !(multi_line && matches!(c, '\n' | '\r' | '\t'))) {
        return fault("has a control character", "type it again by hand".into());
    }
    match &field.format {
        FieldFormat::Text { max_bytes } => {
            if text.len() > *max_bytes {
                return fault("is too long", format!("the most is {max_bytes} bytes"));
            }
        }
        FieldFormat::Host => {
            if let Err(HostFault { reason, way_out }) = Host::parse(text) {
                return fault(reason, way_out.into());
            }
        }
        FieldFormat::Port => {
            if !is_whole(text) || !text.parse::<u16>().is_ok_and(|port| port > 0) {
                return fault("is not a port", "give a whole number from 1 to 65535".into());
            }
        }
        FieldFormat::Choice { allowed } => {
            if !allowed.contains(&text) {
                return fault("is none of the allowed words", format!("use one of: {}", allowed.join(", ")));
            }
        }
        FieldFormat::Whole { least, most } => {
            let fits = |number: u64| (*least..=*most).contains(&number);
            if !is_whole(text) || !text.parse().is_ok_and(fits) {
                return fault("is out of its limits", format!("give a whole number from {least} to {most}"));
            }
        }
        FieldFormat::Flag => {
            if !matches!(text, "true" | "false") {
                return fault("is neither yes nor no", "write `true` or `false`".into());
            }
        }
        FieldFormat::Duration => {
            if text.parse::<Span>().is_err() {
                return fault(
                    "is not a length of time",
                    "write a number and a unit, for example 90m, 8h, 45s".into(),
                );
            }
        }
        FieldFormat::Pem => {
            if !text.contains("-----BEGIN ") || !text.contains("-----END ") {
                return fault("is not in PEM form", "paste it whole, with its BEGIN and END lines".into());
            }
            if text.contains("PRIVATE KEY-----") {
                return fault("holds a private key", "give certificates only; keys go to the secret".into());
            }
        }
    }
    None
}

/// Returns true for plain digits: `+5` and `5 ` are not what people mean to type.
fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
