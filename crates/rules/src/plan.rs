//! What one account needs next. A total function of what is remembered and the time: the path after a
//! crash is the only path.

use model::{AccessState, Phase, Timestamp};

use crate::account::AccountRecord;

/// What of the surroundings bears on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Opening is allowed.
    pub may_open: bool,
    /// Deleting is allowed.
    pub may_delete: bool,
    /// A shut account may be given another credential, which opens nothing.
    pub may_rotate: bool,
    /// The clear text of the current credential is at hand (for targets that take no verifier).
    pub clear_at_hand: bool,
}

/// How urgent an act is, and which slots it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Towards less: before all other work, with a slot of its own.
    Closing,
    /// Towards more: for an order not yet completed.
    Opening,
    /// Rotation and cleanup.
    Housekeeping,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Mint,
    Open,
    Converge,
    Close,
    Rotate,
    Delete,
    Observe,
}

impl Deed {
    /// Returns the word that the intent is written with.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Open => "open",
            Self::Converge => "converge",
            Self::Close => "close",
            Self::Rotate => "rotate",
            Self::Delete => "delete",
            Self::Observe => "observe",
        }
    }
}

/// What an account needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Do(Class, Deed),
    /// Nothing before then; `None`: nothing until something happens.
    Wait(Option<Timestamp>),
}

/// Returns what a settled account needs next, leaving aside when it may be tried.
pub fn plan(record: &AccountRecord, around: Surroundings, now: Timestamp) -> Plan {
    let ending = record.ending().next().is_some();
    let living = record.living(now).next().is_some();
    match record.phase {
        Phase::Closing => Plan::Do(Class::Closing, Deed::Close),
        Phase::Absent | Phase::Opening | Phase::Suspended | Phase::Deleting if ending => {
            Plan::Do(Class::Closing, Deed::Close)
        }
        // What was begun is undone, and what an interruption left behind is seen gone.
        Phase::Opening if !granting(record, now) => Plan::Do(Class::Closing, Deed::Close),
        Phase::Opening => opening(record, around, now),
        Phase::Open if !living => Plan::Do(Class::Closing, Deed::Close),
        Phase::Open => open(record, around, ending, now),
        Phase::Absent => match wants_opening(record, around, now) {
            Some(plan) => plan,
            // What was sent to it is remembered until it has landed or never will.
            None => {
                Plan::Wait(next_time(record, now).into_iter().chain(record.unsure.opens_after(now)).min())
            }
        },
        Phase::Suspended => suspended(record, around, now),
        // A deletion that was begun goes on; of a borrowed account none is ever begun.
        Phase::Deleting if record.is_borrowed() => Plan::Do(Class::Closing, Deed::Close),
        Phase::Deleting if !around.may_delete => Plan::Wait(next_time(record, now)),
        Phase::Deleting => Plan::Do(Class::Housekeeping, Deed::Delete),
    }
}

fn granting(record: &AccountRecord, now: Timestamp) -> bool {
    record.living(now).any(|access| matches!(access.state, AccessState::Granting { .. }))
}

fn wants_opening(record: &AccountRecord, around: Surroundings, now: Timestamp) -> Option<Plan> {
    if !around.may_open || record.candidate(now).is_none() {
        return None;
    }
    // What was sent to close the account's last life must not hit its next one.
    Some(match record.unsure.opens_after(now) {
        Some(until) => Plan::Wait(Some(next_time(record, now).map_or(until, |next| next.min(until)))),
        None if record.is_borrowed() => Plan::Do(Class::Opening, borrowing(record)),
        None => Plan::Do(Class::Opening, Deed::Mint),
    })
}

/// A borrowed account is read before anything is added to it: what it holds of its own stays.
const fn borrowing(record: &AccountRecord) -> Deed {
    if record.own.is_some() { Deed::Converge } else { Deed::Observe }
}

fn opening(record: &AccountRecord, around: Surroundings, now: Timestamp) -> Plan {
    if !around.may_open {
        return Plan::Wait(next_time(record, now));
    }
    // An earlier try may still land, and must not overtake what comes after this one.
    if let Some(until) = record.unsure.opens_after(now) {
        return Plan::Wait(Some(next_time(record, now).map_or(until, |next| next.min(until))));
    }
    if record.is_borrowed() {
        return Plan::Do(Class::Opening, borrowing(record));
    }
    // One that is sealed to a former key of the grantee was given to nobody yet: it is made anew.
    let usable = record.credential.as_ref().is_some_and(|credential| {
        credential.generation == record.generation
            && (credential.verifier.is_some() || around.clear_at_hand)
            && credential.sealed.as_ref().is_none_or(|sealed| sealed.key == record.key)
    });
    Plan::Do(Class::Opening, if usable { Deed::Open } else { Deed::Mint })
}

fn open(record: &AccountRecord, around: Surroundings, ending: bool, now: Timestamp) -> Plan {
    let goal = record.goal(around.may_open, now);
    let shrinks = ending || !record.held.within(&goal);
    if shrinks {
        return Plan::Do(Class::Closing, Deed::Converge);
    }
    let unsure = record.unsure.opens_after(now);
    let candidate = record.candidate(now).is_some() && around.may_open;
    let grows = candidate && unsure.is_none();
    let no_later = record.until(now) <= record.marked_until;
    // A later deadline waits, too: what may still land could overtake it.
    let may_extend = around.may_open && unsure.is_none();
    if grows || (record.mark_is_stale(now) && (may_extend || no_later)) {
        return Plan::Do(Class::Opening, Deed::Converge);
    }
    if record.rotate_asked && around.may_open && unsure.is_none() && !record.is_borrowed() {
        return rotation(record, around);
    }
    Plan::Wait(next_time(record, now).into_iter().chain(unsure).min())
}

fn suspended(record: &AccountRecord, around: Surroundings, now: Timestamp) -> Plan {
    if !record.delete_asked
        && let Some(plan) = wants_opening(record, around, now)
    {
        return plan;
    }
    if record.is_borrowed() {
        return Plan::Wait(next_time(record, now));
    }
    let cleanup = record.delete_asked || record.cleanup_due.is_some_and(|due| due <= now);
    if cleanup && around.may_delete {
        return Plan::Do(Class::Housekeeping, Deed::Delete);
    }
    let rotate = record.rotate_asked || record.rotate_due.is_some_and(|due| due <= now);
    // What is ordered gets a credential of its own as soon as it may open.
    if rotate && around.may_rotate && record.candidate(now).is_none() {
        return rotation(record, around);
    }
    Plan::Wait(next_time(record, now))
}

fn rotation(record: &AccountRecord, around: Surroundings) -> Plan {
    let ready = record.credential.as_ref().is_some_and(|credential| {
        !credential.set
            && credential.generation == record.generation
            && (credential.verifier.is_some() || around.clear_at_hand)
    });
    Plan::Do(Class::Housekeeping, if ready { Deed::Rotate } else { Deed::Mint })
}

/// Returns when time alone will change what the account needs.
fn next_time(record: &AccountRecord, now: Timestamp) -> Option<Timestamp> {
    let mut times: Vec<Timestamp> = vec![];
    for access in record.accesses.values() {
        match &access.state {
            AccessState::Accepted { .. } => times.extend([access.from, access.until]),
            AccessState::Granting { since } => {
                times.extend([access.until, since.plus(crate::account::OPENING_LIMIT)]);
            }
            AccessState::Active { .. } | AccessState::Interrupted { .. } => times.push(access.until),
            AccessState::Ending { .. }
            | AccessState::Ended { .. }
            | AccessState::Refused { .. }
            | AccessState::Failed { .. }
            | AccessState::Canceled { .. } => {}
        }
    }
    if record.phase == Phase::Suspended {
        times.extend(record.cleanup_due);
        times.extend(record.rotate_due);
    }
    times.into_iter().filter(|at| *at > now).min()
}

#[cfg(test)]
mod tests;
