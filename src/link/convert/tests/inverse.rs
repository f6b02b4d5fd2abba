//! The other direction, as a control plane has it: orders to the wire, reports from it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    AccessState, AccountName, Certainty, Code, EndReason, EntitlementSet, Failure, Generation, GranteeKey,
    Incarnation, Phase, Position, Residual, ResidualKind, Retry, Revision, SealedCredential, Timestamp,
    Verdict,
};
use prost_types::Timestamp as WireTime;
use proto::v1;
use rules::{ConnectionLine, NumberedOrder, Order, Report};
use seal::receipt::SignedReceipt;

use crate::link::convert::words::{need_time, read_span, read_time, time};
use crate::link::convert::{Fault, id, optional_id, uuid};

pub(super) fn order(numbered: &NumberedOrder) -> v1::Order {
    v1::Order {
        control_incarnation: numbered.incarnation.to_string(),
        position: numbered.position.0,
        issued_at: None,
        order: Some(ordered(numbered.order.clone())),
    }
}

fn raw(key: &GranteeKey) -> Vec<u8> {
    STANDARD.decode(&key.0).unwrap()
}

fn policy(policy: model::Policy) -> v1::Policy {
    v1::Policy {
        credentials_rotation_period_in_days: policy.credentials_rotation_period_in_days,
        credentials_cleanup_period_in_days: policy.credentials_cleanup_period_in_days,
    }
}

fn entitlements(set: EntitlementSet) -> Vec<v1::Entitlement> {
    let one = |entitlement: model::Entitlement| v1::Entitlement {
        resource: Some(v1::ResourceId { kind: entitlement.resource.kind.0, path: entitlement.resource.path }),
        permission: entitlement.permission.0,
    };
    set.into_iter().map(one).collect()
}

fn ordered(order: Order) -> v1::order::Order {
    use v1::order::Order as Wire;
    let or_all =
        |integration: Option<model::IntegrationId>| integration.map(String::from).unwrap_or_default();
    match order {
        Order::PutIntegration(found) => Wire::PutIntegration(v1::PutIntegration {
            integration_id: found.id.into(),
            revision: found.revision.0,
            kind: found.kind.0,
            settings: found.settings,
            secret_reference: found.secret.0,
            policy: Some(policy(found.policy)),
        }),
        Order::RetireIntegration { integration } => {
            Wire::RetireIntegration(v1::RetireIntegration { integration_id: integration.into() })
        }
        Order::PutAccess(access) => Wire::PutAccess(v1::PutAccess {
            access_id: access.id.into(),
            revision: access.revision.0,
            integration_id: access.integration.into(),
            grantee: Some(v1::Grantee {
                id: access.grantee.id.into(),
                hint: access.grantee.hint,
                public_key: raw(&access.grantee.key),
            }),
            entitlements: entitlements(access.entitlements),
            from: Some(time(access.from)),
            until: Some(time(access.until)),
            approval_id: access.approval.unwrap_or_default(),
        }),
        Order::EndAccess { access } => Wire::EndAccess(v1::EndAccess { access_id: access.into() }),
        Order::RotateAccount { integration, grantee, key } => Wire::RotateAccount(v1::RotateAccount {
            integration_id: integration.into(),
            grantee_id: grantee.into(),
            public_key: key.as_ref().map(raw),
        }),
        Order::DeleteAccount { integration, grantee } => Wire::DeleteAccount(v1::DeleteAccount {
            integration_id: integration.into(),
            grantee_id: grantee.into(),
        }),
        Order::CheckNow { integration } => {
            Wire::CheckNow(v1::CheckNow { integration_id: integration.into() })
        }
        Order::DiscoverNow { integration } => {
            Wire::DiscoverNow(v1::DiscoverNow { integration_id: integration.into() })
        }
        Order::SurveyNow { integration } => {
            Wire::SurveyNow(v1::SurveyNow { integration_id: integration.into() })
        }
        Order::CancelEnding { access } => Wire::CancelEnding(v1::CancelEnding { access_id: access.into() }),
        Order::Pause { integration } => Wire::Pause(v1::Pause { integration_id: or_all(integration) }),
        Order::Resume { integration } => Wire::Resume(v1::Resume { integration_id: or_all(integration) }),
        Order::SetPolicy { policy: found } => Wire::SetPolicy(v1::SetPolicy { policy: Some(policy(found)) }),
    }
}

/// Reads a report, and refuses what it does not know.
pub(super) fn report(wire: v1::Report) -> Result<(Incarnation, Position, Report), Fault> {
    let at = read_time("made_at", wire.made_at)?;
    let told = wire.report.ok_or(Fault::UnknownKind { field: "report" })?;
    let incarnation = uuid("journal_incarnation", &wire.journal_incarnation)?;
    Ok((incarnation, Position(wire.position), told_of(told, at)?))
}

fn told_of(told: v1::report::Report, at: Option<Timestamp>) -> Result<Report, Fault> {
    use v1::report::Report as Wire;
    let made_at = || at.ok_or(Fault::Missing { field: "made_at" });
    Ok(match told {
        Wire::AccessChanged(wire) => Report::AccessChanged {
            access: id("access_id", &wire.access_id)?,
            integration: id("integration_id", &wire.integration_id)?,
            account: uuid("account_id", &wire.account_id)?,
            revision: Revision(wire.revision),
            state: access_state(wire.state.and_then(|state| state.state))?,
            until: wire.until.map(|until| need_time("until", Some(until))).transpose()?,
            failure: wire.failure.map(failure).transpose()?,
            at: made_at()?,
        },
        Wire::CredentialSealed(wire) => Report::CredentialSealed {
            access: id("access_id", &wire.access_id)?,
            integration: id("integration_id", &wire.integration_id)?,
            account: uuid("account_id", &wire.account_id)?,
            account_name: AccountName(wire.account_name),
            sealed: SealedCredential {
                generation: Generation(wire.generation),
                access: id("sealed_for_access_id", &wire.sealed_for_access_id)?,
                key: GranteeKey(STANDARD.encode(wire.public_key)),
                encapsulated: STANDARD.encode(wire.encapsulated),
                ciphertext: STANDARD.encode(wire.ciphertext),
            },
            lines: wire
                .connection_lines
                .into_iter()
                .map(|line| ConnectionLine { label: line.label, text: line.text })
                .collect(),
            at: made_at()?,
        },
        Wire::AccountChanged(wire) => Report::AccountChanged {
            account: uuid("account_id", &wire.account_id)?,
            integration: id("integration_id", &wire.integration_id)?,
            grantee: id("grantee_id", &wire.grantee_id)?,
            phase: phase(wire.phase())?,
            account_name: AccountName(wire.account_name),
            failure: wire.failure.map(failure).transpose()?,
            at: made_at()?,
        },
        Wire::OrderRefused(wire) => Report::OrderRefused {
            incarnation: uuid("control_incarnation", &wire.control_incarnation)?,
            position: Position(wire.position),
            access: optional_id("access_id", &wire.access_id)?,
            code: Code::other(wire.code),
            detail: wire.detail,
            at: made_at()?,
        },
        Wire::Receipt(wire) => receipt(wire)?,
        Wire::IntegrationRetired(wire) => Report::IntegrationRetired {
            integration: id("integration_id", &wire.integration_id)?,
            at: made_at()?,
        },
        Wire::Alarm(wire) => Report::Alarm {
            integration: optional_id("integration_id", &wire.integration_id)?,
            code: Code::other(wire.code),
            detail: wire.detail,
            at: made_at()?,
        },
        // Not numbered: never among the rules' reports.
        Wire::IntegrationHealth(_) | Wire::ResourcePage(_) | Wire::DriftFound(_) => {
            return Err(Fault::UnknownKind { field: "report" });
        }
    })
}

fn receipt(wire: v1::Receipt) -> Result<Report, Fault> {
    let receipt = SignedReceipt {
        integration: id("integration_id", &wire.integration_id)?,
        number: wire.number,
        previous: wire.previous_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        body: wire.body,
        key_id: model::KeyId(wire.key_id),
        signature: STANDARD.encode(wire.signature),
    };
    let signed =
        serde_json::to_string(&receipt).map_err(|_| Fault::Unreadable { field: "receipt", reason: "" })?;
    Ok(Report::Receipt { integration: receipt.integration, number: receipt.number, signed })
}

fn access_state(state: Option<v1::access_state::State>) -> Result<AccessState, Fault> {
    use v1::access_state::State;
    let when = |wire: Option<WireTime>| need_time("access_state.time", wire);
    Ok(match state.ok_or(Fault::UnknownKind { field: "access_state" })? {
        State::Accepted(wire) => AccessState::Accepted { since: when(wire.since)? },
        State::Granting(wire) => AccessState::Granting { since: when(wire.since)? },
        State::Active(wire) => AccessState::Active { since: when(wire.since)? },
        State::Interrupted(wire) => AccessState::Interrupted { since: when(wire.since)? },
        State::Ending(wire) => AccessState::Ending {
            reason: end_reason(wire.reason.unwrap_or_default())?,
            contained: wire.contained,
            attempts: wire.attempts,
            since: when(wire.since)?,
        },
        State::Ended(wire) => AccessState::Ended {
            verdict: match wire.verdict() {
                v1::Verdict::Expired => Verdict::Expired,
                v1::Verdict::Revoked => Verdict::Revoked,
                v1::Verdict::Deleted => Verdict::Deleted,
                v1::Verdict::Unspecified => return Err(Fault::UnknownKind { field: "verdict" }),
            },
            residual: wire.residual.into_iter().map(residual).collect::<Result<_, _>>()?,
            at: when(wire.at)?,
        },
        State::Refused(wire) => AccessState::Refused { code: Code::other(wire.code) },
        State::Failed(wire) => AccessState::Failed { code: Code::other(wire.code) },
        State::Canceled(wire) => AccessState::Canceled { at: when(wire.at)? },
    })
}

fn end_reason(wire: v1::EndReason) -> Result<EndReason, Fault> {
    use v1::EndReasonKind as Kind;
    Ok(match wire.kind() {
        Kind::Deadline => EndReason::Deadline,
        Kind::Revoked => EndReason::Revoked,
        Kind::Absent => EndReason::Absent,
        Kind::AccountDeleted => EndReason::AccountDeleted,
        Kind::IntegrationRetired => EndReason::IntegrationRetired,
        Kind::BreakGlass => EndReason::BreakGlass { note: wire.note },
        Kind::Guardrail => EndReason::Guardrail,
        Kind::NotOpened => EndReason::NotOpened(Code::other(wire.code)),
        Kind::Unremembered => EndReason::Unremembered,
        Kind::Unspecified => return Err(Fault::UnknownKind { field: "end_reason" }),
    })
}

fn residual(wire: v1::Residual) -> Result<Residual, Fault> {
    use v1::ResidualKind as Kind;
    let kind = match wire.kind() {
        Kind::Session => ResidualKind::Session,
        Kind::PreparedTransaction => ResidualKind::PreparedTransaction,
        Kind::OwnedObjects => ResidualKind::OwnedObjects,
        Kind::OnwardGrant => ResidualKind::OnwardGrant,
        Kind::ScheduledJob => ResidualKind::ScheduledJob,
        Kind::IssuedToken => ResidualKind::IssuedToken,
        Kind::PublicRights => ResidualKind::PublicRights,
        Kind::UnreachableNode => ResidualKind::UnreachableNode,
        Kind::Other => ResidualKind::Other,
        Kind::Unspecified => return Err(Fault::UnknownKind { field: "residual" }),
    };
    Ok(Residual { kind, detail: wire.detail, ends_at: read_time("residual.ends_at", wire.ends_at)? })
}

fn phase(wire: v1::AccountPhase) -> Result<Phase, Fault> {
    Ok(match wire {
        v1::AccountPhase::Absent => Phase::Absent,
        v1::AccountPhase::Opening => Phase::Opening,
        v1::AccountPhase::Open => Phase::Open,
        v1::AccountPhase::Closing => Phase::Closing,
        v1::AccountPhase::Suspended => Phase::Suspended,
        v1::AccountPhase::Deleting => Phase::Deleting,
        v1::AccountPhase::Unspecified => return Err(Fault::UnknownKind { field: "phase" }),
    })
}

fn failure(wire: v1::Failure) -> Result<Failure, Fault> {
    let certainty = match wire.certainty() {
        v1::Certainty::Refused => Certainty::Refused,
        v1::Certainty::NotDone => Certainty::NotDone,
        v1::Certainty::Unspecified | v1::Certainty::Unknown => Certainty::Unknown,
    };
    let retry = match wire.retry() {
        v1::Retry::Never => Retry::Never,
        v1::Retry::Unspecified | v1::Retry::Backoff => Retry::Backoff,
        v1::Retry::After => {
            Retry::After(read_span("failure.retry_after", wire.retry_after)?.unwrap_or_default())
        }
        v1::Retry::AfterNewSecret => Retry::AfterNewSecret,
        v1::Retry::NeedsHuman => Retry::NeedsHuman,
    };
    Ok(Failure { certainty, retry, code: Code::other(wire.code), detail: wire.detail })
}
