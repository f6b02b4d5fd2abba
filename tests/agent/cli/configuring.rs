//! Configurations as people get them wrong, and where values come from.

use crate::bench::{Bench, PASSWORD, TOKEN};

#[test]
fn all_faults_of_a_bad_configuration_are_printed_and_nothing_of_it() {
    let bench = Bench::empty();
    let bad = format!(
        "connecter = \"x\"\ntoken_file = \"{TOKEN}\"\npassword = \"{PASSWORD}\"\n[log]\nlevel = \"loud\"\n[control_plane]\nurl = \"http://ann:{PASSWORD}@cp\"\n"
    );
    bench.write("tidegate.toml", &bad);
    let environment = [("TIDEGATE_JOURNAL_DRI", "/j"), ("TIDEGATE_SECRET_PG", PASSWORD)];
    for args in [&["config", "check"][..], &["run"], &["check"], &["keys", "show"], &["receipts", "verify"]] {
        let said = bench.run_in(&environment, args).ended(3);
        let told = format!("{}{}", said.out, said.err);
        for part in [
            "tidegate.toml:1: `connecter` is not a key of this build: did you mean `connector`?",
            "tidegate.toml:2: `token_file` is not an absolute path",
            "tidegate.toml:3: `password` is not a key of this build",
            "tidegate.toml:5: `log.level` is none of the allowed words",
            "tidegate.toml:7: `control_plane.url` has a user in it",
            "tidegate.toml:7: `control_plane.url` is without TLS",
            "environment TIDEGATE_JOURNAL_DRI: `journal_dri` is not a key of this build: did you mean TIDEGATE_JOURNAL_DIR?",
            "`connector` is missing",
            "`identity.dir` is missing",
            "`journal.dir` is missing",
        ] {
            assert!(told.contains(part), "{args:?}: {part}\n{told}");
        }
        assert!(!told.contains("TIDEGATE_SECRET_PG"), "{told}");
    }
    let said = bench.run_in(&environment, &["config", "check", "--json"]).ended(3).json();
    assert_eq!(said["good"], false);
    assert_eq!(said["faults"].as_array().unwrap().len(), 10, "{said}");
    let shown = bench.run(&["config", "show"]).ended(3);
    assert!(shown.out.contains("(refused: see `tidegate config check`)"), "{shown:?}");
}

#[test]
fn every_value_is_shown_with_its_source() {
    let bench = Bench::ready();
    let environment = [("TIDEGATE_LOG_LEVEL", "debug"), ("TIDEGATE_SHUTDOWN_GRACE", "1m")];
    let args = ["config", "show", "--json", "--set", "shutdown.grace=2m"];
    let rows = bench.run_in(&environment, &args).ended(0).json();
    let row = |key: &str| {
        let rows = rows.as_array().unwrap();
        rows.iter().find(|row| row["key"] == key).unwrap().clone()
    };
    let table = [
        ("log.level", "debug", "environment TIDEGATE_LOG_LEVEL"),
        ("shutdown.grace", "2m", "--set"),
        ("log.format", "auto", "default"),
    ];
    for (key, value, from) in table {
        assert_eq!(
            (row(key)["value"].as_str(), row(key)["from"].as_str()),
            (Some(value), Some(from)),
            "{key}"
        );
    }
    let from = row("connector")["from"].as_str().unwrap().to_owned();
    assert!(from.starts_with(&format!("{}:", bench.file().display())), "{from}");
}

#[test]
fn a_configuration_that_was_named_must_be_there() {
    let bench = Bench::empty();
    let said = bench.run(&["config", "check"]).ended(1);
    assert!(said.err.contains("cannot read the configuration"), "{said:?}");
    assert!(said.err.contains("No such file"), "{said:?}");
    std::fs::create_dir(bench.file()).unwrap();
    bench.run(&["config", "check"]).ended(1);
}

#[test]
fn everything_may_come_from_the_environment() {
    let bench = Bench::ready();
    let state = bench.path("state");
    let (identity, journal) = (state.join("identity"), state.join("journal"));
    let token = bench.path("token");
    let mut command = bench.command(&["config", "check"]);
    command.env_remove("TIDEGATE_CONFIG").envs([
        ("TIDEGATE_CONNECTOR", "trial"),
        ("TIDEGATE_TOKEN_FILE", token.to_str().unwrap()),
        ("TIDEGATE_CONTROL_PLANE_URL", "https://[::1]:8443"),
        ("TIDEGATE_IDENTITY_DIR", identity.to_str().unwrap()),
        ("TIDEGATE_JOURNAL_DIR", journal.to_str().unwrap()),
        ("TIDEGATE_SERVICE_PORT", "9464"),
    ]);
    let said: crate::bench::Said = command.output().unwrap().into();
    said.ended(0);
}

#[test]
fn files_that_others_can_use_are_refused_with_the_way_out() {
    let table = [
        ("the token", "token", 0o644, 3, "chmod 600"),
        ("the identity's folder", "state/identity", 0o755, 4, "chmod 700"),
        ("the keys", "state/identity/identity.json", 0o640, 4, "chmod 600"),
    ];
    for (name, path, mode, code, way_out) in table {
        let bench = Bench::ready();
        bench.mode(path, mode);
        let said = bench.run(&["config", "check"]).ended(code);
        assert!(said.out.contains(way_out), "{name}: {said:?}");
    }
}

#[test]
fn certificates_and_folders_that_are_named_are_looked_at() {
    let bench = Bench::ready();
    bench.write("ca.pem", "no certificate");
    let ca = format!("control_plane.ca_file={}", bench.path("ca.pem").display());
    let said = bench.run(&["config", "check", "--set", &ca]).ended(3);
    assert!(said.out.contains("give certificates in PEM form"), "{said:?}");
    let root = format!("secrets.file_root={}", bench.path("secrets").display());
    let said = bench.run(&["config", "check", "--set", &root, "--set", &ca]).ended(3);
    assert!(said.out.contains("There are 2 faults") && said.out.contains("secret directory"), "{said:?}");
    let other = bench.run(&["check", "--set", "connector=other"]).ended(4);
    assert!(other.out.contains("is of connector `trial` and `other` is configured"), "{other:?}");
}

#[test]
fn a_forgotten_configuration_is_told_as_that() {
    let bench = Bench::empty();
    for args in
        [&["status"][..], &["check"], &["run"], &["status", "--set", "log.level=debug"], &["config", "check"]]
    {
        let said =
            crate::bench::Said::from(bench.command(args).env_remove("TIDEGATE_CONFIG").output().unwrap());
        let said = said.ended(3);
        for part in [
            "no configuration was found at /etc/tidegate/tidegate.toml",
            "give --config FILE, or run `tidegate init`",
            "TIDEGATE_CONNECTOR",
        ] {
            assert!(said.err.contains(part) || said.out.contains(part), "{args:?}: {part}\n{said:?}");
        }
    }
}

#[test]
fn a_state_folder_takes_the_configuration_and_init_says_what_is_missing() {
    let bench = Bench::empty();
    let init = |state: &str, more: &[&str]| -> crate::bench::Said {
        let args = ["init", "--connector", "trial", "--url", "https://127.0.0.1:9", "--state", state];
        let mut command = bench.command(&[&args[..], more].concat());
        command.env_remove("TIDEGATE_CONFIG").output().unwrap().into()
    };
    let said = init("state", &[]).ended(0);
    for part in
        ["state/tidegate.toml with every key", "put the connector's token into", "ca_file", "file_root"]
    {
        assert!(said.out.contains(part), "{part}\n{said:?}");
    }
    assert!(bench.path("state/tidegate.toml").is_file());
    std::fs::create_dir(bench.path("other")).unwrap();
    bench.write("other/token", TOKEN);
    let root = format!("secrets.file_root={}", bench.path("none").display());
    let said = init("other", &["--set", &root]).ended(0);
    assert!(said.out.contains("other/token already") && said.out.contains("mkdir -m 700"), "{said:?}");
    let quiet = init("third", &["--quiet"]).ended(0);
    assert!(quiet.out.contains("with every key") && !quiet.out.contains("Next:"), "{quiet:?}");
}

#[test]
fn a_control_plane_that_does_not_answer_is_found_by_check() {
    let bench = Bench::ready();
    let said = bench.run(&["check"]).ended(6);
    for part in ["control plane", "http://127.0.0.1:9/ (`control_plane.url`) cannot be reached"] {
        assert!(said.out.contains(part), "{part}\n{said:?}");
    }
    let plane = crate::plane::Plane::start();
    let url = format!("control_plane.url={}", plane.url());
    let said = bench.run(&["check", "--set", &url]).ended(0);
    assert!(said.out.contains("takes the token"), "{said:?}");

    // A token that is not taken, and a port behind which there is something else.
    bench.write("token", "tgc_another");
    let said = bench.run(&["check", "--set", &url]).ended(6);
    for part in ["(`token_file`)", "tidegatectl connectors rotate-token trial"] {
        assert!(said.out.contains(part), "{part}\n{said:?}");
    }
    let other = crate::plane::Plane::of_something_else();
    let url = format!("control_plane.url={}", other.url());
    let said = bench.run(&["check", "--set", &url]).ended(6);
    assert!(said.out.contains("correct `control_plane.url`"), "{said:?}");
}
