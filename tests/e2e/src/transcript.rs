//! A log as a text that is the same in every run: one line an event, what differs from run to run replaced by its
//! kind. Ids are numbered in the order of their coming.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::Value;

/// Fields whose values differ from run to run, and what they are.
const DIFFERENT: [(&str, &str); 10] = [
    ("path", "PATH"),
    ("admin", "ADDRESS"),
    ("socket", "PATH"),
    ("until", "TIME"),
    ("late", "SPAN"),
    ("pause", "SPAN"),
    ("version", "VERSION"),
    ("control_plane", "UUID"),
    ("resources", "COUNT"),
    ("fault", "WHY"),
];
/// Fields that hold ids.
const IDS: [&str; 2] = ["access", "account"];
/// What every line has, and a transcript shows in its own way or not at all.
const FRAME: [&str; 4] = ["timestamp", "level", "message", "target"];

/// What parts of the agent say that work at the same time: neighbours of these are put in order.
const AT_ONCE: [&str; 4] = [
    "Connected to the control plane",
    "Accesses can be opened",
    "Discovered the target's resources",
    "Target answers and can be worked on",
];

/// What is told again whenever it was done again, which is now or a moment later: told once here.
const AGAIN: [&str; 1] = ["Discovered the target's resources"];

/// Writes the transcript of a log of JSON lines.
///
/// # Errors
/// When a line is none.
pub fn of(log: &str) -> anyhow::Result<String> {
    let mut numbers = Numbers::default();
    let mut lines: Vec<(bool, String)> = vec![];
    for line in log.lines() {
        let mut text = String::new();
        // Sorted here: what order a map of JSON keeps depends on what else is in the build.
        let event: BTreeMap<String, Value> =
            serde_json::from_str(line).with_context(|| format!("a line of the log: {line}"))?;
        let word = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        write!(text, "{:<5} {}", word("level"), word("message"))?;
        let at_once = AT_ONCE.contains(&word("message"));
        for (name, value) in event.iter().filter(|(name, _)| !FRAME.contains(&name.as_str())) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            write!(text, "  {name}={}", numbers.shown(name, value))?;
        }
        let told = AGAIN.contains(&word("message")) && lines.iter().any(|(_, line)| *line == text);
        if !told {
            lines.push((at_once, text));
        }
    }
    for run in lines.chunk_by_mut(|(one, _), (next, _)| *one && *next) {
        run.sort();
    }
    Ok(lines.into_iter().map(|(_, line)| line + "\n").collect())
}

#[derive(Default)]
struct Numbers(BTreeMap<String, String>);

impl Numbers {
    fn shown(&mut self, name: &str, value: String) -> String {
        if let Some((_, kind)) = DIFFERENT.iter().find(|(field, _)| *field == name) {
            return (*kind).to_owned();
        }
        if !IDS.contains(&name) {
            return value;
        }
        let next = self.0.values().filter(|shown| shown.starts_with(name)).count() + 1;
        self.0.entry(value).or_insert_with(|| format!("{name}-{next}")).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn what_differs_from_run_to_run_is_replaced() {
        let log = r#"{"timestamp":"2026-01-31T10:00:00Z","level":"INFO","message":"Access is open","target":"x","access":"q7","account":"u1","until":"2026-01-31T11:00:00Z"}
{"timestamp":"2026-01-31T10:00:01Z","level":"WARN","message":"Hm","target":"x","access":"z9","code":"busy","n":3}
{"timestamp":"2026-01-31T10:00:02Z","level":"INFO","message":"Gone","target":"x","access":"q7"}"#;
        let expected = "INFO  Access is open  access=access-1  account=account-1  until=TIME\nWARN  Hm  access=access-2  code=busy  n=3\nINFO  Gone  access=access-1\n";
        assert_eq!(of(log).unwrap(), expected);
    }
}
