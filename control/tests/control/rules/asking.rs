//! Asking: what can be asked for, and what an admin may write.

use control::rules::asking::{Ask, ask_faults};
use control::rules::order::hint;
use control::rules::terms::{Approval, Offer, offer_faults};
use model::{
    ConnectorId, DriverKind, Entitlement, Integration, IntegrationId, Lifecycle, Policy, ResourceId,
    Revision, SecretReference, Span,
};

use super::later;
use crate::world::{START, ask, catalogue, read_orders};

fn offer() -> Offer {
    Offer {
        connector: ConnectorId::parse("north").unwrap(),
        integration: Integration {
            id: IntegrationId::parse("shop").unwrap(),
            revision: Revision(1),
            kind: DriverKind("postgres".into()),
            settings: [("host".into(), "db".into())].into(),
            secret: SecretReference("file://db.json#password".into()),
            policy: Policy::default(),
            lifecycle: Lifecycle::Live,
        },
        title: None,
        approval: Approval::default(),
        access_details: None,
        longest: None,
        created_at: START,
        updated_at: START,
        retired_at: None,
    }
}

fn wanting(entitlements: Vec<Entitlement>) -> Ask {
    Ask { entitlements, ..ask(Span::from_secs(60)) }
}

fn entitlement(kind: &str, path: &[&str], permission: &str) -> Entitlement {
    Entitlement::new(ResourceId::new(kind, path.iter().copied()), permission)
}

#[test]
fn a_request_is_checked_whole() {
    let table: Vec<(&str, Ask, Vec<&str>)> = vec![
        ("good", ask(Span::from_secs(60)), vec![]),
        ("no time", ask(Span::ZERO), vec!["duration_seconds"]),
        ("the longest", ask(Span::from_hours(24)), vec![]),
        ("longer than the server allows", ask(Span::from_millis(86_400_001)), vec!["duration_seconds"]),
        (
            "no justification",
            Ask { justification: " \n".into(), ..ask(Span::from_secs(1)) },
            vec!["justification"],
        ),
        (
            "a long justification",
            Ask { justification: "x".repeat(2_001), ..ask(Span::from_secs(1)) },
            vec!["justification"],
        ),
        (
            "a justification with an escape",
            Ask { justification: "\u{1b}[31m".into(), ..ask(Span::from_secs(1)) },
            vec!["justification"],
        ),
        ("far ahead", Ask { from: Some(later(91 * 86_400)), ..ask(Span::from_secs(1)) }, vec!["from"]),
        (
            "over before it begins",
            Ask { from: Some(START.minus(Span::from_secs(60))), ..ask(Span::from_secs(60)) },
            vec!["from"],
        ),
        ("nothing asked for", wanting(vec![]), vec!["entitlements"]),
        (
            "an unknown kind",
            wanting(vec![entitlement("mysql-table", &["a"], "READ_ONLY")]),
            vec!["entitlements[0].resource.kind"],
        ),
        (
            "an unknown permission",
            wanting(vec![read_orders(), entitlement("postgresql-table", &["a"], "OWNER")]),
            vec!["entitlements[1].permission"],
        ),
        (
            "an empty part of the path",
            wanting(vec![entitlement("postgresql-table", &["shop", ""], "READ_ONLY")]),
            vec!["entitlements[0].resource.path"],
        ),
        (
            "a hostile but possible name",
            wanting(vec![entitlement("postgresql-table", &["shop\"; DROP TABLE x; --"], "READ_ONLY")]),
            vec![],
        ),
        ("twice the same", wanting(vec![read_orders(), read_orders()]), vec!["entitlements[1]"]),
        (
            "everything at once",
            Ask { duration: Span::ZERO, justification: String::new(), ..wanting(vec![]) },
            vec!["duration_seconds", "justification", "entitlements"],
        ),
    ];
    for (name, ask, expected) in table {
        let faults = ask_faults(&ask, &offer(), &catalogue(), Span::from_hours(24), START);
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, expected, "{name}");
        assert!(faults.iter().all(|fault| !fault.way_out.is_empty()), "{name}: no way out");
    }
}

#[test]
fn a_thousand_entitlements_are_the_most() {
    let many = |count: usize| {
        let names =
            (0..count).map(|n| entitlement("postgresql-table", &["shop", &format!("t{n}")], "READ_ONLY"));
        ask_faults(&wanting(names.collect()), &offer(), &catalogue(), Span::from_hours(1), START).len()
    };
    assert_eq!((many(1_000), many(1_001)), (0, 1));
}

#[test]
fn the_stricter_limit_and_the_lifecycle_hold() {
    let short = Offer { longest: Some(Span::from_secs(30)), ..offer() };
    let long = Offer { longest: Some(Span::from_hours(48)), ..offer() };
    let mut retiring = offer();
    retiring.integration.lifecycle = Lifecycle::Retiring;
    let table = [
        ("the integration's own limit", &short, 31, 1),
        ("within it", &short, 30, 0),
        ("the server's limit", &long, 86_401, 1),
        ("being retired", &retiring, 1, 1),
    ];
    for (name, offer, secs, faults) in table {
        let found = ask_faults(&ask(Span::from_secs(secs)), offer, &catalogue(), Span::from_hours(24), START);
        assert_eq!(found.len(), faults, "{name}");
    }
}

#[test]
fn an_integration_is_checked_whole() {
    let with = |change: &dyn Fn(&mut Offer)| {
        let mut offer = offer();
        change(&mut offer);
        offer
    };
    let policy = |rotation, cleanup| Policy {
        credentials_rotation_period_in_days: rotation,
        credentials_cleanup_period_in_days: cleanup,
    };
    let table: Vec<(&str, Offer, Vec<&str>)> = vec![
        ("good", offer(), vec![]),
        ("details of 400", with(&|offer| offer.access_details = Some("ä".repeat(400))), vec![]),
        (
            "details of 401",
            with(&|offer| offer.access_details = Some("ä".repeat(401))),
            vec!["access_details"],
        ),
        (
            "a password for a reference",
            with(&|offer| offer.integration.secret = SecretReference("hunter2".into())),
            vec!["secret"],
        ),
        (
            "a scheme with nothing behind it",
            with(&|offer| offer.integration.secret = SecretReference("env:".into())),
            vec!["secret"],
        ),
        (
            "a setting that the driver has not",
            with(&|offer| {
                offer.integration.settings.insert("hots".into(), "db".into());
            }),
            vec!["settings.hots"],
        ),
        (
            "a setting that the driver needs",
            with(&|offer| offer.integration.settings.clear()),
            vec!["settings.host"],
        ),
        ("cleanup at once", with(&|offer| offer.integration.policy = policy(None, Some(0))), vec![]),
        (
            "rotation at once",
            with(&|offer| offer.integration.policy = policy(Some(0), None)),
            vec!["policy.credentials_rotation_period_in_days"],
        ),
        ("a limit of nothing", with(&|offer| offer.longest = Some(Span::ZERO)), vec!["max_duration_seconds"]),
    ];
    for (name, offer, expected) in table {
        let faults = offer_faults(&offer, Some(&catalogue()));
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, expected, "{name}");
    }
    let unknown = with(&|offer| {
        offer.integration.settings.insert("hots".into(), "db".into());
    });
    assert!(offer_faults(&unknown, None).is_empty(), "a driver that was never seen was consulted");
}

#[test]
fn the_hint_is_the_readable_part_and_fits() {
    let table = [
        ("plain", "ann.b@example.org".to_owned(), "ann.b".to_owned()),
        ("beyond ASCII", "größe@example.org".to_owned(), "größe".to_owned()),
        ("too long", format!("{}@x.y", "é".repeat(200)), "é".repeat(128)),
    ];
    for (name, email, expected) in table {
        assert_eq!(hint(&email), expected, "{name}");
    }
}
