//! An integration that is led elsewhere: what was opened is closed where the known target answered last.

use rules::{Input, Order};

use crate::bench::{Bench, done, id, target};
use model::{Code, Failure, Observed, Ownership, Policy, Retry};

fn bench() -> Bench {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    bench.lead(2, "home");
    bench.identified("one");
    bench
}

/// Where closing goes, when that is not where the integration leads.
fn former(bench: &Bench) -> Option<String> {
    let former = bench.book.integration(&target())?.former.as_ref()?;
    former.settings.get("hostname").cloned()
}

#[test]
fn the_place_that_is_known_to_lead_there_is_remembered_until_another_is() {
    let mut bench = bench();
    assert_eq!(former(&bench), None);
    bench.lead(3, "away");
    assert_eq!(former(&bench).as_deref(), Some("home"));
    bench.lead(4, "farther");
    assert_eq!(former(&bench).as_deref(), Some("home"), "what was never proven is not remembered");
    bench.restart();
    assert_eq!(former(&bench).as_deref(), Some("home"), "nor forgotten by a restart");
    bench.lead(5, "home");
    assert_eq!(former(&bench), None, "it leads there again");
    bench.lead(6, "moved");
    bench.identified("one");
    assert_eq!(former(&bench), None, "the same target answers there");
    bench.lead(7, "away");
    bench.identified("two");
    assert_eq!(former(&bench).as_deref(), Some("moved"), "another target proves nothing");
    bench.input(Input::PausedHere { integration: Some(target()), paused: false });
    assert_eq!(former(&bench), None, "an operator has looked");

    let mut fresh = Bench::new(Ownership::Owned, Policy::default());
    fresh.lead(2, "away");
    assert_eq!(former(&fresh), None, "nobody ever answered");
}

#[test]
fn an_answer_of_the_known_target_is_believed_wherever_the_integration_leads() {
    let gone = || {
        let observed = Ok(Observed::absent(None));
        rules::Answer::Closed(rules::Climb { contained: true, in_doubt: false, failures: vec![], observed })
    };
    for (by, state) in [("one", "ended"), ("two", "ending")] {
        for absent in [false, true] {
            let mut bench = bench();
            let opening = bench.put("a", "ann", &["orders"], 30);
            bench.well(opening);
            bench.lead(3, "away");
            bench.identified("two");
            let closing = bench.order(Order::EndAccess { access: id("a") });
            let answer = if absent { gone() } else { done(&closing[0].act) };
            bench.answer_by(&closing[0], answer, by);
            assert_eq!(bench.state("a"), state, "{by}, absent: {absent}");
        }
    }
}

#[test]
fn what_is_taken_away_does_not_wait_because_giving_it_was_refused() {
    let mut bench = bench();
    let opening = bench.put("a", "ann", &["orders"], 30);
    bench.well(opening);
    let joining = bench.put("b", "ann", &["stock"], 30);
    assert_eq!(joining[0].act.word(), "converge");
    let refused = Failure::refused(Code::BINDING_REFUSED, "no").with_retry(Retry::NeedsHuman);
    let undoing = bench.answer(&joining[0], rules::Answer::Failed(refused));
    assert_eq!(undoing.first().map(|action| action.act.word()), Some("converge"), "{undoing:?}");
    bench.well(undoing);
    assert_eq!((bench.state("a"), bench.state("b")), ("active", "failed"));
}
