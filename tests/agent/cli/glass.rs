//! Breaking the glass: `tidegate close`, beside the control plane.

use proto::v1::access_state::State;
use proto::v1::report::Report as Told;
use proto::v1::{self};
use serde_json::Value;
use services::postgres::Mode;

use crate::plane::until;
use crate::world::{INTEGRATION, World, put};

const REASON: &str = "a stolen laptop, ticket 812";

/// One access for each of ann and bob, and a second one for ann.
fn three() -> World {
    let world = World::start(&[]);
    for (access, grantee, table) in
        [("a-1", "ann", "orders"), ("a-2", "ann", "stock"), ("b-1", "bob", "orders")]
    {
        world.open(access, grantee, table);
    }
    assert_eq!(world.logins().len(), 2);
    world
}

/// Breaks the glass without being asked.
fn close(world: &World, which: &[&str]) -> crate::bench::Said {
    world.run(&[&["close", "--yes", "--reason", REASON, "--json"], which].concat())
}

/// Who has a right on the table, through whatever role.
fn readers(world: &World, table: &str) -> usize {
    let query = format!(
        "select count(*) from pg_roles where rolcanlogin and not rolsuper and has_table_privilege(oid, 'public.{table}', 'select')"
    );
    world.server.psql("postgres", &query).unwrap().trim().parse().unwrap()
}

#[test]
fn the_glass_is_broken_while_the_control_plane_is_away_and_told_when_it_is_back() {
    let mut world = three();
    world.plane.leave();

    // Nobody sits at a terminal here, and nothing was said beforehand.
    let said = world.run(&["close", "--all", "--reason", REASON]).ended(2);
    assert!(said.err.contains("add --yes"), "{said:?}");
    for (which, reason) in
        [(["--access", "c-9"], "no access `c-9`"), (["--integration", "other"], "no integration `other`")]
    {
        let said = close(&world, &which).ended(2);
        assert!(said.err.contains(reason), "{said:?}");
    }
    world.run(&["close", "--all", "--yes"]).ended(2);
    world.run(&["close", "--all", "--yes", "--reason", " "]).ended(1);
    assert_eq!((world.logins().len(), readers(&world, "orders"), readers(&world, "stock")), (2, 2, 1));

    // One of two on an account: the other stands.
    let said = close(&world, &["--access", "a-1"]).ended(0).json();
    assert_eq!(
        (&said["ends"]["accesses"], &said["ends"]["recorded"]),
        (&1.into(), &Value::Bool(true)),
        "{said}"
    );
    assert_eq!((world.logins().len(), readers(&world, "orders"), readers(&world, "stock")), (2, 1, 1));
    // All the rest.
    let said = close(&world, &["--all"]).ended(0).json();
    assert_eq!((&said["ends"]["accesses"], &said["left"]["accesses"]), (&2.into(), &0.into()), "{said}");
    assert_eq!(said["ends"]["integrations"][0], INTEGRATION);
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    let again = world.run(&["close", "--all", "--reason", REASON]).ended(0);
    assert!(again.out.contains("Nothing is open on all integrations."), "{again:?}");

    world.plane.come_back();
    for access in ["a-1", "a-2", "b-1"] {
        world.wait_ended(access);
    }
    let reports = world.plane.reports();
    let user = format!("user {}: {REASON}", rustix::process::geteuid().as_raw());
    let ending = |report: &&Told| match report {
        Told::AccessChanged(told) => match told.state.as_ref().and_then(|state| state.state.as_ref()) {
            Some(State::Ending(ending)) => ending
                .reason
                .as_ref()
                .is_some_and(|reason| reason.kind() == v1::EndReasonKind::BreakGlass && reason.note == user),
            _ => false,
        },
        _ => false,
    };
    let alarm = |report: &&Told| matches!(report, Told::Alarm(told) if told.code == "break_glass" && told.detail.contains(&user));
    let receipt = |report: &&Told| matches!(report, Told::Receipt(told) if told.body.contains("break_glass") && told.body.contains(&user));
    let counted = (
        reports.iter().filter(ending).count(),
        reports.iter().filter(alarm).count(),
        reports.iter().filter(receipt).count(),
    );
    assert_eq!(counted, (3, 2, 3), "{reports:#?}");

    // What was ended never opens again; what is ordered anew does.
    world.put("a-1", "ann", "orders", std::time::Duration::from_secs(600));
    world.plane.until("it is refused", || {
        world
            .plane
            .reports()
            .iter()
            .any(|report| matches!(report, Told::OrderRefused(told) if told.code == "id_ended"))
            .then_some(())
    });
    world.open("a-3", "ann", "orders");
}

#[test]
fn what_cannot_be_closed_yet_is_named_and_tried_until_it_is() {
    let world = three();
    world.server.stop(Mode::Immediate).unwrap();
    let said = close(&world, &["--integration", INTEGRATION, "--wait", "2s"]).ended(1).json();
    assert_eq!((&said["ends"]["accesses"], &said["left"]["accesses"]), (&3.into(), &3.into()), "{said}");
    let said = world.run(&["close", "--all", "--wait", "0s", "--reason", REASON]).ended(1);
    assert!(said.out.contains("3 accesses were being ended already"), "{said:?}");
    assert!(said.out.contains("on orders-db: its login may be open"), "{said:?}");
    world.server.start().unwrap();
    for access in ["a-1", "a-2", "b-1"] {
        world.wait_ended(access);
    }
    assert!(world.logins().is_empty());
}

#[test]
fn a_journal_that_refuses_holds_no_close_up_and_hears_of_it_later() {
    let world = three();
    let journal = |name: &str| world.bench.path("state/journal").join(name);
    std::fs::rename(journal("journal.db"), journal("away")).unwrap();
    let said = close(&world, &["--all", "--wait", "0s"]).ended(5).json();
    assert_eq!(
        (&said["ends"]["accesses"], &said["ends"]["recorded"]),
        (&3.into(), &Value::Bool(false)),
        "{said}"
    );
    until(|| world.logins().is_empty().then_some(())).expect("the accounts are shut");
    assert_eq!(world.run(&["status", "--json"]).ended(0).json()["mode"], "close_only");
    // Nothing opens meanwhile.
    world.plane.order([put("c-1", "carl", "orders", std::time::Duration::from_secs(600))]);
    std::fs::rename(journal("away"), journal("journal.db")).unwrap();
    for access in ["a-1", "a-2", "b-1"] {
        world.wait_ended(access);
    }
    world.wait("c-1", "active", |state| matches!(state, State::Active(_)));
}
