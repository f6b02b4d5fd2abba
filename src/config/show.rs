//! What is set, and where: for `tidegate config show`.
//!
//! A text that was refused is not shown: what stands in a wrong place may be a secret.

use std::collections::BTreeSet;

use super::keys::KEYS;
use super::{Config, Merged, Origin, Sources};

/// One key with what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    /// `None` when it is not set and has no default.
    pub value: Option<String>,
    /// The value was refused and is not shown.
    pub refused: bool,
    pub origin: Origin,
}

/// Returns every key with what it is set to, in the order of the file.
pub fn settings(sources: &Sources) -> Vec<Setting> {
    let merged = Merged::of(sources);
    let faults = Config::load(sources).err().unwrap_or_default();
    let refused: BTreeSet<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    KEYS.iter()
        .map(|key| {
            let is_refused = refused.contains(key.name);
            match merged.given.get(key.name) {
                Some(given) => Setting {
                    key: key.name,
                    value: (!is_refused).then(|| given.text.trim().to_owned()),
                    refused: is_refused,
                    origin: given.origin.clone(),
                },
                None => Setting {
                    key: key.name,
                    value: key.default.map(str::to_owned),
                    refused: false,
                    origin: if key.default.is_some() { Origin::Default } else { Origin::Missing },
                },
            }
        })
        .collect()
}
