use serde_json::json;

use crate::samples::{self, credential};
use crate::world::World;

const CLEAR: &str = "Zx9_clear:pass\\word-Qw7";
const PATH: &str = "/requests/acc-1/credential";

fn sealed_for_ann() -> World {
    let world = World::logged_in();
    world.server.json("GET", PATH, credential("acc-1", samples::ANN, 1, &world.public_key(), CLEAR));
    world
}

#[test]
fn a_password_does_not_slip_into_a_file() {
    let world = sealed_for_ann();
    world.run(&["credential", "acc-1"]).fails(2, &["the output is no terminal", "--show or -o json"]);
    assert_eq!(world.server.seen().len(), 0, "it is not even fetched");
}

#[test]
fn it_is_printed_at_a_terminal_or_when_asked_for() {
    let world = sealed_for_ann();
    let expected = format!(
        "account      tg_ann_x7k2\npassword     {CLEAR}\nintegration  shop-db\ngeneration   1\n\
         details      Ask #dba first.\n\nHow to connect\n\
         psql  psql 'host=127.0.0.1 port=5433 dbname=shop user=tg_ann_x7k2'\n\
         uri   postgresql://tg_ann_x7k2@127.0.0.1:5433/shop?sslmode=verify-full\n"
    );
    assert_eq!(world.run(&["credential", "acc-1", "--show"]).ok(), expected);
    assert_eq!(world.at_terminal(&["credential", "acc-1"], true).ok(), expected);
    let value = world.run(&["credential", "acc-1", "-o", "json"]).json();
    assert_eq!((&value["password"], &value["account_name"]), (&json!(CLEAR), &json!("tg_ann_x7k2")));
}

#[test]
fn what_is_not_ours_or_was_changed_does_not_open() {
    let world = World::logged_in();
    let ours = world.public_key();
    let other = seal::keys::SealingKey::generate().unwrap().public().to_grantee_key();
    let mut changed = credential("acc-1", samples::ANN, 1, &ours, CLEAR);
    changed["account"] = json!("6f1f9c1e-6a53-4a35-9e2b-222222222222");
    let mut garbled = credential("acc-1", samples::ANN, 1, &ours, CLEAR);
    garbled["sealed"]["ciphertext"] = json!("AAAA");
    let table: [(&str, serde_json::Value, i32, &[&str]); 4] = [
        (
            "somebody else's",
            credential("acc-1", "usr-bob", 1, &ours, CLEAR),
            3,
            &["sealed for usr-bob", "log in as the grantee"],
        ),
        (
            "another key",
            credential("acc-1", samples::ANN, 1, &other, CLEAR),
            1,
            &["it was sealed to the key", "credential acc-1 --rotate"],
        ),
        ("another account's", changed, 1, &["changed on its way"]),
        ("garbled", garbled, 1, &["could not open the credential of acc-1"]),
    ];
    for (name, value, code, words) in table {
        world.server.forget("GET", PATH).json("GET", PATH, value);
        let err = world.run(&["credential", "acc-1", "--show"]).fails(code, words);
        assert!(!err.contains(CLEAR), "{name}");
    }
    world.server.forget("GET", PATH).refuse("GET", PATH, 404, "not_found", "there is no credential `acc-1`");
    world.run(&["credential", "acc-1", "--show"]).fails(4, &["there is no credential"]);
    std::fs::remove_file(world.config("ctl-key")).unwrap();
    world.server.forget("GET", PATH).json("GET", PATH, credential("acc-1", samples::ANN, 1, &ours, CLEAR));
    world.run(&["credential", "acc-1", "--show"]).fails(1, &["there is no key in this folder"]);
}

#[test]
fn a_new_credential_is_waited_for() {
    let world = World::logged_in();
    let other = seal::keys::SealingKey::generate().unwrap().public().to_grantee_key();
    let old = credential("acc-1", samples::ANN, 1, &other, CLEAR);
    world.server.json("GET", PATH, old.clone()).json("GET", PATH, old.clone());
    world.server.json("GET", PATH, credential("acc-1", samples::ANN, 2, &world.public_key(), "new"));
    let ordered = json!({ "connector": "eu", "position": 8, "connected": true });
    world.server.json("POST", "/requests/acc-1/credential/rotate", ordered);
    let value = world.run(&["credential", "acc-1", "--rotate", "-o", "json"]).json();
    assert_eq!((&value["password"], &value["generation"]), (&json!("new"), &json!(2)));
    world.server.forget("GET", PATH).json("GET", PATH, old);
    world
        .run(&["credential", "acc-1", "--rotate", "--wait", "600ms", "--show"])
        .fails(5, &["did not come within 600ms"]);
}
