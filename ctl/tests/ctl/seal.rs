use model::{DriverKind, IntegrationId};
use seal::credential::{Place, SealedReference, open_reference};
use seal::keys::SealingKey;
use serde_json::json;

use crate::samples::connector;
use crate::world::World;

const SECRET: &str = "{\"username\": \"admin\", \"password\": \"Zx9-clear\"}";
const PLACE: [&str; 8] =
    ["--integration", "shop-db", "--kind", "postgres", "--host", "DB.example.com", "--tls", "verified_name"];

fn opened(key: &SealingKey, reference: &str) -> Option<String> {
    let (integration, kind) = (IntegrationId::parse("shop-db").unwrap(), DriverKind("postgres".into()));
    let place =
        Place { integration: &integration, kind: &kind, host: "db.example.com", tls_floor: "verified_name" };
    let reference: SealedReference = reference.trim().parse().unwrap();
    open_reference(key, &place, &reference).ok().map(|clear| clear.expose().to_owned())
}

fn seal(world: &World, more: &[&str], input: &str) -> crate::world::Ended {
    let mut args = vec!["seal", "--from", "-"];
    args.extend(PLACE);
    args.extend(more);
    world.feed(&args, input)
}

#[test]
fn it_needs_no_server_and_opens_only_in_its_place() {
    let world = World::fresh();
    let key = SealingKey::generate().unwrap();
    let text = key.public().to_base64();
    let out = seal(&world, &["--key", &text], SECRET).ok();
    assert!(out.starts_with("sealed://") && out.lines().count() == 1, "{out}");
    assert_eq!(opened(&key, &out).as_deref(), Some(SECRET));
    assert_eq!(opened(&SealingKey::generate().unwrap(), &out), None);
    assert!(secrets::Reference::parse(out.trim()).is_ok(), "the agent takes it as a reference");
    let file = world.write("secret", "username=a\npassword=b");
    let mut args = vec!["seal", "--from", &file, "--key", &text, "-o", "json"];
    args.extend(PLACE);
    assert_eq!(world.run(&args).json()["key_fingerprint"], key.public().fingerprint());
    assert_eq!(world.server.seen().len(), 0);
}

#[test]
fn a_key_from_the_server_is_to_be_compared() {
    let world = World::logged_in();
    let (key, old, receipts) =
        (SealingKey::generate().unwrap(), SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
    let shown = |key: &SealingKey, purpose: &str, current: bool| json!({ "purpose": purpose, "key_id": key.id(), "public_key": key.public().to_base64(), "fingerprint": "00", "current": current });
    let keys = json!([
        shown(&receipts, "receipts", true),
        shown(&old, "sealing", false),
        shown(&key, "sealing", true)
    ]);
    world.server.json("GET", "/connectors/eu", connector("eu", &keys));
    let ended = seal(&world, &["--connector", "eu"], SECRET);
    assert!(ended.err.contains("warning") && ended.err.contains(&key.public().fingerprint()), "{ended:?}");
    assert_eq!(opened(&key, &ended.ok()).as_deref(), Some(SECRET));
    let fingerprint = key.public().fingerprint();
    let ended = seal(&world, &["--connector", "eu", "--fingerprint", &fingerprint], SECRET);
    assert_eq!(ended.err, "");
    ended.ok();
    let wrong = old.public().fingerprint();
    seal(&world, &["--connector", "eu", "--fingerprint", &wrong], SECRET)
        .fails(1, &[&fingerprint, &wrong, "tidegate keys show"]);
    world.server.forget("GET", "/connectors/eu").json("GET", "/connectors/eu", connector("eu", &json!([])));
    seal(&world, &["--connector", "eu"], SECRET).fails(4, &["has told none yet"]);
    assert_eq!(world.server.seen()[0].path, "/api/v1/connectors/eu");
}

#[test]
fn what_the_agent_could_not_read_is_not_sealed() {
    let world = World::fresh();
    let text = SealingKey::generate().unwrap().public().to_base64();
    let key = ["--key", text.as_str()];
    for bad in ["Zx9-clear", "", "{\"password\": \"Zx9-clear", "password=Zx9-clear\npassword=Zx9-clear"] {
        let err = seal(&world, &key, bad).fails(2, &["could not read the secret"]);
        assert!(!err.contains("Zx9"), "{err}");
    }
    seal(&world, &["--key", "AAAA"], SECRET).fails(2, &["find the connector's key"]);
    seal(&world, &[], SECRET).fails(2, &["--connector"]);
    let mut args = vec!["seal", "--from", "-", "--key", &text];
    args.extend([
        "--integration",
        "shop-db",
        "--kind",
        "postgres",
        "--host",
        "db:5432",
        "--tls",
        "verified_name",
    ]);
    world.feed(&args, SECRET).fails(2, &["without scheme and port"]);
    args.extend(["--tls", "verify-full"]);
    world.feed(&args, SECRET).fails(2, &["error"]);
}
