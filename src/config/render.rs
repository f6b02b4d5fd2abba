//! A configuration file with every key, its effect, its default and its limits.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::keys::{KEYS, Key};

/// Where a comment is folded, in characters.
const WIDTH: usize = 100;

/// Writes a file in which `values` are set and every other key stands as a comment.
pub fn render(values: &BTreeMap<&str, String>) -> String {
    let mut file = String::from(
        "# Configuration of the Tidegate agent. Every key is here; what is commented out has the default shown.\n\
         # A key is overridden by the variable that is named with it, and by `--set KEY=VALUE`. A change needs a\n\
         # restart, but for the keys that say that a reload (SIGHUP) takes it.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (of, name) = key.parts();
        if of != section {
            section = of;
            push(&mut file, format_args!("\n[{section}]"));
        }
        push(&mut file, format_args!(""));
        for line in folded(key.effect).into_iter().chain(folded(&about(key))) {
            push(&mut file, format_args!("# {line}"));
        }
        match values.get(key.name) {
            Some(value) => push(&mut file, format_args!("{name} = {}", quoted(key, value))),
            None => {
                let shown = key.default.unwrap_or(key.example);
                push(&mut file, format_args!("#{name} = {}", quoted(key, shown)));
            }
        }
    }
    file
}

fn about(key: &Key) -> String {
    let default = match (key.required, key.default) {
        (true, _) => " Required.".to_owned(),
        (false, Some(default)) => format!(" Default: {default}."),
        (false, None) => " Optional.".to_owned(),
    };
    let live = if key.live { ". A reload takes a change" } else { "" };
    format!("Value: {}.{default} Variable: {}{live}", key.limits(), key.variable())
}

fn quoted(key: &Key, value: &str) -> String {
    use super::keys::Format as F;
    match key.format {
        F::Whole { .. } | F::Flag => value.to_owned(),
        F::Id
        | F::Url
        | F::Proxy
        | F::Path
        | F::Socket
        | F::Address
        | F::Duration { .. }
        | F::Server
        | F::Database
        | F::Schema
        | F::Reference
        | F::Zone
        | F::Choice(_) => toml::Value::String(value.to_owned()).to_string(),
    }
}

fn push(file: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    writeln!(file, "{line}").ok();
}

fn folded(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
