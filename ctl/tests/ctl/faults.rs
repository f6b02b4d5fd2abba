use serde_json::{Value, json};

use crate::server::Reply;
use crate::world::World;

#[test]
fn every_refusal_has_its_exit_code() {
    let table = [
        (401, "unauthenticated", 3, "tidegatectl login"),
        (403, "denied", 3, "why: no"),
        (404, "not_found", 4, "why: no"),
        (409, "request_not_pending", 1, "why: no"),
        (422, "invalid", 1, "why: no"),
        (500, "internal", 1, "why: no"),
        (503, "store_unavailable", 1, "why: no"),
    ];
    for (status, code, exit, words) in table {
        let world = World::logged_in();
        world.server.refuse("POST", "/requests/acc-1/approve", status, code, "no");
        world.run(&["approve", "acc-1"]).fails(exit, &["error: could not approve acc-1\n", words]);
        let err = world.run(&["approve", "acc-1", "--json"]).fails(exit, &[]);
        let told: Value = serde_json::from_str(&err).unwrap();
        assert_eq!(told["error"]["what"], "approve acc-1");
        assert_eq!((&told["error"]["code"], &told["error"]["exit"]), (&json!(code), &json!(exit)));
    }
}

#[test]
fn nobody_is_logged_in_at_first() {
    let world = World::fresh();
    let commands =
        ["whoami", "list", "show x", "approve x", "resources", "credential x --show", "connect x", "audit"];
    for command in commands {
        let args: Vec<_> = command.split(' ').collect();
        world.run(&args).fails(3, &["nobody is logged in here", "tidegatectl login"]);
    }
}

#[test]
fn a_server_that_is_away_silent_or_another_one_is_told() {
    let world = World::logged_in();
    world.server.forget("GET", "/session").on("GET", "/session", Reply::Silence);
    world
        .run(&["whoami", "--timeout", "300ms"])
        .fails(1, &["did not answer within 0.3 s", "look, then try again"]);
    world.server.forget("GET", "/session").on("GET", "/session", Reply::Text("<html>".into()));
    world.run(&["whoami"]).fails(1, &["not understood"]);
    let settings = std::fs::read_to_string(world.config("ctl.toml")).unwrap();
    let (url, old) = ("https://127.0.0.1:1", world.server.url());
    std::fs::write(world.config("ctl.toml"), settings.replace(&old, url)).unwrap();
    world.run(&["whoami"]).fails(1, &["https://127.0.0.1:1 cannot be reached", "check the address"]);
    std::fs::write(world.config("ctl.toml"), "server = 7").unwrap();
    world.run(&["whoami"]).fails(2, &["ctl.toml", "correct the file"]);
}

#[test]
fn an_answer_that_is_no_problem_document_is_told() {
    let world = World::logged_in();
    let page = json!("<html>bad gateway</html>");
    let server = &world.server;
    server.forget("GET", "/session");
    server.raw("GET", "/session", 404, page);
    world.run(&["whoami"]).fails(4, &["answered 404", "is this address the control plane's?"]);
}

#[test]
fn ids_that_would_ask_for_something_else_are_refused() {
    let world = World::logged_in();
    for id in ["..", ".", "a/b", "", "a b", "a%2fb", "é"] {
        world.run(&["show", id]).fails(2, &[]);
        world.run(&["connectors", "revoke", id]).fails(2, &[]);
    }
    for id in ["..", "", "."] {
        world.run(&["tokens", "revoke", id]).fails(2, &["copy it from a list"]);
    }
    assert_eq!(world.server.seen().len(), 0);
    world.server.refuse("DELETE", "/users/usr-ann/tokens/a%2Fb%3Fc", 404, "not_found", "no such token");
    world.run(&["tokens", "revoke", "a/b?c"]).fails(4, &["no such token"]);
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
fn the_port_for_connectors_is_told_as_that() {
    let world = World::logged_in();
    world.server.forget("GET", "/session").on("GET", "/session", Reply::Connectors);
    world.run(&["whoami"]).fails(1, &["is where connectors dial", "as --http, not as --grpc"]);
}

#[test]
fn help_has_examples_and_the_exit_codes() {
    let world = World::fresh();
    let help = world.run(&["--help"]).ok();
    for words in
        ["Examples:", "Exit codes:", "5  what was waited for", "login", "completions", "TIDEGATECTL_CONFIG"]
    {
        assert!(help.contains(words), "{words}: {help}");
    }
    each_has_examples(&ctl::command_line(), "tidegatectl");
    assert!(world.run(&["--version"]).ok().starts_with("tidegatectl 0."));
    world.run(&[]).fails(2, &["Usage"]);
    world.run(&["reqest"]).fails(2, &["request"]);
}

#[test]
fn shells_get_their_completions() {
    let world = World::fresh();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = world.run(&["completions", shell]).ok();
        assert!(script.contains("tidegatectl") && script.contains("rotate-token"), "{shell}");
    }
    let bash = world.write("bash", &world.run(&["completions", "bash"]).ok());
    let checked = std::process::Command::new("bash").args(["-n", &bash]).status().unwrap();
    assert!(checked.success());
}

#[test]
fn a_reader_who_goes_away_is_no_fault() {
    let world = World::fresh();
    let line = format!("{} completions bash | head -c 10", env!("CARGO_BIN_EXE_tidegatectl"));
    let mut command = std::process::Command::new("bash");
    let ended = world.finish(command.args(["-c", &format!("set -o pipefail; {line}")]));
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}
