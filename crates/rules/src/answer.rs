//! What an answer changes in one account. Doubt changes nothing but the date of the next try.

mod closing;
mod seeing;

use model::observed::Present;
use model::{
    AccessId, AccessState, Certainty, Code, Deed, EndReason, Failure, GranteeKey, Login, MarkState, Observed,
    Phase, Policy, Residual, Span, Timestamp, Verdict,
};

use crate::account::{AccountRecord, Credential};
use crate::action::{Act, Answer};
use crate::effects::{Effects, deed_of, residual_of};

use closing::{closed, deleted, not_closed};
use seeing::interrupt_lacking;
pub use seeing::seen;

/// A call whose answer did not come may land on the target this much later, at the latest: the longest
/// server-side deadline of what mutates, with room.
pub const LANDS_WITHIN: Span = Span::from_secs(10);
/// After this many failed tries of a close a person is told, once.
pub const ALARM_AFTER: u32 = 10;
/// A cleanup that the target refuses is tried again after this long.
const CLEANUP_AGAIN: Span = Span::from_hours(24);

/// What became of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done and seen done.
    Done,
    /// To be tried again, because of this.
    Again(Failure),
}

/// Takes the answer to an act into the record.
pub fn take(
    record: &mut AccountRecord,
    act: &Act,
    answer: Answer,
    policy: Policy,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    record.intent = None;
    match (act, answer) {
        (Act::Mint { generation, .. }, Answer::Minted { sealed, verifier, key_before }) => {
            if let Some(before) = key_before {
                key_changed(record, &before, now, effects);
            }
            record.generation = *generation;
            record.credential =
                Some(Credential { generation: *generation, sealed, verifier, set: false, lines: vec![] });
            Outcome::Done
        }
        (
            Act::Open { .. } | Act::Converge { .. } | Act::Rotate { .. },
            Answer::Done { observed, lines, failure },
        ) => {
            if let Some(credential) = record.credential.as_mut() {
                credential.lines = lines;
            }
            if matches!(act, Act::Rotate { .. }) {
                rotated(record, &observed, policy, now, effects)
            } else {
                held(record, act, &observed, failure, now, effects)
            }
        }
        (Act::Close { .. }, Answer::Closed(climb)) => closed(record, climb, policy, now, effects),
        (Act::Delete { .. }, Answer::Deleted { observed }) => deleted(record, &observed, now, effects),
        (Act::Observe { .. }, Answer::Observed(observed)) => {
            if record.is_borrowed() && record.phase != Phase::Open {
                return lent(record, &observed, now, effects);
            }
            seen(record, &observed, now, effects);
            Outcome::Done
        }
        (_, Answer::Failed(failure)) => failed(record, act, failure, now, effects),
        // The shell answered another question: believe nothing.
        (_, _) => {
            let failure = Failure::unknown(Code::DRIVER_FAULT, "the answer does not fit the action");
            failed(record, act, failure, now, effects)
        }
    }
}

/// Tells a person that a grantee came with another key.
fn key_changed(record: &AccountRecord, before: &GranteeKey, now: Timestamp, effects: &mut Effects) {
    let detail = format!(
        "grantee {} came with the key {} where {} was pinned: ask them whether it is theirs",
        record.account.grantee, record.key.0, before.0
    );
    effects.alarm(Some(&record.account.integration), Code::GRANTEE_KEY_CHANGED, detail, now);
}

/// Takes how a borrowed account stands before anything is added to it.
fn lent(record: &mut AccountRecord, observed: &Observed, now: Timestamp, effects: &mut Effects) -> Outcome {
    match observed.account.as_deref() {
        Some(found) => {
            record.own = Some(found.entitlements.clone());
            record.account.immutable = Some(found.immutable.clone());
            Outcome::Done
        }
        None => {
            let failure = Failure::refused(
                Code::ACCOUNT_MISSING,
                "the account to add to is not there: it is made by others, then ask again",
            );
            record.failure = Some(failure.clone());
            let candidate = record.candidate(now).map(|access| access.id.clone());
            if let Some(id) = candidate
                && record.end(&id, EndReason::NotOpened(failure.code.clone()), true, now)
                && let Some(access) = record.accesses.get(&id)
            {
                effects.access(record, access, Some(failure), now);
            }
            Outcome::Done
        }
    }
}

/// Takes the immutable id of what was seen. Another id under our name is our account made anew if its mark
/// says so, and not ours if not.
pub(crate) fn recognise(record: &mut AccountRecord, found: &Present) -> bool {
    let proven = matches!(&found.mark, MarkState::Valid(mark) if mark.draft.account == record.account.id);
    let known = record.account.immutable.as_ref().is_none_or(|known| *known == found.immutable);
    if !known && !proven {
        return false;
    }
    if !known && let Some(credential) = record.credential.as_mut() {
        // Made anew, not necessarily with the credential that is remembered here.
        credential.set = false;
    }
    record.account.immutable = Some(found.immutable.clone());
    true
}

fn held(
    record: &mut AccountRecord,
    act: &Act,
    observed: &Observed,
    failure: Option<Failure>,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    let (wanted, mark) = match act {
        Act::Open { wanted, mark, .. } | Act::Converge { wanted, mark, .. } => (wanted, mark),
        Act::Mint { .. }
        | Act::Close { .. }
        | Act::Rotate { .. }
        | Act::Delete { .. }
        | Act::Observe { .. } => {
            return Outcome::Done;
        }
    };
    // Whatever was read back: a part that was not answered may land after it.
    if let Some(failure) = &failure {
        note_doubt(record, act, failure, now);
    }
    let Some(found) = observed.account.as_deref() else {
        if record.phase == Phase::Open {
            seen(record, observed, now, effects);
        }
        let missing =
            Failure::unknown(Code::ACCOUNT_MISSING, "the account was not there when it was read back");
        return Outcome::Again(failure.unwrap_or(missing));
    };
    if !recognise(record, found) {
        return Outcome::Again(Failure::refused(
            Code::ACCOUNT_TAMPERED,
            "another account stands under this name: remove it, or rename it",
        ));
    }
    let shut = found.login == Login::Shut && !record.is_borrowed();
    if shut && record.phase == Phase::Open {
        seen(record, observed, now, effects);
        return Outcome::Done;
    }
    record.held = record.ours(&found.entitlements);
    if let Some(failure) = failure {
        note_failure(record, act, &failure, now, effects);
        interrupt_lacking(record, now, effects);
        // What failed may have been the end of the sessions in which the rights live on: nothing has ended.
        return Outcome::Again(failure);
    }
    if shut || !wanted.within(&found.entitlements) {
        return Outcome::Again(Failure::unknown(
            Code::TARGET_FAULT,
            "the target does not show what was just set",
        ));
    }
    if let Act::Open { generation, .. } = act {
        record.phase = Phase::Open;
        if let Some(credential) = record.credential.as_mut() {
            credential.set = credential.generation == *generation;
        }
        rotation_done(record);
    } else if record.is_borrowed() {
        record.phase = Phase::Open;
    }
    record.marked(mark);
    record.failure = None;
    activate(record, observed, now, effects);
    // Only taking away ends the sessions in which rights live on; what was ended meanwhile is next.
    if matches!(act, Act::Converge { shrinks: true, .. }) {
        return end_proven(record, observed, now, effects);
    }
    Outcome::Done
}

/// Takes what a failure tells: a call without an answer may still land, and a refusal ends what is being
/// granted.
fn note_failure(
    record: &mut AccountRecord,
    act: &Act,
    failure: &Failure,
    now: Timestamp,
    effects: &mut Effects,
) {
    note_doubt(record, act, failure, now);
    if matches!(act, Act::Converge { .. }) && record.ending().next().is_some() {
        closing::note_attempt(record, false, failure, now, effects);
    }
    if failure.certainty != Certainty::Refused {
        return;
    }
    // What was not asked for was not refused.
    let asked = |access: &model::Access| match act {
        Act::Converge { wanted, .. } => access.entitlements.within(wanted),
        Act::Mint { .. }
        | Act::Open { .. }
        | Act::Close { .. }
        | Act::Rotate { .. }
        | Act::Delete { .. }
        | Act::Observe { .. } => true,
    };
    let granting: Vec<_> = record
        .accesses
        .values()
        .filter(|access| matches!(access.state, AccessState::Granting { .. }) && asked(access))
        .map(|access| access.id.clone())
        .collect();
    for id in granting {
        if record.end(&id, EndReason::NotOpened(failure.code.clone()), true, now)
            && let Some(access) = record.accesses.get(&id)
        {
            effects.access(record, access, Some(failure.clone()), now);
        }
    }
}

/// What is being granted and is now held becomes active.
fn activate(record: &mut AccountRecord, observed: &Observed, now: Timestamp, effects: &mut Effects) {
    // What an earlier call may still take away is not told as had: the next look, after it, decides.
    if record.unsure.opens_after(now).is_some() {
        return;
    }
    let ready: Vec<_> = record
        .accesses
        .values()
        .filter(|access| {
            matches!(access.state, AccessState::Granting { .. })
                && now < access.until
                && record.has(&access.entitlements)
        })
        .map(|access| access.id.clone())
        .collect();
    for id in ready {
        if let Some(access) = record.accesses.get_mut(&id) {
            access.state = AccessState::Active { since: now };
        }
        let Some(access) = record.accesses.get(&id) else { continue };
        effects.access(record, access, None, now);
        effects.credential(record, &id, now);
        let key_fingerprint =
            record.credential.as_ref().and_then(|credential| Some(credential.sealed.as_ref()?.key.0.clone()));
        let deed =
            Deed::Opened { until: access.until, entitlements: access.entitlements.clone(), key_fingerprint };
        effects.receipt(record, Some(access), deed, Some(observed), now);
    }
}

/// What is being ended and is no longer held, while others live on, has ended: unless a call whose answer
/// never came may still land.
fn end_proven(
    record: &mut AccountRecord,
    observed: &Observed,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    // The last access of an account ends on the ladder, not here.
    if record.ending().next().is_none() || record.living(now).next().is_none() {
        return Outcome::Done;
    }
    if let Some(failure) = unsure(record, now) {
        closing::note_attempt(record, false, &failure, now, effects);
        return Outcome::Again(failure);
    }
    // What an access may have beyond those that live now must be gone; what the call asked for is no measure,
    // since the access may have been ended while it was under way.
    let others = record.goal(true, now);
    let held = record.held.clone();
    let gone: Vec<_> = record
        .ending()
        .filter(|access| access.entitlements.minus(&others).both(&held).is_empty())
        .map(|access| access.id.clone())
        .collect();
    end_all(record, gone, observed, now, effects);
    if record.ending().next().is_none() {
        record.attempts = 0;
    }
    Outcome::Done
}

fn unsure(record: &AccountRecord, now: Timestamp) -> Option<Failure> {
    let until = record.unsure.proves_after(now)?;
    let why = "an earlier call may still land: looking again after its deadline";
    Some(Failure::not_done(Code::TIMED_OUT, why).with_retry(model::Retry::After(until.since(now))))
}

/// Whoever asked for a new credential has one now, if it is sealed to the key that was asked for.
fn rotation_done(record: &mut AccountRecord) {
    let sealed = record.credential.as_ref().and_then(|credential| credential.sealed.as_ref());
    if sealed.is_none_or(|sealed| sealed.key == record.key) {
        record.rotate_asked = false;
    }
}

/// These accesses have been seen ended.
fn end_all(
    record: &mut AccountRecord,
    ids: Vec<AccessId>,
    observed: &Observed,
    now: Timestamp,
    effects: &mut Effects,
) {
    for id in ids {
        let Some(access) = record.accesses.get_mut(&id) else { continue };
        let AccessState::Ending { reason, .. } = access.state.clone() else { continue };
        access.state = ended(&reason, residual_of(observed), now);
        record.last_revoked = Some(now);
        let Some(access) = record.accesses.get(&id) else { continue };
        effects.access(record, access, None, now);
        if let Some(deed) = deed_of(access, &reason) {
            effects.receipt(record, Some(access), deed, Some(observed), now);
        }
    }
}

fn ended(reason: &EndReason, residual: Vec<Residual>, at: Timestamp) -> AccessState {
    match reason {
        EndReason::Deadline => AccessState::Ended { verdict: Verdict::Expired, residual, at },
        EndReason::AccountDeleted => AccessState::Ended { verdict: Verdict::Deleted, residual, at },
        EndReason::NotOpened(code) => AccessState::Failed { code: code.clone() },
        EndReason::Revoked
        | EndReason::Absent
        | EndReason::IntegrationRetired
        | EndReason::BreakGlass { .. }
        | EndReason::Guardrail
        | EndReason::Unremembered => AccessState::Ended { verdict: Verdict::Revoked, residual, at },
    }
}

fn rotated(
    record: &mut AccountRecord,
    observed: &Observed,
    policy: Policy,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    // Dropped, shut or opened by somebody meanwhile: a new credential of it is of no use to anybody.
    let opened = record.phase != Phase::Open && !observed.is_closed();
    if observed.is_absent() || opened || (record.phase == Phase::Open && observed.is_shut()) {
        seen(record, observed, now, effects);
        return Outcome::Done;
    }
    if let Some(credential) = record.credential.as_mut() {
        credential.set = true;
    }
    rotation_done(record);
    record.rotate_due = policy.rotate_after().map(|after| now.plus(after));
    if record.phase == Phase::Open {
        let living: Vec<_> = record.living(now).map(|access| access.id.clone()).collect();
        for id in living {
            effects.credential(record, &id, now);
        }
        let sealed = record.credential.as_ref().and_then(|credential| credential.sealed.as_ref());
        let key_fingerprint = sealed.map(|sealed| sealed.key.0.clone());
        let deed = Deed::Rotated { generation: record.generation, key_fingerprint };
        effects.receipt(record, None, deed, Some(observed), now);
    } else {
        // A shut account's credential is nobody's.
        record.credential = None;
    }
    effects.account(record, now);
    Outcome::Done
}

fn failed(
    record: &mut AccountRecord,
    act: &Act,
    failure: Failure,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    match act {
        Act::Close { .. } => {
            note_doubt(record, act, &failure, now);
            return not_closed(record, false, failure, now, effects);
        }
        // Nothing of a minting leaves the agent: no doubt about the target comes from it.
        Act::Mint { .. } if failure.certainty == Certainty::Unknown => record.failure = Some(failure.clone()),
        Act::Mint { .. } | Act::Open { .. } | Act::Converge { .. } => {
            note_failure(record, act, &failure, now, effects)
        }
        Act::Delete { .. } => {
            // The account is shut either way; a person decides about what it owns.
            note_doubt(record, act, &failure, now);
            record.phase = Phase::Suspended;
            if failure.certainty == Certainty::Refused {
                record.cleanup_due = Some(now.plus(CLEANUP_AGAIN));
                record.delete_asked = false;
                effects.account(record, now);
            }
        }
        Act::Rotate { .. } | Act::Observe { .. } => note_doubt(record, act, &failure, now),
    }
    Outcome::Again(failure)
}

fn note_doubt(record: &mut AccountRecord, act: &Act, failure: &Failure, now: Timestamp) {
    if failure.certainty == Certainty::Unknown {
        record.unsure.note(matches!(act, Act::Close { .. } | Act::Delete { .. }), now.plus(LANDS_WITHIN));
    }
    record.failure = Some(failure.clone());
}
