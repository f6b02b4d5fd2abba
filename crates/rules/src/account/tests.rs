//! What time makes of accesses, how they end, and what an account should hold.

use model::{
    Access, AccessState, Code, EndReason, EntitlementSet, Ownership, Phase, Span, Timestamp, Verdict,
};

use super::{AccountRecord, Intent, OPENING_LIMIT, Unsure};
use crate::bench::{
    NOW, Numbers, accepted, access, active, ending, granting, in_mins, interrupted, record, rights,
};

const LAST_MOMENT: Timestamp = Timestamp::from_millis(NOW.as_millis() - 1);

fn ended_at(until: Timestamp, state: AccessState) -> Access {
    Access { until, ..access("a", state) }
}

#[test]
fn what_time_makes_of_an_access() {
    let opening = |since| AccessState::Granting { since };
    let limit = NOW.minus(OPENING_LIMIT);
    let too_late = AccessState::Failed { code: Code::TOO_LATE };
    let ending_of = |reason| AccessState::Ending { reason, contained: false, attempts: 0, since: NOW };
    let overdue = || ending_of(EndReason::Deadline);
    let gave_up = || ending_of(EndReason::NotOpened(Code::OPENING_GAVE_UP));
    let table = [
        ("ordered, in time", Phase::Absent, accepted(), in_mins(1), true, None),
        ("ordered, too late", Phase::Absent, accepted(), NOW, true, Some(too_late.clone())),
        ("ordered, too late, the account was shut", Phase::Suspended, accepted(), NOW, true, Some(too_late)),
        (
            "ordered, too late, a later memory may have begun",
            Phase::Absent,
            accepted(),
            NOW,
            false,
            Some(overdue()),
        ),
        (
            "ordered, too late, and so was another before it",
            Phase::Opening,
            accepted(),
            NOW,
            true,
            Some(overdue()),
        ),
        ("ordered, too late, alone on an open account", Phase::Open, accepted(), NOW, true, Some(overdue())),
        (
            "granting, in time",
            Phase::Opening,
            opening(limit.plus(Span::from_millis(1))),
            in_mins(1),
            true,
            None,
        ),
        ("granting for too long", Phase::Opening, opening(limit), in_mins(1), true, Some(gave_up())),
        ("granting past the deadline", Phase::Opening, opening(limit), NOW, true, Some(overdue())),
        ("active, in time", Phase::Open, active(), in_mins(1), true, None),
        ("active, at the deadline", Phase::Open, active(), NOW, true, Some(overdue())),
        ("interrupted, in time", Phase::Open, interrupted(), in_mins(1), true, None),
        ("interrupted, past the deadline", Phase::Open, interrupted(), LAST_MOMENT, true, Some(overdue())),
        ("ending goes on", Phase::Closing, ending(), LAST_MOMENT, true, None),
    ];
    for (name, phase, state, until, sure, expected) in table {
        let before = record(Ownership::Owned, phase, [ended_at(until, state.clone())]);
        let mut after = before.clone();
        let changed = after.settle(sure, NOW);
        assert_eq!(changed.len(), usize::from(expected.is_some()), "{name}");
        assert_eq!(before.is_settled(NOW), expected.is_none(), "{name}");
        let after = after.accesses.values().next().unwrap();
        assert_eq!(after.state, expected.unwrap_or(state), "{name}");
    }
}

#[test]
fn beside_others_an_ordered_access_was_begun_if_something_of_it_is_held() {
    let table = [
        ("nothing of it is held", rights(&["a"]), "failed"),
        ("it is held by nobody else", rights(&["a", "b"]), "ending"),
    ];
    for (name, held, expected) in table {
        let late = Access { until: NOW, ..access("b", accepted()) };
        let mut record = record(Ownership::Owned, Phase::Open, [access("a", active()), late.clone()]);
        record.held = held;
        assert_eq!(record.settle(true, NOW).len(), 1, "{name}");
        assert_eq!(record.accesses.get(&late.id).unwrap().state.word(), expected, "{name}");
    }
}

#[test]
fn how_an_access_ends_that_is_ended() {
    let reasons = [
        (EndReason::Revoked, "ended"),
        (EndReason::Absent, "ended"),
        (EndReason::AccountDeleted, "ended"),
        (EndReason::IntegrationRetired, "ended"),
        (EndReason::BreakGlass { note: "leak".into() }, "ended"),
        (EndReason::Guardrail, "ended"),
        (EndReason::Unremembered, "ended"),
        (EndReason::Deadline, "failed"),
        (EndReason::NotOpened(Code::BUSY), "failed"),
    ];
    for (reason, unbegun) in reasons {
        let rows = [
            ("never begun", Phase::Absent, accepted(), true, unbegun),
            ("nobody knows whether it was begun", Phase::Absent, accepted(), false, "ending"),
            ("beginning", Phase::Opening, granting(), true, "ending"),
            ("active", Phase::Open, active(), true, "ending"),
            ("interrupted", Phase::Open, interrupted(), true, "ending"),
        ];
        for (name, phase, state, sure, expected) in rows {
            let mut record = record(Ownership::Owned, phase, [access("a", state)]);
            let id = access("a", accepted()).id;
            assert!(record.end(&id, reason.clone(), sure, NOW), "{name}, {reason:?}");
            let state = record.accesses.get(&id).unwrap().state.clone();
            assert_eq!(state.word(), expected, "{name}, {reason:?}");
            if let AccessState::Ended { verdict, .. } = &state {
                let deleted = reason == EndReason::AccountDeleted;
                assert_eq!(*verdict == Verdict::Deleted, deleted, "{name}, {reason:?}");
            }
            assert!(
                !record.end(&id, EndReason::BreakGlass { note: "leak".into() }, true, NOW),
                "{name}: the first reason stands"
            );
            assert_eq!(record.accesses.get(&id).unwrap().state, state, "{name}");
        }
    }
}

#[test]
fn an_account_should_hold_the_union_of_what_lives() {
    let table: [(&str, Vec<Access>, EntitlementSet, [EntitlementSet; 2]); 9] = [
        ("nothing", vec![], rights(&["x"]), [rights(&[]), rights(&[])]),
        ("ordered", vec![access("a", accepted())], rights(&["a"]), [rights(&[]), rights(&[])]),
        ("granting", vec![access("a", granting())], rights(&[]), [rights(&["a"]), rights(&[])]),
        (
            "granting, held already",
            vec![access("a", granting())],
            rights(&["a"]),
            [rights(&["a"]), rights(&["a"])],
        ),
        ("active", vec![access("a", active())], rights(&[]), [rights(&["a"]), rights(&["a"])]),
        (
            "interrupted: what is left",
            vec![access("a", interrupted())],
            rights(&["x"]),
            [rights(&[]), rights(&[])],
        ),
        ("ending", vec![access("a", ending())], rights(&["a"]), [rights(&[]), rights(&[])]),
        ("past its deadline", vec![ended_at(NOW, active())], rights(&["a"]), [rights(&[]), rights(&[])]),
        (
            "two that live, one that ends",
            vec![access("a", active()), access("b", granting()), access("c", ending())],
            rights(&["a", "c"]),
            [rights(&["a", "b"]), rights(&["a"])],
        ),
    ];
    for (name, accesses, held, [allowed, forbidden]) in table {
        let mut record = record(Ownership::Owned, Phase::Open, accesses);
        record.held = held;
        assert_eq!(record.goal(true, NOW), allowed, "{name}, opening allowed");
        assert_eq!(record.goal(false, NOW), forbidden, "{name}, opening not allowed");
    }
}

fn drawn(numbers: &mut Numbers) -> AccountRecord {
    let phases =
        [Phase::Absent, Phase::Opening, Phase::Open, Phase::Closing, Phase::Suspended, Phase::Deleting];
    let states = [accepted(), granting(), active(), interrupted(), ending()];
    let accesses = ["a", "b", "c"].map(|name| {
        let state = states[usize::try_from(numbers.below(5)).unwrap()].clone();
        let from = in_mins(-30).plus(numbers.span(60));
        Access { from, until: from.plus(numbers.span(60)), ..access(name, state) }
    });
    record(Ownership::Owned, phases[usize::try_from(numbers.below(6)).unwrap()], accesses)
}

#[test]
fn settling_is_done_at_once_and_goes_only_towards_less() {
    for seed in 0..4_000 {
        let mut numbers = Numbers(seed);
        let mut record = drawn(&mut numbers);
        let first = record.clone();
        let sure = numbers.below(2) == 0;
        let mut now = NOW;
        for _ in 0..6 {
            now = now.plus(numbers.span(20));
            let before = record.clone();
            let changed = record.settle(sure, now);
            assert!(record.is_settled(now), "seed {seed}: something is left to do");
            assert_eq!(record.settle(sure, now), [], "seed {seed}: a second time it changes something");
            assert_eq!(before.is_settled(now), changed.is_empty(), "seed {seed}");
            for may_open in [true, false] {
                let (less, more) = (record.goal(may_open, now), before.goal(may_open, now));
                assert!(less.within(&more), "seed {seed}: {less:?} is more than {more:?}");
            }
            let lived: Vec<_> = before.living(now).map(|access| access.id.clone()).collect();
            assert!(
                record.living(now).all(|access| lived.contains(&access.id)),
                "seed {seed}: a new one lives"
            );
            for (id, access) in before.accesses.iter() {
                let after = &record.accesses.get(id).unwrap().state;
                let stays = access.state.is_terminal() || matches!(access.state, AccessState::Ending { .. });
                assert!(!stays || *after == access.state, "seed {seed}: {id} comes back from its end");
                let due = now >= access.until;
                let over = after.is_terminal() || matches!(after, AccessState::Ending { .. });
                assert!(!due || over, "seed {seed}: {id} outlives its deadline as {}", after.word());
            }
            // Whoever slept through all the moments before comes to the same.
            let mut late = first.clone();
            late.settle(sure, now);
            assert_eq!(late.goal(true, now), record.goal(true, now), "seed {seed}");
            assert!(late.living(now).eq(record.living(now)), "seed {seed}");
        }
    }
}

#[test]
fn what_can_be_forgotten() {
    let absent = || record(Ownership::Owned, Phase::Absent, []);
    type Case = (&'static str, AccountRecord, fn(&mut AccountRecord), bool);
    let table: [Case; 6] = [
        ("gone", absent(), |_| {}, true),
        ("wanted", record(Ownership::Owned, Phase::Absent, [access("a", accepted())]), |_| {}, false),
        ("shut", record(Ownership::Owned, Phase::Suspended, []), |_| {}, false),
        (
            "under way",
            absent(),
            |record| record.intent = Some(Intent { act: "open".into(), since: NOW }),
            false,
        ),
        ("what was sent may land", absent(), |record| record.unsure.note(true, in_mins(1)), false),
        ("what was sent has landed", absent(), |record| record.unsure.note(true, NOW), true),
    ];
    for (name, mut record, otherwise, expected) in table {
        otherwise(&mut record);
        assert_eq!(record.is_forgettable(NOW), expected, "{name}");
    }
}

#[test]
fn calls_that_may_land_keep_their_kinds_apart() {
    let table = [
        // name, closes, until minutes, proves after, opens after
        ("one that opens", false, 1, true, true),
        ("one that closes", true, 1, false, true),
        ("one that opened, and its time is over", false, 0, false, false),
        ("one that closed, and its time is over", true, 0, false, false),
    ];
    for (name, closes, mins, proves_later, opens_later) in table {
        let mut unsure = Unsure::default();
        unsure.note(closes, in_mins(mins));
        unsure.note(closes, in_mins(-5));
        let later = |waits: bool| waits.then(|| in_mins(mins));
        assert_eq!(unsure.proves_after(NOW), later(proves_later), "{name}: an earlier one shortens nothing");
        assert_eq!(unsure.opens_after(NOW), later(opens_later), "{name}");
        let pushed = unsure.time_leapt(Span::from_hours(1), NOW);
        assert_eq!(pushed, mins > 0, "{name}: what could land still can, after a leap");
        assert_eq!(unsure.opens_after(in_mins(60)), (mins > 0).then(|| in_mins(61)), "{name}");
    }
}
