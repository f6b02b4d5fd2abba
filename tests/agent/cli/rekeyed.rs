//! The admin's password changes on the target: the agent goes on with the new one as soon as its secret store has it.

use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report;
use serde_json::json;

use crate::world::{INTEGRATION, World};

const OLD: &str = "a first password of the keeper";
const NEW: &str = "another password of the keeper";

#[test]
fn an_end_waits_for_the_admins_new_password_and_then_comes() {
    let world = World::without_integration(&[]);
    let by_hand = |text: &str| world.server.psql("postgres", text).unwrap();
    let keep = |password: &str| {
        let secret = json!({ "username": "keeper", "password": password });
        world.bench.write("secrets/admin.json", &secret.to_string());
    };
    by_hand(&format!("create role keeper superuser login password '{OLD}'"));
    keep(OLD);
    world.plane.order([world.integration()]);
    world.wait_good(7);
    world.open("a-1", "ann", "orders");

    // Changed under the agent's sessions, which end.
    by_hand(&format!("alter role keeper password '{NEW}'"));
    by_hand("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'keeper'");
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.plane.until("the end is held up by the admin's login", || {
        let refused = |report: &Report| match report {
            Report::AccessChanged(told) => {
                told.access_id == "a-1"
                    && told.failure.as_ref().is_some_and(|why| why.code == "login_refused")
            }
            _ => false,
        };
        world.plane.reports().iter().any(refused).then_some(())
    });
    assert!(!matches!(world.plane.state("a-1"), Some(State::Ended(_))));

    keep(NEW);
    world.wait_ended("a-1");
    world.put("b-1", "bob", "orders", Duration::from_secs(3600));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));

    // Changed on both sides at once, while the agent still keeps the one before: the first look has it.
    let bad = || {
        let is_bad = |report: &Report| match report {
            Report::IntegrationHealth(told) => told.state() == v1::HealthState::Bad,
            _ => false,
        };
        world.plane.told().iter().filter(|report| is_bad(report)).count()
    };
    let before = bad();
    by_hand(&format!("alter role keeper password '{OLD}'"));
    by_hand("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'keeper'");
    keep(OLD);
    world
        .plane
        .order([world.led(8, &[]), Order::CheckNow(v1::CheckNow { integration_id: INTEGRATION.into() })]);
    world.wait_good(8);
    assert_eq!(bad(), before);
}
