//! It writes what may be taken for something else: statements, paths, lines of a log, orders to a terminal.

use std::fs::File;
use std::process::{Child, Stdio};

use proto::v1;
use proto::v1::control_message::Message;
use proto::v1::order::Order;

use super::{ask, changed, refusals, settled, wait_active, wait_failed};
use crate::bench::PASSWORD;
use crate::plane::{Lies, until};
use crate::world::World;

const EVIL: &str = "x'; drop table public.orders; --\"\n2026-01-01T00:00:00Z ERROR forged line\r\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}1m\u{202e}%s{}${jndi:ldap://127.0.0.1/a}../../etc/passwd";

/// The same in short, where names are.
const ODD: &str =
    "x'; drop table public.orders; --\"\n2026-01-01T00:00:00Z ERROR forged line\r\u{1b}[2J\u{9b}1m";

fn integration(world: &World, id: &str, change: impl FnOnce(&mut v1::PutIntegration)) -> Order {
    let mut put = v1::PutIntegration { integration_id: id.into(), ..world.put_integration(1, &[]) };
    change(&mut put);
    Order::PutIntegration(put)
}

#[test]
fn no_text_of_its_becomes_a_statement_a_path_or_a_line_of_the_log() {
    let mut world = World::start(&[]);
    world.plane.lie(Lies { version: EVIL.into(), ..Lies::default() });
    world.plane.hang_up();
    // Where any text is taken.
    world
        .plane
        .order([changed(ask("a-1", "ann"), |access| access.grantee.as_mut().unwrap().hint = EVIL.into())]);
    wait_active(&world, "a-1");
    let named = world.logins();
    let plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    assert!(named.len() == 1 && named.iter().all(plain), "{named:?}");
    let resource = |kind: &str, path: &[&str]| v1::ResourceId {
        kind: kind.into(),
        path: path.iter().map(|part| (*part).to_owned()).collect(),
    };
    let short = "orders\"; drop table public.orders; --\n\u{1b}[2J";
    let table = [
        ("a table", resource("postgresql-table", &["postgres", "public", short]), "READ_ONLY"),
        ("a schema", resource("postgresql-schema", &["postgres", short]), "ADMIN"),
        ("a database", resource("postgresql-database", &[short]), "ADMIN"),
        ("a role", resource("postgresql-role", &[short]), "Attach"),
        ("a kind", resource(ODD, &["postgres"]), "ADMIN"),
        ("a permission", resource("postgresql-database", &["postgres"]), ODD),
    ];
    for (n, (name, resource, permission)) in table.into_iter().enumerate() {
        let id = format!("b-{n}");
        world.plane.order([changed(ask(&id, &format!("bob-{n}")), |access| {
            access.entitlements[0] =
                v1::Entitlement { resource: Some(resource), permission: permission.into() };
        })]);
        let code = wait_failed(&world, &id);
        assert!(
            ["resource_missing", "permission_unknown", "name_refused"].contains(&code.as_str()),
            "{name}: {code}"
        );
    }
    // Where only ids are taken.
    let before = refusals(&world, "order_malformed").len();
    let odd = [
        changed(ask("c-1", "cy"), |access| access.access_id = EVIL.into()),
        changed(ask("c-2", "cy"), |access| access.integration_id = "../../etc".into()),
        changed(ask("c-3", "cy"), |access| access.grantee.as_mut().unwrap().id = EVIL.into()),
        Order::EndAccess(v1::EndAccess { access_id: "a/../../b".into() }),
        integration(&world, EVIL, |_| {}),
    ];
    let count = odd.len();
    world.plane.order(odd);
    settled(&world);
    assert_eq!(refusals(&world, "order_malformed").len() - before, count);
    // Integrations that lead nowhere, in odd words.
    let odd = [
        integration(&world, "d-1", |put| put.kind = ODD.into()),
        integration(&world, "d-2", |put| drop(put.settings.insert("hostname".into(), EVIL.into()))),
        integration(&world, "d-3", |put| drop(put.settings.insert("dbname".into(), EVIL.into()))),
        integration(&world, "d-4", |put| drop(put.settings.insert(ODD.into(), EVIL.into()))),
        integration(&world, "d-5", |put| drop(put.settings.insert("ca_certificates".into(), EVIL.into()))),
        integration(&world, "d-6", |put| put.secret_reference = format!("file://{EVIL}")),
    ];
    world.plane.order(odd);
    for n in 1..=6 {
        let id = format!("d-{n}");
        world.plane.until(&id, || {
            world.plane.told().into_iter().find_map(|told| match told {
                v1::report::Report::IntegrationHealth(health) if health.integration_id == id => {
                    assert_ne!(health.state(), v1::HealthState::Good, "{id}");
                    Some(())
                }
                _ => None,
            })
        });
    }
    world.plane.say(Message::Goodbye(v1::Goodbye { detail: EVIL.into(), ..v1::Goodbye::default() }));
    let said = until(|| {
        let lines = world.agent().said("dialling again");
        lines
            .iter()
            .any(|line| line["fault"].as_str().is_some_and(|it| it.contains("forged line")))
            .then_some(())
    });
    said.expect("the log has it, within its line");

    assert_eq!(world.server.psql("postgres", "select count(*) from public.orders").unwrap().trim(), "0");
    for line in world.agent().log() {
        assert!(line.is_object(), "a line that is none: {line}");
        assert_ne!(line["message"], "forged line", "{line}");
    }
    let metrics = world.agent().get("/metrics");
    assert!(!metrics.contains("forged") && !metrics.contains("owned"), "{metrics}");
    for args in [&["status"][..], &["bindings", "list"], &["journal", "list"], &["check"]] {
        let said = world.run(args);
        for text in [&said.out, &said.err] {
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r']), "{args:?}: {text:?}");
            assert!(
                !text.lines().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR")),
                "{args:?}: {text}"
            );
        }
    }
}

/// Ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_log_for_people_is_no_other_by_what_it_writes() {
    let mut world = World::without_integration(&[]);
    world.agent = None;
    world.plane.lie(Lies { version: EVIL.into(), ..Lies::default() });
    let path = world.bench.path("agent.log");
    let mut command = world.command(&["log.format=text", "log.level=debug"]);
    command.env("TIDEGATE_SECRET_PG", PASSWORD).stdout(Stdio::null()).stderr(File::create(&path).unwrap());
    let before = world.plane.sessions();
    let agent = Ended(command.spawn().unwrap());
    world.plane.until("it is connected", || (world.plane.sessions() > before).then_some(()));
    world.plane.order([changed(ask("a-1", "ann"), |access| access.access_id = EVIL.into())]);
    world.plane.until("it is refused", || refusals(&world, "order_malformed").pop());
    world.plane.say(Message::Goodbye(v1::Goodbye { detail: EVIL.into(), ..v1::Goodbye::default() }));
    world.plane.until("it dials again", || (world.plane.sessions() > before + 1).then_some(()));
    drop(agent);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("forged line"), "{text}");
    for line in text.lines() {
        let begins =
            line.starts_with("20") && line.get(10..11) == Some("T") && !line.starts_with("2026-01-01T");
        assert!(begins, "a line that is none: {line:?} in {text}");
        assert!(!line.contains(['\u{1b}', '\u{7}', '\r', '\u{9b}']), "it moves the cursor: {line:?}");
    }
}
