//! What every phase needs next for every goal, and what bears on it.

use model::{
    Access, AccessState, Generation, GranteeKey, Incarnation, Ordered, Ownership, Phase, Position,
    SealedCredential,
};

use super::{Class, Deed, Plan, Surroundings, plan};
use crate::account::AccountRecord;
use crate::bench::{NOW, accepted, access, active, ending, granting, in_mins, interrupted, record, rights};

const ALL: Surroundings =
    Surroundings { may_open: true, may_delete: true, may_rotate: true, clear_at_hand: true };
const NO_OPENING: Surroundings = Surroundings { may_open: false, may_rotate: false, ..ALL };
const NO_CONTROL_PLANE: Surroundings = Surroundings { may_open: false, ..ALL };
const NO_DELETING: Surroundings = Surroundings { may_delete: false, ..ALL };
const NO_CLEAR: Surroundings = Surroundings { clear_at_hand: false, ..ALL };

const PHASES: [Phase; 6] =
    [Phase::Absent, Phase::Opening, Phase::Open, Phase::Closing, Phase::Suspended, Phase::Deleting];

/// A plan in a word; a wait by the minutes from now.
fn told(plan: Plan) -> String {
    match plan {
        Plan::Do(Class::Closing, Deed::Close) => "close".into(),
        Plan::Do(Class::Closing, Deed::Converge) => "less".into(),
        Plan::Do(Class::Opening, Deed::Converge) => "more".into(),
        Plan::Do(Class::Opening, deed @ (Deed::Mint | Deed::Open | Deed::Observe)) => deed.word().into(),
        Plan::Do(Class::Housekeeping, deed @ (Deed::Rotate | Deed::Delete)) => deed.word().into(),
        Plan::Do(Class::Housekeeping, Deed::Mint) => "mint anew".into(),
        Plan::Do(class, deed) => format!("{class:?} {deed:?}"),
        Plan::Wait(None) => "wait".into(),
        Plan::Wait(Some(at)) => format!("{}", at.since(NOW)),
    }
}

/// Every goal that accesses can make together, by name.
fn goals() -> [(&'static str, Vec<Access>); 12] {
    let later = |state| Access { from: in_mins(20), ..access("b", state) };
    [
        ("nothing", vec![]),
        ("ordered for later", vec![later(accepted())]),
        ("ordered", vec![access("a", accepted())]),
        ("granting", vec![access("a", granting())]),
        ("active", vec![access("a", active())]),
        ("interrupted", vec![access("a", interrupted())]),
        ("ending", vec![access("a", ending())]),
        ("ending, active", vec![access("a", ending()), access("b", active())]),
        ("ending, granting", vec![access("a", ending()), access("b", granting())]),
        ("ending, ordered", vec![access("a", ending()), access("b", accepted())]),
        ("active, ordered", vec![access("a", active()), access("b", accepted())]),
        ("active, granting", vec![access("a", active()), access("b", granting())]),
    ]
}

fn matrix(name: &str, ownership: Ownership, around: Surroundings, rows: [(&str, [&str; 6]); 12]) {
    for ((goal, accesses), (row, expected)) in goals().into_iter().zip(rows) {
        assert_eq!(goal, row, "{name}: the rows are in the order of the goals");
        for (phase, expected) in PHASES.into_iter().zip(expected) {
            let record = record(ownership, phase, accesses.clone());
            assert_eq!(told(plan(&record, around, NOW)), expected, "{name}: {goal}, {phase:?}");
        }
    }
}

#[test]
fn every_phase_and_every_goal() {
    matrix(
        "opening allowed",
        Ownership::Owned,
        ALL,
        [
            // absent, opening, open, closing, suspended, deleting
            ("nothing", ["wait", "close", "close", "close", "wait", "delete"]),
            ("ordered for later", ["20m", "close", "close", "close", "20m", "delete"]),
            ("ordered", ["mint", "close", "close", "close", "mint", "delete"]),
            ("granting", ["mint", "open", "more", "close", "mint", "delete"]),
            ("active", ["30m", "close", "30m", "close", "30m", "delete"]),
            ("interrupted", ["30m", "close", "30m", "close", "30m", "delete"]),
            ("ending", ["close", "close", "close", "close", "close", "close"]),
            ("ending, active", ["close", "close", "less", "close", "close", "close"]),
            ("ending, granting", ["close", "close", "less", "close", "close", "close"]),
            ("ending, ordered", ["close", "close", "close", "close", "close", "close"]),
            ("active, ordered", ["mint", "close", "more", "close", "mint", "delete"]),
            ("active, granting", ["mint", "open", "more", "close", "mint", "delete"]),
        ],
    );
    matrix(
        "opening not allowed",
        Ownership::Owned,
        NO_OPENING,
        [
            ("nothing", ["wait", "close", "close", "close", "wait", "delete"]),
            ("ordered for later", ["20m", "close", "close", "close", "20m", "delete"]),
            ("ordered", ["30m", "close", "close", "close", "30m", "delete"]),
            ("granting", ["10m", "10m", "10m", "close", "10m", "delete"]),
            ("active", ["30m", "close", "30m", "close", "30m", "delete"]),
            ("interrupted", ["30m", "close", "30m", "close", "30m", "delete"]),
            ("ending", ["close", "close", "close", "close", "close", "close"]),
            ("ending, active", ["close", "close", "less", "close", "close", "close"]),
            ("ending, granting", ["close", "close", "less", "close", "close", "close"]),
            ("ending, ordered", ["close", "close", "close", "close", "close", "close"]),
            ("active, ordered", ["30m", "close", "30m", "close", "30m", "delete"]),
            ("active, granting", ["10m", "10m", "10m", "close", "10m", "delete"]),
        ],
    );
    matrix(
        "borrowed",
        Ownership::Borrowed,
        ALL,
        [
            ("nothing", ["wait", "close", "close", "close", "wait", "close"]),
            ("ordered for later", ["20m", "close", "close", "close", "20m", "close"]),
            ("ordered", ["observe", "close", "close", "close", "observe", "close"]),
            ("granting", ["observe", "more", "more", "close", "observe", "close"]),
            ("active", ["30m", "close", "30m", "close", "30m", "close"]),
            ("interrupted", ["30m", "close", "30m", "close", "30m", "close"]),
            ("ending", ["close", "close", "close", "close", "close", "close"]),
            ("ending, active", ["close", "close", "less", "close", "close", "close"]),
            ("ending, granting", ["close", "close", "less", "close", "close", "close"]),
            ("ending, ordered", ["close", "close", "close", "close", "close", "close"]),
            ("active, ordered", ["observe", "close", "more", "close", "observe", "close"]),
            ("active, granting", ["observe", "more", "more", "close", "observe", "close"]),
        ],
    );
}

#[test]
fn a_wait_ends_later_and_only_closing_goes_on_while_a_call_may_land() {
    for around in [ALL, NO_OPENING, NO_DELETING, NO_CLEAR] {
        for ownership in [Ownership::Owned, Ownership::Borrowed] {
            for (goal, accesses) in goals() {
                let ends = accesses.iter().any(|access| matches!(access.state, AccessState::Ending { .. }));
                for phase in PHASES {
                    let mut record = record(ownership, phase, accesses.clone());
                    record.unsure.growing = Some(in_mins(1));
                    record.unsure.shrinking = Some(in_mins(2));
                    let plan = plan(&record, around, NOW);
                    match plan {
                        Plan::Wait(Some(at)) => assert!(at > NOW, "{goal}, {phase:?}: would spin"),
                        Plan::Wait(None) => {
                            let kept = accesses.is_empty() && phase != Phase::Closing;
                            assert!(kept, "{goal}, {phase:?}: forgotten");
                        }
                        Plan::Do(class, _) => assert!(class != Class::Opening, "{goal}, {phase:?}: opens"),
                    }
                    let closes = matches!(plan, Plan::Do(Class::Closing, _));
                    assert!(closes || !ends, "{goal}, {phase:?}: what is being ended waits");
                }
            }
        }
    }
}

/// One row: what it is about, the record that should be, what is otherwise, the surroundings, the plan.
type Case = (&'static str, AccountRecord, fn(&mut AccountRecord), Surroundings, &'static str);

fn read(table: Vec<Case>) {
    for (name, mut record, otherwise, around, expected) in table {
        otherwise(&mut record);
        assert_eq!(told(plan(&record, around, NOW)), expected, "{name}");
    }
}

#[test]
fn opening_needs_a_credential_that_is_for_the_present_key() {
    fn sealed(key: &str) -> SealedCredential {
        SealedCredential {
            generation: Generation(1),
            access: access("a", granting()).id,
            key: GranteeKey(key.into()),
            encapsulated: String::new(),
            ciphertext: String::new(),
        }
    }
    let opening = || record(Ownership::Owned, Phase::Opening, [access("a", granting())]);
    read(vec![
        ("ready", opening(), |_| {}, ALL, "open"),
        ("none", opening(), |record| record.credential = None, ALL, "mint"),
        ("of an earlier generation", opening(), |record| record.generation = Generation(2), ALL, "mint"),
        (
            "for the present key",
            opening(),
            |record| record.credential.as_mut().unwrap().sealed = Some(sealed("key")),
            ALL,
            "open",
        ),
        (
            "for a former key",
            opening(),
            |record| record.credential.as_mut().unwrap().sealed = Some(sealed("former")),
            ALL,
            "mint",
        ),
        (
            "clear text, at hand",
            opening(),
            |record| record.credential.as_mut().unwrap().verifier = None,
            ALL,
            "open",
        ),
        (
            "clear text, made by an earlier life",
            opening(),
            |record| record.credential.as_mut().unwrap().verifier = None,
            NO_CLEAR,
            "mint",
        ),
        (
            "an earlier call may land",
            opening(),
            |record| record.unsure.shrinking = Some(in_mins(1)),
            ALL,
            "1m",
        ),
        (
            "an earlier call has landed or never will",
            opening(),
            |record| record.unsure.shrinking = Some(NOW),
            ALL,
            "open",
        ),
    ]);
}

#[test]
fn an_open_account_is_brought_to_what_lives_and_marked_so() {
    let open = || record(Ownership::Owned, Phase::Open, [access("a", active())]);
    let lent = || record(Ownership::Borrowed, Phase::Open, [access("a", active())]);
    let later: fn(&mut AccountRecord) = |record| {
        for access in record.accesses.values_mut() {
            access.until = in_mins(45);
        }
    };
    let sooner: fn(&mut AccountRecord) = |record| {
        for access in record.accesses.values_mut() {
            access.until = in_mins(15);
        }
    };
    read(vec![
        ("as it should be", open(), |_| {}, ALL, "30m"),
        ("holds too much", open(), |record| record.held.extend(&rights(&["x"])), NO_OPENING, "less"),
        (
            "holds too little: that is interrupted, not given back",
            open(),
            |record| {
                record.held = rights(&[]);
            },
            ALL,
            "30m",
        ),
        ("a later deadline is marked", open(), later, ALL, "more"),
        ("not while opening is not allowed", open(), later, NO_OPENING, "45m"),
        ("an earlier deadline is always marked", open(), sooner, NO_OPENING, "more"),
        ("its mark is not known", open(), AccountRecord::unmarked, ALL, "more"),
        ("rotation asked", open(), |record| record.rotate_asked = true, ALL, "mint anew"),
        (
            "rotation asked, opening not allowed",
            open(),
            |record| record.rotate_asked = true,
            NO_OPENING,
            "30m",
        ),
        (
            "rotation ready",
            open(),
            |record| {
                record.rotate_asked = true;
                record.credential.as_mut().unwrap().set = false;
            },
            ALL,
            "rotate",
        ),
        ("rotation of a borrowed account", lent(), |record| record.rotate_asked = true, ALL, "30m"),
        (
            "an earlier call may land",
            open(),
            |record| {
                record.rotate_asked = true;
                record.unsure.growing = Some(in_mins(1));
            },
            ALL,
            "1m",
        ),
        (
            "past its deadline",
            open(),
            |record| {
                for access in record.accesses.values_mut() {
                    access.until = NOW;
                }
            },
            ALL,
            "close",
        ),
    ]);
}

#[test]
fn a_shut_account_is_cleaned_up_and_rotated_when_that_is_due() {
    let shut = || record(Ownership::Owned, Phase::Suspended, []);
    let ordered = || record(Ownership::Owned, Phase::Suspended, [access("a", accepted())]);
    let lent = || record(Ownership::Borrowed, Phase::Suspended, []);
    let due: fn(&mut AccountRecord) = |record| record.cleanup_due = Some(NOW);
    let asked: fn(&mut AccountRecord) = |record| record.delete_asked = true;
    let stale: fn(&mut AccountRecord) = |record| record.rotate_due = Some(NOW);
    let both: fn(&mut AccountRecord) = |record| {
        record.rotate_due = Some(in_mins(50));
        record.cleanup_due = Some(in_mins(40));
    };
    read(vec![
        ("kept", shut(), |_| {}, ALL, "wait"),
        ("the sooner of what is to come", shut(), both, ALL, "40m"),
        ("cleanup is due", shut(), due, ALL, "delete"),
        ("cleanup is due after a leap of the clock", shut(), due, NO_DELETING, "wait"),
        ("cleanup is due, and it is wanted again", ordered(), due, ALL, "mint"),
        ("deletion was asked for", shut(), asked, ALL, "delete"),
        ("deletion was asked for, and it is wanted again", ordered(), asked, ALL, "delete"),
        ("deletion while opening is not allowed", shut(), asked, NO_OPENING, "delete"),
        ("rotation is due", shut(), stale, ALL, "mint anew"),
        ("rotation is due, opening not allowed", shut(), stale, NO_OPENING, "wait"),
        (
            "rotation is due, nobody said that this journal is current",
            shut(),
            stale,
            NO_CONTROL_PLANE,
            "mint anew",
        ),
        (
            "an earlier close may land",
            ordered(),
            |record| record.unsure.shrinking = Some(in_mins(1)),
            ALL,
            "1m",
        ),
        ("a borrowed one is never deleted", lent(), due, ALL, "wait"),
        ("a borrowed one is never rotated", lent(), stale, ALL, "wait"),
    ]);
    let mut gone = record(Ownership::Owned, Phase::Absent, []);
    gone.unsure.shrinking = Some(in_mins(1));
    assert_eq!(told(plan(&gone, ALL, NOW)), "1m", "then it can be forgotten");
    let deleting = record(Ownership::Owned, Phase::Deleting, []);
    assert_eq!(told(plan(&deleting, NO_DELETING, NOW)), "wait", "a deletion stops at a leap of the clock");
}

#[test]
fn of_several_orders_the_one_under_way_comes_first() {
    let mut record = record(Ownership::Owned, Phase::Absent, []);
    let incarnation = Incarnation::from_uuid(record.account.id.as_uuid());
    for (position, id, state) in [(1, "c", accepted()), (2, "b", accepted()), (3, "a", granting())] {
        let ordered = Some(Ordered { incarnation, position: Position(position) });
        let access = Access { ordered, ..access(id, state) };
        record.accesses.insert(access.id.clone(), access);
    }
    let mut come = vec![];
    while let Some(id) = record.candidate(NOW).map(|access| access.id.clone()) {
        record.accesses.remove(&id);
        come.push(id.to_string());
    }
    assert_eq!(come, ["a", "c", "b"], "then in the order of the control plane's log");
}

#[test]
fn closing_comes_before_opening_before_housekeeping() {
    let mut classes = [Class::Housekeeping, Class::Opening, Class::Closing];
    classes.sort();
    assert_eq!(classes, [Class::Closing, Class::Opening, Class::Housekeeping]);
}
