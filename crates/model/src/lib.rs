//! The words of Tidegate: ids, time, secrets, accounts, accesses, failures, receipts.
//!
//! Floor 0. Nothing here does I/O, asks for the time or knows a runtime; every other package speaks in
//! these types. Words are those of `ARCHITECTURE.md`, the same in code, wire, logs, docs and UI.

pub mod access;
pub mod account;
pub mod credential;
pub mod durable;
pub mod entitlement;
pub mod failure;
pub mod id;
pub mod integration;
pub mod mark;
pub mod observed;
pub mod receipt;
pub mod secret;
pub mod time;
pub mod towards;

pub use access::{Access, AccessState, EndReason, Ordered, Verdict};
pub use account::{Account, AccountName, AccountRef, ImmutableId, Ownership, Phase};
pub use credential::{Generation, GranteeKey, NewCredential, SealedCredential, Verifier};
pub use durable::{BatchId, CloseOnly, Durable};
pub use entitlement::{Entitlement, EntitlementSet, Permission, ResourceId, ResourceKind};
pub use failure::{Certainty, Code, Failure, Retry};
pub use id::{
    AccessId, AccountId, ConnectorId, GranteeId, Incarnation, InstanceId, IntegrationId, Position, Revision,
};
pub use integration::{DriverKind, Integration, Lifecycle, Policy, SecretReference};
pub use mark::{EntitlementDeadline, KeyId, Mark, MarkState};
pub use observed::{Login, Observed, Residual, ResidualKind, Rung, Sighting, TargetIdentity};
pub use receipt::{Deed, ReadBack, ReceiptBody};
pub use secret::Secret;
pub use time::{Span, Timestamp};
pub use towards::Towards;
