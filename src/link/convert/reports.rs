//! Reports, to the wire.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    AccessState, Code, EndReason, Incarnation, IntegrationId, Phase, Position, SealedCredential, Timestamp,
    Verdict,
};
use proto::{limits, v1};
use rules::{ConnectionLine, Report};
use seal::receipt::SignedReceipt;

use super::words::{failure, residuals, time};
use super::{Fault, cut, exactly, text};

type Told = v1::report::Report;

/// Puts a report on the wire. One that cannot be put there becomes an alarm in its place: the control
/// plane is told, its position is used, and what it held stays in the journal.
pub(crate) fn report(incarnation: Incarnation, position: Position, report: &Report) -> v1::Report {
    let (told, at) = match tell(report) {
        Ok(told) => told,
        Err(Unsendable { integration, fault, at }) => (
            alarm(
                Some(&integration),
                &Code::REPORT_UNSENDABLE,
                &format!("{fault}; the report is in the agent's journal: look there"),
            ),
            at,
        ),
    };
    v1::Report {
        journal_incarnation: incarnation.to_string(),
        position: position.0,
        made_at: at.map(time),
        report: Some(told),
    }
}

struct Unsendable {
    integration: IntegrationId,
    fault: Fault,
    at: Option<Timestamp>,
}

fn tell(report: &Report) -> Result<(Told, Option<Timestamp>), Unsendable> {
    Ok(match report {
        Report::AccessChanged {
            access,
            integration,
            account,
            revision,
            state,
            until,
            failure: failed,
            at,
        } => (
            Told::AccessChanged(v1::AccessChanged {
                access_id: access.to_string(),
                integration_id: integration.to_string(),
                account_id: account.to_string(),
                revision: revision.0,
                state: Some(v1::AccessState { state: Some(access_state(state)) }),
                failure: failed.as_ref().map(failure),
                until: until.map(time),
            }),
            Some(*at),
        ),
        Report::CredentialSealed { access, integration, account, account_name, sealed, lines, at } => {
            let wire = v1::CredentialSealed {
                access_id: access.to_string(),
                integration_id: integration.to_string(),
                account_id: account.to_string(),
                account_name: account_name.0.clone(),
                connection_lines: connection_lines(lines),
                ..v1::CredentialSealed::default()
            };
            let wire = with_sealed(wire, sealed).map_err(|fault| Unsendable {
                integration: integration.clone(),
                fault,
                at: Some(*at),
            })?;
            (Told::CredentialSealed(wire), Some(*at))
        }
        Report::AccountChanged {
            account,
            integration,
            grantee,
            account_name,
            phase,
            failure: failed,
            at,
        } => (
            Told::AccountChanged(v1::AccountChanged {
                account_id: account.to_string(),
                integration_id: integration.to_string(),
                grantee_id: grantee.to_string(),
                account_name: account_name.0.clone(),
                phase: account_phase(*phase).into(),
                failure: failed.as_ref().map(failure),
            }),
            Some(*at),
        ),
        Report::OrderRefused { incarnation, position, access, code, detail, at } => (
            Told::OrderRefused(v1::OrderRefused {
                control_incarnation: incarnation.to_string(),
                position: position.0,
                access_id: access.as_ref().map(ToString::to_string).unwrap_or_default(),
                code: cut(code.as_str(), limits::NAME_BYTES),
                detail: cut(detail, limits::TEXT_BYTES),
            }),
            Some(*at),
        ),
        Report::Receipt { integration, number: _, signed } => receipt(signed)
            .map_err(|fault| Unsendable { integration: integration.clone(), fault, at: None })?,
        Report::IntegrationRetired { integration, at } => (
            Told::IntegrationRetired(v1::IntegrationRetired { integration_id: integration.to_string() }),
            Some(*at),
        ),
        Report::Alarm { integration, code, detail, at } => {
            (alarm(integration.as_ref(), code, detail), Some(*at))
        }
    })
}

fn alarm(integration: Option<&IntegrationId>, code: &Code, detail: &str) -> Told {
    Told::Alarm(v1::Alarm {
        integration_id: integration.map(ToString::to_string).unwrap_or_default(),
        code: cut(code.as_str(), limits::NAME_BYTES),
        detail: cut(detail, limits::TEXT_BYTES),
    })
}

fn access_state(state: &AccessState) -> v1::access_state::State {
    use v1::access_state::{
        Accepted, Active, Canceled, Ended, Ending, Failed, Granting, Interrupted, Refused, State,
    };
    match state {
        AccessState::Accepted { since } => State::Accepted(Accepted { since: Some(time(*since)) }),
        AccessState::Granting { since } => State::Granting(Granting { since: Some(time(*since)) }),
        AccessState::Active { since } => State::Active(Active { since: Some(time(*since)) }),
        AccessState::Interrupted { since } => State::Interrupted(Interrupted { since: Some(time(*since)) }),
        AccessState::Ending { reason, contained, attempts, since } => State::Ending(Ending {
            reason: Some(end_reason(reason)),
            contained: *contained,
            attempts: *attempts,
            since: Some(time(*since)),
        }),
        AccessState::Ended { verdict, residual, at } => State::Ended(Ended {
            verdict: end_verdict(*verdict).into(),
            residual: residuals(residual),
            at: Some(time(*at)),
        }),
        AccessState::Refused { code } => {
            State::Refused(Refused { code: cut(code.as_str(), limits::NAME_BYTES) })
        }
        AccessState::Failed { code } => {
            State::Failed(Failed { code: cut(code.as_str(), limits::NAME_BYTES) })
        }
        AccessState::Canceled { at } => State::Canceled(Canceled { at: Some(time(*at)) }),
    }
}

fn end_reason(reason: &EndReason) -> v1::EndReason {
    use v1::EndReasonKind as Kind;
    let (kind, code, note) = match reason {
        EndReason::Deadline => (Kind::Deadline, "", ""),
        EndReason::Revoked => (Kind::Revoked, "", ""),
        EndReason::Absent => (Kind::Absent, "", ""),
        EndReason::AccountDeleted => (Kind::AccountDeleted, "", ""),
        EndReason::IntegrationRetired => (Kind::IntegrationRetired, "", ""),
        EndReason::BreakGlass { note } => (Kind::BreakGlass, "", note.as_str()),
        EndReason::Guardrail => (Kind::Guardrail, "", ""),
        EndReason::NotOpened(code) => (Kind::NotOpened, code.as_str(), ""),
        EndReason::Unremembered => (Kind::Unremembered, "", ""),
    };
    v1::EndReason {
        kind: kind.into(),
        code: cut(code, limits::NAME_BYTES),
        note: cut(note, limits::TEXT_BYTES),
    }
}

const fn end_verdict(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Expired => v1::Verdict::Expired,
        Verdict::Revoked => v1::Verdict::Revoked,
        Verdict::Deleted => v1::Verdict::Deleted,
    }
}

const fn account_phase(phase: Phase) -> v1::AccountPhase {
    match phase {
        Phase::Absent => v1::AccountPhase::Absent,
        Phase::Opening => v1::AccountPhase::Opening,
        Phase::Open => v1::AccountPhase::Open,
        Phase::Closing => v1::AccountPhase::Closing,
        Phase::Suspended => v1::AccountPhase::Suspended,
        Phase::Deleting => v1::AccountPhase::Deleting,
    }
}

/// A line that is too long is left out: half of it would connect to something else.
fn connection_lines(lines: &[ConnectionLine]) -> Vec<v1::ConnectionLine> {
    let fits = |line: &&ConnectionLine| {
        line.label.len() <= limits::NAME_BYTES && line.text.len() <= limits::TEXT_BYTES
    };
    let put =
        |line: &ConnectionLine| v1::ConnectionLine { label: line.label.clone(), text: line.text.clone() };
    lines.iter().filter(fits).take(limits::CONNECTION_LINES).map(put).collect()
}

fn with_sealed(wire: v1::CredentialSealed, sealed: &SealedCredential) -> Result<v1::CredentialSealed, Fault> {
    const CIPHERTEXT: &str = "credential_sealed.ciphertext";
    let key = bytes("credential_sealed.public_key", &sealed.key.0)?;
    let encapsulated = bytes("credential_sealed.encapsulated", &sealed.encapsulated)?;
    let ciphertext = bytes(CIPHERTEXT, &sealed.ciphertext)?;
    if ciphertext.len() > limits::CIPHERTEXT_BYTES {
        let (found, most) = (ciphertext.len(), limits::CIPHERTEXT_BYTES);
        return Err(Fault::TooLong { field: CIPHERTEXT, found, most });
    }
    Ok(v1::CredentialSealed {
        generation: sealed.generation.0,
        sealed_for_access_id: sealed.access.to_string(),
        public_key: exactly::<{ limits::KEY_BYTES }>("credential_sealed.public_key", &key)?.into(),
        encapsulated: exactly::<{ limits::KEY_BYTES }>("credential_sealed.encapsulated", &encapsulated)?
            .into(),
        ciphertext,
        ..wire
    })
}

fn bytes(field: &'static str, base64: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(base64).map_err(|_| Fault::Unreadable { field, reason: "it is not base64 with padding" })
}

/// Takes a signed receipt apart. Its statement stays the exact text that was signed.
fn receipt(signed: &str) -> Result<(Told, Option<Timestamp>), Fault> {
    let receipt: SignedReceipt = serde_json::from_str(signed)
        .map_err(|_| Fault::Unreadable { field: "receipt", reason: "it is not a signed receipt" })?;
    let at = receipt.statement().ok().map(|statement| statement.at);
    let signature = bytes("receipt.signature", &receipt.signature)?;
    let wire = v1::Receipt {
        integration_id: receipt.integration.to_string(),
        number: receipt.number,
        previous_hash: hash("receipt.previous_hash", &receipt.previous)?,
        body: text("receipt.body", receipt.body, limits::RECEIPT_BYTES)?,
        key_id: text("receipt.key_id", receipt.key_id.0, limits::NAME_BYTES)?,
        signature: exactly::<{ limits::SIGNATURE_BYTES }>("receipt.signature", &signature)?.into(),
    };
    Ok((Told::Receipt(wire), at))
}

/// Reads 64 hex digits, in lower case as they are signed.
fn hash(field: &'static str, hex: &str) -> Result<Vec<u8>, Fault> {
    let fault = Fault::Unreadable { field, reason: "it is not 64 hex digits in lower case" };
    let digit = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let digits: Option<Vec<u8>> = hex.as_bytes().iter().map(digit).collect();
    let digits = digits.filter(|digits| digits.len() == 2 * limits::HASH_BYTES).ok_or(fault)?;
    Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}
