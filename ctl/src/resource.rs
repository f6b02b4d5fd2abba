//! Resources as people write them: `kind:part/part`, for example `postgresql-table:shop/public/orders`.
//!
//! Names come from targets and can hold anything: a slash within a part is written `\/`, a backslash `\\`,
//! and control characters as Rust does, `\n` or `\u{1b}`. What is printed can be pasted back.

use std::fmt;
use std::str::FromStr;

use model::{Entitlement, ResourceId};

/// A resource as it stands on the command line; without a kind, any kind with this path is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: Option<String>,
    pub(crate) path: Vec<String>,
}

/// Why a text is no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    #[error(
        "a part of the path is empty: write kind:part/part, for example postgresql-table:shop/public/orders"
    )]
    EmptyPart,
    #[error("`\\{found}` stands for nothing: write \\\\ for a backslash and \\/ for a slash within a name")]
    Escape { found: String },
}

impl FromStr for Name {
    type Err = NameFault;
    fn from_str(text: &str) -> Result<Self, NameFault> {
        let (kind, path) = match text.split_once(':') {
            Some((kind, path)) if is_kind(kind) => (Some(kind.to_owned()), path),
            _ => (None, text),
        };
        Ok(Self { kind, path: parts(path)? })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => f.write_str(&text(kind, &self.path)),
            None => f.write_str(&path_text(&self.path)),
        }
    }
}

fn is_kind(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

fn parts(path: &str) -> Result<Vec<String>, NameFault> {
    let mut parts = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '/' => {
                parts.push(String::new());
                continue;
            }
            '\\' => escaped(&mut chars)?,
            c => c,
        };
        if let Some(last) = parts.last_mut() {
            last.push(literal);
        }
    }
    if parts.iter().any(String::is_empty) { Err(NameFault::EmptyPart) } else { Ok(parts) }
}

fn escaped(chars: &mut std::str::Chars<'_>) -> Result<char, NameFault> {
    let unknown = |found: &str| NameFault::Escape { found: found.into() };
    match chars.next() {
        Some(c @ ('/' | '\\' | ':' | '\'' | '"')) => Ok(c),
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some('0') => Ok('\0'),
        Some('u') => {
            let rest = chars.as_str();
            let hex = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(hex, _)| hex);
            let hex = hex.ok_or_else(|| unknown("u"))?;
            let c = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).ok_or_else(|| unknown("u"))?;
            *chars = rest.get(hex.len() + 2..).unwrap_or_default().chars();
            Ok(c)
        }
        Some(other) => Err(unknown(&other.to_string())),
        None => Err(unknown("")),
    }
}

fn path_text(path: &[String]) -> String {
    let part = |part: &String| {
        part.chars().fold(String::new(), |mut all, c| {
            match c {
                '/' => all.push_str("\\/"),
                '\'' | '"' => all.push(c),
                c => all.extend(c.escape_debug()),
            }
            all
        })
    };
    path.iter().map(part).collect::<Vec<_>>().join("/")
}

/// Writes a resource as it can be pasted back.
pub(crate) fn text(kind: &str, path: &[String]) -> String {
    format!("{kind}:{}", path_text(path))
}

/// Writes a resource as it can be pasted back.
pub(crate) fn resource_text(resource: &ResourceId) -> String {
    text(&resource.kind.0, &resource.path)
}

/// Writes an entitlement for people.
pub(crate) fn entitlement_text(entitlement: &Entitlement) -> String {
    format!("{} on {}", entitlement.permission.0, resource_text(&entitlement.resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        let table = [
            (
                "a table",
                "postgresql-table:shop/public/orders",
                Some("postgresql-table"),
                vec!["shop", "public", "orders"],
            ),
            ("without a kind", "shop/public", None, vec!["shop", "public"]),
            ("a colon in the path", "postgresql-role:a:b", Some("postgresql-role"), vec!["a:b"]),
            ("a colon without a kind", "a\\:b/c", None, vec!["a:b", "c"]),
            ("upper case is no kind", "Shop:x/y", None, vec!["Shop:x", "y"]),
            ("a slash in a name", "k:a\\/b/c", Some("k"), vec!["a/b", "c"]),
            ("escapes", "k:\\\\\\n\\u{1b}\\'é", Some("k"), vec!["\\\n\u{1b}'é"]),
        ];
        for (name, text, kind, path) in table {
            let read: Name = text.parse().unwrap();
            assert_eq!(
                (read.kind.as_deref(), read.path),
                (kind, path.into_iter().map(str::to_owned).collect()),
                "{name}"
            );
        }
        for text in ["", "k:", "a//b", "/a", "a/", "k:a\\", "k:\\q", "k:\\u{}", "k:\\u{110000}", "k:\\u1b"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_can_be_pasted_back() {
        for odd in [
            "a b",
            "a/b",
            "a\\b",
            "a:b",
            "a\nb",
            "\u{1b}[2J",
            "\u{202e}x",
            "'\"`$",
            "表🔑",
            "\\u{41}",
            "e\u{301}",
        ] {
            let name = Name { kind: Some("postgresql-table".into()), path: vec!["db".into(), odd.into()] };
            assert_eq!(name.to_string().parse::<Name>().unwrap(), name, "{odd:?}");
        }
    }
}
