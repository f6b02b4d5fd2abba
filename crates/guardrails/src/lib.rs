//! The operator's own policies, in Cedar, as the rules ask them.
//!
//! Floor 2: pure. A text and a time zone come in, answers come out. It promises that whatever it cannot answer is
//! a no: no policy that permits, a policy that cannot be applied, a question that would take too long. What it
//! leaves to others: reading the file, and what follows from an answer (`rules`).

mod ask;
mod load;
mod moments;
mod names;

use std::fmt;

use cedar_policy::{Authorizer, PolicySet};
use jiff::tz::TimeZone;
use model::{ConnectorId, GranteeId, Integration, Timestamp};
use rules::{Forbidden, Guardrails, Wish};

pub use load::{LoadFault, MOST_BYTES, PolicyView};

/// At most this many answers are given for one order: entitlements times moments.
pub const MOST_ANSWERS: u64 = 10_000;

/// What policies may speak of, in Cedar's language for schemas.
pub const WORDS: &str = include_str!("words.cedarschema");

/// A set of policies that were read and make sense.
pub struct Policies {
    connector: ConnectorId,
    zone: TimeZone,
    digest: String,
    set: PolicySet,
    authorizer: Authorizer,
    /// Some policy speaks of the moment, or of how long something lasted.
    by_moment: bool,
    by_use: bool,
    /// Some policy speaks of the whole union.
    by_union: bool,
}

impl Policies {
    /// Reads policies. `zone` is the name of a time zone, for example `Europe/Berlin`.
    ///
    /// # Errors
    /// Everything that is wrong with them, with the line.
    pub fn parse(connector: &ConnectorId, text: &str, zone: &str) -> Result<Self, LoadFault> {
        load::parse(connector, text, zone)
    }

    /// Returns the policies, in the order of the text.
    pub fn list(&self) -> Vec<PolicyView> {
        load::list(&self.set)
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Guardrails for Policies {
    fn digest(&self) -> &str {
        &self.digest
    }

    fn asks_use(&self) -> bool {
        self.by_use
    }

    fn may_connect(&self, integration: &Integration) -> Result<(), Forbidden> {
        ask::connect(self, integration)
    }

    fn may_open(&self, wish: &Wish<'_>) -> Result<Timestamp, Forbidden> {
        ask::open(self, wish)
    }

    fn may_rotate(&self, integration: &Integration, grantee: &GranteeId) -> Result<(), Forbidden> {
        ask::about_account(self, ask::ROTATE, integration, grantee)
    }

    fn may_delete(&self, integration: &Integration, grantee: &GranteeId) -> Result<(), Forbidden> {
        ask::about_account(self, ask::DELETE, integration, grantee)
    }
}
