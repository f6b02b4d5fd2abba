//! Orders with names and texts that nobody should send, in every place where one can stand: each is refused by its
//! field, or fails by its name; nothing of it is done, and nothing of it moves a cursor.

use std::time::Duration;

use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;
use proto::v1::{self};
use rustix::process::Signal;
use serde_json::Value;

use crate::world::{INTEGRATION, World, put};

/// Texts that are short enough to be looked at.
const ODD: [(&str, &str); 7] = [
    ("a line break", "a\nb"),
    ("an end of text", "a\0b"),
    ("an escape", "a\u{1b}[31mb"),
    ("a turn of direction", "a\u{202e}b"),
    ("quotes", "a'\"`;--b"),
    ("an emoji", "a😀b"),
    ("blanks", " "),
];

/// What is to come of an order.
enum Fate {
    /// Refused, naming this field.
    Refused(&'static str),
    /// The access fails with one of these codes.
    Fails(&'static [&'static str]),
    /// The integration is told as refused or unreachable, with one of these codes.
    Unfit(&'static [&'static str]),
    /// The integration is good: blanks are as nothing, and its default holds.
    Good,
    /// It works: what is odd is only for people, and leaves no trace in a name.
    Works,
}

fn access(n: usize, spoil: impl FnOnce(&mut v1::PutAccess)) -> Order {
    let Order::PutAccess(mut access) =
        put(&format!("odd-{n}"), &format!("odd-{n}"), "orders", Duration::from_secs(3600))
    else {
        panic!("no access")
    };
    spoil(&mut access);
    Order::PutAccess(access)
}

fn resource(access: &mut v1::PutAccess) -> &mut v1::ResourceId {
    access.entitlements[0].resource.as_mut().unwrap()
}

fn integration(world: &World, n: usize, spoil: impl FnOnce(&mut v1::PutIntegration)) -> Order {
    let mut put = world.put_integration(u64::try_from(n).unwrap() + 1_000, &[]);
    put.integration_id = format!("odd-{n}");
    spoil(&mut put);
    Order::PutIntegration(put)
}

/// Every place where a name or text can stand in an order: the order, and what is to come of it.
fn places(world: &World, n: usize, text: &str) -> Vec<(&'static str, Order, Fate)> {
    use Fate::{Fails, Good, Refused, Unfit, Works};
    const NO_SUCH: &[&str] = &["resource_missing", "name_refused"];
    let long = text.len() > 256;
    let id = text.to_owned();
    let or = |field: &'static str, fate: Fate| if long { Refused(field) } else { fate };
    let dbname = if text.trim().is_empty() {
        Good
    } else {
        or("put_integration.settings", Unfit(&["config_refused", "resource_missing", "name_refused"]))
    };
    let path = "put_access.entitlements.resource.path";
    vec![
        ("an access", access(n, |a| a.access_id = id.clone()), Refused("put_access.access_id")),
        (
            "its integration",
            access(n, |a| a.integration_id = id.clone()),
            Refused("put_access.integration_id"),
        ),
        (
            "its requester",
            access(n, |a| a.grantee.as_mut().unwrap().id = id.clone()),
            Refused("put_access.grantee.id"),
        ),
        (
            "the requester's hint",
            access(n, |a| a.grantee.as_mut().unwrap().hint = id.clone()),
            or("put_access.grantee.hint", Works),
        ),
        (
            "a resource's kind",
            access(n + 100, |a| resource(a).kind = id.clone()),
            or("put_access.entitlements.resource.kind", Fails(&["permission_unknown"])),
        ),
        (
            "a permission",
            access(n + 200, |a| a.entitlements[0].permission = id.clone()),
            or("put_access.entitlements.permission", Fails(&["permission_unknown"])),
        ),
        ("a database", access(n + 300, |a| resource(a).path[0] = id.clone()), or(path, Fails(NO_SUCH))),
        ("a schema", access(n + 400, |a| resource(a).path[1] = id.clone()), or(path, Fails(NO_SUCH))),
        ("a table", access(n + 500, |a| resource(a).path[2] = id.clone()), or(path, Fails(NO_SUCH))),
        (
            "an end",
            Order::EndAccess(v1::EndAccess { access_id: id.clone() }),
            Refused("end_access.access_id"),
        ),
        (
            "a cancelled end",
            Order::CancelEnding(v1::CancelEnding { access_id: id.clone() }),
            Refused("cancel_ending.access_id"),
        ),
        ("a pause", Order::Pause(v1::Pause { integration_id: id.clone() }), Refused("pause.integration_id")),
        (
            "a look",
            Order::CheckNow(v1::CheckNow { integration_id: id.clone() }),
            Refused("check_now.integration_id"),
        ),
        (
            "a deletion",
            Order::DeleteAccount(v1::DeleteAccount {
                integration_id: INTEGRATION.into(),
                grantee_id: id.clone(),
            }),
            Refused("delete_account.grantee_id"),
        ),
        (
            "an integration",
            integration(world, n, |i| i.integration_id = id.clone()),
            Refused("put_integration.integration_id"),
        ),
        (
            "a kind of target",
            integration(world, n + 100, |i| i.kind = id.clone()),
            or("put_integration.kind", Unfit(&["config_refused"])),
        ),
        (
            "a setting",
            integration(world, n + 200, |i| drop(i.settings.insert(id.clone(), "x".into()))),
            or("put_integration.settings", Unfit(&["config_refused"])),
        ),
        (
            "a host",
            integration(world, n + 300, |i| drop(i.settings.insert("hostname".into(), id.clone()))),
            or("put_integration.settings", Unfit(&["config_refused"])),
        ),
        (
            "a database's name",
            integration(world, n + 400, |i| drop(i.settings.insert("dbname".into(), id.clone()))),
            dbname,
        ),
        (
            "a secret's reference",
            integration(world, n + 500, |i| i.secret_reference = id.clone()),
            or("put_integration.secret_reference", Unfit(&["config_refused"])),
        ),
    ]
}

/// Whether somebody who reads it is shown anything else than text.
fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn a_hostile_name_in_an_order_is_refused_by_its_field_or_fails_by_its_name() {
    let mut world = World::start(&["log.level=debug"]);
    world.open("a-1", "ann", "orders");
    let refusals = |world: &World| -> Vec<v1::OrderRefused> {
        let refused = |report| if let Told::OrderRefused(refused) = report { Some(refused) } else { None };
        world.plane.reports().into_iter().filter_map(refused).collect()
    };
    // Longer than a setting may be.
    let endless = "x".repeat(20_000);
    let odd = ODD.into_iter().chain([("20,000 bytes", endless.as_str())]);
    let (mut refused, mut working) = (0, 0);
    for (n, (name, text)) in odd.enumerate() {
        for (place, order, fate) in places(&world, n, text) {
            let what = format!("{name} in {place}");
            let id =
                if let Order::PutAccess(access) = &order { access.access_id.clone() } else { String::new() };
            let revision = if let Order::PutIntegration(put) = &order { put.revision } else { 0 };
            world.plane.order([order]);
            let shown = match fate {
                Fate::Refused(field) => {
                    refused += 1;
                    let told = world.plane.until(&what, || refusals(&world).into_iter().nth(refused - 1));
                    assert_eq!(told.code, "order_malformed", "{what}: {told:?}");
                    assert!(told.detail.contains(field), "{what}: {told:?}");
                    told.detail
                }
                Fate::Fails(codes) => {
                    let state =
                        world.wait(&id, &what, |state| matches!(state, State::Failed(_) | State::Refused(_)));
                    let (State::Failed(v1::access_state::Failed { code, .. })
                    | State::Refused(v1::access_state::Refused { code, .. })) = state
                    else {
                        panic!("{what}: {state:?}")
                    };
                    assert!(codes.contains(&code.as_str()), "{what}: {code}");
                    let why = world.plane.reports().into_iter().rev().find_map(|report| match report {
                        Told::AccessChanged(told) if told.access_id == id => told.failure,
                        _ => None,
                    });
                    why.map(|failure| failure.detail).unwrap_or_default()
                }
                Fate::Unfit(codes) => {
                    let told = world.plane.until(&what, || {
                        world.plane.told().into_iter().find_map(|report| match report {
                            Told::IntegrationHealth(told) if told.revision == revision => told.failure,
                            _ => None,
                        })
                    });
                    assert!(codes.contains(&told.code.as_str()), "{what}: {told:?}");
                    told.detail
                }
                Fate::Good => {
                    world.wait_good(revision);
                    String::new()
                }
                Fate::Works => {
                    working += 1;
                    world.wait(&id, &what, |state| matches!(state, State::Active(_)));
                    String::new()
                }
            };
            assert!(is_plain(&shown) && shown.len() <= 4_096, "{what}: {shown:?}");
        }
    }
    // Nothing but what was meant is there, under names that need no quotes.
    let logins = world.logins();
    assert_eq!(logins.len(), 1 + working, "{logins:?}");
    let plain = |name: &String| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    assert!(world.accounts().iter().all(plain), "{:?}", world.accounts());
    for command in [
        &["status"][..],
        &["journal", "show", "integration"],
        &["journal", "show", "account"],
        &["check"],
        &["bindings", "list"],
    ] {
        let said = world.run(command);
        assert!(is_plain(&said.out) && is_plain(&said.err), "{command:?}: {said:?}");
    }
    world.open("a-2", "bob", "orders");
    // Each line of the log is one object, whatever stands in it.
    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
    let torn: Vec<_> = world.agent().lines().into_iter().filter(Value::is_string).collect();
    assert!(torn.is_empty(), "{torn:?}");
}
