//! Reports as the control plane understands them: what an agent says happened.

use model::{
    AccessId, AccessState, AccountId, AccountName, Code, Failure, GranteeId, Incarnation, IntegrationId,
    Phase, Position, Revision, SealedCredential, Timestamp,
};
use seal::receipt::SignedReceipt;

use crate::record::{Drift, Health, Resource, Unlisted};

/// A report that the agent keeps until it is committed here.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    AccessChanged {
        access: AccessId,
        integration: IntegrationId,
        account: AccountId,
        revision: Revision,
        state: AccessState,
        until: Option<Timestamp>,
        failure: Option<Failure>,
    },
    CredentialSealed {
        access: AccessId,
        integration: IntegrationId,
        account: AccountId,
        account_name: AccountName,
        sealed: SealedCredential,
        /// Label and text.
        lines: Vec<(String, String)>,
    },
    AccountChanged {
        account: AccountId,
        integration: IntegrationId,
        grantee: GranteeId,
        account_name: AccountName,
        phase: Phase,
        failure: Option<Failure>,
    },
    Receipt(SignedReceipt),
    OrderRefused {
        incarnation: Incarnation,
        position: Position,
        access: Option<AccessId>,
        code: Code,
        detail: String,
    },
    IntegrationRetired {
        integration: IntegrationId,
    },
    Alarm {
        integration: Option<IntegrationId>,
        code: Code,
        detail: String,
    },
    /// How things are, with a place all the same.
    Glance(Box<Glance>),
    /// It cannot be read: committed all the same, and shown.
    Unread {
        why: String,
    },
}

/// A report with its place in a journal's reports.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedReport {
    pub position: Position,
    /// The agent's time.
    pub at: Timestamp,
    pub report: Report,
}

/// A report of how things are now; not kept by the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Glance {
    Health { integration: IntegrationId, health: Health },
    Resources(ResourcePage),
    Drift { integration: IntegrationId, surveyed_at: Timestamp, drift: Vec<Drift> },
}

/// A page of a snapshot of resources.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourcePage {
    pub integration: IntegrationId,
    pub snapshot: String,
    /// From 1.
    pub page: u32,
    pub resources: Vec<Resource>,
    pub complete: bool,
    /// On the last page.
    pub unlisted: Unlisted,
    /// Why the snapshot stops here without being whole.
    pub failure: Option<Failure>,
}
