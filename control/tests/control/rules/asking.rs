//! Asking: what can be asked for, and what an admin may write.

use control::rules::asking::{Ask, ask_faults};
use control::rules::order::hint;
use control::rules::setting::Format;
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
        (
            "blank where something is needed",
            with(&|offer| drop(offer.integration.settings.insert("host".into(), " \t".into()))),
            vec!["settings.host"],
        ),
        (
            "no port",
            with(&|offer| drop(offer.integration.settings.insert("port".into(), "abc".into()))),
            vec!["settings.port"],
        ),
        (
            "a port that is not given",
            with(&|offer| drop(offer.integration.settings.insert("port".into(), "".into()))),
            vec![],
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
fn a_setting_is_refused_for_what_the_manifest_tells_and_for_nothing_else() {
    let choice = || Format::Choice { allowed: vec!["require".into(), "verify-full".into()] };
    let whole = || Format::Whole { least: 2, most: 10 };
    let long = "x".repeat(64);
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let table: Vec<(&str, Format, &str, bool)> = vec![
        ("anything", Format::Any, "a\nb", true),
        ("a text", Format::Text { max_bytes: 4 }, "größ", false),
        ("a text that fits", Format::Text { max_bytes: 6 }, "größ", true),
        ("a text of two lines", Format::Text { max_bytes: 9 }, "a\nb", false),
        ("a name", Format::Host, "db-1.example.org", true),
        ("a name in capitals and with a blank behind it", Format::Host, "DB_1.Example.ORG ", true),
        ("IPv4", Format::Host, "192.0.2.1", true),
        ("IPv6", Format::Host, "2001:db8::1", true),
        ("IPv6 in brackets", Format::Host, "[2001:db8::1]", true),
        ("half a bracket", Format::Host, "[2001:db8::1", false),
        ("a host with a port", Format::Host, "db:5432", false),
        ("a URL", Format::Host, "postgres://db/shop", false),
        ("a user", Format::Host, "ann@db", false),
        ("a zone", Format::Host, "fe80::1%eth0", false),
        ("beyond ASCII", Format::Host, "größe.example.org", false),
        ("a long label", Format::Host, &long, false),
        ("a line break in a name", Format::Host, "db\n.example.org", false),
        ("the least port", Format::Port, "1", true),
        ("the most", Format::Port, "65535", true),
        ("no number", Format::Port, "abc", false),
        ("nothing", Format::Port, "0", false),
        ("too much", Format::Port, "65536", false),
        ("signed", Format::Port, "+5", false),
        ("far too much", Format::Port, "99999999999999999999", false),
        ("a word", choice(), "verify-full", true),
        ("another word", choice(), "Verify-Full", false),
        ("the least", whole(), "2", true),
        ("less", whole(), "1", false),
        ("more", whole(), "11", false),
        ("a fraction", whole(), "2.5", false),
        ("yes", Format::Flag, "true", true),
        ("yes in another tongue", Format::Flag, "yes", false),
        ("a length of time", Format::Duration, "1h30m", true),
        ("a length without a unit", Format::Duration, "90", false),
        ("certificates", Format::Pem, pem, true),
        ("no certificate", Format::Pem, "AAAA", false),
        (
            "a private key",
            Format::Pem,
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
            false,
        ),
        ("not given", Format::Port, "  ", true),
    ];
    for (name, format, text, fits) in table {
        let misfit = format.misfit(text);
        assert_eq!(misfit.is_none(), fits, "{name}: {misfit:?}");
        if let Some((reason, way_out)) = misfit {
            assert!(!reason.is_empty() && !way_out.is_empty(), "{name}");
            assert!(!reason.contains("hunter2") && !way_out.contains("hunter2"), "{name} is repeated");
        }
    }
}

#[test]
fn a_catalogue_that_a_build_before_this_one_kept_is_read() {
    let kept = r#"{"permissions":{"table":["READ_ONLY"]},"settings":{"port":true}}"#;
    let kept: control::rules::terms::Catalogue = serde_json::from_str(kept).unwrap();
    let mut offer = offer();
    offer.integration.settings = [("port".into(), "abc".into())].into();
    assert!(offer_faults(&offer, Some(&kept)).is_empty(), "what nobody told is not looked at");
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
