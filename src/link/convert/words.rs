//! The words that orders, reports and greetings share, in both directions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    Certainty, Entitlement, EntitlementSet, Failure, GranteeKey, Policy, Residual, ResidualKind, ResourceId,
    ResourceKind, Retry, Span, Timestamp,
};
use proto::{limits, v1};

use super::{Fault, at_most, cut, exactly, name};

const NANOS_PER_MILLI: i64 = 1_000_000;
const MILLIS_PER_SECOND: i64 = 1000;

/// Puts a time on the wire.
pub(crate) fn time(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = parts(time.as_millis());
    prost_types::Timestamp { seconds, nanos }
}

/// Puts a length of time on the wire.
pub(crate) fn span(span: Span) -> prost_types::Duration {
    let (seconds, nanos) = parts(span.as_millis());
    prost_types::Duration { seconds, nanos }
}

fn parts(millis: i64) -> (i64, i32) {
    let nanos = millis.rem_euclid(MILLIS_PER_SECOND) * NANOS_PER_MILLI;
    (millis.div_euclid(MILLIS_PER_SECOND), i32::try_from(nanos).unwrap_or_default())
}

/// Reads a time; what is finer than a millisecond is cut off.
pub(super) fn read_time(
    field: &'static str,
    wire: Option<prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Fault> {
    let Some(wire) = wire else { return Ok(None) };
    let fault = Fault::Time { field };
    let nanos = i64::from(wire.nanos);
    if !(0..MILLIS_PER_SECOND * NANOS_PER_MILLI).contains(&nanos) {
        return Err(fault);
    }
    let millis =
        wire.seconds.checked_mul(MILLIS_PER_SECOND).and_then(|ms| ms.checked_add(nanos / NANOS_PER_MILLI));
    match millis {
        Some(millis) if (0..=Timestamp::NEVER.as_millis()).contains(&millis) => {
            Ok(Some(Timestamp::from_millis(millis)))
        }
        Some(_) | None => Err(fault),
    }
}

/// Reads a time that must be there.
pub(super) fn need_time(
    field: &'static str,
    wire: Option<prost_types::Timestamp>,
) -> Result<Timestamp, Fault> {
    read_time(field, wire)?.ok_or(Fault::Missing { field })
}

/// Reads a length of time; what is finer than a millisecond is cut off.
pub(super) fn read_span(
    field: &'static str,
    wire: Option<prost_types::Duration>,
) -> Result<Option<Span>, Fault> {
    let Some(wire) = wire else { return Ok(None) };
    let nanos = i64::from(wire.nanos);
    if wire.seconds < 0 || !(0..MILLIS_PER_SECOND * NANOS_PER_MILLI).contains(&nanos) {
        return Err(Fault::Span { field });
    }
    let millis = wire.seconds.saturating_mul(MILLIS_PER_SECOND).saturating_add(nanos / NANOS_PER_MILLI);
    Ok(Some(Span::from_millis(millis)))
}

/// Reads a policy; unset is a policy that sets nothing.
pub(super) fn read_policy(wire: Option<v1::Policy>) -> Policy {
    let wire = wire.unwrap_or_default();
    Policy {
        credentials_rotation_period_in_days: wire.credentials_rotation_period_in_days,
        credentials_cleanup_period_in_days: wire.credentials_cleanup_period_in_days,
    }
}

/// Reads a grantee's public key into its one text form.
pub(super) fn read_key(field: &'static str, wire: &[u8]) -> Result<GranteeKey, Fault> {
    let bytes = exactly::<{ limits::KEY_BYTES }>(field, wire)?;
    Ok(GranteeKey(STANDARD.encode(bytes)))
}

/// Reads what is wanted, the whole of it.
pub(super) fn read_entitlements(wire: Vec<v1::Entitlement>) -> Result<EntitlementSet, Fault> {
    const FIELD: &str = "put_access.entitlements";
    if wire.is_empty() {
        return Err(Fault::Missing { field: FIELD });
    }
    let mut bytes = 0_usize;
    let mut wanted = EntitlementSet::nothing();
    for entitlement in at_most(FIELD, wire, limits::ENTITLEMENTS)? {
        let entitlement = read_entitlement(entitlement)?;
        bytes = bytes.saturating_add(bytes_of(&entitlement));
        wanted.insert(entitlement);
    }
    if bytes > limits::ENTITLEMENT_BYTES {
        return Err(Fault::TooLong { field: FIELD, found: bytes, most: limits::ENTITLEMENT_BYTES });
    }
    Ok(wanted)
}

fn bytes_of(entitlement: &Entitlement) -> usize {
    let path: usize = entitlement.resource.path.iter().map(String::len).sum();
    entitlement.resource.kind.0.len() + path + entitlement.permission.0.len()
}

fn read_entitlement(wire: v1::Entitlement) -> Result<Entitlement, Fault> {
    let resource = wire.resource.ok_or(Fault::Missing { field: "put_access.entitlements.resource" })?;
    let path = at_most("put_access.entitlements.resource.path", resource.path, limits::PATH_PARTS)?;
    Ok(Entitlement {
        resource: ResourceId {
            kind: ResourceKind(name("put_access.entitlements.resource.kind", resource.kind)?),
            path: path
                .into_iter()
                .map(|part| name("put_access.entitlements.resource.path", part))
                .collect::<Result<_, _>>()?,
        },
        permission: model::Permission(name("put_access.entitlements.permission", wire.permission)?),
    })
}

/// Puts a failure on the wire.
pub(crate) fn failure(failure: &Failure) -> v1::Failure {
    let certainty = match failure.certainty {
        Certainty::Refused => v1::Certainty::Refused,
        Certainty::NotDone => v1::Certainty::NotDone,
        Certainty::Unknown => v1::Certainty::Unknown,
    };
    let (retry, after) = match failure.retry {
        Retry::Never => (v1::Retry::Never, None),
        Retry::Backoff => (v1::Retry::Backoff, None),
        Retry::After(after) => (v1::Retry::After, Some(span(after))),
        Retry::AfterNewSecret => (v1::Retry::AfterNewSecret, None),
        Retry::NeedsHuman => (v1::Retry::NeedsHuman, None),
    };
    v1::Failure {
        certainty: certainty.into(),
        retry: retry.into(),
        retry_after: after,
        code: cut(failure.code.as_str(), limits::NAME_BYTES),
        detail: cut(&failure.detail, limits::TEXT_BYTES),
    }
}

/// Puts what may outlive a close on the wire. A list that is too long says itself that it was cut: an
/// empty or short one is a claim.
pub(super) fn residuals(residuals: &[Residual]) -> Vec<v1::Residual> {
    if residuals.len() <= limits::RESIDUALS {
        return residuals.iter().map(residual).collect();
    }
    let shown = limits::RESIDUALS - 1;
    let mut wire: Vec<_> = residuals.iter().take(shown).map(residual).collect();
    wire.push(v1::Residual {
        kind: v1::ResidualKind::Other.into(),
        detail: format!("{} more that are not shown here: the receipt has all", residuals.len() - shown),
        ends_at: None,
    });
    wire
}

fn residual(residual: &Residual) -> v1::Residual {
    v1::Residual {
        kind: residual_kind(residual.kind).into(),
        detail: cut(&residual.detail, limits::TEXT_BYTES),
        ends_at: residual.ends_at.map(time),
    }
}

/// Puts a kind of residual on the wire.
pub(super) const fn residual_kind(kind: ResidualKind) -> v1::ResidualKind {
    match kind {
        ResidualKind::Session => v1::ResidualKind::Session,
        ResidualKind::PreparedTransaction => v1::ResidualKind::PreparedTransaction,
        ResidualKind::OwnedObjects => v1::ResidualKind::OwnedObjects,
        ResidualKind::OnwardGrant => v1::ResidualKind::OnwardGrant,
        ResidualKind::ScheduledJob => v1::ResidualKind::ScheduledJob,
        ResidualKind::IssuedToken => v1::ResidualKind::IssuedToken,
        ResidualKind::PublicRights => v1::ResidualKind::PublicRights,
        ResidualKind::UnreachableNode => v1::ResidualKind::UnreachableNode,
        ResidualKind::Other => v1::ResidualKind::Other,
    }
}
