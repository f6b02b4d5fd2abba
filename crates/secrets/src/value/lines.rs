//! The reader of `key=value` lines.

use model::Secret;
use zeroize::Zeroizing;

use super::scan::{Part, closing_quote, unescaped};
use super::{MOST_KEYS, Member, ValueFault, base64_text};

/// Returns key and value when the line is a pair. Base64 padding at a line's end is none.
pub(super) fn pair(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let named = !key.is_empty()
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let padding = !value.is_empty() && value.chars().all(|c| c == '=');
    (named && !padding).then(|| (key, value.trim()))
}

pub(super) fn members(text: &str) -> Result<Vec<Member<'_>>, ValueFault> {
    let mut members: Vec<Member<'_>> = vec![];
    let mut open: Option<Open> = None;
    let mut at = 0;
    for (index, line) in text.split('\n').enumerate() {
        let (start, trimmed) = (at, line.trim());
        at += line.len() + 1;
        if let Some(value) = &mut open
            && value.takes(trimmed)
        {
            continue;
        }
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let (key, value) = pair(line).ok_or(ValueFault::Line { line: index + 1 })?;
        if members.len() == MOST_KEYS {
            return Err(ValueFault::TooManyKeys);
        }
        if let (Some(open), Some(last)) = (open.take(), members.last_mut()) {
            last.part = Part::Text(open.close());
        }
        let key = key.to_ascii_lowercase();
        open = Open::begin(&key, value);
        members.push(Member { key, part: Part::Text(unquoted(value)), at: start });
    }
    if let (Some(open), Some(last)) = (open, members.last_mut()) {
        last.part = Part::Text(open.close());
    }
    Ok(members)
}

/// A value that may go on over the next lines.
enum Open {
    Base64(Zeroizing<String>),
    Pem { text: Zeroizing<String>, ended: bool },
}

impl Open {
    fn begin(key: &str, value: &str) -> Option<Self> {
        if base64_text::is_base64(key) {
            Some(Self::Base64(Zeroizing::new(unquoted(value).expose().into())))
        } else if value.starts_with("-----BEGIN ") {
            Some(Self::Pem { text: Zeroizing::new(value.into()), ended: value.contains("-----END ") })
        } else {
            None
        }
    }

    /// Takes the line when it belongs to the value.
    fn takes(&mut self, line: &str) -> bool {
        match self {
            Self::Base64(text) => {
                let more = !line.is_empty()
                    && line
                        .bytes()
                        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'=' | b'-' | b'_'))
                    && (pair(line).is_none() || ends_base64(text, line));
                if more {
                    grow(text, line);
                }
                more
            }
            Self::Pem { ended: true, .. } => false,
            Self::Pem { text, ended } => {
                grow(text, "\n");
                grow(text, line);
                *ended = line.starts_with("-----END ");
                true
            }
        }
    }

    fn close(self) -> Secret {
        match self {
            Self::Base64(mut text) | Self::Pem { mut text, .. } => Secret::new(std::mem::take(&mut *text)),
        }
    }
}

/// Appends without leaving an unwiped copy behind when the text moves.
fn grow(text: &mut Zeroizing<String>, more: &str) {
    if text.capacity() < text.len() + more.len() {
        let mut larger = Zeroizing::new(String::with_capacity(2 * (text.len() + more.len())));
        larger.push_str(text);
        *text = larger;
    }
    text.push_str(more);
}

/// Returns true when the line is the padded end of a base64 text, though it looks like a key without a
/// value.
fn ends_base64(before: &str, line: &str) -> bool {
    let significant = |text: &str| text.chars().filter(|c| !c.is_whitespace()).count();
    line.ends_with('=')
        && line.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
        && (significant(before) + line.len()).is_multiple_of(4)
}

fn unquoted(value: &str) -> Secret {
    if let Some(rest) = value.strip_prefix('"')
        && let Some(inner) = rest.strip_suffix('"')
        && closing_quote(rest) == Some(inner.len())
        && let Ok(text) = unescaped(inner)
    {
        return text;
    }
    let inner = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    Secret::new(inner.unwrap_or(value).into())
}
