//! To which host which secret may be sent: what a control plane cannot change by itself, what goes on all the same, and
//! what a person beside the agent can do.

use std::collections::BTreeSet;
use std::time::Duration;

use journal::identity::IdentityStore;
use model::{DriverKind, IntegrationId, Secret};
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;
use proto::v1::{self, HealthState};
use seal::credential::{Place, seal_reference};
use serde_json::Value;
use services::postgres::{Ground, Mode};

use crate::door::Door;
use crate::plane::{until, until_within};
use crate::world::{INTEGRATION, World, put};

const REFERENCE: &str = "file://admin.json";
/// Some other authority; nobody has its key any more.
const OTHER_AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBjzCCATWgAwIBAgIURiz2XSZo+r1JIQjZt5kJYHrrK14wCgYIKoZIzj0EAwIw\n\
HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTIyMDgwNDA2WhgP\n\
MjEyNjEwMjkwODA0MDZaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw\n\
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEu2aa1uiOxQqM1oZOegM1JAl5bM14F9UG\n\
EPsuJGzitXugWFEJCcw9aNhtAxMmxns5Upugw50xsgUpipIxsw7VEKNTMFEwHQYD\n\
VR0OBBYEFIgyld+FJmuDDH3lEuyZ0zu2kOLNMB8GA1UdIwQYMBaAFIgyld+FJmuD\n\
DH3lEuyZ0zu2kOLNMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIg\n\
LOMuo3f9zYk2J9Q86S32hdVNU2d9x+7ri4nMCCvqa+MCIQCgqYirtdkkuQlIqjDE\n\
+lSpeQKBIdMfkOYn3KS0VxsbgQ==\n\
-----END CERTIFICATE-----\n
";

/// A world whose integration leads to the server through a door.
fn behind_a_door(settings: &[&str]) -> (World, Door) {
    behind_a_door_on(Ground::default(), settings)
}

fn behind_a_door_on(ground: Ground, settings: &[&str]) -> (World, Door) {
    let world = World::without_integration_on(ground, settings);
    let door = Door::to(world.server.port());
    world.plane.order([world.led(7, &[("port", &door.port())])]);
    world.wait_good(7);
    (world, door)
}

/// What was refused: as the control plane was told it.
fn refusal(world: &World, revision: u64) -> v1::Failure {
    let told = world.wait_health(revision, HealthState::Refused);
    let failure = told.failure.expect("a refusal has a reason");
    assert_eq!(failure.code, "binding_refused", "{failure:?}");
    failure
}

/// The command that a refusal names as the way out, as an operator would paste it.
fn way_out(detail: &str) -> Vec<&str> {
    let (_, command) = detail.split_once("run tidegate ").unwrap_or_else(|| panic!("no way out: {detail}"));
    assert!(!command.contains(['\'', '"', '\\']), "it needs no quotes here: {command}");
    command.split(' ').collect()
}

fn bound(world: &World) -> Vec<Value> {
    world.run(&["bindings", "list", "--json"]).ended(0).json().as_array().unwrap().clone()
}

#[test]
fn a_secret_that_was_not_read_is_bound_to_nothing() {
    let mut world = World::without_integration(&[]);
    let good = std::fs::read_to_string(world.bench.path("secrets/admin.json")).unwrap();
    let half = good.replace("username", "user");
    let elsewhere = world.bench.path("elsewhere.json");
    world.bench.write("elsewhere.json", &good);
    let admin = world.bench.path("secrets/admin.json");
    type Spoil<'s> = Box<dyn Fn(&World) + 's>;
    let table: Vec<(&str, Spoil<'_>, &str)> = vec![
        (
            "others may read it",
            Box::new(|world| world.bench.mode("secrets/admin.json", 0o644)),
            "secret_denied",
        ),
        (
            "others may write it",
            Box::new(|world| world.bench.mode("secrets/admin.json", 0o620)),
            "secret_denied",
        ),
        ("it is gone", Box::new(|_| std::fs::remove_file(&admin).unwrap()), "secret_missing"),
        ("it is a folder", Box::new(|_| std::fs::create_dir(&admin).unwrap()), "secret_denied"),
        (
            "it leads out of the folder",
            Box::new(|_| {
                std::fs::remove_dir(&admin).unwrap();
                std::os::unix::fs::symlink(&elsewhere, &admin).unwrap();
            }),
            "secret_denied",
        ),
        (
            "a key is missing",
            Box::new(|world| {
                std::fs::remove_file(&admin).unwrap();
                world.bench.write("secrets/admin.json", &half);
            }),
            "secret_malformed",
        ),
        ("it is empty", Box::new(|world| world.bench.write("secrets/admin.json", "")), "secret_malformed"),
        (
            "it is endless",
            Box::new(|world| world.bench.write("secrets/admin.json", &"x".repeat(2 << 20))),
            "secret_malformed",
        ),
    ];
    let mut revision = 7;
    for (name, spoil, code) in table {
        spoil(&world);
        revision += 1;
        world.plane.order([world.led(revision, &[])]);
        let failure = world.plane.until(name, || {
            world.plane.told().into_iter().find_map(|report| match report {
                Told::IntegrationHealth(told) if told.revision == revision => told.failure,
                _ => None,
            })
        });
        assert_eq!(failure.code, code, "{name}: {failure:?}");
        assert_eq!(bound(&world), Vec::<Value>::new(), "{name}: it is bound");
    }
    world.bench.write("secrets/admin.json", &good);
    world.plane.order([world.led(revision + 1, &[])]);
    world.wait_good(revision + 1);
    assert_eq!(bound(&world).len(), 1, "{:?}", bound(&world));
    world.agent().signal(rustix::process::Signal::TERM);
    assert_eq!(world.agent().code(), 0);
}

#[test]
fn a_secret_that_was_not_sent_is_bound_to_nothing() {
    let mut world = World::without_integration(&[]);
    // A wrong password is sent before it is refused.
    let mut wrong: Value =
        serde_json::from_str(&std::fs::read_to_string(world.bench.path("secrets/admin.json")).unwrap())
            .unwrap();
    wrong["password"] = "not the password".into();
    world.bench.write("secrets/admin.json", &wrong.to_string());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap().port().to_string();
    drop(nobody);
    let shut = Door::to_nobody("127.0.0.1:0");
    let silent = shut.port();
    type Row<'t> = (&'t str, Vec<(&'t str, &'t str)>, &'t str);
    let table: [Row<'_>; 4] = [
        ("nobody listens", vec![("port", &closed)], "unreachable"),
        ("whoever listens goes away", vec![("port", &silent)], "unreachable"),
        ("another authority", vec![("ca_certificates", OTHER_AUTHORITY)], "tls_refused"),
        ("it is sent", vec![], "login_refused"),
    ];
    let mut revision = 7;
    for (name, changed, code) in table {
        revision += 1;
        world.plane.order([world.led(revision, &changed)]);
        let failure = world.plane.until(name, || {
            world.plane.told().into_iter().find_map(|report| match report {
                Told::IntegrationHealth(told) if told.revision == revision => told.failure,
                _ => None,
            })
        });
        assert_eq!(failure.code, code, "{name}: {failure:?}");
        let pins = usize::from(code == "login_refused");
        let unbound = until(|| (bound(&world).len() == pins).then_some(()));
        assert!(unbound.is_some(), "{name}: {:?}", bound(&world));
    }
    assert_eq!(bound(&world).len(), 1, "{:?}", bound(&world));
    world.plane.order([world.led(revision + 1, &[("port", &closed)])]);
    refusal(&world, revision + 1);
    world.agent().signal(rustix::process::Signal::TERM);
    assert_eq!(world.agent().code(), 0);
}

#[test]
fn a_secret_goes_nowhere_else_because_the_control_plane_says_so() {
    let (mut world, door) = behind_a_door(&[]);
    world.open("a-1", "ann", "orders");
    let trap = Door::to_nobody("127.0.0.1:0");
    let other_host = Door::to_nobody(&format!("127.0.0.2:{}", door.port()));
    let (own, away) = (door.port(), trap.port());
    let came = door.came();
    let weaker =
        |mode: &'static str| vec![("port", own.as_str()), ("sslmode", mode), ("ca_certificates", "")];
    type Row<'t> = (&'t str, Vec<(&'t str, &'t str)>, &'t str, String);
    let table: [Row<'_>; 11] = [
        ("another port", vec![("port", &away)], REFERENCE, format!("port {away} instead of {own}")),
        (
            "another field of the same secret",
            vec![("port", &away)],
            "file://admin.json#other",
            format!("port {away} instead of {own}"),
        ),
        (
            "another host",
            vec![("port", &own), ("hostname", "127.0.0.2")],
            REFERENCE,
            "host \"127.0.0.2\" instead of \"127.0.0.1\"".into(),
        ),
        (
            "another name of the same host",
            vec![("port", &own), ("hostname", "localhost")],
            REFERENCE,
            "host \"localhost\" instead of \"127.0.0.1\"".into(),
        ),
        (
            "the name is not looked at",
            vec![("port", &own), ("sslmode", "verify-ca")],
            REFERENCE,
            "TLS floor verified_chain instead of at least verified_name".into(),
        ),
        ("nothing is looked at", weaker("require"), REFERENCE, "TLS floor encrypted instead of".into()),
        ("clear text if need be", weaker("prefer"), REFERENCE, "TLS floor none instead of".into()),
        ("clear text first", weaker("allow"), REFERENCE, "TLS floor none instead of".into()),
        ("clear text", weaker("disable"), REFERENCE, "TLS floor none instead of".into()),
        (
            "another authority",
            vec![("port", &own), ("ca_certificates", OTHER_AUTHORITY)],
            REFERENCE,
            "authorities sha256:".into(),
        ),
        (
            "whom the machine trusts",
            vec![("port", &own), ("ca_certificates", "")],
            REFERENCE,
            "authorities system instead of sha256:".into(),
        ),
    ];
    let mut revision = 7;
    for (name, changed, reference, differs) in table {
        revision += 1;
        let put = world.put_integration(revision, &changed);
        world
            .plane
            .order([Order::PutIntegration(v1::PutIntegration { secret_reference: reference.into(), ..put })]);
        let failure = refusal(&world, revision);
        assert_eq!(failure.certainty(), v1::Certainty::Refused, "{name}");
        let approve = format!("run tidegate bindings approve {REFERENCE} --kind postgres");
        for part in [reference, &differs, &approve] {
            assert!(failure.detail.contains(part), "{name}: {part}: {}", failure.detail);
        }
        let logged = until(|| {
            let said = world.agent().said("Reading the target failed");
            let told =
                |line: &Value| line["code"] == "binding_refused" && line["detail"] == failure.detail.as_str();
            said.iter().any(told).then_some(())
        });
        logged.unwrap_or_else(|| panic!("{name}: nothing of it is in the log"));
        let status = world.run(&["status", "--json"]).ended(0).json();
        let one = &status["work"]["integrations"][0];
        assert_eq!(
            (&one["health"]["state"], &one["health"]["code"], &one["moved"]),
            (&"refused".into(), &"binding_refused".into(), &true.into()),
            "{name}: {status}"
        );
        assert_eq!((trap.came(), other_host.came(), door.came()), (0, 0, came), "{name}: it was dialled");
    }
    assert_eq!(bound(&world).len(), 1);

    // Another integration that names the same secret is no way around it.
    let other = v1::PutIntegration {
        integration_id: "other-db".into(),
        ..world.put_integration(1, &[("port", &away)])
    };
    world.plane.order([Order::PutIntegration(other)]);
    assert!(refusal(&world, 1).detail.contains(&format!("port {away} instead of {own}")));

    // What is asked for there fails by its name; what was opened before is closed where it was opened.
    world.put("b-1", "bob", "orders", Duration::from_secs(600));
    let failed = world.wait("b-1", "failed", |state| matches!(state, State::Failed(_)));
    let State::Failed(failed) = failed else { panic!("{failed:?}") };
    assert_eq!(failed.code, "binding_refused");
    let before = world.logins();
    assert_eq!(before.len(), 1, "only ann: {before:?}");
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.wait_ended("a-1");
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    assert_eq!((trap.came(), other_host.came()), (0, 0));
    assert!(door.came() > came, "closing went through the door");
}

#[test]
fn what_was_opened_is_closed_where_it_was_opened_with_the_control_plane_away_and_after_a_crash() {
    let (mut world, door) = behind_a_door(&[]);
    world.open("a-1", "ann", "orders");
    world.put("b-1", "bob", "orders", Duration::from_secs(12));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    let trap = Door::to_nobody("127.0.0.1:0");
    world.plane.order([world.led(8, &[("port", &trap.port())])]);
    refusal(&world, 8);
    world.plane.leave();
    // The target is away as well, for a while.
    world.server.stop(Mode::Fast).unwrap();
    world.restart();
    let came = door.came();
    world.run(&["close", "--access", "a-1", "--yes", "--reason", "a drill", "--wait", "0s"]);
    until(|| (door.came() > came).then_some(())).expect("the close is tried where the account is");
    world.server.start().unwrap();
    until(|| world.logins().is_empty().then_some(())).expect("a-1 by the operator, b-1 by its deadline");
    world.plane.come_back();
    world.wait_ended("a-1");
    world.wait_ended("b-1");
    assert_eq!(trap.came(), 0);
}

#[test]
fn what_a_person_approves_is_let_through_and_the_old_place_stands() {
    approved(Ground::default());
}

#[test]
fn what_a_person_approves_is_let_through_on_18_with_the_least_privileged_admin() {
    approved(Ground::NARROW);
}

fn approved(ground: Ground) {
    let (mut world, door) = behind_a_door_on(ground, &[]);
    world.open("a-1", "ann", "orders");
    let (second, trap) = (Door::to(world.server.port()), Door::to_nobody("127.0.0.1:0"));
    world.plane.order([world.led(8, &[("port", &second.port())])]);
    let refused = refusal(&world, 8);
    assert_eq!(second.came(), 0);
    let listed = || {
        let told = world.plane.told().into_iter();
        told.filter(|report| matches!(report, Told::ResourcePage(page) if page.complete)).count()
    };
    let before = listed();
    let said = world.run(&way_out(&refused.detail)).ended(0);
    assert!(said.out.contains("The running agent looks at its targets again now."), "{said:?}");
    world.wait_good(8);
    assert!(second.came() > 0);
    // Not only a minute after the discovery that was refused.
    until_within(Duration::from_secs(40), || (listed() > before).then_some(())).expect("it is listed, too");
    let status = world.run(&["status", "--json"]).ended(0).json();
    assert_eq!(status["work"]["integrations"][0]["moved"], false, "{status}");
    let listed = bound(&world);
    let origins: BTreeSet<_> = listed.iter().map(|one| one["binding"]["origin"].as_str().unwrap()).collect();
    assert_eq!(origins, ["approved", "pinned"].into(), "{listed:?}");

    // It is the same server: what was opened through one door is closed through the other, and more opens.
    world.open("b-1", "bob", "orders");
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.wait_ended("a-1");
    assert_eq!(world.logins().len(), 1, "{:?}", world.logins());
    world.plane.order([world.led(9, &[("port", &door.port())])]);
    world.wait_good(9);

    // Taken back, it is refused again.
    world.plane.order([world.led(10, &[("port", &trap.port())])]);
    refusal(&world, 10);
    // A running agent would pin the secret anew at its next look.
    world.agent = None;
    let said = world.run(&["bindings", "remove", REFERENCE]).ended(0);
    for part in
        ["bound to nothing any more", "next look at the target", "set `secrets.bindings` to \"strict\""]
    {
        assert!(said.out.contains(part), "{part}: {said:?}");
    }
    assert!(bound(&world).is_empty());
    assert!(world.run(&["bindings", "remove", REFERENCE]).ended(2).err.contains("is bound to nothing"));
}

#[test]
fn another_server_behind_an_approved_place_opens_nothing_and_keeps_nothing_from_closing() {
    // The secret opens both, as it would a copy of the first.
    let secret = r#"{"username": "keeper", "password": "the same on both"}"#;
    let role = "create role keeper superuser login password 'the same on both'";
    let (world, decoy) = (World::without_integration(&[]), World::without_integration(&[]));
    for one in [&world, &decoy] {
        one.server.psql("postgres", role).unwrap();
    }
    world.bench.write("secrets/admin.json", secret);
    world.plane.order([world.integration()]);
    world.wait_good(7);
    world.open("a-1", "ann", "orders");
    let ca = std::fs::read_to_string(decoy.server.ca_file()).unwrap();
    let port = decoy.server.port().to_string();
    world.plane.order([world.led(8, &[("port", &port), ("ca_certificates", &ca)])]);
    let refused = refusal(&world, 8);
    world.plane.order([world.led(9, &[])]);
    world.wait_good(9);
    world.run(&way_out(&refused.detail)).ended(0);
    // Asked for in one breath: the first to come there opens, or looks.
    let there = world.led(10, &[("port", &port), ("ca_certificates", &ca)]);
    world.plane.order([there, put("b-1", "bob", "orders", Duration::from_secs(600))]);
    world.plane.until("the alarm is raised", || {
        let replaced =
            |report: &Told| matches!(report, Told::Alarm(alarm) if alarm.code == "target_replaced");
        world.plane.reports().iter().any(replaced).then_some(())
    });
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.wait_ended("a-1");
    let keeper = ["keeper".to_owned()];
    assert_eq!(world.logins(), keeper, "closed where it was opened");
    assert_eq!(decoy.logins(), keeper, "nothing is made where another server answers");
    assert!(decoy.accounts().is_empty(), "{:?}", decoy.accounts());
}

#[test]
fn strict_mode_uses_nothing_that_was_not_approved_before() {
    let mut world = World::without_integration(&["secrets.bindings=strict"]);
    let door = Door::to(world.server.port());
    world.plane.order([world.led(7, &[("port", &door.port())])]);
    let refused = refusal(&world, 7);
    assert!(refused.detail.contains("is bound to nothing, and strict mode pins nothing"), "{refused:?}");
    assert!(bound(&world).is_empty());
    world.put("a-1", "ann", "orders", Duration::from_secs(3600));
    world.restart();
    let checked = world.run(&["check", "--set", "secrets.bindings=strict"]);
    assert_ne!(checked.code, 0, "{checked:?}");
    assert_eq!((door.came(), world.logins().len()), (0, 0));
    world.run(&way_out(&refused.detail)).ended(0);
    world.wait_good(7);
    world.wait("a-1", "active", |state| matches!(state, State::Active(_)));
    world.restart();
    world.plane.order([Order::CheckNow(v1::CheckNow { integration_id: INTEGRATION.into() })]);
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.wait_ended("a-1");
    let said = world.run(&["bindings", "remove", REFERENCE, "--set", "secrets.bindings=strict"]).ended(0);
    assert!(said.out.contains("sent nowhere before") && !said.out.contains("anew"), "{said:?}");
}

#[test]
fn of_first_uses_at_once_only_one_is_the_first() {
    const PAIRS: usize = 6;
    let world = World::without_integration(&[]);
    let doors = [Door::to(world.server.port()), Door::to(world.server.port())];
    let secret = std::fs::read_to_string(world.bench.path("secrets/admin.json")).unwrap();
    let mut orders = vec![];
    for pair in 0..PAIRS {
        world.bench.write(&format!("secrets/{pair}.json"), &secret);
        for (n, door) in doors.iter().enumerate() {
            orders.push(Order::PutIntegration(v1::PutIntegration {
                integration_id: format!("pair-{pair}-{n}"),
                secret_reference: format!("file://{pair}.json"),
                ..world.put_integration(1, &[("port", &door.port())])
            }));
        }
    }
    world.plane.order(orders);
    for pair in 0..PAIRS {
        let stands = |n: usize| {
            let id = format!("pair-{pair}-{n}");
            world.plane.until(&id, || {
                world.plane.told().into_iter().find_map(|report| match report {
                    Told::IntegrationHealth(told) if told.integration_id == id => Some(told.state()),
                    _ => None,
                })
            })
        };
        let mut both = [stands(0), stands(1)];
        both.sort();
        assert_eq!(both, [HealthState::Good, HealthState::Refused], "pair {pair}");
    }
    assert_eq!(bound(&world).len(), PAIRS);
}

#[test]
fn lost_or_altered_pins_send_nothing_until_a_person_mends_them() {
    let (mut world, door) = behind_a_door(&[]);
    world.open("a-1", "ann", "orders");
    let pins = world.bench.path("state/identity/pins.json");
    let kept = std::fs::read_to_string(&pins).unwrap();

    // While it runs it remembers what was allowed: closing waits for no file.
    std::fs::remove_file(&pins).unwrap();
    world.plane.order([world.led(8, &[("port", &door.port()), ("connect_timeout", "9s")])]);
    world.wait_good(8);
    let told = world.agent().until("The bindings cannot be read");
    assert!(told["fault"].as_str().unwrap().contains("pins.json is missing"), "{told}");
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "a-1".into() })]);
    world.wait_ended("a-1");

    let trap = Door::to_nobody("127.0.0.1:0");
    let altered = kept.replace(&door.port(), &trap.port());
    assert_ne!(altered, kept);
    let table = [
        (9, None, "pins.json is missing: restore it from a backup of the identity"),
        (10, Some(altered), "was changed by somebody else, its MAC does not verify"),
    ];
    let mut came = 0;
    for (revision, text, reason) in table {
        world.agent = None;
        match text {
            Some(text) => world.bench.write("state/identity/pins.json", &text),
            None => assert!(!pins.exists()),
        }
        came = door.came();
        world.begin();
        world.plane.order([world.led(revision, &[("port", &door.port())])]);
        let refused = refusal(&world, revision);
        for part in [reason, "`tidegate bindings reset` begins with none"] {
            assert!(refused.detail.contains(part), "{part}: {refused:?}");
        }
        assert_eq!((door.came(), trap.came()), (came, 0), "{reason}: it was dialled");
        assert!(world.run(&["bindings", "list"]).ended(4).err.contains("pins.json"));
    }
    // From a backup it goes on.
    world.bench.write("state/identity/pins.json", &kept);
    world.plane.order([world.led(11, &[("port", &door.port())])]);
    world.wait_good(11);
    assert!(door.came() > came);

    // Without one a person begins anew, and knows what that means.
    std::fs::remove_file(&pins).unwrap();
    assert!(world.run(&["bindings", "reset"]).ended(2).err.contains("every grantee's key: add --yes"));
    world.run(&["bindings", "reset", "--yes"]).ended(0);
    assert!(bound(&world).is_empty());
    world.restart();
    world.plane.order([world.led(12, &[("port", &door.port())])]);
    world.wait_good(12);
    assert_eq!(bound(&world).len(), 1);
}

#[test]
fn a_sealed_secret_opens_only_where_it_was_sealed_for_and_is_bound_there() {
    let world = World::without_integration(&[]);
    let door = Door::to(world.server.port());
    let trap = Door::to_nobody(&format!("127.0.0.2:{}", door.port()));
    let identity = IdentityStore::open(&world.bench.path("state/identity")).unwrap().load().unwrap();
    let secret = std::fs::read_to_string(world.bench.path("secrets/admin.json")).unwrap();
    let (id, kind) = (IntegrationId::parse(INTEGRATION).unwrap(), DriverKind("postgres".into()));
    let place = Place { integration: &id, kind: &kind, host: "127.0.0.1", tls_floor: "verified_name" };
    let sealed =
        seal_reference(identity.sealing[0].public(), &place, &Secret::new(secret)).unwrap().to_string();
    let (own, away) = (door.port(), Door::to_nobody("127.0.0.1:0"));
    let away_port = away.port();
    let elsewhere = "sealed for another place than integration orders-db, kind postgres";
    type Row<'t> = (&'t str, &'t [(&'t str, &'t str)], &'t str, Option<(&'t str, &'t str)>);
    let table: [Row<'_>; 5] = [
        (
            "another host",
            &[("port", &own), ("hostname", "127.0.0.2")],
            INTEGRATION,
            Some(("secret_denied", elsewhere)),
        ),
        (
            "weaker TLS",
            &[("port", &own), ("sslmode", "verify-ca")],
            INTEGRATION,
            Some(("secret_denied", elsewhere)),
        ),
        (
            "another integration",
            &[("port", &own)],
            "other-db",
            Some(("secret_denied", "integration other-db")),
        ),
        ("its own place", &[("port", &own)], INTEGRATION, None),
        ("another port", &[("port", &away_port)], INTEGRATION, Some(("binding_refused", "port"))),
    ];
    for (revision, (name, changed, integration, expected)) in (1..).zip(table) {
        let came = door.came();
        world.plane.order([Order::PutIntegration(v1::PutIntegration {
            integration_id: integration.into(),
            secret_reference: sealed.clone(),
            ..world.put_integration(revision, changed)
        })]);
        let Some((code, part)) = expected else {
            world.wait_good(revision);
            continue;
        };
        let told = world.plane.until(name, || {
            world.plane.told().into_iter().find_map(|report| match report {
                Told::IntegrationHealth(told) if told.revision == revision => told.failure,
                _ => None,
            })
        });
        assert_eq!(told.code, code, "{name}: {told:?}");
        assert!(told.detail.contains(part), "{name}: {told:?}");
        assert_eq!((trap.came(), away.came(), door.came()), (0, 0, came), "{name}: it was dialled");
    }
    assert_eq!(bound(&world).len(), 1, "what did not open bound nothing");
}
