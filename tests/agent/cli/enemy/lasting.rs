//! It wants access to stay: by deadlines far away, ids that have ended, lists, replayed and doubled orders.

use std::time::Duration;

use proto::v1;
use proto::v1::control_message::Message;
use proto::v1::order::Order;

use super::{
    ANOTHER, List, alarms, ask, changed, end, order_at, ordered, receipts, refusals, settled, stand,
    truthful, wait_active,
};
use crate::plane::{INCARNATION, Lies, in_seconds};
use crate::world::{World, put};

#[test]
fn a_deadline_is_moved_by_an_order_alone_and_a_receipt_says_so() {
    let mut world = World::start(&[]);
    world.plane.order([put("a-1", "ann", "orders", Duration::from_secs(12))]);
    wait_active(&world, "a-1");
    // No list, no repeated order and no revision that is not above the known one moves it.
    let later = |revision| {
        changed(put("a-1", "ann", "orders", Duration::from_secs(86_400)), |access| access.revision = revision)
    };
    ordered(&world, later(1));
    stand(&world, &truthful(world.plane.given(), &["a-1"]));
    world.wait_ended("a-1");
    assert!(receipts(&world, "extended").is_empty());
    assert!(world.logins().is_empty(), "{:?}", world.logins());

    // An order moves it, as far as it likes and as often as it likes: nothing stands against that, and it is stated.
    world.plane.order([put("b-1", "bob", "orders", Duration::from_secs(600))]);
    wait_active(&world, "b-1");
    for (revision, until) in (2..).zip([253_402_000_000, 253_402_100_000]) {
        let asked = changed(ask("b-1", "bob"), |access| {
            access.revision = revision;
            access.until = Some(prost_types::Timestamp { seconds: until, nanos: 0 });
        });
        ordered(&world, asked);
    }
    world.plane.until("both are stated", || (receipts(&world, "extended").len() == 2).then_some(()));
    let stated = receipts(&world, "extended");
    assert_eq!(stated[0]["access"], "b-1", "{stated:?}");
    assert!(stated[1]["until"].to_string().contains("9999-12-29"), "{stated:?}");
    // So does the agent's own copy, which a control plane that holds receipts back cannot cut.
    let own = world.run(&["receipts", "export"]).ended(0).out;
    assert_eq!(own.lines().filter(|line| line.contains("extended")).count(), 2, "{own}");
    let agent = world.agent();
    assert!(agent.said("panicked").is_empty());
}

#[test]
fn what_has_ended_never_comes_back() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    ordered(&world, end("a-1"));
    world.wait_ended("a-1");
    let again = |revision| changed(ask("a-1", "ann"), |access| access.revision = revision);
    let nobody = |world: &World, what: &str| {
        settled(world);
        assert!(world.logins().is_empty(), "{what}: {:?}", world.logins());
    };
    ordered(&world, again(99));
    nobody(&world, "a later revision");
    assert_eq!(refusals(&world, "id_ended").len(), 1);
    stand(&world, &truthful(world.plane.given(), &["a-1"]));
    nobody(&world, "a list that has it");
    world.restart();
    ordered(&world, again(100));
    nobody(&world, "after a restart");
    // Ended before it was ever asked for.
    ordered(&world, end("never-known"));
    ordered(&world, ask("never-known", "eve"));
    nobody(&world, "an order that comes after its end");

    // All of it again, as if the control plane had begun another life: recorded orders are no new ones.
    world.plane.lie(Lies { incarnation: Some(ANOTHER.into()), ..Lies::default() });
    world.plane.hang_up();
    nobody(&world, "replayed in another life");
    let refused = refusals(&world, "id_ended");
    assert!(refused.iter().any(|one| one.control_incarnation == ANOTHER), "{refused:?}");
    assert!(alarms(&world, "target_replaced").is_empty());
}

#[test]
fn orders_out_of_turn_open_nothing() {
    let world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    world.open("a-2", "bob", "orders");
    let before = world.logins();
    let last = 3;
    let table = [
        ("an old number with another order", order_at(INCARNATION, 1, ask("eve-1", "eve"))),
        ("the last number with another order", order_at(INCARNATION, last, ask("eve-2", "eve"))),
        ("a number that leaves a gap", order_at(INCARNATION, last + 7, ask("eve-3", "eve"))),
        ("the last number there is", order_at(INCARNATION, u64::MAX, ask("eve-4", "eve"))),
    ];
    for (name, message) in table {
        assert!(world.plane.say(message), "{name}: nobody is connected");
    }
    // What only takes away is done before its turn: it does not wait behind what may never come.
    assert!(world.plane.say(order_at(INCARNATION, last + 9, end("a-2"))));
    world.wait_ended("a-2");
    settled(&world);
    let left: Vec<_> = before.iter().filter(|name| name.contains("ann")).cloned().collect();
    assert_eq!(world.logins(), left);
    assert_eq!(world.plane.sessions(), 1, "it is the same session");
    // A message of no form breaks the session; the next one begins where it stood.
    assert!(world.plane.say(order_at("no incarnation", 1, ask("eve-5", "eve"))));
    world.plane.until("the agent dials again", || (world.plane.sessions() == 2).then_some(()));
    world.plane.order([ask("a-3", "cy")]);
    wait_active(&world, "a-3");
}

#[test]
fn a_control_plane_that_says_goodbye_for_ever_keeps_nothing_open() {
    let world = World::start(&[]);
    world.plane.order([put("a-1", "ann", "orders", Duration::from_secs(10))]);
    wait_active(&world, "a-1");
    let far = Some(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 });
    assert!(world.plane.say(Message::Goodbye(v1::Goodbye { retry_after: far, ..v1::Goodbye::default() })));
    let closed = crate::plane::until(|| world.logins().is_empty().then_some(()));
    closed.expect("closed at its deadline, with nobody connected");
    // Nor do policies, pauses and a retired integration keep it from closing.
    let world = World::start(&[]);
    let until = in_seconds(12);
    world.plane.order([changed(ask("b-1", "bob"), |access| access.until = until)]);
    wait_active(&world, "b-1");
    world.plane.order([
        Order::Pause(v1::Pause::default()),
        Order::SetPolicy(v1::SetPolicy {
            policy: Some(v1::Policy {
                credentials_rotation_period_in_days: Some(u32::MAX),
                credentials_cleanup_period_in_days: Some(u32::MAX),
            }),
        }),
        Order::CancelEnding(v1::CancelEnding { access_id: "b-1".into() }),
    ]);
    world.wait_ended("b-1");
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    assert_eq!(refusals(&world, "order_malformed").len(), 1, "what is not ending cannot be canceled");
    // It does not tell the agent what it is told: an odd list in between changes nothing.
    let odd = List { incarnation: INCARNATION, position: 1, accesses: &["b-1"], confirmed: true };
    stand(&world, &odd);
    settled(&world);
    assert!(world.logins().is_empty(), "{:?}", world.logins());
}
