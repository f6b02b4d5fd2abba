//! Who goes first on a target, who waits, and that a story drawn by lot is the same after every restart.

use model::*;
use rules::book::SLOTS;
use rules::{AccessOrder, Act, Action, Answer, Input, Order};

use crate::bench::{Bench, done, id, rights, target};

fn bench() -> Bench {
    Bench::new(Ownership::Owned, Policy::default())
}

fn words(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(|action| action.act.word()).collect()
}

/// Answers what is local, and returns the calls that go out to targets.
fn calls(bench: &mut Bench, actions: Vec<Action>) -> Vec<Action> {
    let (mut local, mut calls): (Vec<_>, Vec<_>) =
        actions.into_iter().partition(|action| action.act.is_local());
    while let Some(action) = local.pop() {
        for next in bench.answer(&action, done(&action.act)) {
            if next.act.is_local() { local.push(next) } else { calls.push(next) }
        }
    }
    calls
}

/// Asks for an access for each of these people.
fn crowd(bench: &mut Bench, people: std::ops::Range<u32>) -> Vec<Action> {
    let mut out = vec![];
    for n in people {
        let actions = bench.put(&format!("crowd{n}"), &format!("person{n}"), &["orders"], 300);
        out.extend(calls(bench, actions));
    }
    out
}

#[test]
fn opening_leaves_a_slot_to_closing_which_goes_first() {
    let mut bench = bench();
    let actions = bench.put("a", "ann", &["orders"], 300);
    bench.well(actions);
    let mut opening = crowd(&mut bench, 0..20);
    assert_eq!(opening.len(), usize::try_from(SLOTS).unwrap() - 1, "{:?}", words(&opening));
    let closing = bench.order(Order::EndAccess { access: id("a") });
    assert_eq!(words(&closing), ["close"], "at once, whatever else waits");
    for (n, access) in ["crowd0", "crowd1"].into_iter().enumerate() {
        // What is being opened is ended when its answer comes; then its close is before all who wait.
        bench.order(Order::EndAccess { access: id(access) });
        let next = bench.answer(&opening.remove(0), Answer::Failed(Failure::not_done(Code::BUSY, "")));
        assert_eq!(words(&next)[0], "close", "{n}: {:?}", words(&next));
    }
}

#[test]
fn housekeeping_leaves_half_of_the_slots() {
    let mut bench = bench();
    for n in 0..20 {
        let actions = bench.put(&format!("a{n}"), &format!("person{n}"), &["orders"], 30);
        bench.well(actions);
    }
    let closing = bench.pass(30 * 60);
    bench.well(closing);
    let mut deleting = vec![];
    for n in 0..20 {
        let grantee = GranteeId::parse(format!("person{n}")).unwrap();
        deleting.extend(bench.order(Order::DeleteAccount { integration: target(), grantee }));
    }
    assert_eq!(words(&deleting), ["delete"; 4]);
    let opening = crowd(&mut bench, 100..120);
    assert_eq!(words(&opening), ["open"; 3], "with the slot that is kept for closing");
}

#[test]
fn the_longest_due_of_a_kind_goes_first() {
    let mut bench = bench();
    let opening = crowd(&mut bench, 0..7);
    for access in ["c", "a", "b"] {
        let actions = bench.put(access, access, &["orders"], 300);
        assert!(calls(&mut bench, actions).is_empty());
        bench.pass(1);
    }
    let mut came = vec![];
    for action in &opening[..3] {
        let next = bench.answer(action, done(&action.act));
        came.extend(next.iter().filter_map(|action| match &action.act {
            Act::Open { account, .. } => Some(account.grantee.to_string()),
            _ => None,
        }));
    }
    assert_eq!(came, ["c", "a", "b"]);
}

#[test]
fn a_target_that_is_full_or_down_holds_no_other_up() {
    let mut bench = bench();
    let other = IntegrationId::parse("other").unwrap();
    bench.put_integration(other.clone(), Policy::default());
    bench.input(Input::Surveyed { integration: other.clone(), sightings: vec![], complete: true });
    let mut opening = crowd(&mut bench, 0..30);
    let order = bench.access_order("elsewhere", "ann", &["orders"], 300);
    let actions = bench.order(Order::PutAccess(AccessOrder { integration: other.clone(), ..order }));
    assert_eq!(words(&calls(&mut bench, actions)), ["open"], "full");
    // Now it does not answer any more.
    for _ in 0..20 {
        let Some(action) = opening.pop() else { break };
        let next = bench.answer(&action, Answer::Failed(Failure::not_done(Code::UNREACHABLE, "down")));
        opening.extend(calls(&mut bench, next));
    }
    let tallies = bench.book.tallies();
    assert!(tallies[&target()].lane.breaker_open && !tallies[&other].lane.breaker_open);
    let order = bench.access_order("too", "bob", &["orders"], 300);
    let actions = bench.order(Order::PutAccess(AccessOrder { integration: other, ..order }));
    assert_eq!(words(&calls(&mut bench, actions)), ["open"], "down");
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    const fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }
}

/// The bench compares the rows with the book after every input; here with many stories drawn by lot.
#[test]
fn rows_are_the_book_at_every_moment_of_many_stories() {
    for seed in 0..300 {
        let mut numbers = Numbers(seed);
        let mut bench = Bench::new(
            Ownership::Owned,
            Policy { credentials_cleanup_period_in_days: Some(0), credentials_rotation_period_in_days: None },
        );
        let mut under_way: Vec<Action> = vec![];
        for step in 0..40 {
            let person = format!("person{}", numbers.below(3));
            let some = id(&format!("a{}", numbers.below(step + 1)));
            let integration = target();
            let grantee = GranteeId::parse(&person).unwrap();
            let mins = 1 + i64::try_from(numbers.below(60)).unwrap();
            let more = match numbers.below(9) {
                0 | 1 => bench.put(&format!("a{step}"), &person, &["orders", "stock"], mins),
                2 => bench.order(Order::EndAccess { access: some }),
                3 => bench.order(Order::RotateAccount { integration, grantee, key: None }),
                4 => bench.pass(mins * 20),
                5 => bench.input(Input::Surveyed { integration, sightings: vec![], complete: true }),
                6 if numbers.below(4) == 0 => {
                    under_way.clear();
                    bench.restart()
                }
                _ => match under_way.pop() {
                    Some(action) if numbers.below(4) == 0 => {
                        bench.answer(&action, Answer::Failed(Failure::unknown(Code::TIMED_OUT, "")))
                    }
                    Some(action) => bench.answer(&action, done(&action.act)),
                    None => vec![],
                },
            };
            under_way.extend(more);
        }
    }
}

/// One access that lives, one whose deadline is near, and a third that the target will not give.
fn three_of_ann() -> (Bench, Vec<Action>) {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    for (access, names, mins) in [("stays", ["orders"], 60), ("ends", ["stock"], 1)] {
        let actions = bench.put(access, "ann", &names, mins);
        bench.well(actions);
        assert_eq!(bench.state(access), "active");
    }
    let widening = bench.put("new", "ann", &["ledger"], 60);
    let Act::Converge { wanted, .. } = &widening[0].act else { panic!("{widening:?}") };
    assert_eq!(*wanted, rights(&["orders", "stock", "ledger"]));
    (bench, widening)
}

#[test]
fn an_opening_that_is_refused_is_undone_at_once() {
    let (mut bench, widening) = three_of_ann();
    let refused = Failure::refused(Code::RESOURCE_MISSING, "there is no table").with_retry(Retry::NeedsHuman);
    let undoing = bench.answer(&widening[0], Answer::Failed(refused));
    let Act::Converge { wanted, .. } = &undoing[0].act else { panic!("{undoing:?}") };
    assert_eq!(*wanted, rights(&["orders", "stock"]));
    bench.well(undoing);
    assert_eq!(bench.state("new"), "failed");
}

#[test]
fn an_opening_that_fails_again_and_again_holds_no_end_on_its_account_up() {
    let (mut bench, widening) = three_of_ann();
    let long = Retry::After(Span::from_mins(5));
    let busy = Failure::not_done(Code::BUSY, "the table is locked").with_retry(long);
    let none = bench.answer(&widening[0], Answer::Failed(busy));
    assert!(none.is_empty(), "{none:?}");
    let actions = bench.pass(60);
    let narrowing = actions.first().unwrap_or_else(|| panic!("nothing is taken away at the deadline"));
    let Act::Converge { wanted, .. } = &narrowing.act else { panic!("{narrowing:?}") };
    assert_eq!(*wanted, rights(&["orders"]), "what is taken away does not wait for what cannot be given");
    // A refusal of this one says nothing of what was not tried.
    let refused = Failure::refused(Code::RIGHT_MISSING, "no right to revoke");
    bench.answer(narrowing, Answer::Failed(refused));
    assert_eq!(bench.state("new"), "granting");
}
