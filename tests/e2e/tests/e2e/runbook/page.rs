//! The page, read: its sections with their commands, and the words of a command as a shell would take them.
//!
//! Promises: what only a shell could do, such as a pipe, is refused and never guessed. Leaves to others: running.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};

/// A part of the page under a heading of its own.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) title: String,
    /// As they stand there.
    pub(super) commands: Vec<String>,
}

/// Reads the page.
pub(super) fn sections() -> anyhow::Result<Vec<Section>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/runbook.md");
    parsed(&std::fs::read_to_string(&page).with_context(|| format!("read {}", page.display()))?)
}

/// Reads one section of it.
pub(super) fn section(title: &str) -> anyhow::Result<Section> {
    let found = sections()?.into_iter().find(|section| section.title == title);
    found.with_context(|| format!("the page has no section `{title}`"))
}

/// What a line stands in.
#[derive(Clone, Copy)]
enum Block {
    Prose,
    /// Each line is a command.
    Shell,
    /// Commands begin with `$ `; the rest is what they print.
    Console,
    Other,
}

fn parsed(text: &str) -> anyhow::Result<Vec<Section>> {
    let mut sections: Vec<Section> = vec![];
    let mut block = Block::Prose;
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            block = match (block, kind) {
                (Block::Prose, "sh") => Block::Shell,
                (Block::Prose, "console") => Block::Console,
                (Block::Prose, _) => Block::Other,
                (Block::Shell | Block::Console | Block::Other, _) => Block::Prose,
            };
            continue;
        }
        let command = match block {
            Block::Prose => {
                if let Some(title) = line.strip_prefix("## ") {
                    sections.push(Section { title: title.trim().to_owned(), commands: vec![] });
                }
                continue;
            }
            Block::Shell => line.trim(),
            Block::Console => line.strip_prefix("$ ").unwrap_or_default().trim(),
            Block::Other => continue,
        };
        if command.is_empty() {
            continue;
        }
        ensure!(!command.ends_with('\\'), "`{command}` goes on in another line: write it in one");
        let section = sections.last_mut().with_context(|| format!("`{command}` stands in no section"))?;
        section.commands.push(command.to_owned());
    }
    Ok(sections)
}

/// What means something to a shell outside of quotes.
const OF_A_SHELL: &str = "|&;<>(){}[]*?~!\\";

/// Takes a command apart, with its variables put in.
pub(super) fn words(command: &str, variables: &BTreeMap<&str, String>) -> anyhow::Result<Vec<String>> {
    let mut words = vec![];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut rest = command.chars().peekable();
    while let Some(c) = rest.next() {
        match (quote, c) {
            (Some(open), close) if open == close => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '`') => bail!("`{command}` needs a shell for its backquote"),
            (None, '$') => bail!("`{command}`: put double quotes around the variable"),
            (Some(_), '$') => {
                let mut name = String::new();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                let value = variables.get(name.as_str());
                let value = value.with_context(|| format!("`{command}`: nobody has set `${name}`"))?;
                word.get_or_insert_default().push_str(value);
            }
            (Some(_), '\\') => match rest.next() {
                Some(c @ ('"' | '\\' | '$')) => word.get_or_insert_default().push(c),
                other => bail!("`{command}`: a backslash before {other:?}"),
            },
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) if OF_A_SHELL.contains(c) => bail!("`{command}` needs a shell for its {c:?}"),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    ensure!(quote.is_none(), "`{command}`: a quote is not closed");
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_where_they_stand() {
        let text = "# Page\n\n## One\n\n```sh\na b\n\nc\n```\n\n```toml\n## no\nx = 1\n```\n\n\
            ## Two\n\n```console\n$ d e\nits answer\n```\n";
        let found = parsed(text).unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.title.as_str(), one.commands.join("; "))).collect();
        assert_eq!(found, [("One", "a b; c".to_owned()), ("Two", "d e".to_owned())]);
        let refused = [("no section", "```sh\na\n```\n"), ("two lines", "## One\n```sh\na \\\n  b\n```\n")];
        for (name, text) in refused {
            assert!(parsed(text).is_err(), "{name}");
        }
    }

    #[test]
    fn a_command_has_the_words_that_a_shell_would_give() {
        let variables = BTreeMap::from([("ONE", "a b".to_owned()), ("TWO_2", "$x\"".to_owned())]);
        let table: [(&str, &[&str]); 8] = [
            ("a  b", &["a", "b"]),
            ("a 'b $ONE' c", &["a", "b $ONE", "c"]),
            (r#"a "$ONE/b""#, &["a", "a b/b"]),
            (r#"a "x $TWO_2 y""#, &["a", "x $x\" y"]),
            (r#"a "say \"$ONE\" \$ONE \\""#, &["a", r#"say "a b" $ONE \"#]),
            (r#"a "" b"#, &["a", "", "b"]),
            ("a b#c # d", &["a", "b#c"]),
            (r#"a "b | c; d > (e)""#, &["a", "b | c; d > (e)"]),
        ];
        for (command, expected) in table {
            assert_eq!(words(command, &variables).unwrap(), expected, "{command}");
        }
        let refused = [
            "a | b",
            "a > b",
            "a; b",
            "a && b",
            "a *",
            "a $ONE",
            r#"a "$THREE""#,
            r#"a "$(b)""#,
            "a `b`",
            "a 'b",
            r#"a "b"#,
            r"a \b",
        ];
        for command in refused {
            assert!(words(command, &variables).is_err(), "{command}");
        }
    }
}
