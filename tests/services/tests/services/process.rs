//! A program of ours: what it sees, what it says, how it ends.

use std::path::Path;
use std::time::Duration;

use services::process::{Process, Start, workplace};

use crate::{runs, wait_for};

const A_WHILE: Duration = Duration::from_secs(20);

fn shell(folder: &Path, script: &str, without_rights: bool) -> Process {
    Process::start(Start {
        folder,
        log: &folder.join("log"),
        program: Path::new("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: vec![("GIVEN", "here".into())],
        without_rights,
    })
    .unwrap()
}

#[test]
fn it_sees_what_it_is_given_and_says_how_it_ended() {
    let folder = workplace("test").unwrap();
    let mut process = shell(folder.path(), "env; id -u; echo wrong >&2; exit 7", true);
    assert_eq!(process.wait(A_WHILE).unwrap().code(), Some(7));
    let said = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(said.contains("GIVEN=here") && said.contains("wrong"), "{said}");
    assert!(!said.contains("CARGO"), "our own environment is hidden: {said}");
    assert!(!said.lines().any(|line| line == "0"), "it is not root: {said}");
    drop(process);
    assert!(folder.path().exists(), "the folder is the holder's");
}

#[test]
fn it_stops_when_told_and_dies_when_killed() {
    let folder = workplace("test").unwrap();
    let patient = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let said = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let mut process = shell(folder.path(), patient, false);
    wait_for("it is ready", || said().contains("ready"));
    assert_eq!(process.stop(A_WHILE).unwrap().code(), Some(3));
    assert_eq!(process.stop(A_WHILE).unwrap().code(), Some(3), "it has ended already");

    let mut process = shell(folder.path(), "trap '' TERM; while :; do sleep 0.05; done", false);
    let pid = process.pid();
    process.kill9().unwrap();
    assert!(!runs(pid));
    assert!(process.ended().unwrap().is_some());
}

#[test]
#[cfg(target_os = "linux")]
fn it_ends_when_its_keeper_is_killed() {
    let folder = workplace("test").unwrap();
    let process = shell(folder.path(), "while :; do sleep 0.05; done", false);
    let pid = process.pid();
    wait_for("it runs under its own name", || {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|words| words.starts_with("/bin/sh"))
    });
    crate::kill9(process.keeper_pid());
    wait_for("the process of a killed keeper is gone", || !runs(pid));
}
