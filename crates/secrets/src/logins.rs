//! One try for each version of a secret: a refused login is not repeated with what was refused.
//!
//! Targets lock an account that is tried too often with a wrong password, and that account may be the only
//! one that can close. Pure: the agent tells what happened, [`Refusals::allow`] tells whether another try
//! makes sense. It is kept in memory; after a restart each version has one try again.

use std::collections::BTreeMap;

use model::{Code, Failure, IntegrationId, Retry};

use crate::Version;

/// The refused version of each integration.
#[derive(Debug, Default)]
pub struct Refusals(BTreeMap<IntegrationId, Version>);

impl Refusals {
    /// Notes that the target refused this version.
    pub fn note(&mut self, integration: &IntegrationId, version: &Version) {
        self.0.insert(integration.clone(), version.clone());
    }

    /// Forgets the refusal: a login succeeded, the endpoint changed, or an operator asks for another try.
    pub fn forget(&mut self, integration: &IntegrationId) {
        self.0.remove(integration);
    }

    /// Returns whether this version may be tried.
    ///
    /// # Errors
    /// `login_refused` when it was refused before.
    pub fn allow(&self, integration: &IntegrationId, version: &Version) -> Result<(), Failure> {
        if self.0.get(integration) == Some(version) {
            return Err(Failure::refused(
                Code::LOGIN_REFUSED,
                format!(
                    "the target refused this version of the secret of integration {integration}, and it is not tried twice: correct the secret in its store, or run `tidegatectl integrations check {integration}` to try once more"
                ),
            )
            .with_retry(Retry::AfterNewSecret));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_version_is_tried_once_and_another_one_is_tried() {
        let (one, two) = (IntegrationId::parse("one").unwrap(), IntegrationId::parse("two").unwrap());
        let (old, new) = (Version::new("1"), Version::new("2"));
        let mut refusals = Refusals::default();
        assert!(refusals.allow(&one, &old).is_ok());
        refusals.note(&one, &old);
        let failure = refusals.allow(&one, &old).unwrap_err();
        assert_eq!((failure.code, failure.retry), (Code::LOGIN_REFUSED, Retry::AfterNewSecret));
        assert!(refusals.allow(&one, &new).is_ok(), "another version");
        assert!(refusals.allow(&two, &old).is_ok(), "another integration");
        refusals.note(&one, &new);
        assert!(refusals.allow(&one, &new).is_err());
        refusals.forget(&one);
        assert!(refusals.allow(&one, &new).is_ok(), "forgotten");
    }
}
