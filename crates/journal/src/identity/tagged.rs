//! `pins.json` and `integrations.json`: readable by anyone who may, believed only with our MAC.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ConnectorId, KeyId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::IdentityFault;
use super::keyring::Keyring;

const FORMAT: u32 = 1;

/// Which of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Pins,
    Integrations,
}

impl Kind {
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Pins => "pins.json",
            Self::Integrations => "integrations.json",
        }
    }

    /// What its MAC is for, so that one file is never taken for the other.
    const fn label(self) -> &'static str {
        match self {
            Self::Pins => "tidegate identity pins v1",
            Self::Integrations => "tidegate identity integrations v1",
        }
    }
}

/// The file, field for field. The tag is over the exact text of the body.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u32,
    key_id: KeyId,
    tag: String,
    body: String,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Body<T> {
    connector: ConnectorId,
    content: T,
}

pub(super) fn write<T: Serialize>(
    keyring: &Keyring,
    kind: Kind,
    content: &T,
    path: &Path,
) -> Result<Vec<u8>, IdentityFault> {
    let damaged =
        |fault: serde_json::Error| IdentityFault::Damaged { path: path.into(), detail: fault.to_string() };
    let body =
        serde_json::to_string(&Body { connector: keyring.connector().clone(), content }).map_err(damaged)?;
    let key = keyring.mark_key();
    let tag = STANDARD.encode(key.tag(kind.label(), body.as_bytes()));
    let text = Text { format: FORMAT, key_id: key.id().clone(), tag, body };
    let mut bytes = serde_json::to_vec_pretty(&text).map_err(damaged)?;
    bytes.push(b'\n');
    Ok(bytes)
}

pub(super) fn read<T: DeserializeOwned>(
    keyring: &Keyring,
    kind: Kind,
    bytes: &[u8],
    path: &Path,
) -> Result<T, IdentityFault> {
    let damaged =
        |fault: serde_json::Error| IdentityFault::Damaged { path: path.into(), detail: fault.to_string() };
    let Format { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > FORMAT {
        return Err(IdentityFault::TooNew { path: path.into(), found: format, ours: FORMAT });
    }
    let text: Text = serde_json::from_slice(bytes).map_err(damaged)?;
    let tampered = || IdentityFault::Tampered { path: path.into() };
    let key = keyring.mark_keys().find(|key| *key.id() == text.key_id).ok_or_else(tampered)?;
    let tag = STANDARD.decode(&text.tag).map_err(|_| tampered())?;
    if !key.verifies(kind.label(), text.body.as_bytes(), &tag) {
        return Err(tampered());
    }
    let body: Body<T> = serde_json::from_str(&text.body).map_err(damaged)?;
    if body.connector == *keyring.connector() { Ok(body.content) } else { Err(tampered()) }
}
