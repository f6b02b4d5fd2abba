//! Guardrails: the operator's own policies, which the control plane cannot override, as the rules ask them.
//!
//! What they say yes or no to is opening, never closing: whatever only takes away is not asked about. They are
//! asked for each order, and again for everything that lives when they change. A guardrail that could not be
//! read says no to everything.

use std::fmt;
use std::sync::Arc;

use model::{AccessId, EntitlementSet, GranteeId, Integration, Span, Timestamp};

/// What is asked of the guardrails. The same question gets the same answer.
pub trait Guardrails: fmt::Debug + Send + Sync {
    /// Names these policies: others have another name.
    fn digest(&self) -> &str;

    /// Whether an answer may depend on how long the account was used before.
    fn asks_use(&self) -> bool;

    /// Whether an integration may be used at all.
    ///
    /// # Errors
    /// When it may not.
    fn may_connect(&self, integration: &Integration) -> Result<(), Forbidden>;

    /// Until when an access may live: at most until its deadline.
    ///
    /// # Errors
    /// When it may not begin.
    fn may_open(&self, wish: &Wish<'_>) -> Result<Timestamp, Forbidden>;

    /// Whether an account's credential may be changed by an order.
    ///
    /// # Errors
    /// When it may not.
    fn may_rotate(&self, integration: &Integration, grantee: &GranteeId) -> Result<(), Forbidden>;

    /// Whether an account may be deleted by an order. It is closed all the same.
    ///
    /// # Errors
    /// When it may not.
    fn may_delete(&self, integration: &Integration, grantee: &GranteeId) -> Result<(), Forbidden>;
}

/// An access that somebody wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub integration: &'a Integration,
    pub access: &'a AccessId,
    pub grantee: &'a GranteeId,
    /// The decision that allowed it, as the control plane names it; it cannot be checked here.
    pub approval: Option<&'a str>,
    pub entitlements: &'a EntitlementSet,
    /// All that the account would hold at some time while this access lives, this access included.
    pub union: &'a EntitlementSet,
    /// When the access began; an extension does not begin it anew.
    pub begun: Timestamp,
    /// From when on it is asked about.
    pub from: Timestamp,
    pub until: Timestamp,
    /// When the grantee's other accesses on the integration lived, and how long those that live will. Empty
    /// when the guardrails do not ask.
    pub used: &'a [Stretch],
}

/// A time during which an access lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Stretch {
    pub from: Timestamp,
    /// Not included.
    pub until: Timestamp,
}

/// Returns how long at least one of the stretches lasted between two times.
pub fn covered(stretches: &[Stretch], from: Timestamp, until: Timestamp) -> Span {
    let mut within: Vec<_> = stretches
        .iter()
        .map(|stretch| Stretch { from: stretch.from.max(from), until: stretch.until.min(until) })
        .filter(|stretch| stretch.from < stretch.until)
        .collect();
    within.sort_unstable();
    let (mut total, mut reached) = (0, from);
    for stretch in within {
        total += stretch.until.since(stretch.from.max(reached)).as_millis();
        reached = reached.max(stretch.until);
    }
    Span::from_millis(total)
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Policies that say no.
    #[error("guardrail {} says no{}", quoted(policies), reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    By { policies: Vec<String>, reason: Option<String> },
    /// No policy says yes.
    #[error("no guardrail permits it: what is not permitted is forbidden")]
    Unpermitted,
    /// A policy could not be applied to it, so nothing is known.
    #[error("guardrail {} cannot be applied to it ({fault}): mend the policy", quoted(policies))]
    Inapplicable { policies: Vec<String>, fault: String },
    /// Asking for all of it at all times would take too long.
    #[error(
        "it asks for {asked} answers of the guardrails, and {most} are the most for one order: ask for fewer resources or for less time at once"
    )]
    TooMuch { asked: u64, most: u64 },
    /// They could not be read.
    #[error("the guardrails cannot be read, so nothing opens: {reason}")]
    Broken { reason: String },
}

fn quoted(policies: &[String]) -> String {
    let quoted: Vec<_> = policies.iter().map(|policy| format!("`{policy}`")).collect();
    quoted.join(", ")
}

/// What becomes of what lives and would no longer be allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Living {
    /// It ends, or ends earlier.
    #[default]
    Ends,
    /// It lives to its deadline, and is not extended.
    IsNotExtended,
}

/// The guardrails that hold.
#[derive(Debug, Clone, Default)]
pub enum Guard {
    /// The operator has none.
    #[default]
    Off,
    /// There are some, and they cannot be read: only closing goes on.
    Broken {
        reason: String,
    },
    On {
        guardrails: Arc<dyn Guardrails>,
        living: Living,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_counts_once_and_only_within_the_window() {
        let at = |mins| Timestamp::ZERO.plus(Span::from_mins(mins));
        let s = |from, until| Stretch { from: at(from), until: at(until) };
        let table: [(&str, &[Stretch], i64); 7] = [
            ("nothing", &[], 0),
            ("one within", &[s(110, 120)], 10),
            ("reaches in from before", &[s(50, 110)], 10),
            ("reaches out behind", &[s(190, 300)], 10),
            ("covers all", &[s(0, 1000)], 100),
            ("overlapping, in any order", &[s(130, 150), s(110, 140), s(120, 125)], 40),
            ("beside the window", &[s(10, 100), s(200, 210)], 0),
        ];
        for (name, stretches, mins) in table {
            assert_eq!(covered(stretches, at(100), at(200)), Span::from_mins(mins), "{name}");
        }
    }
}
