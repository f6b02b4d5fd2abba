//! Operating a running agent: what it tells of itself, and what it does when it is asked beside the control plane.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use rustix::process::Signal;
use serde_json::Value;
use services::postgres::{Ground, Mode};
use tidegate::measures::MEASURES;

use crate::agent::Running;
use crate::bench::Bench;
use crate::plane::until;
use crate::world::{INTEGRATION, World};

#[test]
fn status_tells_how_link_journal_deadlines_and_each_integration_stand() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let status = world.run(&["status", "--json"]).ended(0).json();
    assert_eq!((&status["ready"], &status["mode"]), (&Value::Bool(true), &Value::from("open")), "{status}");
    assert_eq!(status["link"]["state"], "up", "{status}");
    assert_eq!(status["process"], world.agent().id(), "{status}");
    let work = &status["work"];
    assert_eq!(
        (&work["total"]["counts"]["active"], &work["uncommitted_reports"]),
        (&1.into(), &0.into()),
        "{status}"
    );
    let one = &work["integrations"][0];
    assert_eq!(
        (&one["id"], &one["revision"], &one["health"]["state"], &one["tally"]["lane"]["breaker_open"]),
        (&INTEGRATION.into(), &7.into(), &"good".into(), &false.into()),
        "{status}"
    );
    assert!(one["tally"]["next_deadline"].is_string() && one["longest_overdue_ms"].is_null(), "{status}");
    let told = world.run(&["status"]).ended(0).out;
    for part in ["ready", "opens and closes", "up since", "1 open", INTEGRATION, "good", "closed", "(in 59m"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(world.run(&["status", "other-db"]).ended(2).err.contains("no integration `other-db`"));
    // Looking into the journal disturbs nobody.
    let verified = world.run(&["receipts", "verify", "--json"]).ended(0).json();
    assert_eq!(
        (&verified["receipts"], &verified["heads"][0]["integration"]),
        (&1.into(), &INTEGRATION.into())
    );
    assert_eq!(
        world.run(&["journal", "show", "account", "--json"]).ended(0).json().as_array().unwrap().len(),
        1
    );
    // A person's name is in no status.
    assert!(!told.contains("ann"), "{told}");
}

#[test]
fn what_is_overdue_is_told_everywhere_until_it_has_ended() {
    overdue(Ground::default());
}

#[test]
fn what_is_overdue_is_told_on_18_with_the_least_privileged_admin() {
    overdue(Ground::NARROW);
}

fn overdue(ground: Ground) {
    let mut world = World::start_on(ground, &[]);
    world.open("a-1", "ann", "orders");
    // The health report names what was looked at.
    let looked = world.plane.told().into_iter().find_map(|told| match told {
        v1::report::Report::IntegrationHealth(health) => Some(health),
        _ => None,
    });
    let looked = looked.unwrap();
    assert!(looked.revision == 7 && !looked.target_identity.is_empty(), "{looked:?}");
    world.put("a-2", "bob", "stock", Duration::from_secs(6));
    world.wait("a-2", "active", |state| matches!(state, State::Active(_)));
    world.server.stop(Mode::Immediate).unwrap();

    let beat =
        world.plane.until("it is told as overdue", || world.plane.beat().filter(|beat| beat.overdue == 1));
    assert!(beat.active == 1 && beat.ending == 1, "{beat:?}");
    let longest = |beat: &v1::AgentHeartbeat| beat.longest_overdue.map_or(0, |longest| longest.seconds);
    world.plane.until("it is longer and longer", || world.plane.beat().filter(|beat| longest(beat) >= 2));
    let one =
        |world: &World| world.run(&["status", "--json"]).ended(0).json()["work"]["integrations"][0].clone();
    world
        .plane
        .until("the breaker opens", || (one(&world)["tally"]["lane"]["breaker_open"] == true).then_some(()));
    let told = world.run(&["status"]).ended(0).out;
    for part in ["1, the longest for", "orders-db: 1 overdue", "the target did not answer"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(world.agent().get("/metrics").contains("\ntidegate_overdue 1\n"));

    world.server.start().unwrap();
    world.wait_ended("a-2");
    assert_eq!(world.logins().len(), 1, "{:?}", world.logins());
    world.plane.until("nothing is overdue", || {
        world.plane.beat().filter(|beat| beat.overdue == 0 && beat.longest_overdue.is_none())
    });
}

#[test]
fn commands_that_need_a_running_agent_say_so() {
    let bench = Bench::ready();
    let said = bench.run(&["status"]).ended(6);
    assert!(said.err.contains("no agent answers at") && said.err.contains("start it"), "{said:?}");
    let mut agent = Running::of(&bench);
    let status = bench.run(&["status", "--json"]).ended(0).json();
    assert_eq!(
        (&status["ready"], &status["link"]["state"]),
        (&Value::Bool(false), &Value::from("down")),
        "{status}"
    );
    let told = bench.run(&["status"]).ended(0).out;
    assert!(told.contains("No integration is known"), "{told}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.code(), 0);
    assert!(!bench.path("state/journal/admin/agent.sock").exists(), "the socket is removed");
}

#[test]
fn an_agent_without_its_socket_closes_all_the_same_and_says_what_is_missing() {
    let bench = Bench::ready();
    std::fs::create_dir(bench.path("run")).unwrap();
    bench.mode("run", 0o755);
    let socket = format!("admin.socket={}", bench.path("run/agent.sock").display());
    let mut agent = Running::with(&bench, &["--set", &socket]);
    let told = agent.until("Worker ended and is begun again");
    assert!(told["reason"].as_str().unwrap().contains("run `chmod 700"), "{told}");
    agent.health(&bench, &["--closing"]).ended(0);
    let said = bench.run(&["config", "check", "--set", &socket]).ended(3);
    assert!(said.out.contains("run `chmod 700"), "{said:?}");
}

#[test]
fn a_pause_beside_the_agent_stops_opening_outlives_a_restart_and_is_lifted_there_alone() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let said = world.run(&["pause"]).ended(0);
    assert!(said.out.contains("Opening is paused on all integrations"), "{said:?}");
    let told = world.health(&["--json"]).ended(6).json();
    assert_eq!(told["mode"], "close_only", "{told}");
    assert!(told["reason"].as_str().unwrap().contains("`tidegate resume`"), "{told}");
    // Opening waits, closing goes on.
    world.put("b-1", "bob", "orders", Duration::from_secs(600));
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.wait_ended("a-1");

    world.restart();
    world.plane.order([Order::Resume(v1::Resume { integration_id: String::new() })]);
    world.plane.order([Order::SurveyNow(v1::SurveyNow { integration_id: INTEGRATION.into() })]);
    world.wait("b-1", "still accepted", |state| matches!(state, State::Accepted(_)));
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    let told = world.run(&["status"]).ended(0).out;
    assert!(told.contains("paused") && told.contains("beside the agent"), "{told}");

    // The pause of one stands when that of all is lifted.
    world.run(&["pause", INTEGRATION]).ended(0);
    let said = world.run(&["pause", INTEGRATION]).ended(0);
    assert!(said.out.contains("paused already on orders-db"), "{said:?}");
    let said = world.run(&["resume"]).ended(0);
    assert!(said.out.contains("1 integration has a pause of its own"), "{said:?}");
    world.health(&[]).ended(0);
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    world.run(&["resume", INTEGRATION]).ended(0);
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    assert!(world.run(&["pause", "other-db"]).ended(2).err.contains("no integration `other-db`"));
}

#[test]
fn the_log_level_changes_without_a_restart() {
    let bench = Bench::ready();
    let mut agent = Running::of(&bench);
    assert_eq!(bench.run(&["log-level"]).ended(0).out, "The log level is info.\n");
    assert_eq!(bench.run(&["log-level", "debug"]).ended(0).out, "The log level is debug; it was info.\n");
    agent.until("An operator changes the log level");
    assert_eq!(bench.run(&["status", "--json"]).ended(0).json()["log_level"], "debug");
    let detail = agent.until("Asked on the local socket");
    assert_eq!(detail["level"], "DEBUG", "{detail}");
    assert!(bench.run(&["log-level", "loud"]).ended(2).err.contains("give error, warn"));
}

#[test]
fn a_reload_takes_what_it_can_and_says_what_needs_a_restart() {
    let bench = Bench::ready();
    let mut agent = Running::of(&bench);
    let written = std::fs::read_to_string(bench.file()).unwrap();
    let changed = written
        .replace("#level = \"info\"", "level = \"debug\"")
        .replace("#reserve_mib = 16", "reserve_mib = 8");
    assert_ne!(changed, written);
    bench.write("tidegate.toml", &changed);
    agent.signal(Signal::HUP);
    agent.until("Reload asked for");
    let told = agent.until("Configuration read again");
    assert_eq!(
        (&told["taken"], &told["needs_restart"], &told["log_level"]),
        (&"log.level".into(), &"journal.reserve_mib".into(), &"DEBUG".into()),
        "{told}"
    );
    assert_eq!(bench.run(&["log-level"]).ended(0).out, "The log level is debug.\n");

    // One that is refused changes nothing, and every fault is told; so is a token that is gone.
    bench.write("tidegate.toml", &changed.replace("level = \"debug\"", "level = \"loud\""));
    std::fs::remove_file(bench.path("token")).unwrap();
    agent.signal(Signal::HUP);
    let told = agent.until("The token cannot be used");
    assert!(told["fault"].as_str().unwrap().contains("cannot be read"), "{told}");
    let told = agent.until("The configuration is refused");
    assert!(told["fault"].as_str().unwrap().contains("`log.level`"), "{told}");
    assert_eq!(bench.run(&["log-level"]).ended(3).code, 3, "the command reads the same file");
    bench.write("tidegate.toml", &written);
    agent.signal(Signal::HUP);
    let told = agent.until("Configuration read again");
    assert_eq!((&told["taken"], &told["needs_restart"]), (&"log.level".into(), &"nothing".into()), "{told}");
    agent.signal(Signal::TERM);
    assert_eq!(agent.code(), 0);
}

#[test]
fn a_target_that_cannot_be_read_is_told_once_for_each_reason_until_it_can() {
    let mut world = World::start(&[]);
    world.plane.order([world.led(8, &[("port", "1")])]);
    world.wait_health(8, v1::HealthState::Refused);
    let agent = world.agent();
    let failed = || agent.counted("tidegate_reads_total", "outcome=\"failed\"");
    // Check, survey and discovery, and all of them again.
    for most in [3.0, 6.0, 9.0] {
        until(|| (failed() >= most).then_some(()))
            .unwrap_or_else(|| panic!("{most} readings, not {}", failed()));
        agent.signal(Signal::HUP);
    }
    let told = agent.said("Reading the target failed");
    let readings: BTreeSet<_> =
        told.iter().map(|line| line["reading"].as_str().unwrap().to_owned()).collect();
    assert_eq!((told.len(), readings.len()), (3, 3), "{told:#?}");
    assert!(
        told.iter().all(|line| line["level"] == "WARN" && line["code"] == "binding_refused"),
        "{told:#?}"
    );
    world.plane.order([world.led(9, &[])]);
    world.wait_good(9);
    world.agent().until("Everything can be read from the target again");
    world.agent().signal(Signal::TERM);
    assert_eq!(world.agent().code(), 0);
    assert_eq!(world.agent().said("Everything can be read from the target again").len(), 1);
}

/// The names, kinds and labels of what is measured, as `/metrics` shows them.
fn measured(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        found.entry(name.into()).or_default().0 = kind.into();
    }
    for line in text.lines().filter(|line| line.starts_with("tidegate_")) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let base = part.filter(|base| found.contains_key(*base)).unwrap_or(name);
        let names = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once('='));
        let labels = names.map(|(label, _)| label.trim().to_owned()).filter(|label| label != "le");
        found.get_mut(base).unwrap_or_else(|| panic!("no kind is told of {line}")).1.extend(labels);
    }
    found
}

#[test]
fn metrics_are_those_of_the_list_with_their_kinds_and_labels() {
    let mut world = World::start(&[]);
    world.open("a-1", "zoe", "orders");
    world.put("a-2", "bob", "orders", Duration::from_secs(4));
    world.wait_ended("a-2");
    world.run(&["close", "--all", "--yes", "--reason", "a drill"]).ended(0);
    world.put("a-1", "zoe", "orders", Duration::from_secs(600));
    // The refused order and a heartbeat are the last things that are measured.
    let text = until(|| {
        let text = world.agent().get("/metrics");
        ["id_ended", "channel=\"wire\""].iter().all(|part| text.contains(part)).then_some(text)
    });
    let text = text.expect("a refused order and a heartbeat");
    let found = measured(&text);
    let listed: BTreeMap<_, _> = MEASURES
        .iter()
        .map(|one| {
            let labels: BTreeSet<_> = one.labels.iter().map(|label| (*label).to_owned()).collect();
            (one.name.to_owned(), (one.kind.word().to_owned(), labels))
        })
        .collect();
    assert_eq!(found, listed, "{text}");
    for series in [
        "tidegate_ended_total{verdict=\"expired\"} 1",
        "tidegate_ended_total{verdict=\"revoked\"} 1",
        "tidegate_close_lateness_seconds_count 1",
        "tidegate_close_seconds_count 2",
        "tidegate_alarms_total{code=\"break_glass\"} 1",
        "tidegate_integration_healthy{integration=\"orders-db\"} 1",
        "tidegate_integration_breaker_open{integration=\"orders-db\"} 0",
        "tidegate_link_up 1",
        "tidegate_journal_up 1",
        "tidegate_channel_capacity{channel=\"engine\"} 1024",
    ] {
        assert!(text.contains(&format!("\n{series}\n")), "{series}: {text}");
    }
    // Nobody is named there.
    assert!(!text.contains("zoe") && !text.contains("bob"), "{text}");
}

#[test]
fn readiness_tells_of_an_identity_that_cannot_be_saved_until_it_can() {
    let world = World::start(&[]);
    world.health(&[]).ended(0);
    let identity = |name: &str| world.bench.path("state").join(name);
    std::fs::rename(identity("identity"), identity("away")).unwrap();
    let Order::PutIntegration(mut changed) = world.integration() else { panic!("no integration") };
    changed.revision += 1;
    world.plane.order([Order::PutIntegration(changed)]);
    let told = until(|| {
        let told = world.health(&["--json"]).json();
        (told["identity"]["state"] == "bad").then_some(told)
    });
    let told = told.expect("the identity is told as bad");
    assert!(told["identity"]["reason"].as_str().unwrap().contains("mend its volume"), "{told}");
    world.health(&["--closing"]).ended(0);
    std::fs::rename(identity("away"), identity("identity")).unwrap();
    until(|| (world.health(&[]).code == 0).then_some(())).expect("it is ready again");
}
