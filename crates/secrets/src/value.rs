//! How the text of a secret is read: a JSON object, or `key=value` lines; lenient with what people paste.
//!
//! Forgiven are missing braces and commas, bare words, line ends inside quotes, a byte order mark, and
//! whitespace inside base64. Keys are compared in lower case; what is not text is passed over. Never
//! forgiven is what would make a guess: a key given twice, an open quote, a line that is nothing. Faults
//! name lines and keys' places, never what stands there.

use std::collections::BTreeMap;

use base64_text::compact;
use model::Secret;
use scan::{Part, Scanner};

mod base64_text;
mod lines;
mod scan;

/// Largest text of a secret, in bytes.
pub const LARGEST: usize = 1024 * 1024;

/// Most keys a secret may have.
const MOST_KEYS: usize = 1024;

/// Why the text of a secret cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    #[error("the secret has {len} bytes: the most is {LARGEST}")]
    TooLarge { len: usize },
    #[error("the secret is not UTF-8: store it as text")]
    NotUtf8,
    #[error("the secret is empty: store a JSON object or lines of key=value")]
    Empty,
    #[error("line {line} of the secret is neither JSON nor key=value")]
    Line { line: usize },
    #[error("a quote that opens on line {line} of the secret is not closed")]
    OpenQuote { line: usize },
    #[error("line {line} of the secret has an escape that JSON does not know: write \\\\ for a backslash")]
    Escape { line: usize },
    #[error("a key stands twice in the secret, the second time on line {line}: keep one")]
    Twice { line: usize },
    #[error("the secret has more than {MOST_KEYS} keys")]
    TooManyKeys,
    #[error("the secret has no text or object under the reference's field: correct the part after `#`")]
    NoField,
}

/// Reads the text of a secret, or of one member of it when `field` is given.
///
/// A member that is an object, or text that holds one, is the secret; other text is the value of a key of
/// the field's name. One bare line is the field's value as a whole.
///
/// # Errors
/// What is wrong and where, without a word of the text.
pub fn parse(bytes: &[u8], field: Option<&str>) -> Result<BTreeMap<String, Secret>, ValueFault> {
    if bytes.len() > LARGEST {
        return Err(ValueFault::TooLarge { len: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ValueFault::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.is_empty() {
        return Err(ValueFault::Empty);
    }
    match field {
        None => keys(text),
        Some(field) => member(text, field),
    }
}

fn member(text: &str, field: &str) -> Result<BTreeMap<String, Secret>, ValueFault> {
    let wanted = field.to_ascii_lowercase();
    if !is_object(text) && text.lines().count() == 1 {
        let token =
            lines::pair(text).is_none_or(|(key, value)| value.is_empty() && !key.eq_ignore_ascii_case(field));
        if token {
            return Ok(BTreeMap::from([single(field, Secret::new(text.into()))]));
        }
    }
    let found = members(text)?.into_iter().find(|member| member.key == wanted).map(|member| member.part);
    match found {
        Some(Part::Object(inner)) => keys(inner),
        Some(Part::Text(value)) if value.expose().trim_start().starts_with('{') => {
            keys(value.expose().trim())
        }
        Some(Part::Text(value)) => Ok(BTreeMap::from([single(field, value)])),
        Some(Part::Other) | None => Err(ValueFault::NoField),
    }
}

fn single(field: &str, value: Secret) -> (String, Secret) {
    let key = field.to_ascii_lowercase();
    let value = compact(&key, value);
    (key, value)
}

fn is_object(text: &str) -> bool {
    text.starts_with(['{', '"'])
}

/// One key and what stands under it.
struct Member<'t> {
    key: String,
    part: Part<'t>,
    /// Where it begins, in bytes.
    at: usize,
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn members(text: &str) -> Result<Vec<Member<'_>>, ValueFault> {
    if is_object(text) { Scanner::new(text).members() } else { lines::members(text) }
}

fn keys(text: &str) -> Result<BTreeMap<String, Secret>, ValueFault> {
    let mut values = BTreeMap::new();
    for Member { key, part, at } in members(text)? {
        let Part::Text(value) = part else { continue };
        let value = compact(&key, value);
        if values.insert(key, value).is_some() {
            return Err(ValueFault::Twice { line: line_at(text, at) });
        }
    }
    if values.is_empty() { Err(ValueFault::Empty) } else { Ok(values) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, field: Option<&str>) -> Result<Vec<(String, String)>, ValueFault> {
        parse(text.as_bytes(), field)
            .map(|values| values.into_iter().map(|(key, value)| (key, value.expose().to_owned())).collect())
    }

    fn expected(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn secrets_are_read_as_people_paste_them() {
        let both = [("password", "p"), ("username", "u")];
        let pem = "-----BEGIN X-----\nAB==\n-----END X-----";
        type Row<'r> = (&'r str, &'r str, &'r [(&'r str, &'r str)]);
        let table: [Row<'_>; 24] = [
            ("JSON", r#"{"username": "u", "password": "p"}"#, &both),
            ("JSON without a comma", "{\"username\": \"u\"\n \"password\": \"p\"}", &both),
            ("JSON without braces", "\"username\": \"u\",\n\"password\": \"p\"", &both),
            ("JSON with a comma too many", r#"{"username": "u", "password": "p",}"#, &both),
            ("JSON without the last brace", r#"{"username": "u", "password": "p""#, &both),
            ("JSON with bare words", "{username: u, password: p}", &both),
            ("JSON with equals signs", r#"{"username"="u" "password"="p"}"#, &both),
            ("JSON with a BOM", "\u{feff}{\"username\":\"u\",\"password\":\"p\"}", &both),
            ("JSON escapes", r#"{"p": "a\"b\\c\n\u00e9\ud83d\ude00"}"#, &[("p", "a\"b\\c\né😀")]),
            ("JSON, a line end in a quote", "{\"p\": \"a\nb\"}", &[("p", "a\nb")]),
            (
                "JSON numbers stay as written",
                r#"{"p": 1234567890123456789012, "q": 1.50}"#,
                &[("p", "1234567890123456789012"), ("q", "1.50")],
            ),
            (
                "JSON, what is not text",
                r#"{"a": null, "b": [1, {"x": "]"}], "c": {"d": "e"}, "p": "v"}"#,
                &[("p", "v")],
            ),
            ("JSON, an empty text", r#"{"passphrase": "", "p": "v"}"#, &[("p", "v"), ("passphrase", "")]),
            ("lines", "username=u\npassword=p\n", &both),
            ("lines, CRLF, blanks and notes", "# admin\r\n\r\n username = u \r\npassword= p\r\n", &both),
            ("lines, punctuation", "p=a=b,c}d\"e'f#g", &[("p", "a=b,c}d\"e'f#g")]),
            ("lines, quoted", "a=\" x \"\nb='y \"'\nc=\"", &[("a", " x "), ("b", "y \""), ("c", "\"")]),
            ("lines, empty", "passphrase=\np=v", &[("p", "v"), ("passphrase", "")]),
            (
                "lines, base64 over lines",
                "base64_private_key=AB CD\nEFGH\nIJ==\nusername=u",
                &[("base64_private_key", "ABCDEFGHIJ=="), ("username", "u")],
            ),
            (
                "lines, base64 padded once",
                "base64_private_key=ABCD\nEFG=\npassphrase=",
                &[("base64_private_key", "ABCDEFG="), ("passphrase", "")],
            ),
            (
                "JSON, base64 over lines",
                "{\"base64_private_key\": \"AB\n CD\\n==\"}",
                &[("base64_private_key", "ABCD==")],
            ),
            (
                "lines, PEM",
                "private_key=-----BEGIN X-----\nAB==\n-----END X-----\nusername=u",
                &[("private_key", pem), ("username", "u")],
            ),
            ("keys in upper case", "Username=u\nPASSWORD=p", &both),
            ("unicode", "password=pässwörd🔑", &[("password", "pässwörd🔑")]),
        ];
        for (name, text, pairs) in table {
            assert_eq!(read(text, None).unwrap(), expected(pairs), "{name}");
        }
    }

    #[test]
    fn a_field_picks_a_member() {
        let several = r#"{"prod": {"username": "u", "password": "p"}, "text": "{\"username\":\"u\",\"password\":\"p\"}", "api_key": "k", "n": null}"#;
        let both = expected(&[("password", "p"), ("username", "u")]);
        let table = [
            ("an object", several, "prod", Ok(both.clone())),
            ("a text that is an object", several, "text", Ok(both)),
            ("a text", several, "api_key", Ok(expected(&[("api_key", "k")]))),
            ("null", several, "n", Err(ValueFault::NoField)),
            ("absent", several, "none", Err(ValueFault::NoField)),
            ("a bare token", "abc123==\n", "api_key", Ok(expected(&[("api_key", "abc123==")]))),
            ("a bare token, padded once", "YWI=", "api_key", Ok(expected(&[("api_key", "YWI=")]))),
            ("a line", "password=p", "password", Ok(expected(&[("password", "p")]))),
            ("a mistyped line", "password=p", "passwort", Err(ValueFault::NoField)),
        ];
        for (name, text, field, values) in table {
            assert_eq!(read(text, Some(field)), values, "{name}");
        }
    }

    #[test]
    fn what_would_need_a_guess_is_refused() {
        let table = [
            ("nothing", "", ValueFault::Empty),
            ("blank", " \n\t", ValueFault::Empty),
            ("no member", "{}", ValueFault::Empty),
            ("only notes", "# x", ValueFault::Empty),
            ("a bare token", "s3cr3t", ValueFault::Line { line: 1 }),
            ("a stray line", "a=b\nstray", ValueFault::Line { line: 2 }),
            ("an open quote", "{\n\"a\": \"b", ValueFault::OpenQuote { line: 2 }),
            ("an unknown escape", "{\"a\": \"\\q\"}", ValueFault::Escape { line: 1 }),
            ("half a surrogate", "{\"a\": \"\\ud83d\"}", ValueFault::Escape { line: 1 }),
            ("a key without a value", "{\"a\"}", ValueFault::Line { line: 1 }),
            ("twice, JSON", "{\"a\": \"b\",\n\"A\": \"c\"}", ValueFault::Twice { line: 2 }),
            ("twice, lines", "a=b\n\na=c", ValueFault::Twice { line: 3 }),
            ("after the end", "{\"a\": \"b\"} x", ValueFault::Line { line: 1 }),
            ("an array", "[\"a\"]", ValueFault::Line { line: 1 }),
            ("an open list", "{\"a\": [1", ValueFault::Line { line: 1 }),
        ];
        for (name, text, fault) in table {
            assert_eq!(read(text, None), Err(fault), "{name}");
        }
        assert!(matches!(parse(&vec![b'a'; LARGEST + 1], None), Err(ValueFault::TooLarge { .. })));
        assert!(matches!(parse(&[0xff, 0xfe], None), Err(ValueFault::NotUtf8)));
        let many: String = (0..=MOST_KEYS).map(|n| format!("k{n}=v\n")).collect();
        assert_eq!(read(&many, None), Err(ValueFault::TooManyKeys));
    }

    #[test]
    fn a_hostile_text_ends_in_bounded_stack_and_time() {
        let deep = format!("{{\"a\": {}", "[".repeat(LARGEST - 10));
        assert!(read(&deep, None).is_err());
        let quotes = "\"".repeat(LARGEST);
        assert!(read(&quotes, None).is_err());
    }

    #[test]
    fn fuzz_secret_values() {
        let good =
            [r#"{"username":"admin","password":"p\u00e4ss"}"#, "hunter2\n", r#"{"a":{"username":"b"}}"#];
        let good: Vec<Vec<u8>> = good.iter().map(|text| text.as_bytes().to_vec()).collect();
        fuzz::hammer("secret values", &good, |bytes| {
            for field in [None, Some("password"), Some("a")] {
                if let Err(fault) = parse(bytes, field) {
                    assert!(!fault.to_string().contains("hunter2"), "the fault tells the secret");
                }
            }
        });
    }
}
