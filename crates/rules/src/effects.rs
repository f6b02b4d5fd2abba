//! What a change of one account gives rise to: reports, receipts and alarms, in order.

use model::{
    Access, AccessId, AccessState, Code, Deed, EntitlementSet, Failure, IntegrationId, Observed, ReceiptBody,
    Residual, Timestamp,
};

use crate::account::AccountRecord;
use crate::report::Report;

/// Something to tell, in the order of its making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tale {
    Report(Report),
    Receipt(ReceiptBody),
}

/// What is to be told because of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    pub tales: Vec<Tale>,
}

impl Effects {
    /// Tells that an access changed.
    pub fn access(
        &mut self,
        record: &AccountRecord,
        access: &Access,
        failure: Option<Failure>,
        at: Timestamp,
    ) {
        self.tales.push(Tale::Report(Report::AccessChanged {
            access: access.id.clone(),
            integration: record.account.integration.clone(),
            account: record.account.id,
            revision: access.revision,
            state: access.state.clone(),
            until: Some(access.until),
            failure,
            at,
        }));
    }

    /// Tells how an account stands.
    pub fn account(&mut self, record: &AccountRecord, at: Timestamp) {
        self.tales.push(Tale::Report(Report::AccountChanged {
            account: record.account.id,
            integration: record.account.integration.clone(),
            grantee: record.account.grantee.clone(),
            account_name: record.account.name.clone(),
            phase: record.phase,
            failure: record.failure.clone(),
            at,
        }));
    }

    /// Releases the sealed credential to an access, if it is sealed to the grantee's present key.
    pub fn credential(&mut self, record: &AccountRecord, access: &AccessId, at: Timestamp) {
        let Some(credential) = record.credential.as_ref().filter(|credential| credential.set) else { return };
        // Another key: the grantee asks for a new credential, which tells them that the old one stops.
        let Some(sealed) = credential.sealed.as_ref().filter(|sealed| sealed.key == record.key) else {
            return;
        };
        self.tales.push(Tale::Report(Report::CredentialSealed {
            access: access.clone(),
            integration: record.account.integration.clone(),
            account: record.account.id,
            account_name: record.account.name.clone(),
            sealed: sealed.clone(),
            lines: credential.lines.clone(),
            at,
        }));
    }

    /// Raises an alarm for a person.
    pub fn alarm(
        &mut self,
        integration: Option<&IntegrationId>,
        code: Code,
        detail: impl Into<String>,
        at: Timestamp,
    ) {
        self.tales.push(Tale::Report(Report::Alarm {
            integration: integration.cloned(),
            code,
            detail: detail.into(),
            at,
        }));
    }

    /// States what was done and what was read back.
    pub fn receipt(
        &mut self,
        record: &AccountRecord,
        access: Option<&Access>,
        deed: Deed,
        observed: Option<&Observed>,
        at: Timestamp,
    ) {
        let residual = observed.map_or_else(Vec::new, residual_of);
        self.tales.push(Tale::Receipt(ReceiptBody {
            at,
            integration: record.account.integration.clone(),
            target: record.target.clone(),
            account: Some(record.account.id),
            account_name: Some(record.account.name.clone()),
            immutable: record.account.immutable.clone(),
            grantee: Some(record.account.grantee.clone()),
            access: access.map(|access| access.id.clone()),
            deed,
            read_back: observed.map(Into::into),
            residual,
            recorded_late: false,
            life: None,
        }));
    }
}

/// Returns what an observation says may outlive a close.
pub fn residual_of(observed: &Observed) -> Vec<Residual> {
    observed.account.as_ref().map_or_else(Vec::new, |found| found.residual.clone())
}

/// Returns the receipt's deed for an access that has been seen ended; `None` when it did not end.
pub fn deed_of(access: &Access, reason: &model::EndReason) -> Option<Deed> {
    match &access.state {
        AccessState::Ended { verdict, .. } => Some(Deed::Ended {
            verdict: *verdict,
            reason: reason.clone(),
            entitlements: access.entitlements.clone(),
        }),
        AccessState::Failed { code } => Some(Deed::Undone { code: code.clone() }),
        AccessState::Canceled { .. } => Some(Deed::Canceled),
        AccessState::Accepted { .. }
        | AccessState::Granting { .. }
        | AccessState::Active { .. }
        | AccessState::Interrupted { .. }
        | AccessState::Ending { .. }
        | AccessState::Refused { .. } => None,
    }
}

/// Returns the set as a short text for people.
pub fn in_words(set: &EntitlementSet) -> String {
    let mut words: Vec<_> = set.iter().take(3).map(ToString::to_string).collect();
    if set.len() > words.len() {
        words.push(format!("and {} more", set.len() - words.len()));
    }
    words.join(", ")
}
