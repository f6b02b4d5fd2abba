//! Looking for secrets: the forms in which a text may hide, and whether one of them is somewhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

/// Shorter pieces are found everywhere by chance.
const SHORTEST: usize = 8;

/// A secret in every form that is looked for.
#[derive(Debug)]
pub struct Wanted {
    /// What it is, for the finding; never the secret itself.
    pub name: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Wanted {
    /// Prepares to look for a secret.
    pub fn new(name: impl Into<String>, secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let each = |write: &dyn Fn(u8) -> String| -> Vec<u8> {
            bytes.iter().map(|byte| write(*byte)).collect::<String>().into_bytes()
        };
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let percent =
            |byte: u8| if unreserved(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
        let mut forms = vec![
            ("clear text", bytes.to_vec()),
            ("hex", each(&|byte| format!("{byte:02x}"))),
            ("hex in capitals", each(&|byte| format!("{byte:02X}"))),
            ("URL-encoded", each(&percent)),
            ("URL-encoded throughout", each(&|byte| format!("%{byte:02X}"))),
            ("URL-encoded throughout, small", each(&|byte| format!("%{byte:02x}"))),
            ("escaped for JSON", each(&|byte| format!("\\u{:04x}", byte))),
            ("UTF-16", secret.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("a list of bytes", bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ").into_bytes()),
        ];
        for shift in 0..3 {
            let mut shifted = vec![0; shift];
            shifted.extend_from_slice(bytes);
            // The characters at both ends also carry bits of the neighbours: those between are the secret's alone.
            let (first, whole) = ([0, 2, 3][shift], shifted.len() / 3 * 4);
            for (form, engine) in [("base64", &STANDARD), ("base64 for URLs", &URL_SAFE)] {
                let text: String = engine.encode(&shifted).chars().take(whole).skip(first).collect();
                forms.push((form, text.into_bytes()));
            }
        }
        // At its own beginning and end it is looked for whole, with and without padding.
        forms.push(("base64", STANDARD.encode(bytes).into_bytes()));
        forms.push(("base64 without padding", STANDARD_NO_PAD.encode(bytes).into_bytes()));
        forms.push(("base64 for URLs", URL_SAFE.encode(bytes).into_bytes()));
        forms.push(("base64 for URLs without padding", URL_SAFE_NO_PAD.encode(bytes).into_bytes()));
        forms.retain(|(_, form)| form.len() >= SHORTEST);
        Self { name: name.into(), forms }
    }

    /// Gives the form in which it is in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Option<&'static str> {
        self.forms.iter().find(|(_, form)| contains(bytes, form)).map(|(name, _)| *name)
    }
}

/// Whether bytes are among bytes. Jumps by the last byte's place, so that long texts take little time.
fn contains(text: &[u8], sought: &[u8]) -> bool {
    let Some((&last, _)) = sought.split_last() else { return true };
    let mut jumps = [sought.len(); 256];
    for (at, byte) in sought.iter().enumerate().take(sought.len() - 1) {
        jumps[usize::from(*byte)] = sought.len() - 1 - at;
    }
    let mut at = 0;
    while let Some(window) = text.get(at..at + sought.len()) {
        let end = window[sought.len() - 1];
        if end == last && window == sought {
            return true;
        }
        at += jumps[usize::from(end)];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "aB3_cD4-eFgHiJkLmNoPqRsTuVwX";

    #[test]
    fn a_secret_is_found_in_every_form() {
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        let behind = |before: &str| STANDARD.encode(format!("{before}{SECRET} and more"));
        let table = [
            ("as it is", format!("password={SECRET};"), "clear text"),
            ("hex", format!("\\x{hex}00"), "hex"),
            ("hex in capitals", hex.to_uppercase(), "hex in capitals"),
            ("base64", behind(""), "base64"),
            ("base64 behind one byte", behind("x"), "base64"),
            ("base64 behind two bytes", behind("xy"), "base64"),
            ("base64 behind many bytes", behind("{\"password\":\""), "base64"),
            ("base64 for URLs", URL_SAFE_NO_PAD.encode(format!("??>{SECRET}??>")), "base64"),
            ("a list of bytes", format!("{:?}", SECRET.as_bytes()), "a list of bytes"),
        ];
        for (name, text, form) in table {
            assert_eq!(Wanted::new("it", SECRET).found_in(text.as_bytes()), Some(form), "{name}");
        }
        let odd = Wanted::new("it", "p@ss wörd/+");
        assert_eq!(odd.found_in(b"x=p%40ss%20w%C3%B6rd%2F%2B"), Some("URL-encoded"));
        let bits = Wanted::new("it", "\u{3bf}?\u{3bf}?\u{3bf}?\u{3bf}?");
        let url = URL_SAFE.encode("\u{3bf}?\u{3bf}?\u{3bf}?\u{3bf}?");
        assert_eq!(bits.found_in(url.as_bytes()), Some("base64 for URLs"));
        assert_eq!(Wanted::new("it", SECRET).found_in(b"nothing here"), None);
    }

    #[test]
    fn bytes_are_found_at_every_place_and_nowhere_else() {
        let sought = b"abcabd";
        for before in 0..20 {
            let mut text = b"abcabcabcabcababcabc"[..before].to_vec();
            assert!(!contains(&text, sought), "before {before}");
            text.extend(sought);
            assert!(contains(&text, sought), "at {before}");
            text.extend(b"xyz");
            assert!(contains(&text, sought), "at {before}, with more behind");
            text.retain(|byte| *byte != b'd');
            assert!(!contains(&text, sought), "without its end, at {before}");
        }
    }
}
