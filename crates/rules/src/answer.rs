//! What an answer changes in one account. Doubt changes nothing but the date of the next try.

use model::observed::Present;
use model::{
    AccessId, AccessState, Certainty, Code, Deed, EndReason, Failure, Login, MarkState, Observed, Phase,
    Policy, Residual, Span, Timestamp, Verdict,
};

use crate::account::{AccountRecord, Credential};
use crate::action::{Act, Answer};
use crate::effects::{Effects, deed_of, residual_of};
use crate::ladder::Climb;

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
        (Act::Mint { generation, .. }, Answer::Minted { sealed, verifier }) => {
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
            seen(record, &observed, now, effects);
            Outcome::Done
        }
        (_, Answer::Failed(failure)) => failed(record, act, failure, now, effects),
        // The shell answered another question: believe nothing.
        (_, _) => Outcome::Again(Failure::unknown(Code::DRIVER_FAULT, "the answer does not fit the action")),
    }
}

/// Takes the immutable id of what was seen. Another id under our name is our account made anew if its mark
/// says so, and not ours if not.
fn recognise(record: &mut AccountRecord, found: &Present) -> bool {
    let proven = matches!(&found.mark, MarkState::Valid(mark) if mark.draft.account == record.account.id);
    let known = record.account.immutable.as_ref().is_none_or(|known| *known == found.immutable);
    if !known && !proven {
        return false;
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
    let (wanted, until) = match act {
        Act::Open { wanted, mark, .. } | Act::Converge { wanted, mark, .. } => (wanted, mark.until),
        Act::Mint { .. }
        | Act::Close { .. }
        | Act::Rotate { .. }
        | Act::Delete { .. }
        | Act::Observe { .. } => {
            return Outcome::Done;
        }
    };
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
    if found.login == Login::Shut && record.phase == Phase::Open {
        seen(record, observed, now, effects);
        return Outcome::Done;
    }
    record.held = found.entitlements.clone();
    if let Some(failure) = failure {
        note_failure(record, act, &failure, now, effects);
        let held = record.held.clone();
        interrupt(record, now, effects, |access| !access.entitlements.within(&held));
        end_proven(record, observed, now, effects);
        return Outcome::Again(failure);
    }
    if found.login == Login::Shut || !wanted.within(&found.entitlements) {
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
        // Whoever asked for a new credential has one now.
        record.rotate_asked = false;
    }
    record.marked_until = until;
    record.failure = None;
    activate(record, observed, now, effects);
    end_proven(record, observed, now, effects)
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
    if failure.certainty != Certainty::Refused {
        return;
    }
    let granting: Vec<_> = record
        .accesses
        .values()
        .filter(|access| matches!(access.state, AccessState::Granting { .. }))
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
    let ready: Vec<_> = record
        .accesses
        .values()
        .filter(|access| {
            matches!(access.state, AccessState::Granting { .. })
                && now < access.until
                && access.entitlements.within(&record.held)
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
    if let Some(outcome) = unsure(record, now) {
        return outcome;
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
    Outcome::Done
}

fn unsure(record: &AccountRecord, now: Timestamp) -> Option<Outcome> {
    let until = record.unsure.proves_after(now)?;
    let why = "an earlier call may still land: looking again after its deadline";
    let failure = Failure::not_done(Code::TIMED_OUT, why).with_retry(model::Retry::After(until.since(now)));
    Some(Outcome::Again(failure))
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
        | EndReason::BreakGlass
        | EndReason::Guardrail
        | EndReason::Unremembered => AccessState::Ended { verdict: Verdict::Revoked, residual, at },
    }
}

fn closed(
    record: &mut AccountRecord,
    climb: Climb,
    policy: Policy,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    let reason = climb.reason().cloned();
    if climb.in_doubt {
        record.unsure.note(true, now.plus(LANDS_WITHIN));
    }
    let observed = match &climb.observed {
        Ok(observed) if proves_closed(record, observed) => observed.clone(),
        _ => {
            let failure = reason.unwrap_or_else(|| {
                Failure::unknown(Code::SESSIONS_REMAIN, "the account was read back and is not closed yet")
            });
            return not_closed(record, climb.contained, failure, now, effects);
        }
    };
    if let Some(again) = unsure(record, now) {
        note_attempt(record, climb.contained, None, now, effects);
        return again;
    }
    let was_living =
        !record.held.is_empty() || record.credential.is_some() || record.ending().next().is_some();
    record.held = observed.account.as_ref().map_or_else(Default::default, |found| found.entitlements.clone());
    record.phase = if observed.is_absent() { Phase::Absent } else { Phase::Suspended };
    if observed.is_absent() {
        record.account.immutable = None;
        record.delete_asked = false;
    }
    // The credential is void: whoever comes next gets another one.
    record.credential = None;
    record.rotate_asked = false;
    record.marked_until = None;
    record.failure = None;
    let unremembered = record.accesses.is_empty() && was_living;
    let ending = record.ending().map(|access| access.id.clone()).collect();
    end_all(record, ending, &observed, now, effects);
    if unremembered {
        let deed = Deed::Ended {
            verdict: Verdict::Revoked,
            reason: EndReason::Unremembered,
            entitlements: Default::default(),
        };
        effects.receipt(record, None, deed, Some(&observed), now);
    }
    record.last_revoked = Some(now);
    record.cleanup_due = policy.cleanup_after().map(|after| now.plus(after));
    record.rotate_due = policy.rotate_after().map(|after| now.plus(after));
    effects.account(record, now);
    Outcome::Done
}

/// Whether an observation proves the close: of a borrowed account, that our additions are gone.
fn proves_closed(record: &AccountRecord, observed: &Observed) -> bool {
    let Some(found) = observed.account.as_deref() else { return true };
    match record.account.ownership {
        model::Ownership::Borrowed => found.entitlements.is_empty(),
        model::Ownership::Owned => observed.is_closed(),
    }
}

fn not_closed(
    record: &mut AccountRecord,
    contained: bool,
    failure: Failure,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    record.phase = Phase::Closing;
    note_attempt(record, contained, Some(&failure), now, effects);
    record.failure = Some(failure.clone());
    Outcome::Again(failure)
}

/// Counts a try of a close, and tells when that is news: the first, containment, and the alarm.
fn note_attempt(
    record: &mut AccountRecord,
    now_contained: bool,
    failure: Option<&Failure>,
    now: Timestamp,
    effects: &mut Effects,
) {
    let mut news = vec![];
    let mut alarm = false;
    for access in record.accesses.values_mut() {
        if let AccessState::Ending { contained, attempts, .. } = &mut access.state {
            *attempts = attempts.saturating_add(1);
            alarm |= *attempts == ALARM_AFTER;
            if *attempts == 1 || *attempts == ALARM_AFTER || (now_contained && !*contained) {
                news.push(access.id.clone());
            }
            *contained |= now_contained;
        }
    }
    for id in news {
        if let Some(access) = record.accesses.get(&id) {
            effects.access(record, access, failure.cloned(), now);
        }
    }
    if alarm && let Some(failure) = failure {
        let detail =
            format!("account {} does not close after {ALARM_AFTER} tries: {failure}", record.account.name);
        effects.alarm(Some(&record.account.integration), failure.code.clone(), detail, now);
    }
}

fn rotated(
    record: &mut AccountRecord,
    observed: &Observed,
    policy: Policy,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    // Dropped or shut by somebody meanwhile: a new credential of it is of no use to anybody.
    if observed.is_absent() || (record.phase == Phase::Open && observed.is_shut()) {
        seen(record, observed, now, effects);
        return Outcome::Done;
    }
    if let Some(credential) = record.credential.as_mut() {
        credential.set = true;
    }
    record.rotate_asked = false;
    record.rotate_due = policy.rotate_after().map(|after| now.plus(after));
    if record.phase == Phase::Open {
        let living: Vec<_> = record.living(now).map(|access| access.id.clone()).collect();
        for id in living {
            effects.credential(record, &id, now);
        }
    } else {
        // A shut account's credential is nobody's.
        record.credential = None;
    }
    effects.account(record, now);
    Outcome::Done
}

fn deleted(
    record: &mut AccountRecord,
    observed: &Observed,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    if !observed.is_absent() {
        return Outcome::Again(Failure::unknown(
            Code::TARGET_FAULT,
            "the account is still there after it was deleted",
        ));
    }
    if let Some(again) = unsure(record, now) {
        return again;
    }
    effects.receipt(record, None, Deed::Deleted, Some(observed), now);
    record.phase = Phase::Absent;
    record.account.immutable = None;
    record.held = Default::default();
    record.credential = None;
    record.cleanup_due = None;
    record.rotate_due = None;
    record.rotate_asked = false;
    record.delete_asked = false;
    record.failure = None;
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

/// Takes what was seen of an account outside an act: what is missing interrupts, what exceeds is a duty.
pub fn seen(record: &mut AccountRecord, observed: &Observed, now: Timestamp, effects: &mut Effects) {
    match observed.account.as_deref() {
        None => {
            interrupt(record, now, effects, |_| true);
            if matches!(record.phase, Phase::Open | Phase::Suspended | Phase::Deleting) {
                record.phase = Phase::Absent;
                record.account.immutable = None;
                record.credential = None;
                record.marked_until = None;
            }
            record.held = Default::default();
        }
        Some(found) => {
            if !recognise(record, found) {
                return;
            }
            if let MarkState::Valid(mark) = &found.mark {
                record.mark = record.mark.max(mark.draft.revision);
            }
            record.held = found.entitlements.clone();
            let held = record.held.clone();
            match record.phase {
                Phase::Open if found.login == Login::Shut => {
                    interrupt(record, now, effects, |_| true);
                    record.phase = Phase::Closing;
                }
                Phase::Open => interrupt(record, now, effects, |access| !access.entitlements.within(&held)),
                Phase::Absent | Phase::Suspended | Phase::Deleting if !observed.is_closed() => {
                    record.phase = Phase::Closing;
                    effects.alarm(
                        Some(&record.account.integration),
                        Code::ACCOUNT_TAMPERED,
                        format!("account {} was shut and is not any more: closing it", record.account.name),
                        now,
                    );
                }
                Phase::Absent => record.phase = Phase::Suspended,
                Phase::Opening | Phase::Closing | Phase::Suspended | Phase::Deleting => {}
            }
        }
    }
}

fn interrupt(
    record: &mut AccountRecord,
    now: Timestamp,
    effects: &mut Effects,
    lost: impl Fn(&model::Access) -> bool,
) {
    let ids: Vec<_> = record
        .accesses
        .values()
        .filter(|access| matches!(access.state, AccessState::Active { .. }) && lost(access))
        .map(|access| access.id.clone())
        .collect();
    for id in ids {
        if let Some(access) = record.accesses.get_mut(&id) {
            access.state = AccessState::Interrupted { since: now };
        }
        if let Some(access) = record.accesses.get(&id) {
            effects.access(record, access, None, now);
        }
    }
}
