//! It sends more than anybody can take. The agent's memory stays bounded, and closing goes on.

use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::control_message::Message;
use proto::v1::order::Order;

use services::usage::Memory;

use super::{ask, changed, end, settled, truthful, wait_active};
use crate::plane::{in_seconds, until};
use crate::world::{World, put};

/// What an agent may need at the most in these tests, in MiB: a build with all its checks.
const MOST: u64 = 512;

/// The most memory that the agent ever had resident, in MiB.
fn peak(world: &mut World) -> u64 {
    Memory::of(world.agent().id()).unwrap().peak / 1024
}

#[expect(clippy::print_stdout, reason = "a test's output is where its figures belong")]
fn held(world: &mut World, what: &str) {
    let peak = peak(world);
    println!("{what}: {peak} MiB at the most");
    assert!(peak < MOST, "{what}: {peak} MiB");
}

/// An access that ends while the flood is on.
fn short(world: &World, access: &str, seconds: u64) {
    world.plane.order([put(access, &format!("of-{access}"), "orders", Duration::from_secs(seconds))]);
    wait_active(world, access);
}

/// So many entitlements of names that nobody has, and of so many bytes.
fn big(access: &str, grantee: &str, count: usize, bytes: usize) -> Order {
    changed(ask(access, grantee), |order| {
        order.from = in_seconds(86_400);
        order.until = in_seconds(2 * 86_400);
        order.entitlements = (0..count)
            .map(|n| v1::Entitlement {
                resource: Some(v1::ResourceId {
                    kind: "postgresql-table".into(),
                    path: ["postgres".into(), "public".into(), format!("{n:0bytes$}")].into(),
                }),
                permission: "READ_ONLY".into(),
            })
            .collect();
    })
}

#[test]
fn a_hundred_thousand_orders_keep_nothing_from_closing() {
    let mut world = World::start(&[]);
    short(&world, "a-1", 10);
    let orders = (0..100_000).map(|n| match n % 4 {
        0 | 1 => end(&format!("never-known-{n}")),
        2 => Order::CheckNow(v1::CheckNow { integration_id: format!("nowhere-{n}") }),
        _ => Order::SetPolicy(v1::SetPolicy::default()),
    });
    world.plane.order(orders.collect::<Vec<_>>());
    world.wait_ended("a-1");
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    let given = world.plane.given();
    let taken =
        |beat: &v1::AgentHeartbeat| beat.orders_taken.as_ref().is_some_and(|taken| taken.position >= given);
    for _ in 0..5 {
        // As long as it takes: what counts is that it is taken, in bounded memory.
        if until(|| world.plane.beat().filter(taken)).is_some() {
            break;
        }
    }
    assert!(world.plane.beat().as_ref().is_some_and(taken), "{:?}", world.plane.beat());
    held(&mut world, "100,000 orders");
    // All of them again after a restart cost nothing, and it works as before.
    world.restart();
    world.open("a-2", "bob", "orders");
    held(&mut world, "a restart on their tombstones");
}

#[test]
fn orders_as_large_as_can_be_for_one_person_wedge_nothing() {
    let mut world = World::start(&[]);
    short(&world, "a-1", 15);
    for n in 0..40 {
        world.plane.order([big(&format!("big-{n}"), "eve", 5_000, 100)]);
    }
    world.wait_ended("a-1");
    settled(&world);
    // What is more than one account can be remembered with is refused; the rest waits for its time.
    let last = world.plane.until("the last one is answered", || {
        let refused = super::refusals(&world, "order_malformed");
        refused.into_iter().find(|refused| refused.access_id == "big-39")
    });
    assert!(last.detail.contains("one account"), "{last:?}");
    let first = world.plane.state("big-0");
    assert!(matches!(first, Some(State::Accepted(_))), "{first:?}");
    assert_eq!(world.plane.sessions(), 1, "no session broke over it");
    held(&mut world, "40 large orders for one person");
    world.open("b-1", "bob", "orders");
}

#[test]
fn a_journal_with_a_bound_bounds_memory_and_closing_goes_on_at_it() {
    let mut world = World::start(&["journal.most_mib=48"]);
    short(&world, "a-1", 40);
    for n in 0..120 {
        world.plane.order([big(&format!("big-{n}"), &format!("eve-{n}"), 7_000, 100)]);
    }
    let full = until(|| {
        let said = world.agent().said("only closing goes on");
        said.first().cloned()
    });
    assert!(full.is_some(), "the bound was never reached");
    let closed = until(|| world.logins().is_empty().then_some(()));
    closed.expect("closed at its deadline with a full journal");
    held(&mut world, "120 large orders for as many");
    assert!(world.agent().said("panicked").is_empty());
}

#[test]
fn messages_of_the_session_in_floods_and_beyond_the_limit_are_survived() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    short(&world, "b-1", 20);
    let journal = world.plane.hello().journal_incarnation;
    for _ in 0..50_000 {
        let beat = v1::ControlHeartbeat { time: in_seconds(0), ..v1::ControlHeartbeat::default() };
        assert!(world.plane.say(Message::Heartbeat(beat)));
        let through = Some(v1::Cursor { incarnation: journal.clone(), position: 1 });
        assert!(world.plane.say(Message::Ack(v1::Ack { through })));
    }
    settled(&world);
    held(&mut world, "100,000 heartbeats and acknowledgements");
    // Lists without an end: each page is as large as it may be, and the last one never comes.
    let mut page = truthful(world.plane.given(), &[]).page();
    (page.count, page.last) = (1_000_000, false);
    let before = world.plane.verdicts().len();
    for number in 1..=101_u32 {
        page.page = number;
        page.accesses = (0..10_000)
            .map(|n| v1::StandingAccess { access_id: format!("{number:05}-{n:058}"), revision: 1 })
            .collect();
        assert!(world.plane.say(Message::Standing(page.clone())));
    }
    let verdict = world.plane.until("it is dropped", || world.plane.verdicts().get(before).cloned());
    assert_eq!(verdict.outcome(), v1::StandingOutcome::Misread, "{verdict:?}");
    held(&mut world, "a list of a million without an end");
    assert_eq!(world.plane.sessions(), 1, "the session stands");
    // More than a message may have ends the session, and only that.
    let large = changed(ask("c-1", "eve"), |access| {
        access.grantee.as_mut().unwrap().hint = "x".repeat(17 * 1024 * 1024);
    });
    assert!(world.plane.say(super::order_at(crate::plane::INCARNATION, world.plane.given() + 1, large)));
    world.plane.until("it dials again", || (world.plane.sessions() == 2).then_some(()));
    world.wait_ended("b-1");
    assert_eq!(world.logins().len(), 1, "{:?}", world.logins());
    held(&mut world, "all of it");
    assert!(world.agent().said("panicked").is_empty());
}
