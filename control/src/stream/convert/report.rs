//! Reports and verdicts as they come in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    AccessState, AccountName, EndReason, Generation, GranteeKey, Incarnation, KeyId, Permission, Phase,
    Position, Residual, ResidualKind, ResourceId, ResourceKind, Revision, SealedCredential, Timestamp,
    Verdict,
};
use proto::{limits, v1};
use seal::receipt::SignedReceipt;

use super::{
    Unreadable, at_most, bytes, code, failure, id, name, optional_time, text, time, unreadable, uuid,
};
use crate::changes::sessions::Outcome;
use crate::record::{Drift, Health, Probe, Resource, Unlisted, UnlistedPart};
use crate::rules::report::{Glance, NumberedReport, Report, ResourcePage};
use crate::token::hex;

/// A report as it came.
#[derive(Debug)]
pub(in crate::stream) enum Incoming {
    /// To be committed.
    Kept(Incarnation, NumberedReport),
    /// How things are now.
    Told(Glance),
    /// Without a place, and not to be read: nothing to commit.
    Dropped(Unreadable),
}

/// Reads a report. One that has a place and cannot be read is committed unread.
pub(in crate::stream) fn incoming(wire: v1::Report, now: Timestamp) -> Result<Incoming, Unreadable> {
    let journal = uuid("journal_incarnation", &wire.journal_incarnation)?;
    let position = Position(wire.position);
    let at = time("made_at", wire.made_at).unwrap_or(now);
    let report = match wire.report {
        None => Err(unreadable("report", "is of a kind that this build does not know")),
        Some(report) => read(report),
    };
    if position == Position(0) {
        return Ok(match report {
            Ok(Report::Glance(glance)) => Incoming::Told(*glance),
            Ok(_) => Incoming::Dropped(unreadable("position", "is 0 for a report that must be kept")),
            Err(fault) => Incoming::Dropped(fault),
        });
    }
    let report = report.unwrap_or_else(|fault| Report::Unread { why: fault.to_string() });
    Ok(Incoming::Kept(journal, NumberedReport { position, at, report }))
}

fn read(report: v1::report::Report) -> Result<Report, Unreadable> {
    use v1::report::Report as Wire;
    match report {
        Wire::AccessChanged(wire) => Ok(Report::AccessChanged {
            access: id("access_id", &wire.access_id)?,
            integration: id("integration_id", &wire.integration_id)?,
            account: uuid("account_id", &wire.account_id)?,
            revision: Revision(wire.revision),
            state: state(wire.state)?,
            until: optional_time("until", wire.until)?,
            failure: failure("failure", wire.failure)?,
        }),
        Wire::CredentialSealed(wire) => credential(wire),
        Wire::AccountChanged(wire) => Ok(Report::AccountChanged {
            phase: phase(wire.phase())?,
            account: uuid("account_id", &wire.account_id)?,
            integration: id("integration_id", &wire.integration_id)?,
            grantee: id("grantee_id", &wire.grantee_id)?,
            account_name: AccountName(text("account_name", wire.account_name, limits::NAME_BYTES)?),
            failure: failure("failure", wire.failure)?,
        }),
        Wire::IntegrationHealth(wire) => health(wire).map(glance),
        Wire::ResourcePage(wire) => resources(wire).map(glance),
        Wire::DriftFound(wire) => drift(wire).map(glance),
        Wire::Receipt(wire) => receipt(wire),
        Wire::OrderRefused(wire) => Ok(Report::OrderRefused {
            incarnation: uuid("control_incarnation", &wire.control_incarnation)?,
            position: Position(wire.position),
            access: if wire.access_id.is_empty() { None } else { Some(id("access_id", &wire.access_id)?) },
            code: code("code", wire.code)?,
            detail: text("detail", wire.detail, limits::TEXT_BYTES)?,
        }),
        Wire::IntegrationRetired(wire) => {
            Ok(Report::IntegrationRetired { integration: id("integration_id", &wire.integration_id)? })
        }
        Wire::Alarm(wire) => Ok(Report::Alarm {
            integration: if wire.integration_id.is_empty() {
                None
            } else {
                Some(id("integration_id", &wire.integration_id)?)
            },
            code: code("code", wire.code)?,
            detail: text("detail", wire.detail, limits::TEXT_BYTES)?,
        }),
    }
}

fn glance(glance: Glance) -> Report {
    Report::Glance(Box::new(glance))
}

fn state(wire: Option<v1::AccessState>) -> Result<AccessState, Unreadable> {
    use v1::access_state::State;
    let state = wire.and_then(|wire| wire.state);
    let state = state.ok_or_else(|| unreadable("state", "is of a kind that this build does not know"))?;
    Ok(match state {
        State::Accepted(state) => AccessState::Accepted { since: time("since", state.since)? },
        State::Granting(state) => AccessState::Granting { since: time("since", state.since)? },
        State::Active(state) => AccessState::Active { since: time("since", state.since)? },
        State::Interrupted(state) => AccessState::Interrupted { since: time("since", state.since)? },
        State::Ending(state) => AccessState::Ending {
            reason: reason(state.reason)?,
            contained: state.contained,
            attempts: state.attempts,
            since: time("since", state.since)?,
        },
        State::Ended(state) => AccessState::Ended {
            verdict: match state.verdict() {
                v1::Verdict::Expired => Verdict::Expired,
                v1::Verdict::Revoked => Verdict::Revoked,
                v1::Verdict::Deleted => Verdict::Deleted,
                v1::Verdict::Unspecified => return Err(unreadable("verdict", "is not known")),
            },
            residual: residuals(state.residual)?,
            at: time("at", state.at)?,
        },
        State::Refused(state) => AccessState::Refused { code: code("code", state.code)? },
        State::Failed(state) => AccessState::Failed { code: code("code", state.code)? },
        State::Canceled(state) => AccessState::Canceled { at: time("at", state.at)? },
    })
}

fn reason(wire: Option<v1::EndReason>) -> Result<EndReason, Unreadable> {
    use v1::EndReasonKind as Kind;
    let wire = wire.ok_or_else(|| unreadable("reason", "is not set"))?;
    Ok(match wire.kind() {
        Kind::Deadline => EndReason::Deadline,
        Kind::Revoked => EndReason::Revoked,
        Kind::Absent => EndReason::Absent,
        Kind::AccountDeleted => EndReason::AccountDeleted,
        Kind::IntegrationRetired => EndReason::IntegrationRetired,
        Kind::BreakGlass => {
            EndReason::BreakGlass { note: text("reason.note", wire.note, limits::TEXT_BYTES)? }
        }
        Kind::Guardrail => EndReason::Guardrail,
        Kind::NotOpened => EndReason::NotOpened(code("reason.code", wire.code)?),
        Kind::Unremembered => EndReason::Unremembered,
        Kind::Unspecified => return Err(unreadable("reason.kind", "is not known")),
    })
}

fn residuals(wire: Vec<v1::Residual>) -> Result<Vec<Residual>, Unreadable> {
    at_most("residual", wire.len(), limits::RESIDUALS)?;
    wire.into_iter()
        .map(|wire| {
            let kind = match wire.kind() {
                v1::ResidualKind::Session => ResidualKind::Session,
                v1::ResidualKind::PreparedTransaction => ResidualKind::PreparedTransaction,
                v1::ResidualKind::OwnedObjects => ResidualKind::OwnedObjects,
                v1::ResidualKind::OnwardGrant => ResidualKind::OnwardGrant,
                v1::ResidualKind::ScheduledJob => ResidualKind::ScheduledJob,
                v1::ResidualKind::IssuedToken => ResidualKind::IssuedToken,
                v1::ResidualKind::PublicRights => ResidualKind::PublicRights,
                v1::ResidualKind::UnreachableNode => ResidualKind::UnreachableNode,
                v1::ResidualKind::Other => ResidualKind::Other,
                v1::ResidualKind::Unspecified => return Err(unreadable("residual.kind", "is not known")),
            };
            let ends_at = optional_time("residual.ends_at", wire.ends_at)?;
            Ok(Residual { kind, detail: text("residual.detail", wire.detail, limits::TEXT_BYTES)?, ends_at })
        })
        .collect()
}

fn phase(wire: v1::AccountPhase) -> Result<Phase, Unreadable> {
    Ok(match wire {
        v1::AccountPhase::Absent => Phase::Absent,
        v1::AccountPhase::Opening => Phase::Opening,
        v1::AccountPhase::Open => Phase::Open,
        v1::AccountPhase::Closing => Phase::Closing,
        v1::AccountPhase::Suspended => Phase::Suspended,
        v1::AccountPhase::Deleting => Phase::Deleting,
        v1::AccountPhase::Unspecified => return Err(unreadable("phase", "is not known")),
    })
}

fn credential(wire: v1::CredentialSealed) -> Result<Report, Unreadable> {
    bytes("public_key", &wire.public_key, limits::KEY_BYTES)?;
    bytes("encapsulated", &wire.encapsulated, limits::KEY_BYTES)?;
    if wire.ciphertext.is_empty() || wire.ciphertext.len() > limits::CIPHERTEXT_BYTES {
        return Err(unreadable("ciphertext", format!("has {} bytes", wire.ciphertext.len())));
    }
    at_most("connection_lines", wire.connection_lines.len(), limits::CONNECTION_LINES)?;
    let mut lines = vec![];
    for line in wire.connection_lines {
        lines.push((
            name("connection_lines.label", line.label)?,
            text("connection_lines.text", line.text, limits::TEXT_BYTES)?,
        ));
    }
    Ok(Report::CredentialSealed {
        access: id("access_id", &wire.access_id)?,
        integration: id("integration_id", &wire.integration_id)?,
        account: uuid("account_id", &wire.account_id)?,
        account_name: AccountName(name("account_name", wire.account_name)?),
        sealed: SealedCredential {
            generation: Generation(wire.generation),
            access: id("sealed_for_access_id", &wire.sealed_for_access_id)?,
            key: GranteeKey(STANDARD.encode(&wire.public_key)),
            encapsulated: STANDARD.encode(&wire.encapsulated),
            ciphertext: STANDARD.encode(&wire.ciphertext),
        },
        lines,
    })
}

fn receipt(wire: v1::Receipt) -> Result<Report, Unreadable> {
    bytes("previous_hash", &wire.previous_hash, limits::HASH_BYTES)?;
    bytes("signature", &wire.signature, limits::SIGNATURE_BYTES)?;
    if wire.body.is_empty() {
        return Err(unreadable("body", "is empty"));
    }
    if wire.number == 0 {
        return Err(unreadable("number", "is 0"));
    }
    Ok(Report::Receipt(SignedReceipt {
        integration: id("integration_id", &wire.integration_id)?,
        number: wire.number,
        previous: hex(&wire.previous_hash),
        body: text("body", wire.body, limits::RECEIPT_BYTES)?,
        key_id: KeyId(name("key_id", wire.key_id)?),
        signature: STANDARD.encode(&wire.signature),
    }))
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn health(wire: v1::IntegrationHealth) -> Result<Glance, Unreadable> {
    at_most("probes", wire.probes.len(), limits::PROBES)?;
    let state = match wire.state() {
        v1::HealthState::Unchecked => "unchecked",
        v1::HealthState::Good => "good",
        v1::HealthState::Warning => "warning",
        v1::HealthState::Bad => "bad",
        v1::HealthState::Unreachable | v1::HealthState::Unspecified => "unreachable",
        v1::HealthState::Refused => "refused",
        v1::HealthState::Retiring => "retiring",
    };
    let failure = failure("failure", wire.failure)?;
    let mut probes = vec![];
    for probe in wire.probes {
        let grade = match probe.grade() {
            v1::Grade::Good => "good",
            v1::Grade::Warning => "warning",
            v1::Grade::Bad | v1::Grade::Unspecified => "bad",
        };
        probes.push(Probe {
            name: text("probes.name", probe.name, limits::NAME_BYTES)?,
            grade: grade.into(),
            detail: text("probes.detail", probe.detail, limits::TEXT_BYTES)?,
        });
    }
    Ok(Glance::Health {
        integration: id("integration_id", &wire.integration_id)?,
        health: Health {
            state: state.into(),
            checked_at: optional_time("checked_at", wire.checked_at)?,
            revision: wire.revision,
            product: filled(text("product", wire.product, limits::NAME_BYTES)?),
            version: filled(text("version", wire.version, limits::NAME_BYTES)?),
            code: failure.as_ref().map(|failure| failure.code.to_string()),
            detail: failure.map(|failure| failure.detail),
            target_identity: filled(text("target_identity", wire.target_identity, limits::NAME_BYTES)?),
            probes,
        },
    })
}

fn resources(wire: v1::ResourcePage) -> Result<Glance, Unreadable> {
    at_most("resources", wire.resources.len(), limits::PAGE_RESOURCES)?;
    if wire.page == 0 {
        return Err(unreadable("page", "is 0"));
    }
    let mut resources = vec![];
    for found in wire.resources {
        let id = resource_id("resources.id", found.id)?;
        at_most("resources.permissions", found.permissions.len(), limits::NAME_BYTES)?;
        at_most("resources.tags", found.tags.len(), limits::LABELS)?;
        resources.push(Resource {
            id,
            permissions: found.permissions.into_iter().map(Permission).collect(),
            tags: found.tags,
        });
    }
    Ok(Glance::Resources(ResourcePage {
        integration: id("integration_id", &wire.integration_id)?,
        snapshot: name("snapshot_id", wire.snapshot_id)?,
        page: wire.page,
        resources,
        complete: wire.complete,
        unlisted: unlisted(wire.unlisted, wire.unlisted_count)?,
        failure: failure("failure", wire.failure)?,
    }))
}

fn unlisted(parts: Vec<v1::Unlisted>, count: u64) -> Result<Unlisted, Unreadable> {
    at_most("unlisted", parts.len(), limits::EXAMPLES)?;
    let mut found = vec![];
    for part in parts {
        let ResourceId { kind, path } = resource_id("unlisted.under", part.under)?;
        let failure = failure("unlisted.failure", part.failure)?;
        let failure = failure.ok_or_else(|| unreadable("unlisted.failure", "is not set"))?;
        let (code, detail) = (failure.code.to_string(), failure.detail);
        found.push(UnlistedPart { kind: kind.0, path, code, detail });
    }
    let count = count.max(u64::try_from(found.len()).unwrap_or(u64::MAX));
    Ok(Unlisted { count, parts: found })
}

fn resource_id(field: &'static str, wire: Option<v1::ResourceId>) -> Result<ResourceId, Unreadable> {
    let place = wire.ok_or_else(|| unreadable(field, "is not set"))?;
    at_most(field, place.path.len(), limits::PATH_PARTS)?;
    let path = place.path.into_iter().map(|part| name(field, part)).collect::<Result<_, _>>()?;
    Ok(ResourceId { kind: ResourceKind(name(field, place.kind)?), path })
}

fn drift(wire: v1::DriftFound) -> Result<Glance, Unreadable> {
    at_most("drifts", wire.drifts.len(), limits::LABELS)?;
    let mut drift = vec![];
    for found in wire.drifts {
        at_most("drifts.examples", found.examples.len(), limits::EXAMPLES)?;
        let kind = match found.kind() {
            v1::DriftKind::Excess => "excess",
            v1::DriftKind::Ghost => "ghost",
            v1::DriftKind::Vanished => "vanished",
            v1::DriftKind::Tampered => "tampered",
            v1::DriftKind::Foreign => "foreign",
            v1::DriftKind::WiderRole => "wider_role",
            v1::DriftKind::Interrupted => "interrupted",
            v1::DriftKind::Renamed => "renamed",
            v1::DriftKind::Unspecified => "other",
        };
        drift.push(Drift {
            kind: kind.into(),
            count: found.count,
            examples: found.examples,
            detail: text("drifts.detail", found.detail, limits::TEXT_BYTES)?,
            being_removed: found.being_removed,
        });
    }
    Ok(Glance::Drift {
        integration: id("integration_id", &wire.integration_id)?,
        surveyed_at: time("surveyed_at", wire.surveyed_at)?,
        drift,
    })
}

/// Reads what became of a standing list: whether it was taken whole, and why not.
pub(in crate::stream) fn verdict(wire: v1::StandingVerdict) -> Result<(Outcome, String), Unreadable> {
    let outcome = match wire.outcome() {
        v1::StandingOutcome::Taken => Outcome::Taken,
        v1::StandingOutcome::Misread | v1::StandingOutcome::Unspecified => Outcome::Misread,
    };
    Ok((outcome, text("detail", wire.detail, limits::TEXT_BYTES)?))
}
