//! The running agent, seen from outside: its health, its journal, its end.

use rustix::process::Signal;
use serde_json::Value;

use crate::agent::Running;
use crate::bench::Bench;
use crate::plane::Plane;

/// A user without rights.
#[cfg(target_os = "linux")]
const NOBODY: u32 = 65534;

/// Runs it as a user without rights, also when the tests run as root.
#[cfg(target_os = "linux")]
fn as_nobody(bench: &Bench) -> Running {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        return Running::of(bench);
    }
    // The binary may lie where only root can look.
    let binary = bench.path("tidegate");
    std::fs::copy(env!("CARGO_BIN_EXE_tidegate"), &binary).unwrap();
    bench.give_to(NOBODY);
    let mut command = std::process::Command::new(binary);
    command.env_clear().env("TIDEGATE_CONFIG", bench.file()).arg("run").uid(NOBODY).gid(NOBODY);
    Running::by(command)
}

#[test]
fn without_a_control_plane_it_closes_and_is_not_ready_and_stops_in_good_order() {
    let bench = Bench::ready();
    let mut agent = Running::of(&bench);
    let told = agent.health(&bench, &["--json"]).ended(6).json();
    assert_eq!(
        (&told["ready"], &told["link"]["state"]),
        (&Value::Bool(false), &Value::from("down")),
        "{told}"
    );
    agent.health(&bench, &["--closing"]).ended(0);

    // A second one is refused, and so is who would write; who only looks is not.
    let second = bench.run(&["run"]).ended(5);
    assert!(second.err.contains("in use by another process"), "{second:?}");
    let said = bench.run(&["journal", "reset-clock", "--yes"]).ended(5);
    assert!(said.err.contains("stop it first"), "{said:?}");
    for args in [&["receipts", "verify"][..], &["receipts", "export"], &["journal", "list"]] {
        bench.run(args).ended(0);
    }
    let plane = Plane::start();
    let url = format!("control_plane.url={}", plane.url());
    bench.run(&["check", "--set", &url]).ended(0);
    bench.run(&["journal", "backup", bench.path("copy.db").to_str().unwrap()]).ended(0);

    agent.signal(Signal::TERM);
    agent.until("Stopping in good order");
    agent.until("Agent stopped");
    assert_eq!(agent.code(), 0);
    agent.health(&bench, &[]).ended(6);
    bench.run(&["journal", "list"]).ended(0);
    bench.run(&["receipts", "verify"]).ended(0);
}

#[cfg(target_os = "linux")]
#[test]
fn it_leaves_no_core_and_lets_nobody_read_its_memory_or_files() {
    use std::os::unix::fs::MetadataExt as _;
    let bench = Bench::ready();
    let mut agent = as_nobody(&bench);
    let process = format!("/proc/{}", agent.id());
    let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    // The system gives root what belongs to a process that is not dumpable.
    assert_eq!(std::fs::metadata(format!("{process}/mem")).unwrap().uid(), 0, "its memory is its user's");
    for file in crate::bench::files(&bench.path("state")) {
        let mode = std::fs::metadata(&file).unwrap().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
    agent.signal(Signal::INT);
    assert_eq!(agent.code(), 0);
}

#[test]
fn an_agent_that_cannot_start_says_why() {
    let bench = Bench::ready();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("admin.listen={}", taken.local_addr().unwrap());
    let said = bench.run(&["run", "--set", &listen]).ended(3);
    assert!(said.err.contains("free the port, or set `admin.listen`"), "{said:?}");
    std::fs::remove_dir_all(bench.path("state/identity")).unwrap();
    let said = bench.run(&["run"]).ended(4);
    assert!(said.err.contains("make a new one with `tidegate init`"), "{said:?}");
    bench.run(&["health", "--address", "127.0.0.1:1", "--json"]).ended(6);
}

/// A volume of its own where no more than a folder can be made: this machine's memory.
#[cfg(target_os = "linux")]
#[test]
fn it_warns_where_identity_and_journal_would_be_lost_together() {
    let bench = Bench::ready();
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let apart = format!("journal.dir={}", elsewhere.path().join("journal").display());
    for (name, more, expected) in
        [("on one volume", vec![], 1), ("on two volumes", vec!["--set", apart.as_str()], 0)]
    {
        let mut agent = Running::with(&bench, &more);
        agent.signal(Signal::TERM);
        assert_eq!(agent.code(), 0, "{name}");
        let warned = agent.said("Identity and journal are on one volume");
        assert_eq!(warned.len(), expected, "{name}: {:#?}", agent.lines());
        assert!(warned.iter().all(|line| line["level"] == "WARN"), "{name}: {warned:?}");
    }
}
