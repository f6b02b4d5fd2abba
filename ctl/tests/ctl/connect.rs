use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::samples::{self, credential};
use crate::world::{Ended, World, mode};

const CLEAR: &str = "Zx9_clear:pass\\word-Qw7";
const PATH: &str = "/requests/acc-1/credential";

/// A psql that writes down all it can see.
const SPY: &str = r#"
printf '%s\n' "$@" > argv
env > environment
tr '\0' '\n' < /proc/$PPID/cmdline > parent_argv
tr '\0' '\n' < /proc/$PPID/environ > parent_environment
stat -c '%a %F' "$PGPASSFILE" > file_mode
stat -c '%a' "$(dirname "$PGPASSFILE")" > folder_mode
cat "$PGPASSFILE" > passfile
echo "$PGPASSFILE" > passfile_path
echo rows
"#;

fn with_psql(script: &str) -> World {
    let world = World::logged_in();
    world.server.json("GET", PATH, credential("acc-1", samples::ANN, 1, &world.public_key(), CLEAR));
    world.program("psql", script);
    world
}

fn text(world: &World, name: &str) -> String {
    fs::read_to_string(world.path(name)).unwrap()
}

fn nothing_is_left(world: &World) {
    let left: Vec<_> = fs::read_dir(world.path("run")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn psql_gets_the_password_by_a_file_and_nothing_else() {
    let world = with_psql(SPY);
    let mut command = world.command();
    command.env("PGPASSWORD", "stale").env("PGHOSTADDR", "192.0.2.1").env("PGSERVICE", "other");
    command.args(["connect", "acc-1", "--", "-c", "select 1", "--csv"]);
    assert_eq!(world.finish(&mut command).ok(), "rows\n");
    assert_eq!(
        text(&world, "argv"),
        "--no-password\n--dbname\npostgresql://tg_ann_x7k2@127.0.0.1:5433/shop?sslmode=verify-full\n-c\nselect 1\n--csv\n"
    );
    assert_eq!(text(&world, "passfile"), "127.0.0.1:5433:*:tg_ann_x7k2:Zx9_clear\\:pass\\\\word-Qw7\n");
    assert_eq!(text(&world, "file_mode"), "600 regular file\n");
    assert_eq!(text(&world, "folder_mode"), "700\n");
    let environment = text(&world, "environment");
    assert!(
        environment.contains("\nPGREQUIREAUTH=scram-sha-256\n") || environment.starts_with("PGREQUIREAUTH="),
        "{environment}"
    );
    for name in ["PGPASSWORD", "PGHOSTADDR", "PGSERVICE"] {
        assert!(!environment.contains(name), "{environment}");
    }
    for file in ["argv", "environment", "parent_argv", "parent_environment"] {
        let seen = text(&world, file);
        for secret in [CLEAR, "Zx9_clear", crate::world::TOKEN] {
            assert!(!seen.contains(secret), "{file}: {seen}");
        }
    }
    assert!(!Path::new(text(&world, "passfile_path").trim()).exists());
    nothing_is_left(&world);
    assert_eq!(mode(&world.config("ctl-targets.toml")), 0o600);
}

#[test]
fn psql_believes_the_authorities_of_the_integration_unless_the_grantee_says_others() {
    const SPY: &str =
        "echo \"${PGSSLROOTCERT-unset}\" > roots; cat \"$PGSSLROOTCERT\" > pem; echo 'FATAL: no' >&2; exit 2";
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let uri = |mode: &str| format!("postgresql://u@127.0.0.1:5433/shop?sslmode={mode}");
    let own = Some("/etc/own.pem");
    let table = [
        ("the integration's", "verify-full", Some(PEM), None, "authorities.pem", "correct `ca_certificates`"),
        ("the chain only", "verify-ca", Some(PEM), None, "authorities.pem", "correct `ca_certificates`"),
        ("one's own", "verify-full", Some(PEM), own, "/etc/own.pem", "correct or unset PGSSLROOTCERT"),
        ("nobody's", "verify-full", None, None, "unset", "names no authority of its own"),
        // With authorities psql would verify the chain, and refuse what the agent takes.
        ("none is asked for", "require", Some(PEM), None, "unset", "still active?"),
    ];
    for (name, mode, pem, variable, roots, way_out) in table {
        let world = with_psql(SPY);
        let mut with = credential("acc-1", samples::ANN, 1, &world.public_key(), CLEAR);
        with["lines"] = json!([{ "label": "uri", "text": uri(mode) }]);
        with["ca_certificates"] = json!(pem);
        world.server.forget("GET", PATH).json("GET", PATH, with);
        let mut command = world.command();
        command.env_remove("PGSSLROOTCERT").envs(variable.map(|own| ("PGSSLROOTCERT", own)));
        let told = world.finish(command.args(["connect", "acc-1"])).fails(1, &[way_out]);
        assert_eq!(told.contains("certificate"), mode != "require", "{name}: {told}");
        assert!(text(&world, "roots").trim().ends_with(roots), "{name}: {}", text(&world, "roots"));
        if roots == "authorities.pem" {
            assert_eq!(text(&world, "pem"), PEM, "{name}");
        }
        nothing_is_left(&world);
    }
}

#[test]
fn a_fault_in_a_statement_is_not_told_as_one_of_certificates() {
    let world = with_psql("echo 'ERROR: syntax' >&2; exit 1");
    let err = world.run(&["connect", "acc-1"]).fails(1, &["exit status: 1", "see above what psql says"]);
    assert!(!err.contains("certificate") && !err.contains("active"), "{err}");
}

#[test]
fn a_grantee_may_ask_for_another_proof() {
    let world = with_psql(SPY);
    let mut command = world.command();
    world.finish(command.env("PGREQUIREAUTH", "password").args(["connect", "acc-1"])).ok();
    assert!(text(&world, "environment").contains("PGREQUIREAUTH=password"));
}

#[test]
fn a_target_that_moved_is_not_followed_unasked() {
    let world = with_psql(SPY);
    world.run(&["connect", "acc-1"]).ok();
    world.run(&["connect", "acc-1"]).ok();
    let mut moved = credential("acc-1", samples::ANN, 1, &world.public_key(), CLEAR);
    moved["lines"] = json!([{ "label": "uri", "text": "postgres://tg_ann_x7k2@[2001:db8::1]/shop" }]);
    world.server.forget("GET", PATH).json("GET", PATH, moved);
    fs::remove_file(world.path("argv")).unwrap();
    world
        .run(&["connect", "acc-1"])
        .fails(1, &["was 127.0.0.1:5433 and is now [2001:db8::1]:5432", "--new-target"]);
    assert!(!world.path("argv").exists(), "psql was not run");
    world.run(&["connect", "acc-1", "--new-target"]).ok();
    assert!(text(&world, "passfile").starts_with("2001\\:db8\\:\\:1:5432:*:"));
    world.run(&["connect", "acc-1"]).ok();
}

#[test]
fn one_of_several_databases_is_chosen() {
    let world = with_psql(SPY);
    let mut several = credential("acc-1", samples::ANN, 1, &world.public_key(), CLEAR);
    several["lines"] = json!([
        { "label": "uri", "text": "postgresql://u@h:1/shop" },
        { "label": "psql", "text": "psql 'host=h'" },
        { "label": "uri", "text": "postgresql://u@h:1/b%C3%B6se%2F100%25" },
    ]);
    world.server.forget("GET", PATH).json("GET", PATH, several);
    world.run(&["connect", "acc-1"]).ok();
    assert!(text(&world, "argv").contains("postgresql://u@h:1/shop\n"));
    world.run(&["connect", "acc-1", "--database", "böse/100%"]).ok();
    assert!(text(&world, "argv").contains("postgresql://u@h:1/b%C3%B6se%2F100%25\n"));
    world.run(&["connect", "acc-1", "-d", "none"]).fails(2, &["no such database", "shop, böse/100%"]);
}

#[test]
fn lines_that_lead_astray_are_refused() {
    let world = with_psql(SPY);
    let table = [
        ("a password", "postgresql://u:p@h/d", "has a password"),
        ("a password in the query", "postgresql://u@h/d?password=x", "has a password"),
        ("a passfile", "postgresql://u@h/d?passfile=/x", "has a password"),
        ("two hosts", "postgresql://u@h/d?host=evil", "names its host twice"),
        ("an address beside the host", "postgresql://u@h/d?hostaddr=192.0.2.1", "names its host twice"),
        ("no host", "postgresql:///d", "has no host"),
        ("a list of hosts", "postgresql://u@h,evil/d", "has no host"),
        ("another kind", "mysql://u@h/d", "not one for psql"),
    ];
    for (name, line, words) in table {
        let mut odd = credential("acc-1", samples::ANN, 1, &world.public_key(), CLEAR);
        odd["lines"] = json!([{ "label": "uri", "text": line }]);
        world.server.forget("GET", PATH).json("GET", PATH, odd);
        let err = world.run(&["connect", "acc-1"]).fails(1, &[words]);
        assert!(!world.path("argv").exists(), "{name}: {err}");
    }
}

#[test]
fn the_end_of_psql_is_told_and_leaves_nothing() {
    let world = with_psql("echo 'FATAL: no' >&2; exit 2");
    let err = world
        .run(&["connect", "acc-1"])
        .fails(1, &["psql ended with exit status: 2", "tidegatectl show acc-1"]);
    assert!(err.starts_with("FATAL: no\n"), "{err}");
    nothing_is_left(&world);
    fs::remove_file(world.path("bin/psql")).unwrap();
    let mut command = world.command();
    command.env("PATH", world.path("bin")).args(["connect", "acc-1"]);
    world.finish(&mut command).fails(1, &["psql is not installed", "apt-get install postgresql-client"]);
    nothing_is_left(&world);
}

#[test]
fn a_signal_ends_psql_and_leaves_nothing() {
    for (name, number) in [("TERM", 15), ("HUP", 1)] {
        let world = with_psql(
            "trap 'echo told > told; exit 0' TERM HUP\necho $$ > started.part; mv started.part started\nwhile :; do sleep 0.02; done",
        );
        let child = world
            .command()
            .args(["connect", "acc-1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut looks = 0..2_000;
        while !world.path("started").exists() {
            assert!(looks.next().is_some(), "psql was not started within 20 s");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read_dir(world.path("run")).unwrap().count(), 1, "the file is there while psql runs");
        let pid = child.id().to_string();
        // Ctrl-C is psql's own matter: it ends a query, not the session.
        for signal in ["-INT", &format!("-{name}")] {
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        }
        let ended = Ended::of(&child.wait_with_output().unwrap());
        assert_eq!(ended.code, 128 + number, "{name}: {ended:?}");
        assert_eq!(text(&world, "told"), "told\n", "{name}");
        nothing_is_left(&world);
    }
}
