//! What the agent keeps: bindings, journal, receipts, and the targets that it knows.

use std::collections::BTreeMap;

use journal::Journal as _;
use journal::identity::IdentityStore;
use journal::sqlite::{Sqlite, SqliteOptions};
use model::durable::{Batch, Table, Write};
use model::{
    AccountId, AccountName, BatchId, Deed, DriverKind, GranteeId, Integration, IntegrationId, Lifecycle,
    Policy, ReceiptBody, Revision, SecretReference, Timestamp,
};
use rules::book::Meta;
use rules::clock::Persisted;
use serde_json::json;
use services::postgres::{Ground, Options};
use uuid::Uuid;

use crate::bench::{Bench, PASSWORD};
use crate::plane::Plane;
use crate::world::{admin, place};

fn id() -> IntegrationId {
    IntegrationId::parse("orders-db").unwrap()
}

fn integration() -> Integration {
    let settings = [("hostname", "127.0.0.1"), ("port", "9"), ("sslmode", "disable")];
    Integration {
        id: id(),
        revision: Revision(1),
        kind: DriverKind("postgres".into()),
        settings: settings.map(|(key, value)| (key.into(), value.into())).into(),
        secret: SecretReference("file://admin.json".into()),
        policy: Policy::default(),
        lifecycle: Lifecycle::Live,
    }
}

fn identity(bench: &Bench) -> IdentityStore {
    IdentityStore::open(&bench.path("state/identity")).unwrap()
}

fn statement(number: i64) -> ReceiptBody {
    ReceiptBody {
        at: Timestamp::from_secs(number),
        integration: id(),
        target: None,
        account: Some(AccountId::from_uuid(Uuid::nil())),
        account_name: Some(AccountName("tg_ann".into())),
        immutable: None,
        grantee: Some(GranteeId::parse("ann").unwrap()),
        access: None,
        deed: Deed::Deleted,
        read_back: None,
        residual: vec![],
        recorded_late: false,
        life: None,
    }
}

/// Makes a folder of secrets and returns the setting that names it.
fn secrets(bench: &Bench) -> String {
    std::fs::create_dir(bench.path("secrets")).unwrap();
    bench.mode("secrets", 0o700);
    format!("secrets.file_root={}", bench.path("secrets").display())
}

/// Fills the journal with `count` receipts, an account and the connector's row.
pub(crate) fn fill(bench: &Bench, count: i64, clock: Persisted) {
    let key = identity(bench).load().unwrap().receipt;
    let mut head = seal::receipt::ChainHead::genesis(id());
    let mut writes = vec![];
    for number in 1..=count {
        let (receipt, next) = seal::receipt::sign(&key, &head, &statement(number)).unwrap();
        let body = serde_json::to_string(&receipt).unwrap();
        writes.push(Write::Receipt { integration: id(), number: receipt.number, body });
        head = next;
    }
    let chain = json!({ "number": head.number, "hash": head.hash });
    let record = json!({ "integration": integration(), "chain": chain });
    let account = json!({ "name": "tg_ann", "credential": { "verifier": PASSWORD, "generation": 1 } });
    let put = |table, key: &str, body: String| Write::Put { table, key: key.into(), body };
    writes.push(put(Table::Integration, "orders-db", record.to_string()));
    writes.push(put(Table::Account, "a-1", account.to_string()));
    let meta = Meta { clock, ..Meta::default() };
    writes.push(put(Table::Meta, "connector", serde_json::to_string(&meta).unwrap()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let journal = Sqlite::open(SqliteOptions::new(bench.path("state/journal"))).await.unwrap();
        journal.append(&Batch { id: BatchId(1), writes }).await.unwrap();
        journal.close().await.unwrap();
    });
}

#[test]
fn receipts_are_exported_and_verify_wherever_the_public_key_is() {
    let bench = Bench::ready();
    fill(&bench, 600, Persisted::default());
    let own = bench.run(&["receipts", "verify", "--json"]).ended(0).json();
    assert_eq!((&own["verified"], &own["receipts"]), (&json!(true), &json!(600)));
    let hash = own["heads"][0]["hash"].as_str().unwrap();
    let head = format!("orders-db:600:{hash}");

    bench.run(&["receipts", "export", "--out", "r.jsonl"]).ended(0);
    bench.run(&["receipts", "export", "--out", "r.jsonl"]).ended(1);
    let printed = bench.run(&["receipts", "export"]).ended(0).out;
    let written = std::fs::read_to_string(bench.path("r.jsonl")).unwrap();
    assert_eq!(printed.lines().count(), 601);
    assert_eq!(printed.lines().take(600).collect::<Vec<_>>(), written.lines().take(600).collect::<Vec<_>>());

    // Elsewhere: neither configuration nor identity, only the key.
    let keys = bench.run(&["keys", "show", "--json"]).ended(0).json();
    let key = keys["receipts"][0]["public"].as_str().unwrap();
    let elsewhere = Bench::empty();
    elsewhere.write("r.jsonl", &written);
    let verify = ["receipts", "verify", "r.jsonl", "--key", key];
    let said = elsewhere.run(&[&verify[..], &["--head", &head]].concat()).ended(0);
    assert_eq!(said.out, format!("600 receipts of 1 integration verify.\n{head}\n"));
    elsewhere.run(&["receipts", "verify", "r.jsonl", "--key", "AAAA"]).ended(2);

    let lines: Vec<_> = written.lines().collect();
    let without = |number: usize| {
        let kept: Vec<_> = lines.iter().enumerate().filter(|(at, _)| at + 1 != number).collect();
        kept.into_iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
    };
    let table = [
        ("one changed", written.replacen("tg_ann", "tg_bob", 1), "was changed"),
        ("one left out", without(300), "receipt 300 of orders-db is missing"),
        ("the newest held back", without(600), "was cut"),
        ("cut within a line", written.chars().take(written.len() - 9).collect(), "line 601: "),
        ("two changed places", [&lines[1..2], &lines[..1], &lines[2..]].concat().join("\n"), "wrong place"),
    ];
    for (name, text, expected) in table {
        elsewhere.write("r.jsonl", &text);
        let said = elsewhere.run(&verify).ended(7);
        assert!(said.err.contains(expected), "{name}: {said:?}");
    }
    // The checkpoint held back, too: only a head from elsewhere tells.
    elsewhere.write("r.jsonl", &lines[..599].join("\n"));
    elsewhere.run(&verify).ended(0);
    elsewhere.run(&[&verify[..], &["--head", &head]].concat()).ended(7);
}

#[test]
fn the_journal_is_shown_without_what_opens_doors() {
    let bench = Bench::ready();
    assert!(bench.run(&["journal", "list"]).ended(1).err.contains("the agent never ran"));
    fill(&bench, 3, Persisted::default());
    let counted = bench.run(&["journal", "list", "--json"]).ended(0).json();
    assert_eq!((&counted["receipts"], &counted["rows"]["account"]), (&json!(3), &json!(1)), "{counted}");
    let shown = bench.run(&["journal", "show", "account", "a-1"]).ended(0);
    assert!(shown.out.contains("(not shown)") && shown.out.contains("tg_ann"), "{shown:?}");
    assert!(bench.run(&["journal", "show", "account", "a-2"]).ended(1).err.contains("no row `a-2`"));
    assert!(bench.run(&["journal", "show", "tombstone"]).ended(0).out.contains("There are no rows"));
    bench.run(&["journal", "backup", "copy.db"]).ended(0);
    bench.run(&["journal", "backup", "copy.db"]).ended(5);

    bench.run(&["journal", "export", "--out", "j.jsonl"]).ended(0);
    bench.run(&["journal", "export", "--out", "j.jsonl"]).ended(1);
    let written = std::fs::read_to_string(bench.path("j.jsonl")).unwrap();
    let printed = bench.run(&["journal", "export"]).ended(0).out;
    assert_eq!(written.lines().skip(1).collect::<Vec<_>>(), printed.lines().skip(1).collect::<Vec<_>>());
    let lines: Vec<serde_json::Value> =
        written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["connector"], "trial");
    let tables: Vec<_> = lines[1..].iter().map(|row| row["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["account", "integration", "meta"], "{written}");
    assert_eq!(lines[1]["body"]["name"], "tg_ann");
    assert!(!written.contains(PASSWORD), "{written}");
    assert!(std::fs::metadata(bench.path("copy.db")).unwrap().len() > 0);
}

#[test]
fn the_clock_is_reset_only_when_a_person_is_sure() {
    let bench = Bench::ready();
    let ahead: Timestamp = "2999-01-01T00:00:00Z".parse().unwrap();
    fill(&bench, 0, Persisted { high_water_ms: ahead.as_millis(), jumped: true });
    let asked = bench.run(&["journal", "reset-clock", "--json"]).ended(0).json();
    assert_eq!((&asked["done"], &asked["jumped"]), (&json!(false), &json!(true)));
    let reached = |sure: &[&str]| {
        let args = [&["journal", "reset-clock", "--json"], sure].concat();
        bench.run(&args).ended(0).json()["reached"].as_str().unwrap().to_owned()
    };
    assert_eq!(reached(&["--yes"]), ahead.to_string(), "what it was before");
    let after: Timestamp = reached(&[]).parse().unwrap();
    assert!(after < ahead, "{after}");
}

#[test]
fn bindings_are_approved_and_listed() {
    let bench = Bench::ready();
    let approve = ["bindings", "approve", "file://admin.json#main", "--kind"];
    let place = ["--host", "*.DB.internal", "--port", "5432", "--tls", "verified_name"];
    bench.run(&[&approve[..], &["postgres"], &place].concat()).ended(0);
    let listed = bench.run(&["bindings", "list", "--json"]).ended(0).json();
    assert_eq!(listed[0]["reference"], "file://admin.json");
    assert_eq!(listed[0]["binding"]["host"], "*.db.internal");
    assert_eq!(listed[0]["binding"]["origin"], "approved");
    let shown = bench.run(&["bindings", "list"]).ended(0).out;
    assert!(shown.contains("*.db.internal") && shown.contains("approved"), "{shown}");

    let table: [(&str, Vec<&str>); 4] = [
        ("an unknown kind", [&approve[..], &["oracle"], &place].concat()),
        ("no reference", [&["bindings", "approve", PASSWORD, "--kind", "postgres"], &place[..]].concat()),
        ("no floor", [&approve[..], &["postgres"], &place[..4], &["--tls", "best"]].concat()),
        ("no port", [&approve[..], &["postgres"], &place[..2], &["--port", "0", "--tls", "none"]].concat()),
    ];
    for (name, args) in table {
        let output = bench.command(&args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
    }
    assert_eq!(bench.run(&["bindings", "list", "--json"]).ended(0).json().as_array().unwrap().len(), 1);
}

#[test]
fn check_visits_each_known_target_and_names_what_is_wrong() {
    let bench = Bench::ready();
    let known = BTreeMap::from([(id(), integration())]);
    identity(&bench).save_snapshot(&known).unwrap();
    let root = secrets(&bench);
    let check = ["check", "--quiet", "--set", root.as_str()];

    let said = bench.run(&check).ended(6);
    assert!(said.out.contains("Integration orders-db") && said.out.contains("secret_missing"), "{said:?}");
    bench.write("secrets/admin.json", &json!({ "username": "admin", "password": PASSWORD }).to_string());
    let said = bench.run(&[&check[..], &["--json"]].concat()).ended(6).json();
    let finding = &said["integrations"][0]["findings"][0];
    assert_eq!(finding["grade"], "bad", "{said}");
    assert!(finding["detail"].as_str().unwrap().starts_with("unreachable: "), "{said}");
    // Nobody answered there, so the secret was not sent and is bound to nothing.
    let listed = bench.run(&["bindings", "list", "--json"]).ended(0).json();
    assert_eq!(listed, json!([]));
    let strict = [&check[..], &["--set", "secrets.bindings=strict"]].concat();
    let said = bench.run(&strict).ended(6);
    assert!(said.out.contains("binding_refused") && !said.out.contains("unreachable"), "{said:?}");

    bench.run(&[&check[..], &["orders-db"]].concat()).ended(6);
    assert!(
        bench.run(&[&check[..], &["other-db"]].concat()).ended(2).err.contains("no integration `other-db`")
    );
}

#[test]
fn check_finds_a_real_target_good_and_leaves_it_as_it_was() {
    check_finds_it_good(Ground::default());
}

#[test]
fn check_finds_18_good_with_the_least_privileged_admin() {
    check_finds_it_good(Ground::NARROW);
}

fn check_finds_it_good(ground: Ground) {
    let server = ground.launch(&Options::for_tests()).unwrap();
    let bench = Bench::ready();
    let root = secrets(&bench);
    let (name, password) = admin(ground.admin, &server, &bench);
    let secret = json!({ "username": name, "password": password.expose() });
    bench.write("secrets/admin.json", &secret.to_string());
    let settings = place(&server);
    let known = BTreeMap::from([(id(), Integration { settings, ..integration() })]);
    identity(&bench).save_snapshot(&known).unwrap();
    let plane = Plane::start();
    let url = format!("control_plane.url={}", plane.url());
    let roles = || server.psql("postgres", "SELECT count(*), max(oid) FROM pg_authid").unwrap();
    let before = roles();

    let said = bench.run(&["check", "--quiet", "--json", "--set", &root, "--set", &url]).ended(0);
    let found = said.json();
    let visit = &found["integrations"][0];
    assert!(visit["version"].as_str().is_some_and(|version| !version.is_empty()), "{found}");
    let findings = visit["findings"].as_array().unwrap();
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding["grade"] != "bad"), "{found}");
    assert!(!said.out.contains(password.expose()) && !said.err.contains(password.expose()), "it was printed");
    assert_eq!(roles(), before);

    // The control plane, or whoever speaks as it, sends the secret elsewhere: refused, with the way out.
    let elsewhere = known.get(&id()).cloned().map(|mut moved| {
        moved.settings.insert("hostname".into(), "localhost".into());
        BTreeMap::from([(id(), moved)])
    });
    identity(&bench).save_snapshot(&elsewhere.unwrap()).unwrap();
    let refused = bench.run(&["check", "--quiet", "--set", &root]).ended(6);
    assert!(refused.out.contains(" bindings approve file://admin.json"), "{refused:?}");
    let with = format!("tidegate --config {} bindings", bench.file().display());
    assert!(refused.out.contains(&with), "{refused:?}");
    assert!(refused.out.contains("--host localhost"), "{refused:?}");
}
