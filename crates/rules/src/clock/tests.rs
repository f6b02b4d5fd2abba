//! What the clock makes of suspends, leaps both ways, and other clocks.

use model::{Span, Timestamp};

use super::{Clock, FRESH, JUMP, Persisted, Reading, Source, TOLERANCE};
use crate::bench::{NOW, Numbers};

const HOUR: i64 = 3_600;

/// A reading, in seconds from the beginning.
const fn reading(wall: i64, monotonic: i64) -> Reading {
    Reading {
        wall: Timestamp::from_millis(NOW.as_millis() + wall * 1_000),
        monotonic: Span::from_secs(HOUR + monotonic),
    }
}

/// A clock that was read once, at the beginning.
fn begun() -> Clock {
    let mut clock = Clock::restore(Persisted::default());
    clock.read(reading(0, 0));
    clock
}

/// Effective time in seconds from the beginning; whether opening and deleting are allowed.
fn stands(clock: &Clock) -> (i64, bool, bool) {
    let secs = (clock.now().as_millis() - NOW.as_millis()) / 1_000;
    (secs, clock.may_open().is_ok(), clock.may_delete())
}

#[test]
fn one_reading_after_another() {
    let table = [
        // name, wall, monotonic, effective, leapt, opens, deletes
        ("a minute passes", 60, 60, 60, 0, true, true),
        ("nothing passes", 0, 0, 0, 0, true, true),
        ("suspended for a night, and the night counts", 8 * HOUR, 8 * HOUR, 8 * HOUR, 0, true, true),
        ("suspended, and only the wall clock knows", 8 * HOUR, 0, 8 * HOUR, 8 * HOUR, true, false),
        ("suspended, and only the other clock knows", 0, 8 * HOUR, 8 * HOUR, 0, false, false),
        ("slewed forwards", 61, 60, 61, 1, true, true),
        ("forwards by as much as needs no witness", 660, 60, 660, 600, true, true),
        ("forwards by more", 661, 60, 661, 601, true, false),
        ("forwards by years", 10_000 * HOUR, 60, 10_000 * HOUR, 10_000 * HOUR - 60, true, false),
        ("back by as much as is normal", 30, 60, 60, 0, true, true),
        ("back by more", 29, 60, 60, 0, false, true),
        ("back by an hour", 60 - HOUR, 60, 60, 0, false, false),
        ("the monotonic clock goes back: it has not run", 60, -60, 60, 60, true, true),
    ];
    for (name, wall, monotonic, effective, leapt, opens, deletes) in table {
        let mut clock = begun();
        let now = clock.read(reading(wall, monotonic));
        assert_eq!(now, clock.now(), "{name}");
        assert_eq!(stands(&clock), (effective, opens, deletes), "{name}");
        assert_eq!(clock.leapt(), Span::from_secs(leapt), "{name}");
    }
    assert_eq!((TOLERANCE, JUMP), (Span::from_secs(30), Span::from_secs(600)), "as the table assumes");
}

#[test]
fn after_a_start_the_high_water_mark_holds() {
    let table = [
        // name, seconds of the wall clock after the mark, had jumped, effective, opens, deletes
        ("a short stop", 300, false, 300, true, true),
        ("a long stop wants a witness", HOUR, false, HOUR, true, false),
        ("the wall clock is a little behind", -20, false, 0, true, true),
        ("the wall clock is behind: crossed stays crossed", -300, false, 0, false, true),
        ("the wall clock is far behind", -HOUR, false, 0, false, false),
        ("a leap that nobody has vouched for since", 300, true, 300, true, false),
    ];
    for (name, wall, jumped, effective, opens, deletes) in table {
        let mut clock = Clock::restore(Persisted { high_water_ms: NOW.as_millis(), jumped });
        clock.read(reading(wall, 0));
        assert_eq!(stands(&clock), (effective, opens, deletes), "{name}");
        assert_eq!(clock.leapt(), Span::ZERO, "{name}: how long it was off is not a leap");
        let kept = Clock::restore(clock.persisted());
        assert_eq!((kept.now(), kept.may_delete()), (clock.now(), clock.may_delete()), "{name}: kept");
    }
}

#[test]
fn after_a_bad_jump_only_two_clocks_bring_time_down() {
    use Source::{ControlPlane, Target};
    // The wall clock went two hours ahead and came back: time is 2 h 1 min, the wall clock says 2 min.
    type Case = (&'static str, &'static [(Source, i64)], (i64, bool, bool));
    const HIGH: i64 = 2 * HOUR + 60;
    const RIGHT: i64 = 120;
    let table: [Case; 10] = [
        ("nobody was heard", &[], (HIGH, false, false)),
        ("the control plane alone", &[(ControlPlane, RIGHT)], (HIGH, false, false)),
        ("a target alone", &[(Target, RIGHT)], (HIGH, false, false)),
        ("a target twice", &[(Target, RIGHT), (Target, RIGHT)], (HIGH, false, false)),
        ("both", &[(ControlPlane, RIGHT), (Target, RIGHT)], (RIGHT, true, true)),
        ("both, the other way round", &[(Target, RIGHT), (ControlPlane, RIGHT)], (RIGHT, true, true)),
        (
            "both, within what is normal",
            &[(ControlPlane, RIGHT + 30), (Target, RIGHT - 30)],
            (RIGHT, true, true),
        ),
        ("one is a second too far off", &[(ControlPlane, RIGHT), (Target, RIGHT - 31)], (HIGH, false, false)),
        ("both say that the jump was right", &[(ControlPlane, HIGH), (Target, HIGH)], (HIGH, false, false)),
        ("they disagree", &[(ControlPlane, HIGH), (Target, RIGHT)], (HIGH, false, false)),
    ];
    for (name, heard, expected) in table {
        let mut clock = begun();
        clock.read(reading(2 * HOUR, 60));
        clock.read(reading(RIGHT, 120));
        for (source, said) in heard {
            clock.hear(*source, reading(*said, 0).wall);
        }
        assert_eq!(stands(&clock), expected, "{name}");
    }
    let mut clock = begun();
    clock.read(reading(2 * HOUR, 60));
    clock.read(reading(RIGHT, 120));
    clock.reset();
    assert_eq!(stands(&clock), (RIGHT, true, true), "an operator's word");
}

#[test]
fn a_clock_that_was_heard_counts_for_a_while_and_runs_on() {
    let fresh = FRESH.as_millis() / 1_000;
    let table = [
        // name, seconds that the control plane is ahead, seconds since, opens
        ("agrees", 0, 0, true),
        ("as far ahead as is normal", 30, 0, true),
        ("as far behind as is normal", -30, 0, true),
        ("further ahead", 31, 0, false),
        ("further behind", -31, 0, false),
        ("further ahead, and time has passed", 31, fresh, false),
        ("further ahead, and that is long ago", 31, fresh + 1, true),
        ("agreed, and time has passed", 0, fresh, true),
    ];
    for (name, ahead, since, opens) in table {
        let mut clock = begun();
        clock.hear(Source::ControlPlane, reading(ahead, 0).wall);
        clock.read(reading(since, since));
        assert_eq!(clock.may_open().is_ok(), opens, "{name}");
        let skew = (since <= fresh).then_some(ahead * 1_000);
        assert_eq!(clock.skew_ms(), skew, "{name}");
    }
    // A leap that was right is vouched for by one other clock.
    for source in [Source::ControlPlane, Source::Target] {
        let mut clock = begun();
        clock.read(reading(2 * HOUR, 60));
        clock.hear(source, reading(2 * HOUR, 0).wall);
        assert_eq!(stands(&clock), (2 * HOUR, true, true), "{source:?}");
    }
}

#[test]
fn the_years_2038_and_9999_are_times_like_others() {
    for (name, secs) in [("2038", i64::from(i32::MAX) - 30), ("2106", i64::from(u32::MAX) - 30)] {
        let mut clock = Clock::restore(Persisted::default());
        let at =
            |secs: i64, ran| Reading { wall: Timestamp::from_secs(secs), monotonic: Span::from_secs(ran) };
        clock.read(at(secs, 0));
        clock.read(at(secs + 60, 60));
        assert_eq!(clock.now(), Timestamp::from_secs(secs + 60), "{name}");
        assert!(clock.may_open().is_ok() && clock.may_delete(), "{name}");
        assert_eq!(Clock::restore(clock.persisted()).now(), clock.now(), "{name}");
    }
    let mut clock = begun();
    for _ in 0..2 {
        let last = Reading { wall: Timestamp::NEVER, monotonic: Span::from_millis(i64::MAX) };
        assert_eq!(clock.read(last), Timestamp::NEVER, "the end of time is not passed");
    }
    assert!(!clock.may_delete());
}

#[test]
fn effective_time_never_goes_back_by_one_other_clock_and_else_only_to_the_wall_clock() {
    for seed in 0..3_000 {
        let mut numbers = Numbers(seed);
        let only_one = seed % 2 == 0;
        let mut clock = begun();
        let (mut wall, mut ran) = (0_i64, 0_i64);
        for _ in 0..30 {
            let before = clock.now();
            let stepped = [0, 0, 0, -45, 45, -2 * HOUR, 2 * HOUR][index(&mut numbers, 7)];
            let passes = [0, 1, 60, HOUR][index(&mut numbers, 4)];
            ran += passes;
            wall += passes + stepped;
            let now = clock.read(reading(wall, ran));
            let heard =
                [Source::Target, Source::ControlPlane][if only_one { 0 } else { index(&mut numbers, 2) }];
            let off = [0, 20, -20, HOUR][index(&mut numbers, 4)];
            let run_on = before.plus(Span::from_secs(passes));
            let by_reading = now < run_on;
            clock.hear(heard, reading(wall + off, 0).wall);
            if by_reading || clock.now() < now {
                assert!(!only_one, "seed {seed}: one clock has brought time down");
                assert_eq!(clock.now(), reading(wall, 0).wall, "seed {seed}: to the wall clock, no further");
                assert!(clock.may_delete(), "seed {seed}: two clocks vouch for it");
            }
            assert!(clock.now() >= reading(wall, 0).wall, "seed {seed}: never behind the wall clock");
            assert_eq!(Clock::restore(clock.persisted()).now(), clock.now(), "seed {seed}: kept");
        }
    }
}

fn index(numbers: &mut Numbers, count: u64) -> usize {
    usize::try_from(numbers.below(count)).unwrap()
}
