use serde_json::json;

use crate::samples::{self, request, resource};
use crate::server::Reply;
use crate::world::{World, page};

const ASK: [&str; 8] = [
    "request",
    "postgresql-table:shop/public/orders",
    "--permission",
    "READ_ONLY",
    "--for",
    "90m",
    "--reason",
    "ticket 4711",
];

fn with_orders() -> World {
    let world = World::logged_in();
    let found = [
        resource("shop-db", "postgresql-table", &["shop", "public", "orders_old"], &["READ_ONLY"]),
        resource("shop-db", "postgresql-table", &["shop", "public", "orders"], &["READ_ONLY", "READ_WRITE"]),
    ];
    world.server.json("GET", "/resources", page(&found));
    world
}

#[test]
fn a_name_becomes_an_entitlement_on_its_integration() {
    let world = with_orders();
    world.server.json("POST", "/requests", request("acc-1", 1, "Pending Approval", "pending"));
    let out = world.run(&ASK).ok();
    let seen = world.server.seen();
    assert_eq!(seen[0].query("search"), Some("shop public orders"));
    assert_eq!(seen[0].query("kind"), Some("postgresql-table"));
    assert_eq!(
        seen[1].body,
        json!({ "integration": "shop-db", "entitlements": [samples::orders()], "duration_seconds": 5400,
            "justification": "ticket 4711", "from": null })
    );
    assert!(seen[1].idempotency_key.is_some(), "a repeated call must not ask twice");
    assert_eq!(
        out,
        "id            acc-1\nstate         Pending Approval\ngrantee       ann@example.com\n\
         integration   shop-db\nentitlements  READ_ONLY on postgresql-table:shop/public/orders\n\
         reason        ticket 4711\nrequested     2026-03-01T10:00:00Z\nfor           1h30m\n\
         from          2026-03-01T10:00:00Z\nuntil         2026-03-01T11:30:00Z\nyou can       revoke\n"
    );
}

#[test]
fn a_name_without_a_kind_and_a_start_are_taken() {
    let world = with_orders();
    world.server.json("POST", "/requests", request("acc-1", 1, "Pending Approval", "pending"));
    let args = [
        "request",
        "shop/public/orders",
        "-p",
        "READ_WRITE",
        "--for",
        "2d",
        "-r",
        "x",
        "-i",
        "shop-db",
        "--from",
        "2026-03-01T20:00:00Z",
        "-o",
        "json",
    ];
    let out = world.run(&args).json();
    assert_eq!(out["id"], "acc-1");
    let seen = world.server.seen();
    assert_eq!((seen[0].query("kind"), seen[0].query("integration")), (None, Some("shop-db")));
    assert_eq!(seen[1].body["from"], "2026-03-01T20:00:00.000Z");
    assert_eq!(seen[1].body["duration_seconds"], 172_800);
    assert_eq!(seen[1].body["entitlements"][0]["permission"], "READ_WRITE");
}

#[test]
fn what_cannot_be_asked_for_is_told_before_it_is_asked() {
    let world = with_orders();
    let ask = |resource: &str, more: &[&str]| {
        let mut args = vec!["request", resource, "--for", "90m", "--reason", "x"];
        args.extend(more);
        world.run(&args)
    };
    let read = ["-p", "READ_ONLY"];
    ask("postgresql-table:shop/public/order", &read).fails(
        4,
        &[
            "no such resource",
            "did you mean: postgresql-table:shop/public/orders_old, postgresql-table:shop/public/orders",
        ],
    );
    ask("shop/public/orders", &["-p", "ADMIN"])
        .fails(2, &["has no permission ADMIN", "READ_ONLY, READ_WRITE"]);
    ask("shop//orders", &read).fails(2, &["a part of the path is empty"]);
    let long = |text: &str| {
        world.run(&["request", "shop/public/orders", "-p", "READ_ONLY", "-r", "x", &format!("--for={text}")])
    };
    for text in ["0s", "500ms", "90500ms"] {
        long(text).fails(2, &["whole seconds"]);
    }
    for text in ["", "-1h", "1.5h", "90", "1h 30", "h", "99999999999999999999d", "9223372036854775807d"] {
        long(text).fails(2, &["--for"]);
    }
    world.run(&["request", "a/b", "-p", "X", "--for", "90", "-r", "x"]).fails(2, &["number and a unit"]);
    world.run(&["request", "a/b", "-p", "X", "-r", "x"]).fails(2, &["--for"]);
    let several = [
        resource("one", "postgresql-table", &["a", "b"], &["READ_ONLY"]),
        resource("two", "mysql-table", &["a", "b"], &["READ_ONLY"]),
    ];
    world.server.forget("GET", "/resources").json("GET", "/resources", page(&several));
    ask("a/b", &read).fails(2, &["postgresql-table:a/b on one, mysql-table:a/b on two", "--integration"]);
    world.server.forget("GET", "/resources").json("GET", "/resources", page(&[]));
    ask("a/b", &read).fails(4, &["no such resource", "tidegatectl resources"]);
    assert!(world.server.seen().iter().all(|one| one.method == "GET"));
}

#[test]
fn it_waits_until_the_access_is_active() {
    let world = with_orders();
    world.server.json("POST", "/requests", request("acc-1", 1, "Pending Approval", "pending"));
    world.server.json("GET", "/requests/acc-1", request("acc-1", 1, "Pending Approval", "pending"));
    world.server.refuse("GET", "/requests/acc-1", 503, "store_unavailable", "the store did not do it");
    world.server.refuse("GET", "/requests/acc-1", 503, "store_unavailable", "the store did not do it");
    world.server.refuse("GET", "/requests/acc-1", 503, "store_unavailable", "the store did not do it");
    world.server.json("GET", "/requests/acc-1", request("acc-1", 2, "Granting", "granting"));
    world.server.json("GET", "/requests/acc-1", request("acc-1", 3, "Active", "active"));
    let mut args = ASK.to_vec();
    args.push("--wait");
    let ended = world.run(&args);
    assert_eq!(
        ended.err,
        "acc-1: Pending Approval\nacc-1: Granting\nacc-1: Active\nconnect with: tidegatectl connect acc-1\n"
    );
    assert!(ended.ok().contains("state         Active\n"));
    let seen = world.server.seen();
    let polls: Vec<_> = seen.iter().filter(|one| one.path.ends_with("acc-1")).collect();
    assert_eq!(polls[0].query("after_change"), None);
    let last = polls.last().unwrap();
    assert_eq!((last.query("after_change"), last.query("wait_seconds")), (Some("2"), Some("20")));
    args.push("--quiet");
    assert_eq!(world.run(&args).err, "");
}

#[test]
fn a_request_that_is_lost_and_one_that_takes_too_long_differ() {
    let table = [
        ("Rejected", "rejected", 6),
        ("Failed", "failed", 6),
        ("Failed", "refused", 6),
        ("Revoked", "withdrawn", 6),
        ("Revoking", "ending", 6),
        ("Pending Approval", "pending", 5),
    ];
    for (label, state, code) in table {
        let world = with_orders();
        world.server.json("POST", "/requests", request("acc-1", 1, "Pending Approval", "pending"));
        let mut lost = request("acc-1", 2, label, state);
        lost["decision"] =
            json!({ "approved": false, "by": "bob@example.com", "at": samples::AT, "reason": "not now" });
        lost["agent"] = json!({ "state": state, "at": samples::AT, "code": "too_late", "detail": "too slow",
            "contained": false, "attempts": 0, "cancel_possible": false, "residual": [] });
        world.server.json("GET", "/requests/acc-1", lost);
        let mut args = ASK.to_vec();
        args.push("--wait=700ms");
        let words: &[&str] = if code == 5 {
            &["could not wait for acc-1", "still Pending Approval after 700ms", "tidegatectl show acc-1"]
        } else {
            &["could not get acc-1", label, "not now", "too_late", "too slow"]
        };
        world.run(&args).fails(code, words);
    }
}

#[test]
fn decisions_carry_their_reason() {
    let world = World::logged_in();
    world.server.json("POST", "/requests/acc-1/approve", request("acc-1", 2, "Granting", "accepted"));
    world.server.json("POST", "/requests/acc-1/reject", request("acc-1", 2, "Rejected", "rejected"));
    world.run(&["approve", "acc-1"]).ok();
    world.run(&["approve", "acc-1", "--reason", "fine"]).ok();
    world.run(&["reject", "acc-1", "--reason", "no"]).ok();
    world.run(&["reject", "acc-1"]).fails(2, &["--reason"]);
    let bodies: Vec<_> = world.server.seen().into_iter().map(|one| one.body["reason"].clone()).collect();
    assert_eq!(bodies, [json!(null), json!("fine"), json!("no")]);
}

#[test]
fn a_revoke_can_wait_for_the_end_and_tells_what_may_outlive_it() {
    let world = World::logged_in();
    world.server.json("POST", "/requests/acc-1/revoke", request("acc-1", 4, "Revoking", "ending"));
    world.server.json("GET", "/requests/acc-1", request("acc-1", 4, "Revoking", "ending"));
    let mut ended = request("acc-1", 5, "Revoked", "ended");
    ended["agent"] = json!({ "state": "ended", "at": samples::AT, "contained": true, "attempts": 1,
        "cancel_possible": false, "residual": [{ "kind": "job", "detail": "pg_cron 7", "ends_at": null }] });
    world.server.json("GET", "/requests/acc-1", ended);
    let out = world.run(&["revoke", "acc-1", "--reason", "done", "--wait"]).ok();
    assert!(out.contains("state         Revoked\n"), "{out}");
    assert!(
        out.contains("What may outlive the access\nKIND  DETAIL     ENDS\njob   pg_cron 7  not by itself\n"),
        "{out}"
    );
    world.server.forget("GET", "/requests/acc-1");
    world.server.json("GET", "/requests/acc-1", request("acc-1", 6, "Revoke Canceled", "canceled"));
    world.run(&["revoke", "acc-1", "--wait"]).fails(6, &["Revoke Canceled"]);
}

#[test]
fn a_list_is_a_table_for_people_and_whole_for_machines() {
    let world = World::logged_in();
    let mut odd = request("acc-2", 3, "Active", "active");
    odd["grantee"]["email"] = json!("böse\u{1b}[2J@表.example");
    odd["entitlements"] =
        json!([samples::entitlement("postgresql-table", &["a/b", "c\nd"], "READ_ONLY"), samples::orders()]);
    odd["until"] = json!(null);
    world.server.json(
        "GET",
        "/requests",
        page(&[request("acc-1", 1, "Pending Approval", "pending"), odd.clone()]),
    );
    assert_eq!(
        world.run(&["list"]).ok(),
        "ID     STATE             GRANTEE                   INTEGRATION  ENTITLEMENTS                                      UNTIL\n\
         acc-1  Pending Approval  ann@example.com           shop-db      READ_ONLY on postgresql-table:shop/public/orders  2026-03-01T11:30:00Z\n\
         acc-2  Active            böse\\u{1b}[2J@表.example  shop-db      READ_ONLY on postgresql-table:a\\/b/c\\nd (+1)      -\n"
    );
    let whole = world.run(&["list", "--json"]).json();
    assert_eq!(whole, json!([request("acc-1", 1, "Pending Approval", "pending"), odd]));
    let yaml = world.run(&["list", "-o", "yaml"]).ok();
    assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), whole);
    world.run(&["list", "--json", "-o", "yaml"]).fails(2, &["cannot be used with"]);
}

#[test]
fn filters_and_pages_are_asked_of_the_server() {
    let world = World::logged_in();
    let first = json!({ "items": [request("acc-1", 1, "Active", "active")], "next_cursor": "more" });
    world.server.json("GET", "/requests", first.clone()).json(
        "GET",
        "/requests",
        page(&[request("acc-2", 1, "Active", "active")]),
    );
    world.server.json("GET", "/users", page(&[samples::user("usr-bob", "bob@example.com")]));
    let args = [
        "list",
        "--mine",
        "--open",
        "--state",
        "active",
        "--integration",
        "shop-db",
        "--grantee",
        "bob@example.com",
        "--all",
        "--json",
    ];
    assert_eq!(world.run(&args).json().as_array().unwrap().len(), 2);
    let seen = world.server.seen();
    assert_eq!(seen[0].query("email"), Some("bob@example.com"));
    for (name, value) in [
        ("mine", "true"),
        ("open", "true"),
        ("state", "active"),
        ("integration", "shop-db"),
        ("grantee", "usr-bob"),
    ] {
        assert_eq!(seen[1].query(name), Some(value), "{name}");
        assert_eq!(seen[2].query(name), Some(value), "{name}, second page");
    }
    assert_eq!((seen[1].query("cursor"), seen[2].query("cursor")), (None, Some("more")));
    world.server.forget("GET", "/requests").json("GET", "/requests", first);
    let ended = world.run(&["list", "--limit", "1"]);
    assert!(ended.err.contains("there are more: add --all"), "{ended:?}");
    world.run(&["list", "--state", "happy"]).fails(2, &["possible values: pending"]);
    world.run(&["list", "--grantee", "nobody@example.com"]).fails(4, &["there is no such user"]);
}

#[test]
fn colour_stands_only_where_a_person_looks() {
    let world = World::logged_in();
    world.server.json("GET", "/requests", page(&[request("acc-1", 1, "Active", "active")]));
    assert!(!world.run(&["list"]).ok().contains('\u{1b}'));
    assert!(world.at_terminal(&["list"], false).ok().contains("\u{1b}[32mActive\u{1b}[0m"));
    assert!(!world.at_terminal(&["list"], true).ok().contains('\u{1b}'));
}

#[test]
fn resources_can_be_pasted_back() {
    let world = World::logged_in();
    let mut tagged = resource(
        "shop-db",
        "postgresql-table",
        &["shop", "a/b", "it's \u{202e}odd"],
        &["READ_ONLY", "ADMIN"],
    );
    tagged["tags"] = json!({ "owner": "ann", "tier": "1" });
    world.server.json("GET", "/resources", page(&[tagged]));
    let out = world.run(&["resources", "--search", "a b", "--kind", "postgresql-table"]).ok();
    assert_eq!(
        out,
        "RESOURCE                                     PERMISSIONS       INTEGRATION  TAGS\n\
         postgresql-table:shop/a\\/b/it's \\u{202e}odd  READ_ONLY, ADMIN  shop-db      owner=ann, tier=1\n"
    );
    world.server.json("POST", "/requests", request("acc-1", 1, "Pending Approval", "pending"));
    let shown = out.lines().nth(1).unwrap().split("  ").next().unwrap().to_owned();
    world.run(&["request", &shown, "-p", "ADMIN", "--for", "1h", "-r", "x"]).ok();
    let body = world.server.seen().last().unwrap().body.clone();
    assert_eq!(body["entitlements"][0]["resource"]["path"], json!(["shop", "a/b", "it's \u{202e}odd"]));
}

#[test]
fn a_broken_answer_is_repeated_and_known_as_the_same() {
    let world = World::logged_in();
    world.server.refuse("POST", "/requests/acc-1/approve", 503, "store_unavailable", "busy");
    world.server.json("POST", "/requests/acc-1/approve", request("acc-1", 2, "Granting", "accepted"));
    world.run(&["approve", "acc-1"]).ok();
    let keys: Vec<_> = world.server.seen().into_iter().map(|one| one.idempotency_key.unwrap()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    world.server.on("POST", "/requests/acc-1/approve", Reply::Silence);
    world.run(&["approve", "acc-1", "--timeout", "1500ms"]).ok();
}

#[test]
fn show_tells_the_whole_story() {
    let world = World::logged_in();
    let mut detail = request("acc-1", 9, "Revoking", "ending");
    detail["warning"] = json!("the agent is away");
    detail["decision"] = json!({ "approved": true, "by": "policy", "at": samples::AT });
    detail["agent"] = json!({ "state": "ending", "at": samples::AT, "account": samples::ACCOUNT, "code": "unreachable",
        "detail": "no route", "contained": true, "attempts": 3, "cancel_possible": false, "residual": [] });
    detail["history"] = json!([
        { "at": samples::AT, "by": "ann@example.com", "what": "requested" },
        { "at": samples::AT, "by": "agent:eu", "what": "ending", "detail": "deadline" },
    ]);
    world.server.json("GET", "/requests/acc-1", detail);
    let out = world.run(&["show", "acc-1"]).ok();
    let expected = "warning       the agent is away\ngrantee       ann@example.com\n";
    assert!(out.contains(expected), "{out}");
    let expected = format!(
        "decision      approved by policy at 2026-03-01T10:00:00Z\naccount       {}\ncode          unreachable\n\
         detail        no route\nclosing       login shut, tries: 3\nyou can       revoke\n\nHistory\n\
         TIME                  BY               WHAT       DETAIL\n\
         2026-03-01T10:00:00Z  ann@example.com  requested  -\n\
         2026-03-01T10:00:00Z  agent:eu         ending     deadline\n",
        samples::ACCOUNT
    );
    assert!(out.ends_with(&expected), "{out}");
}
