//! What an operator does beside the agent, by hand: pausing and resuming, breaking the glass; and what operators are shown.

use journal::memory::Fate;
use model::*;
use rules::book::{Tally, Which};
use rules::{Action, Input, Order, Report};

use crate::bench::{Bench, START, id, target};

fn bench() -> Bench {
    Bench::new(Ownership::Owned, Policy::default())
}

fn pause(integration: Option<IntegrationId>, paused: bool) -> Input {
    Input::PausedHere { integration, paused }
}

#[test]
fn a_pause_beside_the_agent_stops_opening_never_closing_and_outlives_a_restart() {
    for (name, integration) in [("all", None), ("one", Some(target()))] {
        let mut bench = bench();
        let opening = bench.put("a", "ann", &["orders"], 30);
        bench.well(opening);
        assert!(bench.input(pause(integration.clone(), true)).is_empty(), "{name}");
        assert!(bench.put("b", "bob", &["orders"], 60).is_empty(), "{name}: nothing opens");
        assert!(bench.restart().is_empty(), "{name}: it outlives a restart");
        assert_eq!(bench.book.standstill().is_some(), integration.is_none(), "{name}: told for all only");
        let closing = bench.order(Order::EndAccess { access: id("a") });
        assert_eq!(closing.iter().map(|action| action.act.word()).collect::<Vec<_>>(), ["close"], "{name}");
        bench.well(closing);

        // Each lifts only its own pause.
        assert!(
            bench.order(Order::Resume { integration: integration.clone() }).is_empty(),
            "{name}: by order"
        );
        bench.order(Order::Pause { integration: integration.clone() });
        assert!(bench.input(pause(integration.clone(), false)).is_empty(), "{name}: the order's stands");
        let opening = bench.order(Order::Resume { integration });
        assert_eq!(opening.iter().map(|action| action.act.word()).collect::<Vec<_>>(), ["mint"], "{name}");
        bench.well(opening);
        assert_eq!(bench.state("b"), "active", "{name}");
    }
}

#[test]
fn a_pause_of_what_is_not_known_changes_nothing_and_the_same_one_twice_is_one() {
    let mut bench = bench();
    let unknown = IntegrationId::parse("other").unwrap();
    let before = bench.journal.writes();
    bench.input(pause(Some(unknown), true));
    bench.input(pause(None, false));
    bench.input(pause(Some(target()), false));
    assert_eq!(bench.journal.writes(), before, "nothing to write");
    bench.input(pause(None, true));
    bench.input(pause(None, true));
    assert_eq!(bench.journal.writes(), before + 1, "written once");
}

#[test]
fn who_resumes_beside_the_agent_takes_the_target_that_answers() {
    let mut bench = bench();
    for identity in ["first", "second"] {
        bench.input(Input::Identified { integration: target(), identity: TargetIdentity(identity.into()) });
    }
    assert!(bench.put("a", "ann", &["orders"], 30).is_empty(), "another target: nothing opens");
    let opening = bench.input(pause(Some(target()), false));
    assert_eq!(opening.iter().map(|action| action.act.word()).collect::<Vec<_>>(), ["mint"]);
    let record = bench.book.integration(&target()).unwrap();
    assert_eq!((&record.target, &record.replaced), (&Some(TargetIdentity("second".into())), &None));
}

#[test]
fn a_tally_says_how_an_integration_stands() {
    let mut bench = bench();
    let opening = bench.put("a", "ann", &["orders"], 30);
    bench.well(opening);
    let opening = bench.put("b", "bob", &["orders"], 60);
    bench.well(opening);
    let tally = |bench: &Bench| bench.book.tallies()[&target()].clone();
    let (all, lane) = (tally(&bench), tally(&bench).lane);
    assert_eq!((all.counts.accounts, all.counts.active, all.counts.overdue), (2, 2, 0));
    assert_eq!(all.next_deadline, Some(Timestamp::from_secs(START + 30 * 60)));
    assert_eq!((lane.calls, lane.closing, lane.breaker_open), (0, 0, false));
    assert_eq!(all.longest_overdue(bench.book.now()), None);

    // The close is under way, and a minute later still.
    assert_eq!(bench.pass(30 * 60).len(), 1);
    bench.pass(60);
    let late = tally(&bench);
    assert_eq!((late.counts.active, late.counts.ending, late.counts.overdue, late.lane.calls), (1, 1, 1, 1));
    assert_eq!(late.longest_overdue(bench.book.now()), Some(Span::from_mins(1)));
    assert_eq!(late.next_deadline, Some(Timestamp::from_secs(START + 60 * 60)));
    assert_eq!(Tally::sum([&late, &late]).counts.overdue, 2);
    assert_eq!(Tally::sum([&late, &late]).overdue_since, late.overdue_since);
    assert_eq!(bench.book.counts(), late.counts);
}

const NOTE: &str = "user 0: a stolen laptop";

fn glass(which: Which) -> Input {
    Input::BreakGlass { which, note: NOTE.into() }
}

fn words(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(|action| action.act.word()).collect()
}

/// Two accesses of one grantee, one of another, all active.
fn three() -> Bench {
    let mut bench = bench();
    for (access, grantee, table) in [("a", "ann", "orders"), ("b", "ann", "stock"), ("c", "bob", "orders")] {
        let opening = bench.put(access, grantee, &[table], 60);
        bench.well(opening);
    }
    bench
}

#[test]
fn breaking_the_glass_ends_what_is_meant_and_nothing_else() {
    let other = IntegrationId::parse("other").unwrap();
    let table = [
        ("all", Which::All, vec!["a", "b", "c"], vec!["close", "close"]),
        ("one integration", Which::Integration(target()), vec!["a", "b", "c"], vec!["close", "close"]),
        ("another integration", Which::Integration(other), vec![], vec![]),
        ("one of two of an account", Which::Access(id("a")), vec!["a"], vec!["converge"]),
        ("the only one of an account", Which::Access(id("c")), vec!["c"], vec!["close"]),
        ("an unknown one", Which::Access(id("x")), vec![], vec![]),
    ];
    for (name, which, ended, acts) in table {
        let mut bench = three();
        let mut endable = bench.book.endable(&which);
        endable.sort();
        assert_eq!(endable, ended.iter().map(|access| id(access)).collect::<Vec<_>>(), "{name}");
        let actions = bench.input(glass(which.clone()));
        assert_eq!(words(&actions), acts, "{name}");
        assert!(bench.input(glass(which)).is_empty(), "{name}: once is enough");
        bench.well(actions);
        for access in ["a", "b", "c"] {
            let expected = if ended.contains(&access) { "ended" } else { "active" };
            assert_eq!(bench.state(access), expected, "{name}: {access}");
        }
        assert_eq!(bench.alarms(&Code::BREAK_GLASS), usize::from(!ended.is_empty()), "{name}");
    }
}

#[test]
fn receipts_and_reports_say_who_broke_the_glass_and_why_and_the_id_is_spent() {
    let mut bench = three();
    bench.input(glass(Which::Access(id("c"))));
    // It outlives the agent that was told.
    let closing = bench.restart();
    assert_eq!(words(&closing), ["close"]);
    bench.well(closing);
    let reason = EndReason::BreakGlass { note: NOTE.into() };
    let told = |report: &&Report| match report {
        Report::AccessChanged { state: AccessState::Ending { reason: told, .. }, .. } => *told == reason,
        Report::Alarm { code, detail, .. } => *code == Code::BREAK_GLASS && detail.contains(NOTE),
        Report::Receipt { signed, .. } => signed.contains("break_glass") && signed.contains(NOTE),
        _ => false,
    };
    assert!(bench.reports.iter().filter(told).count() >= 3, "{:#?}", bench.reports);
    assert!(bench.put("c", "bob", &["orders"], 60).is_empty());
    assert_eq!(bench.refusals(&Code::ID_ENDED), 1);
}

#[test]
fn what_was_never_begun_ends_at_once() {
    let mut bench = bench();
    bench.input(pause(None, true));
    bench.put("a", "ann", &["orders"], 60);
    assert!(bench.input(glass(Which::All)).is_empty());
    assert_eq!(bench.state("a"), "ended");
}

#[test]
fn without_a_journal_the_glass_is_broken_all_the_same_and_again_when_it_works() {
    let mut bench = three();
    bench.journal.break_writes(Fate::NotWritten);
    let closing = bench.input(glass(Which::All));
    assert_eq!(words(&closing), ["close", "close"], "closing goes on");
    assert_eq!(bench.book.endable(&Which::All).len(), 3, "memory does not run ahead of the disk");
    bench.well(closing);
    bench.journal.mend();
    bench.input(Input::CloseOnly(None));
    assert!(bench.input(glass(Which::All)).is_empty(), "what was not kept is asked again without haste");
    let again = bench.pass(31);
    bench.well(again);
    for access in ["a", "b", "c"] {
        assert_eq!(bench.state(access), "ended", "{access}");
    }
    assert_eq!(bench.alarms(&Code::BREAK_GLASS), 1);
}
