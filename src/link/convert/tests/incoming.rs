//! Orders, from the wire.

use std::collections::BTreeMap;

use model::id::IdFault;
use model::{
    AccessId, DriverKind, GranteeId, GranteeKey, Integration, IntegrationId, Lifecycle, Policy, Revision,
    SecretReference, Timestamp,
};
use prost_types::Timestamp as WireTime;
use proto::{limits, v1};
use rules::{AccessOrder, Grantee, NumberedOrder, Order};

use super::{PLACE, at, entitlements, incarnation, inverse};
use crate::link::convert::{Fault, received};

fn key() -> GranteeKey {
    GranteeKey("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into())
}

fn integration_id() -> IntegrationId {
    "prod-db".parse().unwrap()
}

fn access_id() -> AccessId {
    "acc_1".parse().unwrap()
}

fn grantee_id() -> GranteeId {
    "ann.b".parse().unwrap()
}

fn access() -> AccessOrder {
    AccessOrder {
        id: access_id(),
        revision: Revision(3),
        integration: integration_id(),
        grantee: Grantee { id: grantee_id(), hint: "ann \"ü\"".into(), key: key() },
        entitlements: entitlements(3),
        from: at(1),
        until: at(3_600_999),
        approval: Some("acc_1:ann".into()),
    }
}

fn integration() -> Integration {
    Integration {
        id: integration_id(),
        revision: Revision(u64::MAX),
        kind: DriverKind("postgres".into()),
        settings: BTreeMap::from([("host".into(), "db.example".into()), ("note".into(), String::new())]),
        secret: SecretReference("env://TIDEGATE_SECRET_DB#password".into()),
        policy: Policy {
            credentials_rotation_period_in_days: None,
            credentials_cleanup_period_in_days: Some(0),
        },
        lifecycle: Lifecycle::Live,
    }
}

fn wire_of(order: Order) -> v1::Order {
    inverse::order(&NumberedOrder { incarnation: incarnation(9), position: PLACE, order })
}

#[test]
fn every_order_comes_through_whole() {
    let (integration_id, grantee_id, access_id) = (integration_id(), grantee_id(), access_id());
    let orders = [
        Order::PutIntegration(integration()),
        Order::RetireIntegration { integration: integration_id.clone() },
        Order::PutAccess(access()),
        Order::EndAccess { access: access_id.clone() },
        Order::RotateAccount {
            integration: integration_id.clone(),
            grantee: grantee_id.clone(),
            key: Some(key()),
        },
        Order::RotateAccount { integration: integration_id.clone(), grantee: grantee_id.clone(), key: None },
        Order::DeleteAccount { integration: integration_id.clone(), grantee: grantee_id },
        Order::CheckNow { integration: integration_id.clone() },
        Order::DiscoverNow { integration: integration_id.clone() },
        Order::SurveyNow { integration: integration_id.clone() },
        Order::CancelEnding { access: access_id },
        Order::Pause { integration: None },
        Order::Pause { integration: Some(integration_id.clone()) },
        Order::Resume { integration: None },
        Order::Resume { integration: Some(integration_id) },
        Order::SetPolicy { policy: Policy::default() },
        Order::SetPolicy { policy: integration().policy },
    ];
    for order in orders {
        let found = received(wire_of(order.clone())).unwrap();
        assert_eq!((found.incarnation, found.position), (incarnation(9), PLACE));
        assert_eq!(found.order, Ok(order));
    }
}

#[test]
fn the_most_entitlements_that_are_allowed_are_taken() {
    let most = AccessOrder { entitlements: entitlements(limits::ENTITLEMENTS), ..access() };
    let order = Order::PutAccess(most);
    assert!(received(wire_of(order.clone())).unwrap().order == Ok(order));
}

#[test]
fn an_order_without_a_place_breaks_the_session() {
    let wire = wire_of(Order::PutAccess(access()));
    let table = [
        (
            "no incarnation",
            v1::Order { control_incarnation: String::new(), ..wire.clone() },
            Fault::Missing { field: "order.control_incarnation" },
        ),
        (
            "odd incarnation",
            v1::Order { control_incarnation: "first".into(), ..wire.clone() },
            Fault::Uuid { field: "order.control_incarnation" },
        ),
        ("no position", v1::Order { position: 0, ..wire }, Fault::Missing { field: "order.position" }),
    ];
    for (name, wire, expected) in table {
        assert_eq!(received(wire), Err(expected), "{name}");
    }
}

#[test]
fn an_order_of_a_kind_that_is_not_known_is_refused_at_its_place() {
    let found = received(v1::Order { order: None, ..wire_of(Order::PutAccess(access())) }).unwrap();
    assert_eq!(found.position, PLACE);
    assert_eq!(found.order.unwrap_err().fault, Fault::UnknownKind { field: "order" });
}

fn first(wire: &mut v1::PutAccess) -> &mut v1::ResourceId {
    wire.entitlements[0].resource.as_mut().unwrap()
}

fn grantee(wire: &mut v1::PutAccess) -> &mut v1::Grantee {
    wire.grantee.as_mut().unwrap()
}

#[test]
fn an_access_that_does_not_fit_is_refused_by_name() {
    type Spoil = fn(&mut v1::PutAccess);
    const ALL: &str = "put_access.entitlements";
    const PATH: &str = "put_access.entitlements.resource.path";
    const KEY: &str = "put_access.grantee.public_key";
    const NAME: usize = limits::NAME_BYTES;
    const MOST: usize = limits::ENTITLEMENTS;
    const PARTS: usize = limits::PATH_PARTS;
    const TOGETHER: usize = 256 * (PARTS * NAME + "postgresql-table".len() + "READ_ONLY".len());
    let id = |field, fault| Fault::Id { field, fault };
    let missing = |field| Fault::Missing { field };
    let table: [(&str, Spoil, Fault); 22] = [
        ("no integration", |w| w.integration_id.clear(), id("put_access.integration_id", IdFault::Empty)),
        (
            "quote in integration",
            |w| w.integration_id = "a'b".into(),
            id("put_access.integration_id", IdFault::Character { found: '\'' }),
        ),
        (
            "long grantee",
            |w| grantee(w).id = "x".repeat(65),
            id("put_access.grantee.id", IdFault::TooLong { len: 65 }),
        ),
        ("no revision", |w| w.revision = 0, missing("put_access.revision")),
        ("no grantee", |w| w.grantee = None, missing("put_access.grantee")),
        (
            "long hint",
            |w| grantee(w).hint = "é".repeat(NAME),
            Fault::TooLong { field: "put_access.grantee.hint", found: 2 * NAME, most: NAME },
        ),
        ("no key", |w| grantee(w).public_key.clear(), missing(KEY)),
        (
            "short key",
            |w| grantee(w).public_key.truncate(31),
            Fault::Length { field: KEY, found: 31, needed: 32 },
        ),
        ("nothing wanted", |w| w.entitlements.clear(), missing(ALL)),
        (
            "too much wanted",
            |w| w.entitlements = vec![w.entitlements[0].clone(); MOST + 1],
            Fault::TooMany { field: ALL, found: MOST + 1, most: MOST },
        ),
        (
            "too long all together",
            |w| {
                first(w).path = vec!["x".repeat(NAME); PARTS];
                w.entitlements = vec![w.entitlements[0].clone(); 256];
            },
            Fault::TooLong { field: ALL, found: TOGETHER, most: limits::ENTITLEMENT_BYTES },
        ),
        ("no resource", |w| w.entitlements[0].resource = None, missing("put_access.entitlements.resource")),
        ("no kind", |w| first(w).kind.clear(), missing("put_access.entitlements.resource.kind")),
        (
            "no permission",
            |w| w.entitlements[0].permission.clear(),
            missing("put_access.entitlements.permission"),
        ),
        (
            "long permission",
            |w| w.entitlements[0].permission = "x".repeat(NAME + 1),
            Fault::TooLong { field: "put_access.entitlements.permission", found: NAME + 1, most: NAME },
        ),
        (
            "long name",
            |w| first(w).path[1] = "x".repeat(NAME + 1),
            Fault::TooLong { field: PATH, found: NAME + 1, most: NAME },
        ),
        ("empty name", |w| first(w).path[1].clear(), missing(PATH)),
        (
            "deep path",
            |w| first(w).path = vec!["x".into(); PARTS + 1],
            Fault::TooMany { field: PATH, found: PARTS + 1, most: PARTS },
        ),
        ("no deadline", |w| w.until = None, missing("put_access.until")),
        (
            "deadline before time",
            |w| w.until = Some(WireTime { seconds: -1, nanos: 0 }),
            Fault::Time { field: "put_access.until" },
        ),
        (
            "deadline after time",
            |w| w.until = Some(WireTime { seconds: i64::MAX, nanos: 0 }),
            Fault::Time { field: "put_access.until" },
        ),
        (
            "second of more than a second",
            |w| w.from = Some(WireTime { seconds: 1, nanos: 1_000_000_000 }),
            Fault::Time { field: "put_access.from" },
        ),
    ];
    for (name, spoil, expected) in table {
        let mut wire = wire_of(Order::PutAccess(access()));
        if let Some(v1::order::Order::PutAccess(wire)) = &mut wire.order {
            spoil(wire);
        }
        let refusal = received(wire).unwrap().order.unwrap_err();
        assert_eq!(refusal.fault, expected, "{name}");
        assert_eq!(refusal.access, Some(access_id()), "{name}");
    }
}

#[test]
fn an_access_whose_id_cannot_be_read_is_refused_without_one() {
    let mut wire = wire_of(Order::EndAccess { access: access_id() });
    wire.order = Some(v1::order::Order::EndAccess(v1::EndAccess { access_id: "a b".into() }));
    let refusal = received(wire).unwrap().order.unwrap_err();
    assert_eq!(refusal.access, None);
    let field = "end_access.access_id";
    assert_eq!(refusal.fault, Fault::Id { field, fault: IdFault::Character { found: ' ' } });
}

#[test]
fn an_integration_that_does_not_fit_is_refused_by_name() {
    type Spoil = fn(&mut v1::PutIntegration);
    const SETTINGS: &str = "put_integration.settings";
    const SECRET: &str = "put_integration.secret_reference";
    const MOST: usize = limits::SETTING_BYTES;
    let missing = |field| Fault::Missing { field };
    let too_long = |field| Fault::TooLong { field, found: MOST + 1, most: MOST };
    let table: [(&str, Spoil, Fault); 7] = [
        ("no kind", |w| w.kind.clear(), missing("put_integration.kind")),
        ("no revision", |w| w.revision = 0, missing("put_integration.revision")),
        ("no secret", |w| w.secret_reference.clear(), missing(SECRET)),
        ("long secret", |w| w.secret_reference = "x".repeat(MOST + 1), too_long(SECRET)),
        ("long setting", |w| w.settings.extend([("ca".into(), "x".repeat(MOST + 1))]), too_long(SETTINGS)),
        ("setting without a key", |w| w.settings.extend([(String::new(), "x".into())]), missing(SETTINGS)),
        (
            "many settings",
            |w| w.settings = (0..=limits::SETTINGS).map(|n| (n.to_string(), String::new())).collect(),
            Fault::TooMany { field: SETTINGS, found: limits::SETTINGS + 1, most: limits::SETTINGS },
        ),
    ];
    for (name, spoil, expected) in table {
        let mut wire = wire_of(Order::PutIntegration(integration()));
        if let Some(v1::order::Order::PutIntegration(wire)) = &mut wire.order {
            spoil(wire);
        }
        assert_eq!(received(wire).unwrap().order.unwrap_err().fault, expected, "{name}");
    }
}

#[test]
fn times_lose_what_is_finer_than_a_millisecond_and_an_access_without_a_begin_begins_at_once() {
    let mut wire = wire_of(Order::PutAccess(access()));
    if let Some(v1::order::Order::PutAccess(wire)) = &mut wire.order {
        wire.from = None;
        wire.until = Some(WireTime { seconds: 1_780_000_000, nanos: 1_999_999 });
    }
    let Ok(Order::PutAccess(found)) = received(wire).unwrap().order else { panic!("the access is refused") };
    assert_eq!((found.from, found.until), (Timestamp::ZERO, at(1)));
}
