//! The readable part of a name: what is left of a hint in `[a-z0-9_]`.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// What stands where nothing of the hint is left.
const NOBODY: &str = "user";

/// How much of a hint is looked at; the rest could not be seen in the slug anyhow.
const LONGEST_HINT: usize = 256;

/// Makes a slug of 1 to `max_bytes` characters, without `_` at its ends or twice in a row.
///
/// Of an e-mail address only the part before the `@` counts. Letters with marks lose them; letters of
/// other scripts are dropped; everything else becomes a `_`.
pub(super) fn slug(hint: &str, max_bytes: usize) -> String {
    let local = hint.split('@').find(|part| !part.is_empty()).unwrap_or_default();
    let mut slug = String::new();
    for c in local.chars().take(LONGEST_HINT).nfkd().take(LONGEST_HINT * 4) {
        if slug.len() >= max_bytes {
            break;
        }
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            c if !c.is_ascii() => push_folded(&mut slug, c),
            _ if slug.is_empty() || slug.ends_with('_') => {}
            _ => slug.push('_'),
        }
    }
    slug.truncate(max_bytes);
    let slug = slug.trim_end_matches('_');
    if slug.is_empty() { NOBODY.chars().take(max_bytes).collect() } else { slug.to_owned() }
}

/// Adds what people write for a Latin letter that has no decomposition; drops what is none.
fn push_folded(slug: &mut String, c: char) {
    if is_combining_mark(c) {
        return;
    }
    slug.push_str(match c {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'þ' | 'Þ' => "th",
        'ł' | 'Ł' => "l",
        'ħ' | 'Ħ' => "h",
        'ı' => "i",
        'ŋ' | 'Ŋ' => "n",
        'ŧ' | 'Ŧ' => "t",
        _ => "",
    });
}
