#![expect(clippy::unwrap_in_result, reason = "a test that cannot go on fails where it stands")]

use std::collections::BTreeMap;

use model::{
    AccessId, ConnectorId, DriverKind, Entitlement, EntitlementSet, GranteeId, Integration, IntegrationId,
    Lifecycle, Policy, ResourceId, Revision, SecretReference,
};
use rules::Guardrails as _;

use super::*;

/// The examples of the page, by their @id.
fn examples() -> BTreeMap<String, String> {
    let page = include_str!("../../../../docs/guardrails.md");
    let blocks = page.split("```cedar\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .map(|block| {
            let id = block.split('"').nth(1).unwrap().to_owned();
            (id, block.to_owned())
        })
        .collect()
}

fn policies(text: &str, zone: &str) -> Policies {
    Policies::parse(&ConnectorId::parse("prod-eu-1").unwrap(), text, zone).unwrap()
}

/// An example behind the policy that permits everything.
fn example(id: &str) -> Policies {
    let examples = examples();
    policies(&format!("{}\n{}", examples["all-that-is-not-forbidden"], examples[id]), "Europe/Berlin")
}

fn integration(id: &str, settings: &[(&str, &str)]) -> Integration {
    Integration {
        id: IntegrationId::parse(id).unwrap(),
        revision: Revision(1),
        kind: DriverKind("postgres".into()),
        settings: settings.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        secret: SecretReference("file://pg".into()),
        policy: Policy::default(),
        lifecycle: Lifecycle::Live,
    }
}

/// An access as most people want it.
struct Asked {
    integration: Integration,
    grantee: &'static str,
    approval: Option<&'static str>,
    entitlements: Vec<(&'static str, Vec<&'static str>)>,
    beside: Vec<(&'static str, Vec<&'static str>)>,
    begun: Option<&'static str>,
    from: &'static str,
    until: &'static str,
    used: Vec<(&'static str, &'static str)>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            integration: integration("prod-db", &[]),
            grantee: "person-3",
            approval: None,
            entitlements: vec![("READ_ONLY", vec!["main", "public", "orders"])],
            beside: vec![],
            begun: None,
            // A Monday, 10:07 in Berlin.
            from: "2026-03-02T09:07:00Z",
            until: "2026-03-02T11:00:00Z",
            used: vec![],
        }
    }
}

fn set(of: &[(&str, Vec<&str>)]) -> EntitlementSet {
    of.iter()
        .map(|(permission, path)| {
            let kind = ["postgresql-database", "postgresql-schema", "postgresql-table"][path.len() - 1];
            Entitlement::new(ResourceId::new(kind, path.clone()), permission)
        })
        .collect()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Until when, as text; or what is said instead.
fn answer(policies: &Policies, asked: &Asked) -> Result<String, String> {
    let entitlements = set(&asked.entitlements);
    let mut union = set(&asked.beside);
    union.extend(&entitlements);
    let used: Vec<_> =
        asked.used.iter().map(|(from, until)| Stretch { from: time(from), until: time(until) }).collect();
    policies
        .may_open(&Wish {
            integration: &asked.integration,
            access: &AccessId::parse("a").unwrap(),
            grantee: &GranteeId::parse(asked.grantee).unwrap(),
            approval: asked.approval,
            entitlements: &entitlements,
            union: &union,
            begun: time(asked.begun.unwrap_or(asked.from)),
            from: time(asked.from),
            until: time(asked.until),
            used: &used,
        })
        .map(|until| until.to_string())
        .map_err(|no| no.to_string())
}

fn check(id: &str, table: Vec<(&str, Asked, Result<&str, &str>)>) {
    let policies = example(id);
    for (name, asked, expected) in table {
        match (answer(&policies, &asked), expected) {
            (Ok(until), Ok(expected)) => assert_eq!(until, expected, "{id}: {name}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{id}: {name}: {said}"),
            (said, expected) => panic!("{id}: {name}: {said:?}, expected {expected:?}"),
        }
    }
}

const ALL: Result<&str, &str> = Ok("2026-03-02T11:00:00.000Z");

#[test]
fn nothing_superuser_like() {
    let no = Err("guardrail `nothing-superuser-like` says no: ask the database team");
    check(
        "nothing-superuser-like",
        vec![
            ("reading", Asked::default(), ALL),
            ("administering", Asked { entitlements: vec![("ADMIN", vec!["main"])], ..Asked::default() }, no),
            (
                "beside another access that administers",
                Asked { beside: vec![("ADMIN", vec!["main"])], ..Asked::default() },
                no,
            ),
            (
                "a role that reads files",
                Asked { entitlements: vec![("MEMBER", vec!["pg_read_server_files"])], ..Asked::default() },
                no,
            ),
            (
                "a managed superuser",
                Asked { entitlements: vec![("MEMBER", vec!["rds_superuser"])], ..Asked::default() },
                no,
            ),
            (
                "one of several",
                Asked {
                    entitlements: vec![("READ_ONLY", vec!["main"]), ("MEMBER", vec!["pg_monitor"])],
                    ..Asked::default()
                },
                no,
            ),
        ],
    );
}

#[test]
fn office_hours_are_those_of_the_zone_and_shorten() {
    let no = Err("guardrail `office-hours-on-production` says no: production is open");
    let hours = |from, until| Asked { from, until, ..Asked::default() };
    check(
        "office-hours-on-production",
        vec![
            ("within", Asked::default(), ALL),
            (
                "into the evening",
                hours("2026-03-02T09:07:00Z", "2026-03-02T23:00:00Z"),
                Ok("2026-03-02T16:00:00.000Z"),
            ),
            (
                "for a week",
                hours("2026-03-02T09:07:00Z", "2026-03-09T09:07:00Z"),
                Ok("2026-03-02T16:00:00.000Z"),
            ),
            ("early", hours("2026-03-02T07:59:59.999Z", "2026-03-02T11:00:00Z"), no),
            ("on the hour", hours("2026-03-02T08:00:00Z", "2026-03-02T11:00:00Z"), ALL),
            (
                "in summer time",
                hours("2026-06-01T07:00:00Z", "2026-06-01T20:00:00Z"),
                Ok("2026-06-01T15:00:00.000Z"),
            ),
            (
                "on the day the clocks change, a Sunday",
                hours("2026-03-29T10:00:00Z", "2026-03-29T11:00:00Z"),
                no,
            ),
            (
                "on a Friday evening",
                hours("2026-03-06T15:59:00Z", "2026-03-06T16:30:00Z"),
                Ok("2026-03-06T16:00:00.000Z"),
            ),
            (
                "elsewhere at night",
                Asked {
                    integration: integration("test-db", &[]),
                    ..hours("2026-03-02T23:00:00Z", "2026-03-03T01:00:00Z")
                },
                Ok("2026-03-03T01:00:00.000Z"),
            ),
        ],
    );
}

#[test]
fn eight_hours_at_a_time_and_twenty_in_a_week() {
    let no = Err("guardrail `eight-hours-on-production` says no: eight hours");
    let long = || Asked { until: "2026-03-02T21:00:00Z", ..Asked::default() };
    check(
        "eight-hours-on-production",
        vec![
            ("two hours", Asked::default(), ALL),
            ("twelve hours", long(), Ok("2026-03-02T17:07:00.000Z")),
            (
                "extended after six",
                Asked { begun: Some("2026-03-02T03:07:00Z"), ..long() },
                Ok("2026-03-02T11:07:00.000Z"),
            ),
            ("extended after eight", Asked { begun: Some("2026-03-02T01:07:00Z"), ..long() }, no),
            (
                "fifteen hours used on Saturday",
                Asked { used: vec![("2026-02-28T02:00:00Z", "2026-02-28T17:00:00Z")], ..long() },
                Ok("2026-03-02T14:07:00.000Z"),
            ),
            (
                "fifteen hours used ten days ago",
                Asked { used: vec![("2026-02-20T02:00:00Z", "2026-02-20T17:00:00Z")], ..long() },
                Ok("2026-03-02T17:07:00.000Z"),
            ),
            (
                "twenty used",
                Asked { used: vec![("2026-02-28T02:00:00Z", "2026-02-28T22:00:00Z")], ..long() },
                no,
            ),
            (
                "beside one that lives: counted once",
                Asked { used: vec![("2026-03-02T08:07:00Z", "2026-03-02T20:00:00Z")], ..long() },
                Ok("2026-03-02T17:07:00.000Z"),
            ),
        ],
    );
}

#[test]
fn named_people_and_decisions() {
    let payroll = |grantee| Asked {
        grantee,
        entitlements: vec![("READ_ONLY", vec!["main", "payroll", "salaries"])],
        ..Asked::default()
    };
    check(
        "payroll-for-two-people",
        vec![
            ("one of them", payroll("person-2"), ALL),
            ("somebody else", payroll("person-3"), Err("guardrail `payroll-for-two-people` says no")),
            (
                "somebody else, the schema itself",
                Asked { entitlements: vec![("READ_ONLY", vec!["main", "payroll"])], ..Asked::default() },
                Err("payroll-for-two-people"),
            ),
            (
                "somebody else, next door",
                Asked {
                    entitlements: vec![("READ_ONLY", vec!["main", "payroll2", "x"])],
                    ..Asked::default()
                },
                ALL,
            ),
            (
                "a schema that only looks like it",
                Asked {
                    entitlements: vec![("READ_ONLY", vec!["main/payroll", "x", "y"])],
                    ..Asked::default()
                },
                ALL,
            ),
        ],
    );
    let write =
        |approval| Asked { approval, entitlements: vec![("READ_WRITE", vec!["main"])], ..Asked::default() };
    check(
        "writing-needs-a-decision",
        vec![
            ("reading", Asked::default(), ALL),
            ("writing, decided", write(Some("request-7")), ALL),
            ("writing", write(None), Err("guardrail `writing-needs-a-decision` says no: ask for approval")),
        ],
    );
}

#[test]
fn integrations_and_accounts() {
    let policies = example("our-databases-only");
    let table = [
        ("ours", &[("host", "a.db.example.com"), ("sslmode", "verify-full")][..], true),
        ("somebody's", &[("host", "a.db.example.net"), ("sslmode", "verify-full")], false),
        ("without TLS", &[("host", "a.db.example.com"), ("sslmode", "prefer")], false),
        ("nothing is said", &[], false),
    ];
    for (name, settings, expected) in table {
        assert_eq!(policies.may_connect(&integration("prod-db", settings)).is_ok(), expected, "{name}");
    }
    let text = "permit (principal, action, resource);\n\
        @id(\"r\") forbid (principal == Grantee::\"a\", action == Action::\"rotate\", resource);\n\
        @id(\"d\") forbid (principal, action == Action::\"delete\", resource == Integration::\"prod-db\");";
    let policies = self::policies(text, "UTC");
    let (prod, test) = (integration("prod-db", &[]), integration("test-db", &[]));
    let (a, b) = (GranteeId::parse("a").unwrap(), GranteeId::parse("b").unwrap());
    assert!(policies.may_rotate(&prod, &a).unwrap_err().to_string().contains("`r`"));
    assert_eq!(policies.may_rotate(&prod, &b), Ok(()));
    assert!(policies.may_delete(&prod, &b).unwrap_err().to_string().contains("`d`"));
    assert_eq!(policies.may_delete(&test, &a), Ok(()));
}

#[test]
fn whatever_cannot_be_answered_is_a_no() {
    let only = policies("permit (principal == Grantee::\"x\", action == Action::\"open\", resource);", "UTC");
    assert_eq!(answer(&only, &Asked::default()), Err(Forbidden::Unpermitted.to_string()));
    assert_eq!(only.may_connect(&integration("i", &[])), Err(Forbidden::Unpermitted));
    // It passes the check of types, and overflows when it is applied: Cedar by itself would leave it out.
    let text = "permit (principal, action, resource);\n\
        @id(\"far\") forbid (principal, action == Action::\"open\", resource)\n\
        when { context.at.offset(duration(\"106751991167d\")) < datetime(\"2026-01-01\") };";
    let said = answer(&policies(text, "UTC"), &Asked::default()).unwrap_err();
    assert!(said.contains("guardrail `far` cannot be applied"), "{said}");
    let names: Vec<String> = (0..100).map(|n| format!("t{n}")).collect();
    let entitlements: EntitlementSet = names
        .iter()
        .map(|name| {
            Entitlement::new(ResourceId::new("postgresql-table", ["main", "public", name]), "READ_ONLY")
        })
        .collect();
    let policies = example("office-hours-on-production");
    let asked = Asked { until: "2026-03-09T09:07:00Z", ..Asked::default() };
    let (access, grantee) = (AccessId::parse("a").unwrap(), GranteeId::parse("g").unwrap());
    let wish = |until| Wish {
        integration: &asked.integration,
        access: &access,
        grantee: &grantee,
        approval: None,
        entitlements: &entitlements,
        union: &entitlements,
        begun: time(asked.from),
        from: time(asked.from),
        until: time(until),
        used: &[],
    };
    let a_week = policies.may_open(&wish("2026-03-09T09:07:00Z")).unwrap_err();
    assert_eq!(a_week, Forbidden::TooMuch { asked: 100 * 674, most: MOST_ANSWERS });
    assert_eq!(policies.may_open(&wish("2026-03-03T09:07:00Z")), Ok(time("2026-03-02T16:00:00Z")));
}

#[test]
fn the_union_is_told_whole_where_a_policy_speaks_of_it() {
    let text = "permit (principal, action, resource);\n@id(\"both\") forbid (principal, action == Action::\"open\", resource) when { context.union.containsAll([\"READ_ONLY on postgresql-table:main/public/orders\", \"READ_WRITE on postgresql-schema:main/ledger\"]) };";
    let policies = policies(text, "UTC");
    let beside = |beside| Asked { beside, ..Asked::default() };
    assert!(answer(&policies, &Asked::default()).is_ok());
    assert!(answer(&policies, &beside(vec![("READ_ONLY", vec!["main", "ledger"])])).is_ok());
    let said = answer(&policies, &beside(vec![("READ_WRITE", vec!["main", "ledger"])])).unwrap_err();
    assert!(said.contains("`both`"), "{said}");
}

#[test]
fn hostile_names_are_names() {
    let text = "permit (principal, action, resource);\n@id(\"x\") forbid (principal, action == Action::\"open\", resource) when { resource.name == \"a\\\"); permit (principal, action, resource); //\" };";
    let policies = policies(text, "UTC");
    let asked = |name| Asked { entitlements: vec![("READ_ONLY", vec![name])], ..Asked::default() };
    assert!(answer(&policies, &asked("a\"); permit (principal, action, resource); //")).is_err());
    for name in ["", "\0", "%", "/", "\"", "\u{202e}", "Place::\"x\"", "é"] {
        assert_eq!(answer(&policies, &asked(name)), Ok("2026-03-02T11:00:00.000Z".into()), "{name:?}");
    }
}
