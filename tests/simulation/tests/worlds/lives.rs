//! The first receipt that a memory signs for an integration names it, and no other does: a journal that was put
//! back cannot know how the chain went on elsewhere.

use journal::memory::Fate;
use model::*;
use rules::{Act, Answer, Input};
use uuid::Uuid;

use crate::bench::{Bench, done, present, seen, target};

fn memory(n: u128) -> Option<Incarnation> {
    Some(Incarnation::from_uuid(Uuid::from_u128(n)))
}

/// The numbers of the receipts in the journal, and the memories that they name.
fn receipts(bench: &Bench) -> Vec<(u64, Option<Incarnation>)> {
    let kept = bench.journal.receipts_now(&target(), 0, 100).unwrap();
    let life = |body: &str| serde_json::from_str::<ReceiptBody>(body).unwrap().life;
    kept.iter().map(|kept| (kept.number, life(&kept.body))).collect()
}

#[test]
fn the_first_receipt_of_each_memory_names_it() {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    for (access, grantee) in [("a", "ann"), ("b", "bob")] {
        let opening = bench.put(access, grantee, &["orders"], 30);
        bench.well(opening);
    }
    assert_eq!(receipts(&bench), [(1, memory(1)), (2, None)]);
    let copy = bench.journal.snapshot();

    bench.restart();
    for (access, grantee) in [("c", "cay"), ("d", "dan")] {
        let opening = bench.put(access, grantee, &["orders"], 30);
        bench.well(opening);
    }
    let gone_on = [(1, memory(1)), (2, None), (3, memory(2)), (4, None)];
    assert_eq!(receipts(&bench), gone_on, "a restart");

    // Deadlines pass before the control plane could say that this is an old copy.
    bench.secs += 3_600;
    let closing = bench.come_back_with(copy);
    bench.pass(11);
    for action in closing {
        let Act::Close { account, .. } = &action.act else { panic!("{action:?}") };
        let observed = Ok(seen(present(account, Login::Shut, &EntitlementSet::nothing())));
        let climb = rules::Climb { contained: true, in_doubt: false, failures: vec![], observed };
        bench.answer(&action, Answer::Closed(climb));
    }
    let put_back = [(1, memory(1)), (2, None), (3, memory(3)), (4, None)];
    assert_eq!(receipts(&bench), put_back, "an old copy");

    bench.input(Input::JournalIsOld);
    bench.journal.begin_incarnation_now(Incarnation::from_uuid(Uuid::from_u128(77))).unwrap();
    bench.restart();
    let again = bench.journal.snapshot();
    bench.come_back_with(again);
    assert_eq!(receipts(&bench), put_back, "nothing is signed for it alone");
}

#[test]
fn what_was_not_written_is_named_again() {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    let opening = bench.put("a", "ann", &["orders"], 30);
    bench.well(opening);
    bench.restart();
    let closing = bench.pass(30 * 60);
    bench.journal.fail_on(1, Fate::NotWritten);
    bench.answer(&closing[0], done(&closing[0].act));
    assert_eq!(receipts(&bench), [(1, memory(1))], "the journal refused it");
    bench.input(Input::CloseOnly(None));
    let closing = bench.pass(61);
    bench.well(closing);
    assert_eq!(receipts(&bench), [(1, memory(1)), (2, memory(2))]);
    let reported = bench.reports.iter().filter(|report| matches!(report, rules::Report::Receipt { .. }));
    assert_eq!(reported.count(), 2, "reported once each");
}

#[test]
fn every_integration_has_its_own() {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    let opening = bench.put("a", "ann", &["orders"], 30);
    bench.well(opening);
    let other = IntegrationId::parse("other").unwrap();
    bench.put_integration(other.clone(), Policy::default());
    bench.input(Input::Surveyed { integration: other.clone(), sightings: vec![], complete: true });
    let order =
        rules::AccessOrder { integration: other.clone(), ..bench.access_order("b", "bob", &["orders"], 30) };
    let opening = bench.order(rules::Order::PutAccess(order));
    bench.well(opening);
    let kept = bench.journal.receipts_now(&other, 0, 100).unwrap();
    assert!(kept.len() == 1 && kept[0].body.contains("\"life\""), "{kept:?}");
}
