//! From nothing to a checked agent, and the commands that need no agent at all.

use std::os::unix::fs::PermissionsExt as _;

use crate::bench::{Bench, files};
use crate::plane::Plane;

#[test]
fn init_makes_what_check_then_finds_good() {
    let bench = Bench::empty();
    let made = bench.init("trial").ended(0);
    assert!(made.out.contains("Made the identity of connector trial"), "{made:?}");
    assert!(made.out.contains("chmod 600"), "{made:?}");
    for (name, mode) in [("tidegate.toml", 0o600), ("state/identity", 0o700)] {
        let found = std::fs::metadata(bench.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{name}");
    }

    // Without the token it says what is missing, and with it all is good.
    let missing = bench.run(&["config", "check"]).ended(3);
    assert!(missing.out.contains("put the token that the control plane gave there"), "{missing:?}");
    bench.write("token", crate::bench::TOKEN);
    bench.run(&["config", "check"]).ended(0);

    let shown = bench.run(&["keys", "show"]).ended(0);
    let keys = bench.run(&["keys", "show", "--json"]).ended(0).json();
    for of in ["sealing", "receipts"] {
        let public = keys[of][0]["public"].as_str().unwrap();
        assert!(shown.out.contains(public) && made.out.contains(public), "{of}: {shown:?}");
    }
    let before = files(&bench.path("state"));
    let plane = Plane::start();
    let url = format!("control_plane.url={}", plane.url());
    let checked = bench.run(&["check", "--set", &url]).ended(0);
    assert!(checked.out.contains("No integration is known yet"), "{checked:?}");
    let verified = bench.run(&["receipts", "verify"]).ended(0);
    assert_eq!(verified.out, "0 receipts of 0 integrations verify.\n");
    assert_eq!(files(&bench.path("state")), before, "looking makes nothing");
}

#[test]
fn init_overwrites_nothing_and_may_be_tried_again() {
    let bench = Bench::empty();
    bench.init("trial").ended(0);
    let keys = bench.run(&["keys", "show"]).ended(0).out;
    let config = std::fs::read_to_string(bench.file()).unwrap();
    let again = bench.init("trial").ended(1);
    assert!(again.err.contains("is there already and is not overwritten"), "{again:?}");
    assert_eq!(std::fs::read_to_string(bench.file()).unwrap(), config);

    // Broken off between identity and configuration: the identity is kept.
    std::fs::remove_file(bench.file()).unwrap();
    let third = bench.init("trial").ended(0);
    assert!(third.out.contains("Kept the identity"), "{third:?}");
    assert_eq!(bench.run(&["keys", "show"]).ended(0).out, keys);

    // Another connector does not take it over.
    std::fs::remove_file(bench.file()).unwrap();
    let other = bench.init("other").ended(4);
    assert!(other.err.contains("is of connector `trial` and `other` is configured"), "{other:?}");
    assert!(!bench.file().exists(), "nothing half-done");
}

#[test]
fn init_refuses_what_would_not_run_and_leaves_nothing() {
    let table: [(&str, &[&str], i32); 5] = [
        ("plain http", &["--url", "http://cp.example.com"], 3),
        ("no url", &["--url", "cp"], 3),
        ("a bad id", &["--connector", "a b", "--url", "https://cp"], 2),
        ("an unknown key", &["--url", "https://cp", "--set", "log.levle=debug"], 3),
        ("a bad value", &["--url", "https://cp", "--set", "log.level=loud"], 3),
    ];
    for (name, args, code) in table {
        let bench = Bench::empty();
        let given: &[&str] = if args.contains(&"--connector") { &[] } else { &["--connector", "c"] };
        let said = bench.run(&[&["init", "--state", "state"], given, args].concat()).ended(code);
        assert!(!said.err.is_empty(), "{name}: {said:?}");
        assert_eq!(files(&bench.path(".")), Vec::<std::path::PathBuf>::new(), "{name}");
    }
}

#[test]
fn what_needs_no_agent_needs_no_configuration() {
    let bench = Bench::empty();
    let version = bench.run(&["version", "--json"]).ended(0).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(version["drivers"][0], "postgres");
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.run(&["completions", shell]).ended(0).out;
        assert!(script.contains("receipts"), "{shell}");
    }
    let listed = bench.run(&["drivers"]).ended(0).out;
    assert!(listed.contains("postgres") && listed.contains("PostgreSQL"), "{listed}");
    let told = bench.run(&["drivers", "postgres"]).ended(0).out;
    assert!(told.contains("READ_ONLY") && told.contains("password"), "{told}");
    let manifests = bench.run(&["drivers", "--json"]).ended(0).json();
    assert_eq!(manifests[0]["kind"], "postgres");
    assert!(told.contains("least:") && told.contains("cannot: "), "{told}");
    assert!(bench.run(&["drivers", "oracle"]).ended(2).err.contains("no driver `oracle`"));
}

/// Looks at every command below one, and those below them.
fn each_has_examples(command: &clap::Command, name: &str) {
    for below in command.get_subcommands() {
        let name = format!("{name} {}", below.get_name());
        let after = below.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(after.contains("Examples:") && after.contains(&name), "{name}: {after}");
        each_has_examples(below, &name);
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let bench = Bench::empty();
    let help = bench.run(&["--help"]).ended(0).out;
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    let commands = tidegate::cli::command_line();
    let commands: Vec<_> = commands.get_subcommands().map(clap::Command::get_name).collect();
    assert!(commands.len() >= 18, "{commands:?}");
    each_has_examples(&tidegate::cli::command_line(), "tidegate");
    bench.run(&["nonsense"]).ended(2);
    bench.run(&[]).ended(2);
}

#[test]
fn a_setup_script_is_printed_by_mode_and_version() {
    let bench = Bench::empty();
    let least = ["setup-script", "postgres", "--mode", "least", "--owner", "app", "--server-version"];
    let on = |version| [&least[..], &[version]].concat();
    let table: [(&str, Vec<&str>, &str); 6] = [
        ("the usual one", vec!["setup-script", "postgres"], "ALTER ROLE :\"username\" SUPERUSER;"),
        ("narrow", on("18.1"), "GRANT \"app\" TO :\"username\" WITH INHERIT TRUE, SET FALSE;"),
        ("before it was", on("15"), "Up to 15 this is close to SUPERUSER"),
        ("what it cannot do", on("18"), "What Tidegate cannot do with it:"),
        ("taken back", [&on("18")[..], &["--remove"]].concat(), "DROP ROLE :\"username\";"),
        ("for machines", [&on("18")[..], &["--json"]].concat(), "\"language\": \"sql\""),
    ];
    for (name, words, part) in table {
        let script = bench.run(&words).ended(0).out;
        assert!(script.contains(part), "{name}: {script}");
        assert!(!script.contains("password="), "{name}: no password on a command line");
    }
    let refused = bench.run(least.get(..6).unwrap()).ended(2).err;
    assert!(refused.contains("--server-version"), "{refused}");
    assert!(bench.run(&["setup-script", "oracle"]).ended(2).err.contains("no driver `oracle`"));
}
