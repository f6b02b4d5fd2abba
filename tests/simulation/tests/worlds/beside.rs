//! What an operator does beside the agent, by hand: pausing and resuming; and what operators are shown.

use model::*;
use rules::book::Tally;
use rules::{Input, Order};

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
