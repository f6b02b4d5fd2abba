//! Golden statements of every verb and version branch: what is sent, word for word.

use std::fmt::Write as _;
use std::path::PathBuf;

use driver::SetupWish;

use super::*;
use crate::catalogue::direct_rights;
use crate::rights::Right;
use crate::scope::{Level, Scope};
use crate::setup;

const VERSIONS: [Version; 5] =
    [Version(100_023), Version(150_018), Version(160_010), Version(170_006), Version(180_006)];

fn name(text: &str) -> Ident {
    Ident::found(text)
}

/// Compares with the file of that name; `GOLDEN=write` writes it, for a person to read the difference.
fn golden(file: &str, found: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", file].iter().collect();
    if std::env::var_os("GOLDEN").is_some_and(|word| word == "write") {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "{} differs: run with GOLDEN=write and read the difference", path.display());
}

fn page(statements: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut page = String::new();
    for (what, statement) in statements {
        writeln!(page, "-- {what}\n{statement};").unwrap();
    }
    page
}

#[test]
fn accounts() {
    let (account, role) = (name("tidegate_ann_x"), name("tidegate_ro_y"));
    let at = Until::At("2026-01-31T10:00:00Z".parse().unwrap());
    let verifier = Literal::of("SCRAM-SHA-256$4096:c2FsdA==$a2V5:a2V5");
    golden(
        "accounts.sql",
        &page([
            ("open: make it", create_account(&account, at, Some(&verifier), Some(10))),
            ("create: make it", create_account(&account, Until::Never, None, None)),
            ("mark it", comment(&account, Some(&Literal::of("tidegate:1:eyJ9:00:AA")))),
            ("open the login", open_login(&account, 10)),
            ("rename it back", rename(&name("renamed"), &account)),
            ("renew", expire(&account, at)),
            ("rotate", credential(&account, &verifier)),
            ("strip attributes", strip_attributes(&account, &[Attribute::Superuser, Attribute::CreateDb])),
            ("verify, as a superuser", verify(16_500, "tidegate_ann_x", None, true)),
            ("verify a mark, as a superuser", verify(16_500, "it's", Some("tidegate:1:a:b:c"), true)),
            ("verify, without", verify(16_500, "tidegate_ann_x", None, false)),
            ("verify that it is gone", verify_gone(16_500)),
            ("lock", lock_account(16_500, "tidegate_ann_x")),
            ("in time", IN_TIME.to_owned()),
            ("shut_login", shut_login(&account)),
            ("scramble", scramble(&account)),
            ("end_sessions, resisting", end_sessions(16_500)),
            ("end_sessions, starting", script(&end_session_as(&account, 4711))),
            ("prepared transactions", rollback_prepared(&Literal::of("a'b\\c"))),
            ("settings", reset_settings(&account, None)),
            ("settings in a database", reset_settings(&account, Some(&name("a\"b")))),
            ("delete: hand over", reassign(&account, &name("tidegate_heir_z"))),
            ("delete: owns nothing", verify_owns_nothing(16_500)),
            ("delete: the rest", drop_owned(&account)),
            ("delete", drop_role(&account)),
            ("shared role", create_shared(&role)),
            ("delete: own here, without", let_own_in(&name("s\"x"), &name("tidegate_heir_z"))),
            (
                "delete: own here no more, without",
                let_own_in_no_more(&name("s\"x"), &name("tidegate_heir_z")),
            ),
            ("prepared transactions, without", become_role(&account)),
        ]),
    );
}

/// Everything about memberships, on one version.
fn memberships(version: Version) -> String {
    let (account, role, grantor) = (name("tidegate_ann_x"), name("tidegate_ro_y"), name("postgres"));
    page([
        ("join", join(&role, &account, version)),
        ("join the common role", join_managed(&account, version)),
        ("leave", leave(&role, &account, Some(&grantor), version)),
        ("leave, grantor gone", leave(&role, &account, None, version)),
        ("lock shared roles, as a superuser", lock_shared(true, version)),
        ("lock shared roles, without", lock_shared(false, version)),
        ("act in its place, without", take_on(&account, version)),
        ("act in its place no more, without", let_go(&account, version)),
    ])
}

#[test]
fn memberships_by_version() {
    let pages = VERSIONS.map(|version| format!("-- PostgreSQL {version}\n{}", memberships(version)));
    golden("memberships.sql", &pages.concat());
}

/// Every definition and what gives it, on one version.
fn definitions(version: Version) -> String {
    let (database, schema, table) = ("app".to_owned(), "s\"x".to_owned(), "t;--".to_owned());
    let scopes = [
        Scope::Database { database: database.clone() },
        Scope::Schema { database: database.clone(), schema: schema.clone() },
        Scope::Table { database, schema, table },
    ];
    let role = name("tidegate_p");
    let pair = || vec![(name("s\"x"), name("t;--"))];
    let future = |kind, schema: Option<&str>| Subject::Future {
        creator: name("o'wner"),
        schema: schema.map(name),
        kind,
    };
    let mut text = String::new();
    for scope in &scopes {
        for level in Level::ALL {
            writeln!(text, "-- {}, {}", scope.resource(), level.permission()).unwrap();
            let definition = Definition::of(scope, level, version);
            let place = scope.schema();
            let subjects = [
                (true, Subject::Database(name("app"))),
                (true, Subject::Schemas(vec![name("s\"x")])),
                (true, Subject::Tables(pair())),
                (!definition.sequences.is_empty(), Subject::Sequences(pair())),
                (!definition.routines.is_empty(), Subject::Routines(vec!["s.f(integer)".into()])),
                (scope.table().is_none(), future(Future::Tables, place)),
                (scope.table().is_none(), future(Future::Sequences, place)),
                (!definition.routines.is_empty(), future(Future::Routines, place)),
                (place.is_none(), future(Future::Schemas, None)),
            ];
            for (_, subject) in subjects.iter().filter(|(given, _)| *given) {
                writeln!(text, "{};", give(subject, &role, &definition, version)).unwrap();
            }
        }
    }
    text
}

#[test]
fn definitions_by_scope_level_and_version() {
    let pages = VERSIONS.map(|version| format!("-- PostgreSQL {version}\n{}", definitions(version)));
    golden("definitions.sql", &pages.concat());
}

/// What an admin who is no superuser is given, on one version.
fn rights(version: Version) -> String {
    let role = || name("o'wner");
    let all = [
        Right::CreateRole,
        Right::Inherit,
        Right::Signal,
        Right::Common,
        Right::Owner(role()),
        Right::Attach(role()),
        Right::Connect(role()),
        Right::ConnectOn(role()),
        Right::Identity,
    ];
    all.iter().map(|right| right.give(&"admin", version) + ";\n").collect()
}

/// The script that prepares a server, and the one that undoes it, on one version.
fn set_up(version: Version) -> String {
    let script = |remove| {
        let wish = SetupWish {
            mode: Some("least".into()),
            server_version: Some(version.major()),
            owners: vec!["app_owner".into()],
            attachable: vec!["analysts".into()],
            remove,
            ..SetupWish::default()
        };
        setup::script(&wish).unwrap()
    };
    script(false) + &script(true)
}

/// Between the versions that the golden files show nothing changes: each branch begins where it is said to, and only in
/// what it is about. What an account is sent knows no version at all.
#[test]
fn statements_change_only_where_a_version_did() {
    type Row = (&'static str, fn(Version) -> String, &'static [(u32, &'static str)]);
    let table: [Row; 5] = [
        ("memberships", memberships, &[(16, "WITH INHERIT TRUE, SET FALSE")]),
        ("what a permission role is given", definitions, &[(11, "ON ROUTINE"), (17, "MAINTAIN")]),
        (
            "what is asked of direct rights",
            |version| direct_rights(version).concat(),
            &[(15, "ON PARAMETER")],
        ),
        ("what an admin is given", rights, &[(16, "WITH ADMIN TRUE, INHERIT FALSE, SET FALSE")]),
        ("the set-up script", set_up, &[(16, "PostgreSQL 16 and later")]),
    ];
    for (subject, of, changes) in table {
        let all = |major: u32| of(Version(major * 10_000));
        for major in 11..=18 {
            let (before, now) = (all(major - 1), all(major));
            match changes.iter().find(|(first, _)| *first == major) {
                Some((_, word)) => assert!(
                    now.contains(word) && !before.contains(word),
                    "{subject}: {word} begins at {major}"
                ),
                None => assert_eq!(now, before, "{subject}: {major} is as {}", major - 1),
            }
        }
    }
}
