//! `pins.log`: the pins that are not in `pins.json` yet, a line for each, in the order they came.
//!
//! A line is a JSON object: `key_id`, `tag` and `body`, as in `pins.json`, the tag under a label of its own.
//! The body, a JSON text, has the `connector`, the line's `number`, the tag of the line `after` which it
//! stands (empty in the first), and the pin: `grantee`, `key`, `since`. Numbers go on for as long as the
//! pins live; `pins.json` says `through` which one it has them, and a log that does not go beyond that is
//! a left-over. So a line that was changed, moved, taken out, or brought from another connector or another
//! time, is noticed; not, that the last lines were cut off whole.
//!
//! What comes after the last line's end is a write that did not come to its end: nobody was told that it
//! was pinned.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ConnectorId, GranteeId, GranteeKey, KeyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::keyring::Keyring;
use super::{GranteePin, IdentityFault, Pins};

pub(super) const FILE: &str = "pins.log";
/// How many lines there may be before the whole is written to `pins.json`.
pub(super) const MOST_LINES: u64 = 1_000;

const LABEL: &str = "tidegate identity pins log v1";
/// How many bytes stand around a line's body.
const AROUND: usize = 128;

/// Where the log ends, so that a line can be added without reading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The number of the last pin, here or in `pins.json`.
    pub(super) number: u64,
    /// The last line's tag.
    tag: String,
    /// How many lines there are, and how many bytes they take; what is behind them goes.
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

/// A line, and where the log ends with it.
pub(super) struct Addition {
    pub(super) bytes: Vec<u8>,
    pub(super) end: End,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key_id: KeyId,
    tag: String,
    body: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    connector: ConnectorId,
    number: u64,
    after: String,
    grantee: GranteeId,
    key: GranteeKey,
    since: Timestamp,
}

impl End {
    /// Returns where an empty log ends, when `pins.json` has the pins through the number.
    pub(super) fn settled(through: u64) -> Self {
        Self { number: through, ..Self::default() }
    }

    /// Writes the line that pins a grantee's key.
    pub(super) fn add(
        &self,
        keyring: &Keyring,
        grantee: &GranteeId,
        pin: &GranteePin,
        path: &Path,
    ) -> Result<Addition, IdentityFault> {
        let damaged = |fault: serde_json::Error| IdentityFault::Damaged {
            path: path.into(),
            detail: fault.to_string(),
        };
        let body = Body {
            connector: keyring.connector().clone(),
            number: self.number.saturating_add(1),
            after: self.tag.clone(),
            grantee: grantee.clone(),
            key: pin.key.clone(),
            since: pin.since,
        };
        let number = body.number;
        let body = serde_json::to_string(&body).map_err(damaged)?;
        let key = keyring.mark_key();
        let tag = STANDARD.encode(key.tag(LABEL, body.as_bytes()));
        let mut bytes = Vec::with_capacity(2 * body.len() + AROUND);
        serde_json::to_writer(&mut bytes, &Line { key_id: key.id().clone(), tag: tag.clone(), body })
            .map_err(damaged)?;
        bytes.push(b'\n');
        let end = Self {
            number,
            tag,
            lines: self.lines.saturating_add(1),
            bytes: self.bytes.saturating_add(bytes.len() as u64),
        };
        Ok(Addition { bytes, end })
    }
}

/// Adds what stands in the log to the pins of `pins.json`, which has them through that number; an older
/// build writes none. Returns where the log ends.
pub(super) fn read(
    keyring: &Keyring,
    bytes: &[u8],
    path: &Path,
    through: Option<u64>,
    pins: &mut Pins,
) -> Result<End, IdentityFault> {
    let tampered = || IdentityFault::Tampered { path: path.into() };
    let mut end = End::settled(0);
    let mut bodies: Vec<Body> = vec![];
    for line in bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let (body, tag) = verified(keyring, line).ok_or_else(tampered)?;
        if body.after != end.tag || !bodies.is_empty() && body.number != end.number.saturating_add(1) {
            return Err(tampered());
        }
        end.bytes = end.bytes.saturating_add(line.len() as u64);
        end = End { number: body.number, tag, lines: end.lines.saturating_add(1), bytes: end.bytes };
        bodies.push(body);
    }
    match (through, bodies.first()) {
        (None, _) => {
            // An older build changed `pins.json` without knowing of the log: the later pin stands.
            bodies.retain(|body| pins.grantee(&body.grantee).is_none_or(|pin| pin.since < body.since));
        }
        // Left over from a crash: all of it is in `pins.json`, and the next line takes its place.
        (Some(through), _) if end.number <= through => return Ok(End::settled(through)),
        (Some(through), Some(first)) if first.number == through.saturating_add(1) => {}
        (Some(_), _) => return Err(tampered()),
    }
    for Body { grantee, key, since, .. } in bodies {
        pins.put(grantee, GranteePin { key, since });
    }
    Ok(end)
}

fn verified(keyring: &Keyring, line: &[u8]) -> Option<(Body, String)> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let key = keyring.mark_keys().find(|key| *key.id() == line.key_id)?;
    let tag = STANDARD.decode(&line.tag).ok()?;
    if !key.verifies(LABEL, line.body.as_bytes(), &tag) {
        return None;
    }
    let body: Body = serde_json::from_str(&line.body).ok()?;
    (body.connector == *keyring.connector()).then_some((body, line.tag))
}
