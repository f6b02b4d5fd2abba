//! A page for people: tables, pairs and lines.

use unicode_width::UnicodeWidthStr as _;

use super::Table;

/// What is printed for people.
#[derive(Debug)]
pub(crate) struct Text {
    text: String,
    color: bool,
}

impl Text {
    pub(super) const fn new(color: bool) -> Self {
        Self { text: String::new(), color }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(&visible(line));
        self.text.push('\n');
    }

    /// Adds an empty line and a heading.
    pub(crate) fn heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.line(heading);
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: &Table) {
        self.text.push_str(&table.render(self.color));
    }

    /// Adds pairs of name and value, those without a value left out.
    pub(crate) fn pairs<'p>(&mut self, pairs: impl IntoIterator<Item = (&'p str, Option<String>)>) {
        let pairs: Vec<_> =
            pairs.into_iter().filter_map(|(name, value)| value.map(|value| (visible(name), value))).collect();
        let width = pairs.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        for (name, value) in pairs {
            let pad = " ".repeat(width - name.width() + 2);
            let mut lines = value.lines();
            let first = lines.next().unwrap_or_default();
            self.text.push_str(&format!("{name}{pad}{}\n", visible(first)));
            for more in lines {
                self.text.push_str(&format!("{}{}\n", " ".repeat(width + 2), visible(more)));
            }
        }
    }
}

/// Makes control characters and those that turn the writing direction visible, so that a name from a target
/// cannot command the terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut all, c| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns || c == '\u{feff}' {
            all.extend(c.escape_unicode());
        } else {
            all.push(c);
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_commands_the_terminal() {
        assert_eq!(
            visible("a\x1b[2Jb\u{9b}c\nd\u{202e}e é 表"),
            "a\\u{1b}[2Jb\\u{9b}c\\u{a}d\\u{202e}e é 表"
        );
    }

    #[test]
    fn pairs_stand_under_each_other() {
        let mut text = Text::new(false);
        text.pairs([("id", Some("a".into())), ("none", None), ("longer", Some("b\nc".into()))]);
        assert_eq!(text.finish(), "id      a\nlonger  b\n        c\n");
        let mut text = Text::new(false);
        text.pairs([("表\u{1b}", Some("a\u{7}".into())), ("x", Some("b".into()))]);
        assert_eq!(text.finish(), "表\\u{1b}  a\\u{7}\nx         b\n");
    }
}
