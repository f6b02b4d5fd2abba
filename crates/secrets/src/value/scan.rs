//! The lenient reader of JSON-like members. It copies values only into memory that is wiped.

use model::Secret;
use zeroize::Zeroizing;

use super::{MOST_KEYS, Member, ValueFault, line_at};

/// What stands under a key.
pub(super) enum Part<'t> {
    Text(Secret),
    /// The text between the braces and with them.
    Object(&'t str),
    /// Null, or a list.
    Other,
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads all members, with or without braces around them.
    pub(super) fn members(mut self) -> Result<Vec<Member<'t>>, ValueFault> {
        let braced = self.take(b'{');
        let mut members = vec![];
        loop {
            self.skip(|c| c.is_ascii_whitespace() || c == b',');
            match self.peek() {
                None => return Ok(members),
                Some(b'}') if braced => {
                    self.at += 1;
                    self.skip(|c| c.is_ascii_whitespace());
                    return if self.peek().is_none() { Ok(members) } else { Err(self.here()) };
                }
                Some(_) if members.len() == MOST_KEYS => return Err(ValueFault::TooManyKeys),
                Some(_) => members.push(self.member()?),
            }
        }
    }

    fn member(&mut self) -> Result<Member<'t>, ValueFault> {
        let at = self.at;
        let key = match self.peek() {
            Some(b'"') => self.quoted()?.expose().trim().to_ascii_lowercase(),
            _ => self
                .word(|c| !(c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'.')))
                .to_ascii_lowercase(),
        };
        self.skip(|c| c.is_ascii_whitespace());
        if key.is_empty() || !(self.take(b':') || self.take(b'=')) {
            return Err(ValueFault::Line { line: line_at(self.text, at) });
        }
        self.skip(|c| c.is_ascii_whitespace());
        let part = match self.peek() {
            None | Some(b',' | b'}' | b']') => return Err(self.here()),
            Some(b'"') => Part::Text(self.quoted()?),
            Some(b'{') => Part::Object(self.nested()?),
            Some(b'[') => {
                self.nested()?;
                Part::Other
            }
            Some(_) => match self.word(|c| matches!(c, b',' | b'}' | b'\n' | b'\r')).trim_end() {
                "null" => Part::Other,
                word => Part::Text(Secret::new(word.into())),
            },
        };
        Ok(Member { key, part, at })
    }

    /// Reads a string; line ends in it are forgiven.
    fn quoted(&mut self) -> Result<Secret, ValueFault> {
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let end = closing_quote(rest).ok_or_else(|| ValueFault::OpenQuote { line: self.line() })?;
        let inner = rest.get(..end).unwrap_or_default();
        let text = unescaped(inner)
            .map_err(|offset| ValueFault::Escape { line: line_at(self.text, self.at + 1 + offset) })?;
        self.at += end + 2;
        Ok(text)
    }

    /// Passes over a list or an object and returns its text.
    fn nested(&mut self) -> Result<&'t str, ValueFault> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let rest = self.text.get(self.at + 1..).unwrap_or_default();
                    let fault = || ValueFault::OpenQuote { line: line_at(self.text, self.at) };
                    self.at += closing_quote(rest).ok_or_else(fault)? + 1;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
        }
        Err(ValueFault::Line { line: line_at(self.text, start) })
    }

    fn word(&mut self, end: impl Fn(u8) -> bool) -> &'t str {
        let start = self.at;
        self.skip(|c| !end(c));
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip(&mut self, over: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&over) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn here(&self) -> ValueFault {
        ValueFault::Line { line: self.line() }
    }

    fn line(&self) -> usize {
        line_at(self.text, self.at)
    }
}

/// Returns where the quote stands that ends a string; `rest` begins behind its opening quote.
pub(super) fn closing_quote(rest: &str) -> Option<usize> {
    let mut escaped = false;
    rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Resolves JSON's escapes, or tells where the first unknown one stands.
pub(super) fn unescaped(inner: &str) -> Result<Secret, usize> {
    // One allocation: a growing string would leave copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(inner.len()));
    let mut rest = inner;
    while let Some(plain) = rest.find('\\') {
        text.push_str(rest.get(..plain).unwrap_or_default());
        let from = rest.get(plain..).unwrap_or_default();
        let (c, used) = escape(from).ok_or(inner.len() - from.len())?;
        text.push(c);
        rest = from.get(used..).unwrap_or_default();
    }
    text.push_str(rest);
    Ok(Secret::new(std::mem::take(&mut *text)))
}

/// Returns what the escape at the beginning of `from` stands for, and its length in bytes.
fn escape(from: &str) -> Option<(char, usize)> {
    let c = match from.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(from),
        _ => return None,
    };
    Some((c, 2))
}

fn unicode(from: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = from.get(at..at + 4).filter(|hex| hex.bytes().all(|c| c.is_ascii_hexdigit()))?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(2)?;
    if let Some(c) = char::from_u32(u32::from(first)) {
        return Some((c, 6));
    }
    let second = from.get(6..8).filter(|next| *next == "\\u").and_then(|_| unit(8))?;
    char::decode_utf16([first, second]).next()?.ok().map(|c| (c, 12))
}
