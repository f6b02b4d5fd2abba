//! A close that does not succeed is canceled: when that is possible, what it changes, and what goes on all the same.

use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;
use services::postgres::Mode;

use crate::passing::{PAUSE, Passing};
use crate::plane::until;
use crate::world::{INTEGRATION, World};

/// As `rules::answer::ALARM_AFTER`: failed tries after which it is possible.
const TRIES: usize = 10;
/// Longer than the pause between two tries of what was canceled, in seconds.
const SLOW_PAUSE: i64 = 16 * 60;
/// In real time, long enough for two such pauses to pass minute by minute. A late close may come to a part only, as when a
/// call of before may still land; the rest comes after the next pause.
const SLOWLY: Duration = Duration::from_secs(180);

impl Passing {
    /// Waits until the control plane was told of so many tries.
    fn wait_tried(&self, access: &str) -> v1::access_state::Ending {
        let told = self.world.wait(access, "tried ten times", |state| {
            matches!(state, State::Ending(ending) if usize::try_from(ending.attempts).is_ok_and(|tried| tried >= TRIES))
        });
        match told {
            State::Ending(ending) => ending,
            other => panic!("{other:?}"),
        }
    }

    fn refusals(&self) -> Vec<v1::OrderRefused> {
        let refused = |report| match report {
            Told::OrderRefused(told) => Some(told),
            _ => None,
        };
        self.world.plane.reports().into_iter().filter_map(refused).collect()
    }
}

fn cancel(access: &str) -> Order {
    Order::CancelEnding(v1::CancelEnding { access_id: access.into() })
}

fn receipts(world: &World, word: &str) -> usize {
    let has = |report: &Told| matches!(report, Told::Receipt(receipt) if receipt.body.contains(word));
    world.plane.reports().iter().filter(|report| has(report)).count()
}

#[test]
fn canceling_changes_what_is_told_lets_the_integration_go_and_gives_nothing_up() {
    let world = World::start(&[]);
    world.put("a-1", "ann", "orders", Duration::from_secs(7_200));
    world.wait("a-1", "active", |state| matches!(state, State::Active(_)));
    let mut passing = Passing::in_world(world);

    // Not while it is open, nor before it was tried often enough.
    passing.world.plane.order([cancel("a-1")]);
    until(|| (passing.refusals().len() == 1).then_some(())).expect("refused: it is not being ended");
    passing.world.server.stop(Mode::Immediate).unwrap();
    passing.world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    passing.pass_until_tried("close", 3);
    passing.world.plane.order([cancel("a-1")]);
    until(|| (passing.refusals().len() == 2).then_some(())).expect("refused: too early");
    for refused in passing.refusals() {
        assert_eq!(
            (refused.access_id.as_str(), refused.code.as_str()),
            ("a-1", "order_malformed"),
            "{refused:?}"
        );
    }
    let early = passing.refusals().remove(1);
    assert!(early.detail.contains("possible after 10"), "{early:?}");
    assert!(
        matches!(passing.world.plane.state("a-1"), Some(State::Ending(_))),
        "a refused cancel changes nothing"
    );

    // Often enough: a person is told, and may stop waiting.
    passing.pass_until_tried("close", TRIES);
    assert!(!passing.wait_tried("a-1").contained, "nobody has seen its login shut");
    let alarms =
        |report: &&Told| matches!(report, Told::Alarm(alarm) if alarm.detail.contains("does not close"));
    assert_eq!(passing.world.plane.reports().iter().filter(alarms).count(), 1);
    passing.world.plane.order([cancel("a-1")]);
    passing.world.wait("a-1", "canceled", |state| matches!(state, State::Canceled(_)));
    assert_eq!(receipts(&passing.world, "canceled"), 1);

    // It holds its integration up no longer.
    passing
        .world
        .plane
        .order([Order::RetireIntegration(v1::RetireIntegration { integration_id: INTEGRATION.into() })]);
    let gone = until(|| {
        let status = passing.world.run(&["status", "--json"]).ended(0).json();
        status["work"]["integrations"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    gone.expect("the integration is let go while its target is down");

    // It is still tried, slowly.
    let before = passing.tries("close");
    passing.pass(PAUSE);
    passing.pass_until_tried("close", before + 1);
    let slow = passing.tries("close");
    let then = passing.effective();
    passing.pass(PAUSE);
    until(|| (passing.effective() >= then + PAUSE).then_some(()))
        .expect("the agent knows that a minute has passed");
    assert_eq!(passing.tries("close"), slow, "it is tried as often as before");
    passing.pass(SLOW_PAUSE);
    passing.pass_until_tried("close", slow + 1);

    // The target comes back: closed, deleted, told of; what was canceled stays so for the people who asked.
    passing.world.server.start().unwrap();
    assert_eq!(passing.world.logins().len(), 1, "nobody has shut it meanwhile");
    passing.pass(SLOW_PAUSE);
    passing.pass_until("it is shut", SLOWLY, |world| world.logins().is_empty());
    passing.pass_until("a receipt of the late close", SLOWLY, |world| receipts(world, "unremembered") == 1);
    passing.pass(SLOW_PAUSE);
    passing.pass_until("its account is gone", SLOWLY, |world| world.accounts().is_empty());
    passing.world.plane.until("the integration is retired", || {
        let retired = |report: &Told| matches!(report, Told::IntegrationRetired(_));
        passing.world.plane.reports().iter().any(retired).then_some(())
    });
    assert!(matches!(passing.world.plane.state("a-1"), Some(State::Canceled(_))));
}

#[test]
fn canceling_one_of_two_lets_the_other_live() {
    let world = World::start(&[]);
    for (access, table) in [("a-1", "orders"), ("a-2", "stock")] {
        world.put(access, "ann", table, Duration::from_secs(7_200));
        world.wait(access, "active", |state| matches!(state, State::Active(_)));
    }
    let mut passing = Passing::in_world(world);
    passing.world.server.stop(Mode::Immediate).unwrap();
    passing.world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    passing.pass_until_tried("converge", TRIES);
    passing.wait_tried("a-1");
    passing.world.plane.order([cancel("a-1")]);
    passing.world.wait("a-1", "canceled", |state| matches!(state, State::Canceled(_)));
    passing.world.server.start().unwrap();
    passing.pass(SLOW_PAUSE);
    let readers = "select count(*) from pg_roles where rolcanlogin and not rolsuper
        and has_table_privilege(oid, 'public.orders', 'select')";
    passing.pass_until("what was canceled is taken away all the same", SLOWLY, |world| {
        world.server.psql("postgres", readers).unwrap().trim() == "0"
    });
    assert_eq!(passing.world.logins().len(), 1, "the other one lives");
    assert!(matches!(passing.world.plane.state("a-2"), Some(State::Active(_))));
}
