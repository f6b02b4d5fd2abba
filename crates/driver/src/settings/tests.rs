use std::net::Ipv6Addr;

use model::{Ownership, Span};

use super::*;
use crate::manifest::{
    CredentialForm, Expiry, ExpiryClass, MarkClass, PermissionType, ResourceType, SecretKey, Setup, Survival,
};
use crate::naming::{NameCase, NameLimits};

const fn field(
    key: &'static str,
    default: Option<&'static str>,
    required: bool,
    format: FieldFormat,
) -> Field {
    Field { key, label: "Label", help: "what it is", default, required, format }
}

const SAMPLE: Manifest = Manifest {
    kind: "sample",
    product: "Sample",
    also_serves: &[],
    summary: "A sample.",
    fields: &[
        field("hostname", None, true, FieldFormat::Host),
        field("port", Some("5432"), false, FieldFormat::Port),
        field("mode", Some("prefer"), false, FieldFormat::Choice { allowed: &["prefer", "require"] }),
        field("note", None, false, FieldFormat::Text { max_bytes: 8 }),
        field("limit", None, false, FieldFormat::Whole { least: 1, most: 9 }),
        field("strict", Some("true"), false, FieldFormat::Flag),
        field("patience", None, false, FieldFormat::Duration),
        field("ca", None, false, FieldFormat::Pem),
    ],
    secret_keys: &[SecretKey { key: "password", label: "Password", help: "it", required: true }],
    resources: &[ResourceType {
        kind: "sample-thing",
        label: "Thing",
        path: &["thing"],
        permissions: &[PermissionType { name: "READ_ONLY", sentence: "Reads.", manages_accounts: false }],
    }],
    ownership: Ownership::Owned,
    mark: MarkClass::Full,
    login_expiry: Expiry { class: ExpiryClass::Exact, note: "" },
    session_expiry: Expiry { class: ExpiryClass::None, note: "" },
    rights_survive_in_sessions: Survival::Never,
    credential: CredentialForm::Clear,
    shutting_scrambles: false,
    residuals: &[],
    rights: &[],
    names: NameLimits { max_bytes: 63, case: NameCase::Lower },
    setup: Setup {
        language: "text",
        comment: "#",
        usage: &[],
        begin: &[],
        make: &[],
        before_removal: &[],
        remove: &[],
        modes: &[],
    },
};

static MANIFEST: Manifest = SAMPLE;

fn settings(values: &[(&str, &str)]) -> Settings {
    values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn the_sample_manifest_does_not_contradict_itself() {
    assert_eq!(MANIFEST.contradictions(), Vec::<String>::new());
}

#[test]
fn a_contradiction_is_found() {
    static WRONG: Manifest = Manifest {
        fields: &[
            field("port", Some("0"), true, FieldFormat::Port),
            field("port", None, false, FieldFormat::Port),
        ],
        resources: &[],
        ..SAMPLE
    };
    let found = WRONG.contradictions().join("; ");
    for part in ["`port` is there twice", "required and has a default", "is not a port", "no resource kind"] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

#[test]
fn what_is_given_is_read_and_what_is_not_has_its_default() {
    let given = settings(&[
        ("hostname", " [2001:DB8::1] "),
        ("note", "häuser"),
        ("limit", "9"),
        ("patience", "1h30m"),
        ("mode", ""),
    ]);
    let mut read = given.reader(&MANIFEST);
    let host = read.host("hostname");
    assert_eq!(read.port("port"), 5432);
    assert_eq!(read.choice("mode", 0, &[("prefer", 1), ("require", 2)]), 1, "blank counts as not given");
    assert_eq!(read.text("note").as_deref(), Some("häuser"));
    assert_eq!(read.whole("limit"), Some(9));
    assert!(read.flag("strict"));
    assert_eq!(read.duration("patience"), Some(Span::from_mins(90)));
    assert_eq!(read.text("ca"), None);
    read.finish().unwrap();
    assert_eq!(host, Host::V6("2001:db8::1".parse::<Ipv6Addr>().unwrap()));
    assert_eq!(host.in_url(), "[2001:db8::1]");
    assert_eq!(host.to_string(), "2001:db8::1");
}

#[test]
fn all_faults_are_told_at_once_with_reason_and_way_out() {
    let given = settings(&[
        ("port", "70000"),
        ("mode", "Require"),
        ("limit", "+5"),
        ("strict", "yes"),
        ("patience", "soon"),
        ("note", "far too long"),
        ("ca", "hello"),
        ("passwrod", "hunter2-in-the-wrong-place"),
    ]);
    let mut read = given.reader(&MANIFEST);
    read.host("hostname");
    read.port("port");
    read.choice("mode", 0, &[("prefer", 1)]);
    read.whole("limit");
    read.flag("strict");
    read.duration("patience");
    read.text("note");
    read.text("ca");
    let faults = read.finish().unwrap_err();
    let told: Vec<_> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        told,
        ["ca", "hostname", "limit", "mode", "note", "passwrod", "patience", "port", "strict"],
        "every fault, sorted"
    );
    let text = faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("`mode` is none of the allowed words: use one of: prefer, require"), "{text}");
    assert!(text.contains("`hostname` is missing: give it: what it is"), "{text}");
    assert!(text.contains("`port` is not a port: give a whole number from 1 to 65535"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("far too long"), "no value is repeated: {text}");
}

#[test]
fn a_key_that_the_manifest_lacks_is_the_drivers_fault() {
    let given = settings(&[("hostname", "db")]);
    let mut read = given.reader(&MANIFEST);
    read.host("hostname");
    assert_eq!(read.text("surprise"), None);
    assert_eq!(read.finish().unwrap_err().len(), 1);
}

#[test]
fn hosts_are_read_as_people_type_them() {
    let table = [
        ("name", "DB-1.Example.com", Ok("db-1.example.com")),
        ("underscore", "my_db", Ok("my_db")),
        ("punycode", "xn--dsseldorf-q9a.de", Ok("xn--dsseldorf-q9a.de")),
        ("v4", "10.0.0.7", Ok("10.0.0.7")),
        ("v6", "2001:db8::7", Ok("2001:db8::7")),
        ("v6 in brackets", "[::1]", Ok("::1")),
        ("v4 in v6", "::ffff:10.0.0.7", Ok("::ffff:10.0.0.7")),
        ("with port", "db:5432", Err("is neither a host name nor an IPv6 address")),
        ("v6 with port", "[::1]:5432", Err("has a `[` without a `]` at its end")),
        ("not v6", "[db]", Err("is not an IPv6 address in its brackets")),
        ("zone", "fe80::1%eth0", Err("holds a zone or an escape")),
        ("url", "postgres://db", Err("holds a URL or a path")),
        ("socket", "/run/postgresql", Err("holds a URL or a path")),
        ("user", "ann@db", Err("holds an `@`")),
        ("four numbers too large", "10.0.0.300", Err("looks like an IPv4 address and is none")),
        ("three numbers", "10.0.1", Err("looks like an IPv4 address and is none")),
        ("unicode", "düsseldorf.de", Err("has a character outside ASCII")),
        ("space", "db one", Err("has a character that host names do not have")),
        ("quote", "db'--", Err("has a character that host names do not have")),
        ("comma", "a,b", Err("has a character that host names do not have")),
        ("last dot", "db.", Err("has an empty part")),
        ("empty", "", Err("is no host name by its length")),
        ("dash", "-db", Err("has a part that begins or ends with `-`")),
    ];
    for (name, text, expected) in table {
        let got = Host::parse(text).map(|host| host.to_string()).map_err(|fault| fault.reason);
        assert_eq!(got.as_deref().map_err(|reason| *reason), expected, "{name}");
    }
    assert!(Host::parse(&"a".repeat(64)).is_err(), "long label");
    assert!(Host::parse(&"ab.".repeat(90)).is_err(), "long name");
}

#[test]
fn a_private_key_or_a_control_character_is_refused() {
    let pem = |name: &str| format!("-----BEGIN {name}-----\nAAAA\n-----END {name}-----");
    let fits = |key: &str, text: &str| misfit(MANIFEST.field(key).unwrap(), text).is_none();
    assert!(fits("ca", &pem("CERTIFICATE")));
    assert!(!fits("ca", &pem("EC PRIVATE KEY")));
    assert!(!fits("note", "a\nb"));
    assert!(!fits("note", "a\0b"));
}
