//! Reports: what the agent tells the control plane, numbered within the journal's incarnation.

use model::{
    AccessId, AccessState, AccountId, AccountName, Code, Failure, GranteeId, Incarnation, IntegrationId,
    Phase, Position, Revision, SealedCredential, Timestamp,
};
use serde::{Deserialize, Serialize};

/// How a grantee connects; never with a credential inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionLine {
    pub label: String,
    pub text: String,
}

/// A durable report: kept until the control plane has committed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum Report {
    AccessChanged {
        access: AccessId,
        integration: IntegrationId,
        account: AccountId,
        revision: Revision,
        state: AccessState,
        /// The deadline that it is held to here: earlier than the ordered one where a guardrail says so.
        #[serde(default)]
        until: Option<Timestamp>,
        /// The latest failure that explains the state, if any.
        failure: Option<Failure>,
        at: Timestamp,
    },
    CredentialSealed {
        access: AccessId,
        integration: IntegrationId,
        account: AccountId,
        account_name: AccountName,
        sealed: SealedCredential,
        lines: Vec<ConnectionLine>,
        at: Timestamp,
    },
    AccountChanged {
        account: AccountId,
        integration: IntegrationId,
        grantee: GranteeId,
        account_name: AccountName,
        phase: Phase,
        failure: Option<Failure>,
        at: Timestamp,
    },
    OrderRefused {
        incarnation: Incarnation,
        position: Position,
        access: Option<AccessId>,
        code: Code,
        detail: String,
        at: Timestamp,
    },
    /// A signed receipt, exactly as it was signed.
    Receipt {
        integration: IntegrationId,
        number: u64,
        signed: String,
    },
    IntegrationRetired {
        integration: IntegrationId,
        at: Timestamp,
    },
    Alarm {
        integration: Option<IntegrationId>,
        code: Code,
        detail: String,
        at: Timestamp,
    },
}
