//! Receipts as the control plane gets them: a chain branches only where a receipt says that it may.

use std::collections::{BTreeMap, BTreeSet};

use model::{Incarnation, IntegrationId};
use rules::Report;

use crate::agent::Signed;

/// All receipts that ever came.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    known: BTreeSet<(IntegrationId, u64, String)>,
    /// What follows a receipt: the memories that its followers name.
    followers: BTreeMap<(IntegrationId, u64, String), BTreeSet<Option<Incarnation>>>,
}

impl Chains {
    /// Takes what was reported. What came before counts once.
    pub(crate) fn hear(&mut self, report: &Report) -> Result<(), String> {
        let Report::Receipt { integration, number, signed } = report else { return Ok(()) };
        let receipt: Signed =
            serde_json::from_str(signed).map_err(|fault| format!("a receipt cannot be read: {fault}"))?;
        if !self.known.insert((integration.clone(), *number, receipt.hash)) {
            return Ok(());
        }
        let place = (integration.clone(), *number, receipt.previous);
        if self.followers.entry(place).or_default().insert(receipt.body.life) {
            Ok(())
        } else {
            Err(format!("receipt {number} of {integration} begins another history and does not say so"))
        }
    }
}
