use std::fs;

use serde_json::json;

use crate::samples::{self, connector, integration};
use crate::world::{World, mode, page};

const SHOP: &str = "id: shop-db\nconnector: eu\nkind: postgres\ntitle: The shop's orders\nsettings:\n  hostname: db.example.com\n  port: 05432\nsecret: file://postgres/admin.json\npolicy:\n  credentials_cleanup_period_in_days: 0\napproval: {mode: auto}\n";

#[test]
fn apply_sends_what_the_file_says_and_tells_what_changed() {
    let world = World::logged_in();
    let path = "/integrations/shop-db";
    world.server.refuse("GET", path, 404, "not_found", "there is no integration").json(
        "GET",
        path,
        integration("shop-db", 1),
    );
    world.server.json("PUT", path, integration("shop-db", 1)).json("PUT", path, integration("shop-db", 1));
    world.server.json("PUT", path, integration("shop-db", 2));
    let file = world.write("shop.yaml", SHOP);
    let table = |done: &str, revision: u64| {
        format!("INTEGRATION  REVISION  DONE\nshop-db      {revision}         {done}\n")
    };
    assert_eq!(world.run(&["integrations", "apply", "-f", &file]).ok(), table("made", 1));
    assert_eq!(world.feed(&["integrations", "apply", "-f", "-"], SHOP).ok(), table("unchanged", 1));
    assert_eq!(world.run(&["integrations", "apply", "-f", &file]).ok(), table("changed", 2));
    let put = world.server.seen().into_iter().find(|one| one.method == "PUT").unwrap();
    assert_eq!(
        put.body,
        json!({ "connector": "eu", "kind": "postgres", "title": "The shop's orders",
            "settings": { "hostname": "db.example.com", "port": "05432" }, "secret": "file://postgres/admin.json",
            "policy": { "credentials_rotation_period_in_days": null, "credentials_cleanup_period_in_days": 0 },
            "approval": { "mode": "auto", "self_approval": false } })
    );
}

#[test]
fn a_file_is_checked_whole_before_anything_is_sent() {
    let world = World::logged_in();
    let two = format!("{SHOP}---\n{}", SHOP.replace("shop-db", "two"));
    let table = [
        (
            "a secret in place of a reference",
            two.replace("file://postgres/admin.json", "hunter2"),
            "not a reference",
        ),
        ("twice", format!("{SHOP}---\n{SHOP}"), "stands there twice"),
        ("a field that is not known", format!("{SHOP}colour: red\n"), "unknown field `colour`"),
        ("an id that is none", SHOP.replace("id: shop-db", "id: shop db"), "the id has the character"),
        ("nothing", "# nothing".into(), "there is no integration in it"),
        ("no YAML", "[".into(), "shop.yaml"),
        ("a setting in place of settings", format!("{SHOP}settings: 7\n"), "settings"),
        ("days below nothing", format!("{SHOP}policy: {{credentials_cleanup_period_in_days: -1}}\n"), "days"),
        ("a limit below nothing", format!("{SHOP}max_duration_seconds: -1\n"), "max_duration_seconds"),
        (
            "a limit beyond numbers",
            format!("{SHOP}max_duration_seconds: 99999999999999999999\n"),
            "max_duration_seconds",
        ),
        (
            "longer than is read",
            format!("{SHOP}---\n{}{SHOP}", "# nothing\n".repeat(420_000)),
            "apply it in parts",
        ),
    ];
    for (name, text, words) in table {
        let file = world.write("shop.yaml", &text);
        let err = world.run(&["integrations", "apply", "-f", &file]).fails(2, &[words]);
        assert!(!err.contains("hunter2"), "{name}: {err}");
    }
    world.run(&["integrations", "apply", "-f", "none.yaml"]).fails(2, &["none.yaml"]);
    assert_eq!(world.server.seen().len(), 0);
}

#[test]
fn what_was_applied_before_a_fault_is_told() {
    let world = World::logged_in();
    world.server.json("GET", "/integrations/shop-db", integration("shop-db", 1));
    world.server.json("PUT", "/integrations/shop-db", integration("shop-db", 2));
    world.server.json("GET", "/integrations/two", integration("two", 1));
    let mut problem = crate::server::problem(
        422,
        "invalid",
        "settings.x: the driver has no such setting; see (and 1 more)",
    );
    problem["faults"] = json!([
        { "field": "settings.x", "reason": "the driver has no such setting", "way_out": "remove it" },
        { "field": "title", "reason": "it is too long", "way_out": "shorten it" },
    ]);
    world.server.on("PUT", "/integrations/two", crate::server::Reply::Json(422, problem));
    let file = world.write("all.yaml", &format!("{SHOP}---\n{}", SHOP.replace("shop-db", "two")));
    let ended = world.run(&["integrations", "apply", "-f", &file]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("shop-db      2         changed"), "{ended:?}");
    assert!(ended.err.contains("could not apply the integration two"), "{ended:?}");
    assert!(ended.err.contains("title: it is too long; shorten it"), "{ended:?}");
}

#[test]
fn integrations_are_listed_and_shown() {
    let world = World::logged_in();
    let mut away = integration("old-db", 3);
    away["connected"] = json!(false);
    away["title"] = json!(null);
    world.server.json("GET", "/integrations", page(&[integration("shop-db", 1), away]));
    assert_eq!(
        world.run(&["integrations", "list", "--retired"]).ok(),
        "ID       TITLE              KIND      CONNECTOR  STATE  HEALTH  APPROVAL  RESOURCES\n\
         shop-db  The shop's orders  postgres  eu         live   good    approve   42\n\
         old-db   -                  postgres  eu         live   away    approve   42\n"
    );
    assert_eq!(world.server.seen()[0].query("retired"), Some("true"));
    world.server.json("GET", "/integrations/shop-db", integration("shop-db", 1));
    assert_eq!(
        world.run(&["integrations", "show", "shop-db"]).ok(),
        "id          shop-db\ntitle       The shop's orders\nkind        postgres\nconnector   eu\nrevision    1\n\
         state       live\napproval    approve\nhealth      good\nchecked     2026-03-01T10:00:00Z\n\
         product     PostgreSQL 15.18\nresources   42\ndiscovered  2026-03-01T10:00:00Z\n\
         secret      file://postgres/admin.json\n\nSettings\nhostname  db.example.com\nport      5432\n\n\
         Last check\nPROBE  GRADE  DETAIL\nlogin  good   it works\n\n\
         Not discovered (1)\nBELOW                      CODE           DETAIL\n\
         postgresql-database:audit  right_missing  the admin lacks a right\n\n\
         Last survey\nDRIFT   COUNT  DETAIL                EXAMPLES\nexcess  2      rights added by hand  tg_ann_x7k2\n"
    );
}

#[test]
fn a_new_token_goes_where_it_was_said() {
    let world = World::logged_in();
    let issued = json!({ "connector": "eu", "token": "tgc_s3cr3t", "previous_until": null });
    world.server.json("POST", "/connectors", issued.clone());
    world.server.json("POST", "/connectors/eu/rotate-token", issued);
    world.run(&["connectors", "create", "eu"]).fails(2, &["the output is no terminal", "--token-file"]);
    assert_eq!(world.server.seen().len(), 0, "no token is made that would be lost");
    let ended = world.run(&["connectors", "create", "eu", "--description", "x", "--token-file", "c.token"]);
    assert!(!ended.err.contains("s3cr3t"), "{ended:?}");
    assert_eq!(ended.ok(), "connector  eu\n");
    assert_eq!(fs::read_to_string(world.path("c.token")).unwrap(), "tgc_s3cr3t\n");
    assert_eq!(mode(&world.path("c.token")), 0o600);
    let value = world.run(&["connectors", "create", "eu", "--token-file", "c.token", "-o", "json"]).json();
    assert_eq!(value.get("token"), None);
    assert!(
        world.at_terminal(&["connectors", "create", "eu"], true).ok().contains("token      tgc_s3cr3t\n")
    );
    assert!(
        world
            .run(&["connectors", "rotate-token", "eu", "--grace", "2h", "--show"])
            .ok()
            .contains("tgc_s3cr3t")
    );
    let seen = world.server.seen();
    assert_eq!(seen[0].body, json!({ "id": "eu", "description": "x" }));
    assert_eq!(seen.last().unwrap().body, json!({ "grace_seconds": 7200 }));
}

#[test]
fn connectors_are_listed_and_revoked() {
    let world = World::logged_in();
    let mut paused = connector("two", &json!([]));
    paused["paused"] = json!(true);
    let mut revoked = connector("three", &json!([]));
    revoked["revoked_at"] = json!(samples::AT);
    revoked["connected"] = json!(false);
    world.server.json("GET", "/connectors", page(&[connector("eu", &json!([])), paused, revoked.clone()]));
    world.server.json("POST", "/connectors/three/revoke", revoked);
    assert_eq!(
        world.run(&["connectors", "list"]).ok(),
        "ID     STATE      LAST SEEN             VERSION  DESCRIPTION\n\
         eu     connected  2026-03-01T10:00:00Z  0.1.0    in Frankfurt\n\
         two    paused     2026-03-01T10:00:00Z  0.1.0    in Frankfurt\n\
         three  revoked    2026-03-01T10:00:00Z  0.1.0    in Frankfurt\n"
    );
    assert_eq!(
        world.run(&["connectors", "revoke", "three"]).ok(),
        "connector  three\nrevoked    2026-03-01T10:00:00Z\n"
    );
}

#[test]
fn what_a_person_judges_of_a_connector() {
    let world = World::logged_in();
    let key = |id: &str, current: bool| {
        json!({ "purpose": "receipts", "key_id": id, "public_key": "AAAA", "fingerprint": format!("print-{id}"),
            "current": current })
    };
    let mut offering = connector("eu", &json!([key("one", true), key("old", false)]));
    offering["keys_offered"] = json!([key("two", true)]);
    world.server.json("GET", "/connectors/eu", offering);
    world.server.json("POST", "/connectors/eu/accept-keys", connector("eu", &json!([key("two", true)])));
    assert_eq!(
        world.run(&["connectors", "keys", "eu"]).ok(),
        "PURPOSE   ID   FINGERPRINT  STATE\n\
         receipts  one  print-one    pinned\n\
         receipts  old  print-old    pinned, old\n\
         receipts  two  print-two    offered\n"
    );
    assert_eq!(world.server.seen().len(), 1);
    world.run(&["connectors", "accept-keys", "eu"]).fails(2, &["tidegate keys show", "--yes"]);
    assert_eq!(world.server.seen().len(), 0, "nothing was asked for");
    assert_eq!(
        world.run(&["connectors", "accept-keys", "eu", "--yes"]).ok(),
        "PURPOSE   ID   FINGERPRINT  STATE\nreceipts  two  print-two    pinned\n"
    );

    let stray = json!({ "access": "acc-9", "connector": "eu", "integration": "shop-db", "account": "tg_ann_x7k2",
        "state": "active", "at": samples::AT });
    world.server.json("GET", "/connectors/eu/strays", json!([stray]));
    let ordered = json!({ "connector": "eu", "position": 7, "connected": true });
    world.server.json("POST", "/connectors/eu/strays/acc-9/end", ordered);
    assert_eq!(
        world.run(&["connectors", "strays", "eu"]).ok(),
        "ACCESS  INTEGRATION  ACCOUNT      STATE   TOLD\n\
         acc-9   shop-db      tg_ann_x7k2  active  2026-03-01T10:00:00Z\n"
    );
    assert_eq!(
        world.run(&["connectors", "end-stray", "eu", "acc-9"]).ok(),
        "access  acc-9\nend     ordered\n"
    );

    world.server.json("POST", "/connectors/eu/standing", connector("eu", &json!([])));
    assert_eq!(world.run(&["connectors", "standing", "eu"]).ok(), "connector      eu\nstanding list  sent\n");
    assert_eq!(
        world.run(&["connectors", "standing", "eu", "--confirm"]).ok(),
        "connector      eu\nstanding list  sent; what it lacks ends\n"
    );
    let bodies: Vec<_> = world.server.seen().into_iter().rev().take(2).map(|one| one.body).collect();
    assert_eq!(bodies, [json!({ "confirmed": true }), json!({ "confirmed": false })]);
}

#[test]
fn users_and_their_tokens() {
    let world = World::logged_in();
    let bob = samples::user("usr-bob", "bob@example.com");
    world.server.json("POST", "/users", bob.clone()).json("GET", "/users", page(std::slice::from_ref(&bob)));
    world.server.json("POST", "/users/usr-bob/disable", bob);
    let mut issued = samples::token();
    issued["token"] = json!("tgu_s3cr3t");
    world.server.json("POST", "/users/usr-bob/tokens", issued.clone()).json(
        "POST",
        "/users/usr-ann/tokens",
        issued,
    );
    world.server.json("GET", "/users/usr-ann/tokens", json!([samples::token()]));
    world.server.json("DELETE", "/users/usr-ann/tokens/tok-1", json!(null));
    world
        .run(&[
            "users",
            "create",
            "bob@example.com",
            "--role",
            "requester",
            "--role",
            "approver",
            "--name",
            "Bob",
        ])
        .ok();
    world.run(&["users", "create", "bob@example.com"]).fails(2, &["--role"]);
    world.run(&["users", "create", "b@x", "--role", "king"]).fails(2, &["requester, approver, admin"]);
    assert_eq!(
        world.run(&["users", "list"]).ok(),
        "E-MAIL           NAME  ROLES                STATE    KEY  SINCE                 ID\n\
         bob@example.com  -     approver, requester  enabled  yes  2026-03-01T10:00:00Z  usr-bob\n"
    );
    world.run(&["users", "disable", "BOB@example.com"]).ok();
    world.run(&["users", "disable", "nobody@example.com"]).fails(4, &["there is no such user"]);
    world
        .run(&[
            "tokens",
            "create",
            "--user",
            "usr-bob",
            "--name",
            "first",
            "--expires",
            "30d",
            "--token-file",
            "b",
        ])
        .ok();
    assert_eq!(
        (fs::read_to_string(world.path("b")).unwrap().as_str(), mode(&world.path("b"))),
        ("tgu_s3cr3t\n", 0o600)
    );
    world.run(&["tokens", "create", "--name", "x"]).fails(2, &["--token-file"]);
    assert!(
        world.run(&["tokens", "create", "--name", "x", "--show"]).ok().ends_with("token    tgu_s3cr3t\n")
    );
    assert_eq!(
        world.run(&["tokens", "list"]).ok(),
        "ID     NAME    MADE                  EXPIRES               LAST USED  REVOKED\n\
         tok-1  laptop  2026-03-01T10:00:00Z  2026-06-01T10:00:00Z  -          -\n"
    );
    assert_eq!(world.run(&["tokens", "revoke", "tok-1"]).ok(), "tok-1 is revoked.\n");
    let bodies: Vec<_> =
        world.server.seen().into_iter().filter(|one| one.method == "POST").map(|one| one.body).collect();
    assert_eq!(
        bodies[0],
        json!({ "email": "bob@example.com", "name": "Bob", "roles": ["requester", "approver"] })
    );
    assert_eq!(bodies[2], json!({ "name": "first", "expires_in_seconds": 2_592_000 }));
    assert_eq!(bodies[3], json!({ "name": "x", "expires_in_seconds": null }));
}

#[test]
fn the_audit_log_is_listed() {
    let world = World::logged_in();
    let entry = json!({ "number": 7, "at": samples::AT, "who": "ann@example.com", "what": "request.approved",
        "subject": "request/acc-1", "origin": "127.0.0.1", "before": null, "after": { "a": 1 } });
    world.server.json("GET", "/audit", page(&[entry]));
    let out = world
        .run(&["audit", "--who", "ann@example.com", "--what", "request.", "--subject", "request/acc-1"])
        .ok();
    assert_eq!(
        out,
        "NUMBER  TIME                  WHO              WHAT              SUBJECT\n\
         7       2026-03-01T10:00:00Z  ann@example.com  request.approved  request/acc-1\n"
    );
    let seen = world.server.seen();
    assert_eq!((seen[0].query("who"), seen[0].query("what")), (Some("ann@example.com"), Some("request.")));
}
