//! A log that nobody reads: the agent opens, closes, answers and stops all the same, and says later what was lost.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStderr, Stdio};
use std::time::Duration;

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::agent::get;
use crate::bench::PASSWORD;
use crate::plane::until;
use crate::world::World;

/// An agent whose error output is held and not read.
struct Unread {
    child: Child,
    pipe: Option<ChildStderr>,
    address: String,
}

impl Unread {
    fn of(world: &World) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let listen = format!("admin.listen={free}");
        let mut command = world.command(&[&listen, "log.level=debug", "log.format=json"]);
        command.env("TIDEGATE_SECRET_PG", PASSWORD).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let pipe = child.stderr.take();
        let unread = Self { child, pipe, address: free };
        until(|| get(&unread.address, "/readyz").ok().filter(|told| told.starts_with("HTTP/1.1 200")))
            .expect("it is ready");
        // It can open before it can be asked.
        let socket = world.bench.path("state/journal/admin/agent.sock");
        until(|| UnixStream::connect(&socket).ok()).expect("it can be asked");
        unread
    }

    fn dropped(&self) -> u64 {
        let text = get(&self.address, "/metrics").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("tidegate_log_lines_dropped_total "));
        line.unwrap_or_else(|| panic!("it is not measured: {text}")).parse().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn code(&mut self) -> i32 {
        let ended = until(|| self.child.try_wait().unwrap());
        ended.expect("the agent did not end").code().unwrap_or(-1)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Asks on the local socket again and again: each time is a line in the log.
fn chatter(world: &World, times: usize) {
    let path = world.bench.path("state/journal/admin/agent.sock");
    for _ in 0..times {
        let mut line = UnixStream::connect(&path).unwrap();
        line.write_all(b"{\"v\":1,\"ask\":\"log_level\",\"level\":null}\n").unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("debug"), "{answer}");
    }
}

fn open_and_end(world: &World, access: &str) {
    world.open(access, "ann", "orders");
    world.plane.order([Order::EndAccess(v1::EndAccess { access_id: access.into() })]);
    world.wait_ended(access);
}

#[test]
fn operating_goes_on_when_nobody_reads_the_log_and_what_was_dropped_is_told() {
    let mut world = World::start(&[]);
    world.agent = None;
    let mut agent = Unread::of(&world);
    // More than a pipe holds, so that nothing more is written; then more than may wait.
    chatter(&world, 1_000);
    world.put("b-1", "bob", "orders", Duration::from_secs(6));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    open_and_end(&world, "a-1");
    assert_eq!(agent.dropped(), 0, "what may wait waits");
    until(|| {
        chatter(&world, 500);
        (agent.dropped() > 0).then_some(())
    })
    .expect("lines are dropped and counted");
    open_and_end(&world, "a-2");
    world.wait_ended("b-1");
    assert!(world.logins().is_empty(), "{:?}", world.logins());
    assert!(get(&agent.address, "/readyz").unwrap().starts_with("HTTP/1.1 200"));

    // Somebody reads again: every line is whole, and one says how many are missing.
    let dropped = agent.dropped();
    let pipe = agent.pipe.take().unwrap();
    let reader = std::thread::spawn(move || {
        let lines =
            BufReader::new(pipe).lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        lines.collect::<Vec<_>>()
    });
    until(|| (world.run(&["log-level", "info"]).code == 0).then_some(())).expect("it answers");
    agent.signal(Signal::TERM);
    assert_eq!(agent.code(), 0);
    let lines = reader.join().unwrap();
    let said = |part: &str| {
        let has = |line: &&Value| line["message"].as_str().is_some_and(|text| text.contains(part));
        lines.iter().filter(has).cloned().collect::<Vec<_>>()
    };
    let told: u64 = said("Log lines were dropped").iter().map(|line| line["dropped"].as_u64().unwrap()).sum();
    assert!(told >= dropped, "{told} of {dropped}");
    assert_eq!(said("An operator changes the log level").len(), 1);
    let last = lines.last().unwrap();
    assert!(
        last["message"].as_str().unwrap().starts_with("Agent stopped"),
        "what is told last is read: {last}"
    );
}

#[test]
fn operating_ends_in_time_when_nobody_reads_the_log() {
    let mut world = World::start(&[]);
    world.agent = None;
    for (signal, code) in [(Signal::TERM, 0), (Signal::INT, 0)] {
        let mut agent = Unread::of(&world);
        chatter(&world, 1_000);
        agent.signal(signal);
        assert_eq!(agent.code(), code);
    }
    // One that cannot start does not wait for somebody to read why, either.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("admin.listen={}", taken.local_addr().unwrap());
    let (held, full) = std::io::pipe().unwrap();
    fill(&full);
    let mut child = world.command(&[&listen]).stdout(Stdio::null()).stderr(full).spawn().unwrap();
    let ended = until(|| child.try_wait().unwrap());
    if ended.is_none() {
        child.kill().ok();
        child.wait().ok();
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(3));
    drop(held);
}

/// Writes until nothing more fits.
fn fill(pipe: &std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(pipe).unwrap();
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK).unwrap();
    let mut writer = pipe.try_clone().unwrap();
    while writer.write(&[b'\n'; 4096]).is_ok() {}
    while writer.write(b"\n").is_ok() {}
    fcntl_setfl(pipe, flags).unwrap();
}
