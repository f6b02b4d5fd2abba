//! The running agent, seen from outside: its health, its journal, its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::{Bench, PASSWORD, Said, TOKEN};

/// A user without rights.
#[cfg(target_os = "linux")]
const NOBODY: u32 = 65534;

/// A running agent, ended when the test does.
struct Running {
    child: Child,
    log: BufReader<ChildStderr>,
    address: String,
}

impl Running {
    fn of(bench: &Bench) -> Self {
        Self::by(bench.command(&["run"]))
    }

    /// Runs it as a user without rights, also when the tests run as root.
    #[cfg(target_os = "linux")]
    fn as_nobody(bench: &Bench) -> Self {
        use std::os::unix::process::CommandExt as _;
        if !rustix::process::geteuid().is_root() {
            return Self::of(bench);
        }
        // The binary may lie where only root can look.
        let binary = bench.path("tidegate");
        std::fs::copy(env!("CARGO_BIN_EXE_tidegate"), &binary).unwrap();
        bench.give_to(NOBODY);
        let mut command = std::process::Command::new(binary);
        command.env_clear().env("TIDEGATE_CONFIG", bench.file()).arg("run").uid(NOBODY).gid(NOBODY);
        Self::by(command)
    }

    fn by(mut command: std::process::Command) -> Self {
        command.env("TIDEGATE_SECRET_PG", PASSWORD).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut running = Self { child, log, address: String::new() };
        running.address = running.until("Agent started")["admin"].as_str().unwrap().to_owned();
        running
    }

    /// Reads the log until a message comes; the agent's end ends the waiting, too.
    fn until(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            let read = self.log.read_line(&mut line).unwrap();
            assert!(read > 0, "the agent ended before it said {message:?}");
            assert!(!line.contains(TOKEN) && !line.contains(PASSWORD), "a secret was logged: {line}");
            let entry: Value = serde_json::from_str(&line).unwrap();
            if entry["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return entry;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, for at most a while.
    fn code(&mut self) -> i32 {
        for _ in 0..300 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the agent did not end within 30 s");
    }

    fn health(&self, bench: &Bench, more: &[&str]) -> Said {
        bench.run(&[&["health", "--address", &self.address], more].concat())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
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

    // A second one is refused, and so is who looks into the journal; who needs only files is not.
    let second = bench.run(&["run"]).ended(5);
    assert!(second.err.contains("in use by another process"), "{second:?}");
    for args in [&["receipts", "verify"][..], &["journal", "list"], &["journal", "reset-clock", "--yes"]] {
        let said = bench.run(args).ended(5);
        assert!(said.err.contains("stop it first"), "{args:?}: {said:?}");
    }
    let checked = bench.run(&["check"]).ended(0);
    assert!(checked.out.contains("a running agent holds it"), "{checked:?}");

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
    let mut agent = Running::as_nobody(&bench);
    let process = format!("/proc/{}", agent.child.id());
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
fn a_reload_does_not_end_it() {
    let bench = Bench::ready();
    let mut agent = Running::of(&bench);
    agent.signal(Signal::HUP);
    agent.until("Reload asked for");
    agent.health(&bench, &["--closing"]).ended(0);
    agent.signal(Signal::TERM);
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
