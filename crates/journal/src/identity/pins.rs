//! Pins: what was first seen and is to stay so, until a person or the grantee changes it.

use std::collections::BTreeMap;

use model::{GranteeId, GranteeKey, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A grantee's key, and since when it is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GranteePin {
    pub key: GranteeKey,
    pub since: Timestamp,
}

/// What a grantee's key is, compared with the pinned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// The grantee was not known: the key is pinned now.
    First,
    /// The pinned key.
    Same,
    /// Another key than before. It is pinned now; raise an alarm and name both in the receipt.
    Changed { before: GranteePin },
}

/// Why the bindings cannot be taken out or put in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pinned secret bindings do not read as this build's ({detail}): run the build that wrote them")]
pub struct PinFault {
    detail: String,
}

/// What an agent has pinned.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pins {
    grantees: BTreeMap<GranteeId, GranteePin>,
    /// As the secrets' own package writes them; nothing here understands them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bindings: Option<serde_json::Value>,
}

impl Pins {
    /// Compares a grantee's key with the pinned one, and pins it.
    pub fn meet(&mut self, grantee: &GranteeId, key: &GranteeKey, now: Timestamp) -> Meeting {
        let meeting = self.compare(grantee, key);
        if meeting != Meeting::Same {
            self.grantees.insert(grantee.clone(), GranteePin { key: key.clone(), since: now });
        }
        meeting
    }

    /// Compares a grantee's key with the pinned one.
    pub fn compare(&self, grantee: &GranteeId, key: &GranteeKey) -> Meeting {
        match self.grantees.get(grantee) {
            Some(pin) if pin.key == *key => Meeting::Same,
            Some(pin) => Meeting::Changed { before: pin.clone() },
            None => Meeting::First,
        }
    }

    /// Pins what is written down about a grantee.
    pub(super) fn put(&mut self, grantee: GranteeId, pin: GranteePin) {
        self.grantees.insert(grantee, pin);
    }

    /// Returns a grantee's pinned key.
    pub fn grantee(&self, grantee: &GranteeId) -> Option<&GranteePin> {
        self.grantees.get(grantee)
    }

    /// Returns all grantees with their keys.
    pub fn grantees(&self) -> impl Iterator<Item = (&GranteeId, &GranteePin)> {
        self.grantees.iter()
    }

    /// Forgets a grantee's key, so that the next one is pinned without an alarm. For a person to order.
    pub fn forget_grantee(&mut self, grantee: &GranteeId) -> Option<GranteePin> {
        self.grantees.remove(grantee)
    }

    /// Returns the pinned secret bindings, the default when none were ever written.
    ///
    /// # Errors
    /// When another build wrote them in a way that this one does not read.
    pub fn bindings<B: DeserializeOwned + Default>(&self) -> Result<B, PinFault> {
        match &self.bindings {
            None => Ok(B::default()),
            Some(value) => B::deserialize(value).map_err(|fault| PinFault { detail: fault.to_string() }),
        }
    }

    /// Replaces the pinned secret bindings.
    ///
    /// # Errors
    /// When they cannot be written as JSON; nothing is changed then.
    pub fn set_bindings<B: Serialize>(&mut self, bindings: &B) -> Result<(), PinFault> {
        let value = serde_json::to_value(bindings).map_err(|fault| PinFault { detail: fault.to_string() })?;
        self.bindings = Some(value);
        Ok(())
    }
}
