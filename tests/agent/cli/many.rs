//! An agent that holds very many accesses: started again, and told to end them all at once.

use std::time::{Duration, Instant};

use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::{self, StandingOutcome};
use services::postgres::Ground;
use services::usage::Memory;

use crate::plane::until_within;
use crate::world::{World, put};

const HELD: usize = 10_000;
/// What every run of the tests plays.
const SAMPLE: usize = 150;
const LONG: Duration = Duration::from_secs(24 * 3600);
/// How long opening or ending all may take on a busy machine, with programs that are not optimised.
const ALL: Duration = Duration::from_secs(20 * 60);
/// How long an agent may take until it can open again, and until the control plane knows how it stands.
const READY: Duration = Duration::from_secs(20);
/// The messages in which it says so: a greeting, the verdict on the standing list, news of the target, heartbeats.
const MESSAGES: usize = 60;
/// The memory that it may take in all, in KiB.
const MEMORY_KIB: u64 = 256 * 1024;
/// How long somebody on another integration may wait while all others are ended.
const IN_BETWEEN: Duration = Duration::from_secs(20);
const ELSEWHERE: &str = "stock-db";

#[expect(clippy::disallowed_methods, reason = "what was measured is for whoever reads the test's output")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "what was measured is for whoever reads the test's output")]
fn tell(measured: &str) {
    println!("many: {measured}");
}

fn name(n: usize) -> String {
    format!("a-{n:05}")
}

fn memory(world: &World) -> Memory {
    Memory::of(world.agent.as_ref().expect("an agent runs").id()).unwrap()
}

fn beat(world: &World, is_so: impl Fn(&v1::AgentHeartbeat) -> bool) -> Option<v1::AgentHeartbeat> {
    world.plane.beat().filter(is_so)
}

#[test]
#[ignore = "long: 10,000 accounts are opened and closed on a real server: some minutes"]
fn many_accesses_are_held_over_a_restart_and_end_at_once() {
    held(Ground::default(), HELD);
}

#[test]
fn accesses_are_held_over_a_restart_and_end_at_once() {
    held(Ground::default(), SAMPLE);
}

#[test]
fn many_accesses_are_held_over_a_restart_on_18_with_the_least_privileged_admin() {
    held(Ground::NARROW, SAMPLE);
}

fn held(ground: Ground, count: usize) {
    let mut world = World::start_on(ground, &[]);
    let Order::PutIntegration(here) = world.integration() else { panic!("an integration") };
    let elsewhere = v1::PutIntegration { integration_id: ELSEWHERE.into(), ..here };
    world.plane.order([Order::PutIntegration(elsewhere)]);
    let watch = now();
    world.plane.order((0..count).map(|n| put(&name(n), &format!("person-{n}"), "orders", LONG)));
    until_within(ALL, || beat(&world, |beat| beat.active == count as u64)).expect("all are open");
    tell(&format!("{count} opened in {:.0?}; memory {:?} KiB", watch.elapsed(), memory(&world)));
    bounded(&world);

    // Killed and started again, with one access fewer in what the control plane says should live.
    world.agent = None;
    world.plane.stand((1..count).map(name));
    let watch = now();
    world.begin();
    let begun = watch.elapsed();
    until_within(READY, || (world.health(&[]).code == 0).then_some(())).expect("it is ready");
    let ready = watch.elapsed();
    let stands = |beat: &v1::AgentHeartbeat| beat.active == count as u64 - 1 && beat.ending == 0;
    until_within(READY, || beat(&world, stands)).expect("the control plane knows how it stands");
    let (known, messages) = (watch.elapsed(), world.plane.messages());
    tell(&format!(
        "restart with {count}: started after {begun:.1?}, ready after {ready:.1?}, the control plane knew after \
         {known:.1?} and {messages} messages; memory {:?} KiB",
        memory(&world)
    ));
    let verdict = world.plane.until("a verdict on the standing list", || world.plane.verdict());
    assert_eq!(verdict.outcome(), StandingOutcome::Taken, "{verdict:?}");
    assert!(messages <= MESSAGES, "it took {messages} messages");
    world.wait_ended(&name(0));

    let watch = now();
    world.plane.order((1..count).map(|n| Order::EndAccess(v1::EndAccess { access_id: name(n) })));
    if count == HELD {
        somebody_elsewhere(&world);
    }
    let over = |beat: &v1::AgentHeartbeat| beat.active + beat.ending + beat.opening == 0;
    until_within(ALL, || beat(&world, over)).expect("all have ended");
    tell(&format!("{count} ended in {:.0?}; memory {:?} KiB", watch.elapsed(), memory(&world)));
    assert_eq!(world.logins(), Vec::<String>::new());
    bounded(&world);
}

/// While all are being ended, somebody comes and goes on another integration.
fn somebody_elsewhere(world: &World) {
    until_within(ALL, || beat(world, |beat| beat.ending > 1_000)).expect("they are being ended");
    let Order::PutAccess(one) = put("b-1", "bob", "stock", LONG) else { panic!("an access") };
    let asked = now();
    world.plane.order([Order::PutAccess(v1::PutAccess { integration_id: ELSEWHERE.into(), ..one })]);
    let open = || world.plane.state("b-1").filter(|state| matches!(state, State::Active(_)));
    until_within(IN_BETWEEN, open).expect("somebody elsewhere is not kept waiting");
    let (opened, still) = (asked.elapsed(), world.plane.beat().map_or(0, |beat| beat.ending));
    tell(&format!("meanwhile one elsewhere was open after {opened:.1?}, with {still} still ending"));
    assert!(still > 0, "nobody was being ended any more");
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "b-1".into() })]);
}

fn bounded(world: &World) {
    let most = memory(world).peak;
    assert!(most < MEMORY_KIB, "it took {most} KiB");
}
