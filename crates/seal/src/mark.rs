//! The text form of a mark: written, and recognised again.
//!
//! # Format 1
//! `tidegate:1:` payload `:` key id `:` tag, all of `[A-Za-z0-9_:-]`, so it needs no escaping in an SQL
//! literal, a comment or a directory attribute.
//! - *payload*: base64url without padding of a JSON object: `c` connector, `i` integration, `a` account,
//!   `r` revision, `d` deadlines as `[resource kind, [path…], permission, until]`, `u` latest deadline,
//!   `l` last revocation, `t` target, `o` the account's immutable id; times in milliseconds since 1970;
//!   `d`, `u` and `l` are left out when empty.
//! - *key id*: 16 hex digits, see [`MarkKey::id`].
//! - *tag*: base64url of HMAC-SHA256 with the mark key over `tidegate mark v1`, a zero byte and the text
//!   up to, not including, the last colon. So version, connector and key id are under the tag.
//!
//! # Short of room
//! A mark that is longer than its budget is written without `d`, and `u` becomes the *earliest* of all
//! deadlines: what is rebuilt from it ends too early rather than too late.
//!
//! # Promises and limits
//! [`MarkState::Valid`] says: written with one of our keys, by this connector, for this target and this
//! account. It does not say that the mark is the newest (whoever may write the mark can put an older one
//! back: the revision tells), nor that integration and account id are the expected ones: the caller
//! compares them. Reading never panics, whatever the text.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::mark::{EntitlementDeadline, KeyId, Mark, MarkDraft, MarkState};
use model::{
    AccountId, ConnectorId, Entitlement, ImmutableId, IntegrationId, Permission, ResourceId, ResourceKind,
    Revision, TargetIdentity, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::keys::MarkKey;

/// How every mark of every connector and version begins.
pub const PREFIX: &str = "tidegate:";

/// The longest text that is looked at; a longer one is not ours.
pub const LONGEST: usize = 64 * 1024;

const VERSION: &str = "1";
const LABEL: &str = "tidegate mark v1";
const KEY_ID_CHARS: usize = 16;

/// Why a mark cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkFault {
    #[error(
        "the mark needs {needed} bytes and the target has room for {budget}: shorten the names of connector and integration"
    )]
    NoRoom { needed: usize, budget: usize },
    #[error(
        "the mark is for connector {found}, these keys are of {ours}: marks are written by their own connector"
    )]
    OtherConnector { found: ConnectorId, ours: ConnectorId },
    #[error("the mark cannot be written as JSON: {detail}")]
    Unwritable { detail: String },
}

/// The mark keys of one connector: one to write with, and older ones whose marks are still recognised.
pub struct MarkKeys {
    connector: ConnectorId,
    current: MarkKey,
    older: Vec<MarkKey>,
}

impl MarkKeys {
    /// Takes the keys of a connector.
    pub const fn new(connector: ConnectorId, current: MarkKey, older: Vec<MarkKey>) -> Self {
        Self { connector, current, older }
    }

    /// Returns whose keys these are.
    pub const fn connector(&self) -> &ConnectorId {
        &self.connector
    }

    /// Returns the id of the key that new marks are written with.
    pub fn current(&self) -> &KeyId {
        self.current.id()
    }

    /// Returns the ids of all keys, the current one first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.all().map(MarkKey::id)
    }

    fn all(&self) -> impl Iterator<Item = &MarkKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// Writes a mark with the current key in at most `budget` bytes. The same mark and key give the same
    /// text. What does not fit is shortened as the module says.
    ///
    /// # Errors
    /// [`MarkFault::NoRoom`] when even the short form is too long; [`MarkFault::OtherConnector`].
    pub fn write(&self, mark: &Mark, budget: usize) -> Result<String, MarkFault> {
        if mark.draft.connector != self.connector {
            return Err(MarkFault::OtherConnector {
                found: mark.draft.connector.clone(),
                ours: self.connector.clone(),
            });
        }
        let budget = budget.min(LONGEST);
        let whole = self.text(&Payload::of(mark))?;
        if whole.len() <= budget {
            return Ok(whole);
        }
        let short = self.text(&Payload::of(mark).collapsed())?;
        if short.len() <= budget { Ok(short) } else { Err(MarkFault::NoRoom { needed: short.len(), budget }) }
    }

    fn text(&self, payload: &Payload) -> Result<String, MarkFault> {
        let json = serde_json::to_vec(payload)
            .map_err(|fault| MarkFault::Unwritable { detail: fault.to_string() })?;
        let signed = format!("{PREFIX}{VERSION}:{}:{}", URL_SAFE_NO_PAD.encode(json), self.current.id().0);
        let tag = URL_SAFE_NO_PAD.encode(self.current.tag(LABEL, signed.as_bytes()));
        Ok(format!("{signed}:{tag}"))
    }

    /// Says what the text found on account `immutable` of `target` is worth.
    pub fn read(&self, text: &str, target: &TargetIdentity, immutable: &ImmutableId) -> MarkState {
        if !looks_like_ours(text) {
            return MarkState::Missing;
        }
        let Some(parts) = Parts::of(text) else {
            return MarkState::Forged;
        };
        if parts.version != VERSION {
            return MarkState::Foreign;
        }
        let Some(key) = self.all().find(|key| key.id().0 == parts.key) else {
            return if is_key_id(parts.key) { MarkState::Foreign } else { MarkState::Forged };
        };
        let Ok(tag) = URL_SAFE_NO_PAD.decode(parts.tag) else {
            return MarkState::Forged;
        };
        let verifies = key.verifies(LABEL, parts.signed.as_bytes(), &tag);
        let Some(mark) = Payload::decode(parts.payload).filter(|_| verifies).map(Payload::into_mark) else {
            return MarkState::Forged;
        };
        if mark.draft.connector != self.connector {
            return MarkState::Foreign;
        }
        if mark.target != *target || mark.immutable != *immutable {
            return MarkState::Copied;
        }
        MarkState::Valid(Box::new(mark))
    }

    /// Returns true when the text says, believed or not, that it marks this account of this connector. Such an account is
    /// not touched on that word alone, and is not called absent either: the keys that marked it may have been lost.
    pub fn claims(&self, text: &str, account: AccountId) -> bool {
        let payload = Parts::of(text).and_then(|parts| Payload::decode(parts.payload));
        payload.is_some_and(|says| says.c == self.connector && says.a == account)
    }

    /// Returns true when the text names another key than the current one, so that its account is to be
    /// marked anew. Says nothing of whether the text verifies.
    pub fn is_outdated(&self, text: &str) -> bool {
        Parts::of(text).is_none_or(|parts| parts.key != self.current.id().0)
    }
}

impl fmt::Debug for MarkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MarkKeys({}, {:?}", self.connector, self.current)?;
        self.older.iter().try_for_each(|key| write!(f, ", {key:?}"))?;
        f.write_str(")")
    }
}

/// Returns true when a text claims to be a mark, of whatever connector or version.
pub fn looks_like_ours(text: &str) -> bool {
    text.starts_with(PREFIX)
}

fn is_key_id(text: &str) -> bool {
    text.len() == KEY_ID_CHARS && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

/// A text taken apart, nothing of it believed yet.
struct Parts<'t> {
    version: &'t str,
    payload: &'t str,
    key: &'t str,
    tag: &'t str,
    /// All before the last colon.
    signed: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (signed, tag) = text.rsplit_once(':')?;
        let (version, rest) = signed.strip_prefix(PREFIX)?.split_once(':')?;
        let (payload, key) = rest.rsplit_once(':')?;
        Some(Self { version, payload, key, tag, signed })
    }
}

/// The payload of format 1, field for field.
#[derive(Serialize, Deserialize)]
struct Payload {
    c: ConnectorId,
    i: IntegrationId,
    a: AccountId,
    r: Revision,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    d: Vec<(String, Vec<String>, String, i64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    u: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    l: Option<i64>,
    t: String,
    o: String,
}

impl Payload {
    fn of(mark: &Mark) -> Self {
        let draft = &mark.draft;
        let deadline = |d: &EntitlementDeadline| {
            let Entitlement { resource, permission } = &d.entitlement;
            (resource.kind.0.clone(), resource.path.clone(), permission.0.clone(), d.until.as_millis())
        };
        Self {
            c: draft.connector.clone(),
            i: draft.integration.clone(),
            a: draft.account,
            r: draft.revision,
            d: draft.deadlines.iter().map(deadline).collect(),
            u: draft.until.map(Timestamp::as_millis),
            l: draft.last_revoked.map(Timestamp::as_millis),
            t: mark.target.0.clone(),
            o: mark.immutable.0.clone(),
        }
    }

    fn collapsed(self) -> Self {
        let earliest = self.d.iter().map(|(_, _, _, until)| *until).chain(self.u).min();
        Self { d: Vec::new(), u: earliest, ..self }
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    fn into_mark(self) -> Mark {
        let deadline = |(kind, path, permission, until)| EntitlementDeadline {
            entitlement: Entitlement {
                resource: ResourceId { kind: ResourceKind(kind), path },
                permission: Permission(permission),
            },
            until: Timestamp::from_millis(until),
        };
        MarkDraft {
            connector: self.c,
            integration: self.i,
            account: self.a,
            revision: self.r,
            deadlines: self.d.into_iter().map(deadline).collect(),
            until: self.u.map(Timestamp::from_millis),
            last_revoked: self.l.map(Timestamp::from_millis),
        }
        .complete(TargetIdentity(self.t), ImmutableId(self.o))
    }
}

#[cfg(test)]
mod tests;
