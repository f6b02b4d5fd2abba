//! Answers of what closes: what proves a close, what does not and is tried again, and who is told.

use model::{
    AccessState, Code, Deed, EndReason, EntitlementSet, Failure, Observed, Phase, Policy, Timestamp, Verdict,
};

use super::seeing::interrupt;
use super::{ALARM_AFTER, LANDS_WITHIN, Outcome, end_all, recognise, unsure};
use crate::account::AccountRecord;
use crate::effects::Effects;
use crate::ladder::Climb;

pub(super) fn closed(
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
    // What is shut now and may be opened by a call that lands later is not contained.
    let unsure = unsure(record, now);
    let contained = climb.contained && unsure.is_none();
    let observed = match &climb.observed {
        Ok(observed)
            if proves_closed(record, observed)
                && observed.account.as_deref().is_none_or(|found| recognise(record, found)) =>
        {
            observed.clone()
        }
        _ => {
            let failure = reason.unwrap_or_else(|| {
                Failure::unknown(Code::SESSIONS_REMAIN, "the account was read back and is not closed yet")
            });
            return not_closed(record, contained, failure, now, effects);
        }
    };
    if let Some(failure) = unsure {
        note_attempt(record, contained, &failure, now, effects);
        return Outcome::Again(failure);
    }
    let was_living =
        !record.held.is_empty() || record.credential.is_some() || record.ending().next().is_some();
    record.held = EntitlementSet::nothing();
    // Of a borrowed account nothing is left to remember: what is there now is its own.
    let gone = observed.is_absent() || record.is_borrowed();
    record.phase = if gone { Phase::Absent } else { Phase::Suspended };
    if gone {
        record.account.immutable = None;
        record.delete_asked = false;
        record.own = None;
        record.added = EntitlementSet::nothing();
    }
    record.attempts = 0;
    record.canceled = false;
    // The credential is void: whoever comes next gets another one.
    record.credential = None;
    record.rotate_asked = false;
    record.unmarked();
    record.failure = None;
    // Closed for an end that could not be written down: who was active is not any more.
    interrupt(record, now, effects, |_| true);
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
    // What was shut already was revoked when it was shut: its time runs from then.
    let revoked = record.last_revoked.filter(|_| !was_living).map_or(now, |before| before.min(now));
    record.last_revoked = Some(revoked);
    record.cleanup_due = policy.cleanup_after().filter(|_| !gone).map(|after| revoked.plus(after));
    record.rotate_due = policy.rotate_after().filter(|_| !gone).map(|after| now.plus(after));
    effects.account(record, now);
    Outcome::Done
}

/// Whether an observation proves the close: of a borrowed account, that our additions are gone.
fn proves_closed(record: &AccountRecord, observed: &Observed) -> bool {
    let Some(found) = observed.account.as_deref() else { return true };
    match record.account.ownership {
        model::Ownership::Borrowed => record.ours(&found.entitlements).is_empty(),
        model::Ownership::Owned => observed.is_closed(),
    }
}

pub(super) fn not_closed(
    record: &mut AccountRecord,
    contained: bool,
    failure: Failure,
    now: Timestamp,
    effects: &mut Effects,
) -> Outcome {
    record.phase = Phase::Closing;
    note_attempt(record, contained, &failure, now, effects);
    record.failure = Some(failure.clone());
    Outcome::Again(failure)
}

/// Counts a try of a close, and tells when that is news: the first, containment, and the alarm.
pub(super) fn note_attempt(
    record: &mut AccountRecord,
    now_contained: bool,
    failure: &Failure,
    now: Timestamp,
    effects: &mut Effects,
) {
    let mut news = vec![];
    record.attempts = record.attempts.saturating_add(1);
    for access in record.accesses.values_mut() {
        if let AccessState::Ending { contained, attempts, .. } = &mut access.state {
            *attempts = attempts.saturating_add(1);
            if *attempts == 1 || *attempts == ALARM_AFTER || (now_contained && !*contained) {
                news.push(access.id.clone());
            }
            *contained |= now_contained;
        }
    }
    for id in news {
        if let Some(access) = record.accesses.get(&id) {
            effects.access(record, access, Some(failure.clone()), now);
        }
    }
    if record.attempts == ALARM_AFTER {
        let detail =
            format!("account {} does not close after {ALARM_AFTER} tries: {failure}", record.account.name);
        effects.alarm(Some(&record.account.integration), failure.code.clone(), detail, now);
    }
}

pub(super) fn deleted(
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
    if let Some(failure) = unsure(record, now) {
        return Outcome::Again(failure);
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
    record.unmarked();
    effects.account(record, now);
    Outcome::Done
}
