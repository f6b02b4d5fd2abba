//! It wants an admin password: by references to what is no secret, by a server of its own, by what a grantee may read.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use proto::v1;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;

use super::{ask, changed, wait_active, wait_failed};
use crate::door::Door;
use crate::world::World;

/// How an integration's health was told at that revision.
fn told(world: &World, integration: &str, revision: u64) -> v1::IntegrationHealth {
    world.plane.until(&format!("{integration} at {revision} was looked at"), || {
        world.plane.told().into_iter().find_map(|told| match told {
            Told::IntegrationHealth(health)
                if health.integration_id == integration && health.revision == revision =>
            {
                Some(health)
            }
            _ => None,
        })
    })
}

#[test]
fn no_reference_leads_to_what_is_no_secret() {
    let mut world = World::without_integration(&[]);
    // What lies beside the secrets, and a way to it that only somebody on the machine could make.
    world.bench.write("state/beside.json", r#"{"username": "eve", "password": "hunter2-password"}"#);
    std::os::unix::fs::symlink(world.bench.path("state/beside.json"), world.bench.path("secrets/way.json"))
        .unwrap();
    let trap = Door::to_nobody("127.0.0.1:0");
    let table = [
        "file:///etc/passwd",
        "file://../token",
        "file://../state/identity/identity.json",
        "file://a/../../token",
        "file://way.json",
        "file://.",
        "file://admin.json/../../token",
        "file://admin\0.json",
        "env://PATH",
        "env://TIDEGATE_CONFIG",
        "env://TIDEGATE_TOKEN_FILE",
        "vault://kv/pg",
        "https://169.254.169.254/latest/meta-data/",
        "sealed://1/0123456789abcdef/AAAA",
        "hunter2",
    ];
    for (revision, reference) in (1..).zip(table) {
        let put = world.put_integration(revision, &[("port", &trap.port()), ("sslmode", "disable")]);
        world.plane.order([Order::PutIntegration(v1::PutIntegration {
            integration_id: "eve-db".into(),
            secret_reference: reference.into(),
            ..put
        })]);
        let health = told(&world, "eve-db", revision);
        assert_ne!(health.state(), v1::HealthState::Good, "{reference}");
        let failure = health.failure.unwrap_or_else(|| panic!("{reference}: no reason"));
        assert!(
            ["secret_denied", "secret_missing", "secret_malformed", "config_refused"]
                .contains(&failure.code.as_str()),
            "{reference}: {failure:?}"
        );
        assert_eq!(trap.came(), 0, "{reference}: its server was dialled");
    }
    // A driver that this build has not is no way to a secret, either.
    let put = world.put_integration(99, &[("port", &trap.port())]);
    world.plane.order([Order::PutIntegration(v1::PutIntegration { kind: "mysql".into(), ..put })]);
    let health = world.wait_health(99, v1::HealthState::Refused);
    assert_eq!(health.failure.map(|failure| failure.code).as_deref(), Some("config_refused"));
    assert_eq!(trap.came(), 0);
    assert!(world.agent().said("panicked").is_empty());
}

/// A server of the enemy's: takes a login without TLS and asks for the password in a way of its choice. It hears all that
/// is said to it.
fn server_that_asks(how: &'static [u8]) -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let (heard, hears) = mpsc::sync_channel(64);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let heard = heard.clone();
            std::thread::spawn(move || drop(heard.send(converse(stream, how))));
        }
    });
    (port, hears)
}

fn converse(mut stream: TcpStream, how: &[u8]) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (mut all, mut bytes) = (vec![], [0; 4096]);
    let mut asked = false;
    while let Ok(read @ 1..) = stream.read(&mut bytes) {
        all.extend(&bytes[..read]);
        let is_tls_request = bytes[..read].ends_with(&[0x04, 0xd2, 0x16, 0x2f]);
        let answer = if is_tls_request { &b"N"[..] } else { how };
        if asked && !is_tls_request {
            break;
        }
        asked |= !is_tls_request;
        if stream.write_all(answer).is_err() {
            break;
        }
    }
    all
}

#[test]
fn a_server_of_the_enemys_gets_no_password_in_clear_text_or_as_md5() {
    let world = World::without_integration(&[]);
    let secret: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(world.bench.path("secrets/admin.json")).unwrap())
            .unwrap();
    let password = secret["password"].as_str().unwrap().as_bytes();
    let table: [(&str, &'static [u8], &str); 2] = [
        ("in clear text", b"R\0\0\0\x08\0\0\0\x03", "clear"),
        ("as MD5", b"R\0\0\0\x0c\0\0\0\x05salt", "md5"),
    ];
    for (revision, (name, how, id)) in (1..).zip(table) {
        let (port, hears) = server_that_asks(how);
        let put = world.put_integration(
            revision,
            &[("port", port.as_str()), ("sslmode", "prefer"), ("ca_certificates", "")],
        );
        // A reference of its own, never used before: it may be sent anywhere.
        let copy = std::fs::read_to_string(world.bench.path("secrets/admin.json")).unwrap();
        world.bench.write(&format!("secrets/{id}.json"), &copy);
        world.plane.order([Order::PutIntegration(v1::PutIntegration {
            integration_id: format!("eve-{id}"),
            secret_reference: format!("file://{id}.json"),
            ..put
        })]);
        let health = told(&world, &format!("eve-{id}"), revision);
        assert_ne!(health.state(), v1::HealthState::Good, "{name}");
        let heard = hears.recv_timeout(Duration::from_secs(60)).expect("the server was dialled");
        let has = |needle: &[u8]| heard.windows(needle.len()).any(|window| window == needle);
        assert!(!has(password), "{name}: the password was sent");
        assert!(!has(b"md5"), "{name}: its MD5 was sent");
    }
}

#[test]
fn no_grantee_may_read_the_verifiers_of_logins_or_the_servers_files() {
    let world = World::start(&[]);
    let table: [(&str, &[&str], &str); 8] = [
        ("postgresql-table", &["postgres", "pg_catalog", "pg_authid"], "READ_ONLY"),
        ("postgresql-table", &["postgres", "pg_catalog", "pg_shadow"], "READ_ONLY"),
        ("postgresql-table", &["postgres", "pg_catalog", "pg_authid"], "ADMIN"),
        ("postgresql-schema", &["postgres", "pg_catalog"], "READ_ONLY"),
        // It would give the right to run pg_read_file.
        ("postgresql-schema", &["postgres", "pg_catalog"], "ADMIN"),
        ("postgresql-schema", &["postgres", "information_schema"], "ADMIN"),
        ("postgresql-role", &["pg_read_server_files"], "Attach"),
        ("postgresql-role", &["pg_execute_server_program"], "Attach"),
    ];
    for (n, (kind, path, permission)) in table.into_iter().enumerate() {
        let (access, grantee) = (format!("a-{n}"), format!("eve-{n}"));
        let asked = changed(ask(&access, &grantee), |access| {
            access.entitlements[0].resource = Some(v1::ResourceId {
                kind: kind.into(),
                path: path.iter().map(|part| (*part).to_owned()).collect(),
            });
            access.entitlements[0].permission = permission.into();
        });
        world.plane.order([asked]);
        assert_eq!(wait_failed(&world, &access), "permission_refused", "{permission} on {path:?}");
    }
    let given = "select count(*) from pg_class c cross join aclexplode(c.relacl) a where c.relname in ('pg_authid', 'pg_shadow') and a.grantee <> c.relowner";
    assert_eq!(world.server.psql("postgres", given).unwrap().trim(), "0");
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    // The superuser as a role to be attached, what no driver offers, and what makes accounts.
    let owner = world.server.superuser().to_owned();
    world.server.psql("postgres", "create role maker createrole; create role copier replication").unwrap();
    let table: [(&[&str], &str, &str); 6] = [
        (&[&owner], "Attach", "permission_refused"),
        (&["maker"], "Attach", "permission_refused"),
        (&["copier"], "Attach", "permission_refused"),
        (&["tidegate_managed"], "Attach", "permission_refused"),
        (&["maker"], "SUPERUSER", "permission_unknown"),
        (&["maker"], "ADMIN", "permission_unknown"),
    ];
    for (n, (path, permission, code)) in table.into_iter().enumerate() {
        let (access, grantee) = (format!("b-{n}"), format!("mallory-{n}"));
        let asked = changed(ask(&access, &grantee), |access| {
            access.entitlements[0].resource = Some(v1::ResourceId {
                kind: "postgresql-role".into(),
                path: path.iter().map(|part| (*part).to_owned()).collect(),
            });
            access.entitlements[0].permission = permission.into();
        });
        world.plane.order([asked]);
        assert_eq!(wait_failed(&world, &access), code, "{permission} on {path:?}");
    }
    // What the driver does offer is given: nothing here stands against it.
    let admin = changed(ask("c-1", "eve"), |access| {
        access.entitlements[0].resource =
            Some(v1::ResourceId { kind: "postgresql-database".into(), path: vec!["postgres".into()] });
        access.entitlements[0].permission = "ADMIN".into();
    });
    world.plane.order([admin]);
    wait_active(&world, "c-1");
}
