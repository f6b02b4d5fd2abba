//! The link: cursors, greetings, digests, pace.

use std::collections::BTreeMap;

use control::record::{Log, Seen};
use control::rules::cursor::{Place, place};
use control::rules::hello::{Anew, Hello, Rival, resume, rival};
use control::rules::live::digest;
use control::rules::pace::{PER_SECOND, Pace};
use control::token::hex;
use model::{AccessId, ConnectorId, Incarnation, InstanceId, Position, Revision, Span};
use uuid::Uuid;

use super::later;
use crate::world::{START, hello};

#[test]
fn the_digest_is_that_of_the_wire() {
    let table = [
        (
            "the example of the wire's own page",
            vec![("b", 2), ("a", 10)],
            "88edc21486228399b8513ee5678fd1597d7b895c27c737d3aff2ec529d3ce698",
        ),
        ("nothing", vec![], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ];
    for (name, accesses, expected) in table {
        let accesses: BTreeMap<_, _> =
            accesses.iter().map(|(id, n)| (AccessId::parse(*id).unwrap(), Revision(*n))).collect();
        assert_eq!(hex(&digest(&accesses)), expected, "{name}");
    }
}

#[test]
fn reports_are_taken_in_order() {
    let table = [
        ("the first", 0, 1, Place::Next),
        ("the next", 7, 8, Place::Next),
        ("the last one again", 7, 7, Place::Before),
        ("an old one", 7, 1, Place::Before),
        ("one is missing", 7, 9, Place::Gap { expected: Position(8) }),
    ];
    for (name, committed, report, expected) in table {
        assert_eq!(place(Position(committed), Position(report)), expected, "{name}");
    }
}

fn life(n: u128) -> Incarnation {
    Incarnation::from_uuid(Uuid::from_u128(n))
}

#[test]
fn a_greeting_finds_where_the_orders_go_on() {
    let log = |last, taken| Log {
        incarnation: life(1),
        last: Position(last),
        taken: Position(taken),
        may_skip: false,
    };
    let agent = |taken: &[(u128, u64)]| Hello {
        journal: life(9),
        taken: taken.iter().map(|(n, at)| (life(*n), Position(*at))).collect(),
        last_report: Position(5),
        ..hello(&ConnectorId::parse("north").unwrap())
    };
    let first = |at: u64| Some(Position(at));
    // (name, hello, log, first order kept, from, anew, standing)
    let table = [
        ("the very first time", agent(&[]), log(0, 0), None, 0, None, true),
        ("orders waited for the first agent", agent(&[]), log(3, 0), first(1), 0, None, true),
        ("nothing is new", agent(&[(1, 5)]), log(5, 5), first(1), 5, None, false),
        ("it is behind", agent(&[(1, 3)]), log(5, 3), first(1), 3, None, true),
        ("what it needs next is kept", agent(&[(1, 3)]), log(9, 9), first(4), 3, None, true),
        ("what it needs is dropped", agent(&[(1, 3)]), log(9, 9), first(5), 3, Some(Anew::Forgotten), true),
        ("all is dropped", agent(&[(1, 3)]), log(9, 9), None, 3, Some(Anew::Forgotten), true),
        ("it has taken all that is dropped", agent(&[(1, 9)]), log(9, 9), None, 9, None, false),
        (
            "it has taken more than there is",
            agent(&[(1, 6)]),
            log(5, 5),
            first(1),
            6,
            Some(Anew::WentBack),
            true,
        ),
        ("it knows another life", agent(&[(2, 50)]), log(5, 0), first(1), 0, None, true),
        (
            "an empty journal, and orders are dropped",
            agent(&[]),
            log(9, 9),
            first(4),
            0,
            Some(Anew::Forgotten),
            true,
        ),
    ];
    let seen = |journal| Seen {
        at: START,
        version: String::new(),
        instance: InstanceId::from_uuid(Uuid::from_u128(3)),
        journal,
        epoch: 0,
        place: BTreeMap::new(),
    };
    for (name, hello, log, first_kept, from, anew, standing) in table {
        let got = resume(&hello, &log, first_kept, Some(&seen(life(9))), Position(5));
        assert_eq!((got.from, got.anew), (Position(from), anew), "{name}");
        assert_eq!(got.standing, standing, "{name}: standing");
        assert!(!got.old_journal, "{name}: old journal");
    }
    let same = agent(&[(1, 5)]);
    assert!(resume(&same, &log(5, 5), first(1), Some(&seen(life(8))), Position(0)).standing, "a new journal");
    assert!(
        resume(&same, &log(5, 5), first(1), Some(&seen(life(9))), Position(6)).old_journal,
        "an old copy"
    );
}

#[test]
fn one_instance_is_active() {
    let instance = |n| InstanceId::from_uuid(Uuid::from_u128(n));
    let table = [
        ("the same process dials again", (instance(1), 0), (instance(1), 0), Rival::Replaces),
        ("another process", (instance(1), 0), (instance(2), 0), Rival::Refused),
        ("a later lease", (instance(1), 3), (instance(2), 4), Rival::Replaces),
        ("an older lease", (instance(1), 3), (instance(2), 2), Rival::Refused),
    ];
    for (name, alive, new, expected) in table {
        assert_eq!(rival(alive, new), expected, "{name}");
    }
}

#[test]
fn an_agent_that_floods_is_slowed_to_its_pace() {
    let mut pace = Pace::default();
    assert_eq!(pace.spend(10 * PER_SECOND, later(0)), Span::ZERO, "a burst is free");
    assert_eq!(pace.spend(PER_SECOND, later(0)), Span::from_secs(1));
    assert_eq!(pace.spend(1, later(20)), Span::ZERO, "time gives it back");
    let mut slow = Pace::default();
    for secs in 0..1_000 {
        assert_eq!(slow.spend(PER_SECOND, later(secs)), Span::ZERO, "the steady pace is free at {secs}");
    }
}
