use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::samples;
use crate::world::{TOKEN, World, mode};

#[test]
fn it_keeps_what_is_needed_and_registers_a_key() {
    let world = World::fresh();
    world.server.json("GET", "/session", samples::session(samples::ANN, "ann@example.com"));
    world.server.refuse("GET", "/me/key", 404, "not_found", "there is no key yet");
    world.server.json("PUT", "/me/key", samples::key("x"));
    let out = world.login(&[]).ok();
    let fingerprint = seal::keys::SealingPublic::try_from(&world.public_key()).unwrap().fingerprint();
    assert_eq!(
        out,
        format!(
            "Logged in to {} as ann@example.com.\nroles          approver, requester\n\
             token expires  2026-06-01T10:00:00Z\nkey            {fingerprint}\n",
            world.server.url()
        )
    );
    let seen = world.server.seen();
    let calls: Vec<_> = seen.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    assert_eq!(calls, ["GET /api/v1/session", "GET /api/v1/me/key", "PUT /api/v1/me/key"]);
    assert!(seen.iter().all(|one| one.bearer == format!("Bearer {TOKEN}")), "{seen:?}");
    assert_eq!(seen[2].body, json!({ "public_key": world.public_key().0 }));
    assert_eq!(mode(&world.path("config")), 0o700);
    for name in ["ctl.toml", "ctl-token", "ctl-key"] {
        assert_eq!(mode(&world.config(name)), 0o600, "{name}");
    }
    let settings = fs::read_to_string(world.config("ctl.toml")).unwrap();
    assert!(settings.contains("usr-ann") && !settings.contains(TOKEN), "{settings}");
    assert_eq!(fs::read_dir(world.path("config")).unwrap().count(), 3, "nothing else is left");
}

#[test]
fn a_second_login_keeps_server_and_key() {
    let world = World::logged_in();
    let key = world.public_key();
    world.server.forget("GET", "/me/key").json("GET", "/me/key", samples::key(&key.0));
    let out = world.feed(&["login", "--token-file", "-", "-o", "json"], "tgu_another\n").json();
    assert_eq!(out["session"]["user"]["email"], "ann@example.com");
    let seen = world.server.seen();
    assert_eq!(seen.iter().map(|one| one.method.as_str()).collect::<Vec<_>>(), ["GET", "GET"]);
    assert_eq!(seen[0].bearer, "Bearer tgu_another");
    assert_eq!(world.public_key(), key);
    assert_eq!(fs::read_to_string(world.config("ctl-token")).unwrap(), "tgu_another\n");
}

#[test]
fn a_key_that_is_registered_elsewhere_is_not_replaced_unasked() {
    let world = World::fresh();
    let other = "q83vASNFZ4mrze8BI0VniavN7wEjRWeJq83vASNFZ4k=";
    world.server.json("GET", "/session", samples::session(samples::ANN, "ann@example.com"));
    world.server.json("GET", "/me/key", samples::key(other)).json("PUT", "/me/key", samples::key("x"));
    world.login(&[]).fails(1, &["could not register the key", "this folder holds none", "--replace-key"]);
    assert!(!world.path("config").exists(), "nothing is kept");
    let ended = world.login(&["--replace-key"]);
    assert!(ended.err.contains("warning: your key was replaced"), "{ended:?}");
    ended.ok();
    assert_eq!(world.server.seen().last().unwrap().body, json!({ "public_key": world.public_key().0 }));
    world.login(&[]).fails(1, &["this folder holds another one"]);
}

#[test]
fn a_folder_belongs_to_one_person() {
    let world = World::logged_in();
    let key = world.public_key();
    world.server.forget("GET", "/session").json(
        "GET",
        "/session",
        samples::session("usr-bob", "bob@example.com"),
    );
    world
        .login(&[])
        .fails(1, &["this folder is ann@example.com's and the token is bob@example.com's", "--config"]);
    assert_eq!(world.public_key(), key);
    world.login(&["--forget"]).ok();
    assert_ne!(world.public_key(), key, "bob has a key of his own");
    let elsewhere = world.path("elsewhere").display().to_string();
    world.server.forget("GET", "/session").json(
        "GET",
        "/session",
        samples::session(samples::ANN, "ann@example.com"),
    );
    world.login(&["--config", &elsewhere]).ok();
    assert!(world.path("elsewhere/ctl-key").exists());
}

#[test]
fn a_token_that_is_not_taken_is_not_kept() {
    let world = World::fresh();
    world.server.refuse(
        "GET",
        "/session",
        401,
        "unauthenticated",
        "the token is missing or not taken: log in again",
    );
    world.login(&[]).fails(3, &["could not log in", "the token is missing or not taken"]);
    assert!(!world.path("config").exists());
}

#[test]
fn what_cannot_be_a_login_is_told() {
    let world = World::fresh();
    let (url, token, ca) = (world.server.url(), world.write("t", "tok"), world.write("ca2.pem", "nothing"));
    let two = world.write("two", "one two");
    let table: [(&str, Vec<&str>, i32, &[&str]); 9] = [
        ("no server", vec!["login", "--token-file", &token], 2, &["no server is known yet", "--server"]),
        ("plain http", vec!["login", "--server", "http://x", "--token-file", &token], 2, &["unprotected"]),
        ("no address", vec!["login", "--server", "x", "--token-file", &token], 2, &["https://HOST"]),
        (
            "a password in it",
            vec!["login", "--server", "https://a:b@x", "--token-file", &token],
            2,
            &["host, port and path"],
        ),
        (
            "no such file",
            vec!["login", "--server", &url, "--token-file", "none"],
            2,
            &["none", "name the file"],
        ),
        ("two words", vec!["login", "--server", &url, "--token-file", &two], 2, &["not one word"]),
        ("a token in argv", vec!["login", "--server", &url, "--token", "x"], 2, &["--token"]),
        (
            "an empty CA",
            vec!["login", "--server", &url, "--ca", &ca, "--token-file", &token],
            2,
            &["there is none in it"],
        ),
        (
            "an unknown CA",
            vec!["login", "--server", &url, "--token-file", &token],
            1,
            &["cannot be reached", "--ca FILE"],
        ),
    ];
    for (name, args, code, words) in table {
        let err = world.run(&args).fails(code, words);
        assert!(!err.contains("one two"), "{name}: {err}");
    }
    assert_eq!(world.server.seen().len(), 0);
}

#[test]
fn files_that_others_can_read_are_refused() {
    let world = World::logged_in();
    for name in ["ctl-token", "ctl.toml"] {
        fs::set_permissions(world.config(name), fs::Permissions::from_mode(0o640)).unwrap();
        world.run(&["whoami"]).fails(1, &["group or others may open it (mode 640)", "chmod 600"]);
        fs::set_permissions(world.config(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    world.run(&["whoami"]).ok();
    fs::set_permissions(world.config("ctl-key"), fs::Permissions::from_mode(0o604)).unwrap();
    world.login(&[]).fails(1, &["(mode 604)", "chmod 600"]);
}

#[test]
fn files_that_are_not_as_they_were_written_are_refused() {
    let table: [(&str, Vec<u8>, i32, &str); 7] = [
        ("ctl.toml", b"server = 7".to_vec(), 2, "ctl.toml"),
        ("ctl.toml", b"colour = \"red\"".to_vec(), 2, "correct the file"),
        ("ctl.toml", vec![b'#'; 70_000], 1, "more than 65536 bytes"),
        ("ctl-token", vec![b'a'; 70_000], 1, "more than 65536 bytes"),
        ("ctl-token", vec![0xff, 0xfe], 1, "ctl-token"),
        ("ctl-token", b"tgu_a\ntgu_b\n".to_vec(), 1, "ctl-token"),
        ("ctl-token", b"\n".to_vec(), 1, "ctl-token"),
    ];
    for (name, bytes, code, words) in table {
        let world = World::logged_in();
        fs::write(world.config(name), &bytes).unwrap();
        world.run(&["whoami"]).fails(code, &[words]);
        assert_eq!(world.server.seen().len(), 0, "{name}: something was asked");
    }
}

#[test]
fn whoami_tells_who_where_and_with_which_key() {
    let world = World::logged_in();
    let fingerprint = seal::keys::SealingPublic::try_from(&world.public_key()).unwrap().fingerprint();
    assert_eq!(
        world.run(&["whoami"]).ok(),
        format!(
            "user            ann@example.com\nid              usr-ann\nroles           approver, requester\n\
             server          {}\nserver version  0.1.0\nserver time     2026-03-01T10:00:00Z\ntoken           laptop\n\
             token expires   2026-06-01T10:00:00Z\nkey             {fingerprint}\n",
            world.server.url()
        )
    );
}

#[test]
fn the_folder_is_found_as_the_desktop_says() {
    let world = World::fresh();
    world.server.json("GET", "/session", samples::session(samples::ANN, "ann@example.com"));
    world.server.refuse("GET", "/me/key", 404, "not_found", "none").json("PUT", "/me/key", samples::key("x"));
    let (url, token) = (world.server.url(), world.path("token").display().to_string());
    let args = ["login", "--server", &url, "--ca", "ca.pem", "--token-file", &token];
    world.finish(world.command().env_remove("TIDEGATECTL_CONFIG").args(args)).ok();
    assert!(world.path(".config/tidegate/ctl-key").exists());
    let xdg = world.path("xdg");
    world
        .finish(world.command().env_remove("TIDEGATECTL_CONFIG").env("XDG_CONFIG_HOME", &xdg).args(args))
        .ok();
    assert!(xdg.join("tidegate/ctl.toml").exists());
    let mut command = world.command();
    command.env_remove("TIDEGATECTL_CONFIG").env("XDG_CONFIG_HOME", &xdg).current_dir("/").arg("whoami");
    world.finish(&mut command).ok();
}
