//! A running agent, its log, and its end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::{Bench, PASSWORD, Said, TOKEN};
use crate::plane::until;

/// A running agent, ended when the test does.
pub(crate) struct Running {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: Option<JoinHandle<()>>,
    read: usize,
    address: String,
}

impl Running {
    pub(crate) fn of(bench: &Bench) -> Self {
        Self::by(bench.command(&["run"]))
    }

    /// Runs it with more arguments.
    pub(crate) fn with(bench: &Bench, more: &[&str]) -> Self {
        Self::by(bench.command(&[&["run"], more].concat()))
    }

    pub(crate) fn by(mut command: Command) -> Self {
        command.env("TIDEGATE_SECRET_PG", PASSWORD).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(vec![]));
        let reader = read_on(child.stderr.take().unwrap(), Arc::clone(&log));
        let mut running = Self { child, log, reader: Some(reader), read: 0, address: String::new() };
        running.address = running.until("Agent started")["admin"].as_str().unwrap().to_owned();
        running
    }

    /// Waits until a message comes in the log, after the last one that was waited for.
    pub(crate) fn until(&mut self, message: &str) -> Value {
        let mut at = self.read;
        let found = until(|| {
            let ended = self.reader.as_ref().is_some_and(JoinHandle::is_finished);
            let log = self.log.lock().unwrap();
            while let Some(entry) = log.get(at) {
                at += 1;
                if entry["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                    return Some(Some(entry.clone()));
                }
            }
            ended.then_some(None)
        });
        match found.flatten() {
            Some(entry) => {
                self.read = at;
                entry
            }
            None => panic!("the agent did not say {message:?}: {:#?}", self.log.lock().unwrap()),
        }
    }

    /// Every line so far; one that is no object is a text.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// All lines so far that have this in their message.
    pub(crate) fn said(&self, part: &str) -> Vec<Value> {
        let has = |entry: &&Value| entry["message"].as_str().is_some_and(|text| text.contains(part));
        self.log.lock().unwrap().iter().filter(has).cloned().collect()
    }

    /// Every line so far; one that is no object is a text.
    pub(crate) fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Where its endpoints are.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, for at most a while.
    pub(crate) fn code(&mut self) -> i32 {
        let ended = until(|| self.child.try_wait().unwrap());
        let code = ended.expect("the agent did not end").code().unwrap_or(-1);
        self.reader.take().map(JoinHandle::join).transpose().unwrap();
        code
    }

    pub(crate) fn health(&self, bench: &Bench, more: &[&str]) -> Said {
        bench.run(&[&["health", "--address", &self.address], more].concat())
    }

    /// How much was counted in all series that begin so and have this in their labels.
    pub(crate) fn counted(&self, name: &str, with: &str) -> f64 {
        let text = self.get("/metrics");
        let series = text.lines().filter_map(|line| line.rsplit_once(' '));
        let meant = series.filter(|(series, _)| series.starts_with(name) && series.contains(with));
        meant.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
    }

    /// What an endpoint says.
    pub(crate) fn get(&self, path: &str) -> String {
        get(&self.address, path).unwrap()
    }
}

/// What an endpoint says.
pub(crate) fn get(address: &str, path: &str) -> std::io::Result<String> {
    use std::io::{Read as _, Write as _};
    let mut line = std::net::TcpStream::connect(address)?;
    line.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(line, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    line.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads the log as it comes, so that it never holds the agent up.
fn read_on(from: ChildStderr, log: Arc<Mutex<Vec<Value>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let line = line.unwrap();
            assert!(!line.contains(TOKEN) && !line.contains(PASSWORD), "a secret was logged: {line}");
            let entry = serde_json::from_str(&line).unwrap_or(Value::String(line));
            log.lock().unwrap().push(entry);
        }
    })
}
