//! Names and texts inside statements: the one quoting function for each.
//!
//! A statement is built only from [`Ident`], [`Literal`], numbers and fixed text, so nothing that a target
//! or a person named can leave its quotes.

use std::fmt;

use model::{Code, Failure};

/// Longest name that PostgreSQL keeps, in bytes; it cuts longer ones silently, so that two become one.
pub(crate) const LONGEST_NAME: usize = 63;

/// A quoted identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ident(String);

impl Ident {
    /// Quotes a name that came from outside.
    ///
    /// # Errors
    /// [`Code::NAME_REFUSED`] when it is empty, longer than [`LONGEST_NAME`] or has a zero byte.
    pub(crate) fn asked(name: &str) -> Result<Self, Failure> {
        let refuse = |reason: &str| {
            Err(Failure::refused(Code::NAME_REFUSED, format!("the name {}: {reason}", shown(name))))
        };
        if name.is_empty() {
            return refuse("is empty, name the object");
        }
        if name.len() > LONGEST_NAME {
            return refuse("is longer than 63 bytes, PostgreSQL would cut it");
        }
        if name.contains('\0') {
            return refuse("has a zero byte, which no name on PostgreSQL has");
        }
        Ok(Self::found(name))
    }

    /// Quotes a name that the catalogue holds: whatever it is, it is the object's.
    pub(crate) fn found(name: &str) -> Self {
        Self(format!("\"{}\"", name.replace('"', "\"\"")))
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A quoted text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Literal(String);

impl Literal {
    /// Quotes a text. A text with a backslash takes the form that means the same under every setting.
    pub(crate) fn of(text: &str) -> Self {
        let doubled = text.replace('\'', "''");
        if doubled.contains('\\') {
            Self(format!("E'{}'", doubled.replace('\\', "\\\\")))
        } else {
            Self(format!("'{doubled}'"))
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Literal(…)")
    }
}

/// Shows a name in a message: escaped, and cut when it is long.
pub(crate) fn shown(name: &str) -> String {
    let text: String = name.escape_debug().take(80).collect();
    format!("`{text}`")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a quoted text as the server does: doubled quotes are one, the first lone one ends it.
    fn read_back(quoted: &str, quote: char, escapes: bool) -> Option<String> {
        let mut inner = String::new();
        let mut rest = quoted.strip_prefix(quote)?.chars();
        loop {
            match rest.next()? {
                c if c == quote => match rest.next() {
                    Some(next) if next == quote => inner.push(quote),
                    Some(_) => return None,
                    None => return Some(inner),
                },
                '\\' if escapes => inner.push(rest.next()?),
                c => inner.push(c),
            }
        }
    }

    #[test]
    fn names_from_outside_are_checked() {
        let long = "x".repeat(64);
        let table = [
            ("plain", "orders", true),
            ("quote", "a\"b", true),
            ("statement", "a; DROP ROLE x --", true),
            ("dollar", "$$", true),
            ("non-ASCII", "bücher", true),
            ("63 bytes", long.get(..63).unwrap(), true),
            ("64 bytes", &long, false),
            ("64 bytes in 32 characters", &"é".repeat(32), false),
            ("empty", "", false),
            ("zero byte", "a\0b", false),
            ("newline", "a\nb", true),
        ];
        for (name, text, fits) in table {
            assert_eq!(Ident::asked(text).is_ok(), fits, "{name}");
        }
    }

    #[test]
    fn a_literal_never_shows_in_debug() {
        assert_eq!(format!("{:?}", Literal::of("SCRAM-SHA-256$…")), "Literal(…)");
    }

    #[test]
    fn fuzz_quoting() {
        let good = ["orders", "O'Brien \"&\" sons", "a\\b; DROP ROLE x --", "$$;$q$", "bücher\n"];
        fuzz::hammer_text("quoting", &good, |text| {
            assert_eq!(read_back(&Ident::found(text).to_string(), '"', false).as_deref(), Some(text));
            let quoted = Literal::of(text).to_string();
            let inner = match quoted.strip_prefix('E') {
                Some(escaped) => read_back(escaped, '\'', true),
                None => read_back(&quoted, '\'', false),
            };
            assert_eq!(inner.as_deref(), Some(text));
        });
    }

    proptest! {
        #[test]
        fn names_stay_inside_their_quotes(name in "\\PC{1,20}|[\"\\\\';$-]{1,20}") {
            prop_assert_eq!(read_back(&Ident::found(&name).to_string(), '"', false), Some(name));
        }

        #[test]
        fn texts_stay_inside_their_quotes(text in "\\PC*|['\\\\\";$-]*|(?s:.*)") {
            let quoted = Literal::of(&text).to_string();
            let inner = match quoted.strip_prefix('E') {
                Some(escaped) => read_back(escaped, '\'', true),
                None => read_back(&quoted, '\'', false),
            };
            prop_assert_eq!(inner, Some(text));
        }
    }
}
