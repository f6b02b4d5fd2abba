//! What a failed call tells: how sure we are, when to try again, and a stable code.
//!
//! The rules ask one question of a failure: what does it say about the *target*? Doubt is
//! [`Certainty::Unknown`], and so is a passed deadline.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// What a failed call tells about the target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Surely not done, and the same call will not succeed unchanged.
    Refused,
    /// Surely not done; the same call may succeed later.
    NotDone,
    /// The answer did not come or did not say: read the target before deciding.
    #[default]
    Unknown,
}

/// When a failed call is worth another try.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Never unchanged.
    Never,
    /// With growing, jittered pauses.
    #[default]
    Backoff,
    /// Not before this long; the target said so.
    After(Span),
    /// Once the store gives another version of the admin secret.
    AfterNewSecret,
    /// After a person has changed something; tried slowly meanwhile when closing.
    NeedsHuman,
}

/// A stable name of a failure, `snake_case`, with a page in `docs/codes`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(Cow<'static, str>);

macro_rules! codes {
    ($( #[doc = $doc:literal] $konst:ident = $text:literal; )*) => {
        impl Code {
            $( #[doc = $doc] pub const $konst: Self = Self(Cow::Borrowed($text)); )*
            /// Every code that the project itself gives.
            pub const ALL: &'static [Self] = &[$(Self::$konst),*];

            /// Returns what the code means, in one sentence; `None` for one that others made.
            pub fn meaning(&self) -> Option<&'static str> {
                let sentence = match self.as_str() {
                    $( $text => $doc, )*
                    _ => return None,
                };
                Some(sentence.trim_ascii())
            }
        }
    };
}

codes! {
    /// The call's deadline passed.
    TIMED_OUT = "timed_out";
    /// No connection could be made, or it broke.
    UNREACHABLE = "unreachable";
    /// TLS could not be agreed on, or the certificate was refused.
    TLS_REFUSED = "tls_refused";
    /// The target refused the admin credential.
    LOGIN_REFUSED = "login_refused";
    /// The admin credential lacks a right.
    RIGHT_MISSING = "right_missing";
    /// The store has no such secret.
    SECRET_MISSING = "secret_missing";
    /// The store refused to give the secret.
    SECRET_DENIED = "secret_denied";
    /// The secret lacks a key or is not readable.
    SECRET_MALFORMED = "secret_malformed";
    /// The secret store did not answer.
    SECRET_STORE_UNREACHABLE = "secret_store_unreachable";
    /// The secret is bound to another host, port, TLS floor or authority.
    BINDING_REFUSED = "binding_refused";
    /// An account of that name exists and is not ours.
    ACCOUNT_FOREIGN = "account_foreign";
    /// The account's mark does not verify, or its immutable id changed.
    ACCOUNT_TAMPERED = "account_tampered";
    /// An account carries our mark and nobody here remembers it.
    ACCOUNT_UNREMEMBERED = "account_unremembered";
    /// The account is not there.
    ACCOUNT_MISSING = "account_missing";
    /// The resource is not there.
    RESOURCE_MISSING = "resource_missing";
    /// The driver does not know the resource type or permission.
    PERMISSION_UNKNOWN = "permission_unknown";
    /// The permission manages accounts or is wider than allowed.
    PERMISSION_REFUSED = "permission_refused";
    /// A shared permission role holds more than its definition.
    PERMISSION_ROLE_WIDER = "permission_role_wider";
    /// A name cannot be used on this target.
    NAME_REFUSED = "name_refused";
    /// The account owns objects that cannot be handed over.
    OWNED_OBJECTS = "owned_objects";
    /// Sessions could not be ended.
    SESSIONS_REMAIN = "sessions_remain";
    /// The target is read-only, or a standby.
    READ_ONLY = "read_only";
    /// The target is another one than before.
    TARGET_REPLACED = "target_replaced";
    /// The target's version is too old.
    VERSION_UNSUPPORTED = "version_unsupported";
    /// The target was busy: lock, deadlock, too many connections.
    BUSY = "busy";
    /// The target answered something that the driver does not know.
    TARGET_FAULT = "target_fault";
    /// The system has no randomness.
    NO_RANDOMNESS = "no_randomness";
    /// A budget of items, bytes, pages or time is used up.
    BUDGET_EXCEEDED = "budget_exceeded";
    /// The driver made a statement that the target does not understand.
    DRIVER_FAULT = "driver_fault";
    /// The integration is not known here.
    INTEGRATION_MISSING = "integration_missing";
    /// The integration's configuration is wrong.
    CONFIG_REFUSED = "config_refused";
    /// The access's deadline had passed before it could be opened.
    TOO_LATE = "too_late";
    /// Opening was tried for as long as is allowed.
    OPENING_GAVE_UP = "opening_gave_up";
    /// No opening now: paused.
    PAUSED = "paused";
    /// Nothing is changed now: this instance does not hold the connector's lease for long enough.
    LEASE_NOT_HELD = "lease_not_held";
    /// No opening now: close-only mode.
    CLOSE_ONLY = "close_only";
    /// No opening now: the clocks disagree.
    CLOCK_UNTRUSTED = "clock_untrusted";
    /// No opening now: the journal is an old copy and is being reconciled.
    RECONCILING = "reconciling";
    /// A grantee came with another key than before.
    GRANTEE_KEY_CHANGED = "grantee_key_changed";
    /// A local policy forbids it.
    GUARDRAIL_REFUSED = "guardrail_refused";
    /// No opening now: the guardrails cannot be read.
    GUARDRAILS_BROKEN = "guardrails_broken";
    /// The order cannot be read.
    ORDER_MALFORMED = "order_malformed";
    /// The id has ended and never opens again.
    ID_ENDED = "id_ended";
    /// An operator beside the agent ended accesses.
    BREAK_GLASS = "break_glass";
    /// A report cannot be put on the wire; it is in the journal.
    REPORT_UNSENDABLE = "report_unsendable";
}

impl Code {
    /// Takes a code that another build or a target family made.
    pub fn other(text: impl Into<String>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// Returns the code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A failed call: what is known of the target, when to try again, and what to tell a person.
///
/// `detail` names the field or object, the reason and the way out. It never holds a secret and never the
/// text of a statement that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Failure {
    pub certainty: Certainty,
    pub retry: Retry,
    pub code: Code,
    pub detail: String,
}

impl Failure {
    /// Surely not done; the same call will not succeed unchanged.
    pub fn refused(code: Code, detail: impl Into<String>) -> Self {
        Self { certainty: Certainty::Refused, retry: Retry::Never, code, detail: detail.into() }
    }

    /// Surely not done; worth another try.
    pub fn not_done(code: Code, detail: impl Into<String>) -> Self {
        Self { certainty: Certainty::NotDone, retry: Retry::Backoff, code, detail: detail.into() }
    }

    /// Nobody knows; worth another look.
    pub fn unknown(code: Code, detail: impl Into<String>) -> Self {
        Self { certainty: Certainty::Unknown, retry: Retry::Backoff, code, detail: detail.into() }
    }

    /// The same failure with another word on when to try again.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn doubt_is_the_default() {
        assert_eq!(Certainty::default(), Certainty::Unknown);
    }

    #[test]
    fn codes_are_distinct_and_snake_case() {
        let distinct: BTreeSet<_> = Code::ALL.iter().map(Code::as_str).collect();
        assert_eq!(distinct.len(), Code::ALL.len());
        assert!(distinct.iter().all(|code| code.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    }

    #[test]
    fn every_code_of_ours_has_a_meaning() {
        for code in Code::ALL {
            let meaning = code.meaning().unwrap();
            assert!(meaning.ends_with('.') && meaning.trim() == meaning, "{code}: {meaning}");
        }
        assert_eq!(Code::BUSY.meaning(), Code::other("busy").meaning(), "a code is its text");
        assert_eq!(Code::other("somebody_elses").meaning(), None);
    }
}
