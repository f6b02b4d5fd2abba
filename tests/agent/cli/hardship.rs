//! Files that the agent cannot use: a journal that cannot be written, a token, keys of a newer build. Nothing opens,
//! everything else closes, and what was done is recorded later.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use rusqlite::Connection;
use serde_json::Value;

use crate::agent::Running;
use crate::bench::{Bench, files};
use crate::plane::until;
use crate::world::{World, put};

fn end(access: &str) -> Order {
    Order::EndAccess(v1::EndAccess { access_id: access.into() })
}

#[test]
fn operating_closes_on_a_journal_of_a_newer_build_and_changes_nothing_in_it() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    world.put("b-1", "bob", "orders", Duration::from_secs(6));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    world.agent = None;
    let journal = world.bench.path("state/journal/journal.db");
    let newer = |version: u32| {
        let line = Connection::open(&journal).unwrap();
        line.execute("UPDATE format SET version = ?1, min_reader = ?1", [version]).unwrap();
    };
    newer(9);
    world.begin();
    let is_it = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.starts_with("A newer build wrote the journal"))
    };
    let told = world.agent().lines().into_iter().find(is_it).expect("it is told before the start");
    assert!(told["fault"].as_str().unwrap().contains("run the newer build"), "{told}");
    until(|| (world.logins().len() == 1).then_some(())).expect("b-1 is closed by its deadline");
    world.plane.order([end("a-1"), put("c-1", "cyd", "orders", Duration::from_secs(600))]);
    until(|| world.logins().is_empty().then_some(()))
        .expect("a-1 is closed by its order, and nothing is opened");
    let ready = world.health(&["--json"]).ended(6).json();
    assert_eq!(ready["journal"]["state"], "bad", "{ready}");
    world.health(&["--closing"]).ended(0);
    assert!(world.plane.state("c-1").is_none(), "nobody is told what is not written");
    world.agent = None;

    // The newer build, back again: it knows what it knew, and finds closed what was closed.
    newer(1);
    world.begin();
    world.wait_ended("b-1");
    world.wait_ended("a-1");
    world.wait("c-1", "active", |state| matches!(state, State::Active(_)));
    assert_eq!(world.logins().len(), 1, "{:?}", world.logins());
}

#[test]
fn operating_without_a_token_that_can_be_used_closes_and_tells_nobody() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let token = std::fs::read_to_string(world.bench.path("token")).unwrap();
    let table: [(&str, &str, u32, &str); 4] = [
        ("others may read it", &token, 0o644, "run `chmod 600"),
        ("it is empty", "\n", 0o600, "is empty"),
        ("it is two", "tgc_one\ntgc_two\n", 0o600, "has a space, a line break"),
        ("it is endless", &"t".repeat(1 << 20), 0o600, "is too long"),
    ];
    let until = SystemTime::UNIX_EPOCH.elapsed().unwrap() + Duration::from_secs(5);
    world.put("b-1", "bob", "orders", Duration::from_secs(5));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    for (name, text, mode, reason) in table {
        world.agent = None;
        world.bench.write("token", text);
        world.bench.mode("token", mode);
        world.begin();
        let told = world.agent().until("Not connected to the control plane");
        let fault = told["fault"].as_str().unwrap();
        assert!(fault.contains(reason) && !fault.contains("tgc_"), "{name}: {fault}");
        assert_eq!(told["level"], "ERROR", "{name}: {told}");
        world.health(&["--closing"]).ended(0);
    }
    // It dials on, and whoever comes is called once.
    let agent = world.agent();
    let failed = || agent.counted("tidegate_link_failures_total", "");
    let before = failed();
    crate::plane::until(|| (failed() >= before + 3.0).then_some(())).expect("it dials on");
    assert_eq!(agent.said("Not connected to the control plane").len(), 1, "{:#?}", agent.lines());
    crate::plane::until(|| (world.logins().len() == 1).then_some(())).expect("b-1 is closed by its deadline");
    assert!(SystemTime::UNIX_EPOCH.elapsed().unwrap() >= until, "it was closed before");
    assert!(!matches!(world.plane.state("b-1"), Some(State::Ended(_))), "somebody was told");
    // Put right, without a restart.
    world.bench.write("token", &token);
    world.wait_ended("b-1");
    world.open("c-1", "cyd", "orders");
    assert_eq!(world.logins().len(), 2, "{:?}", world.logins());
}

#[test]
fn keys_of_a_newer_build_are_refused_and_left_as_they_are() {
    let bench = Bench::ready();
    let keys = std::fs::read_to_string(bench.path("state/identity/identity.json")).unwrap();
    let newer = keys.replace("\"format\": 1", "\"format\": 2");
    assert_ne!(newer, keys);
    bench.write("state/identity/identity.json", &newer);
    let before = files(&bench.path("state"));
    for args in [&["run"][..], &["check"], &["keys", "show"], &["bindings", "list"], &["journal", "list"]] {
        let said = bench.run(args);
        let told = format!("{}{}", said.out, said.err);
        assert!(said.code != 0, "{args:?}: {said:?}");
        if args != ["journal", "list"] {
            assert!(said.code == 4 && told.contains("run the newer build"), "{args:?}: {said:?}");
        }
    }
    assert_eq!(files(&bench.path("state")), before, "something was made");
    assert_eq!(std::fs::read_to_string(bench.path("state/identity/identity.json")).unwrap(), newer);
}

/// Lets the agent write files of so many bytes at most; `None`: as long as it likes.
fn limit(world: &World, bytes: Option<u64>) {
    let most = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let pid = world.agent.as_ref().expect("an agent runs").id().to_string();
    let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={most}:")]).status().unwrap();
    assert!(set.success(), "util-linux has prlimit");
}

#[test]
fn operating_closes_when_nothing_can_be_written_and_records_it_later() {
    let mut world = World::start(&["journal.reserve_mib=0"]);
    world.open("a-1", "ann", "orders");
    world.agent = None;
    // A file that may not grow is an error to it, as a full disk is, and not its end.
    let agent = world.command(&[]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(agent.get_program()).args(agent.get_args());
    shell.env_clear().current_dir(agent.get_current_dir().unwrap()).stdin(Stdio::null());
    shell.envs(agent.get_envs().filter_map(|(name, value)| Some((name, value?))));
    world.agent = Some(Running::by(shell));
    world.open("b-1", "bob", "orders");

    limit(&world, Some(4_096));
    world.plane.order(
        (0..40).map(|n| put(&format!("c-{n}"), &format!("cyd-{n}"), "orders", Duration::from_secs(600))),
    );
    world.agent().until("The journal cannot be written");
    let told = until(|| {
        let told = world.health(&["--json"]).json();
        (told["journal"]["state"] == "bad").then_some(told)
    });
    assert_eq!(told.expect("it is told as bad")["ready"], Value::Bool(false));
    world.health(&["--closing"]).ended(0);
    let held = world.logins();
    world.run(&["close", "--access", "a-1", "--yes", "--reason", "a drill", "--wait", "0s"]);
    until(|| (world.logins().len() < held.len()).then_some(())).expect("a-1 is closed without a journal");
    assert!(world.plane.state("c-39").is_none(), "nobody is told what is not written");

    limit(&world, None);
    world.agent().until("The journal could be read again");
    world.wait_ended("a-1");
    world.wait("c-39", "active", |state| matches!(state, State::Active(_)));
    world.health(&[]).ended(0);
    until(|| (world.logins().len() == 41).then_some(())).expect("b-1 and forty others are open");
}
