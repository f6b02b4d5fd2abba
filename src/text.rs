//! Other people's texts, as they may be shown: nothing of them moves a cursor, begins a line or turns the writing
//! direction.

/// Replaces control characters, and those that turn the writing direction, by their escapes.
pub(crate) fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if c.is_control() || turns(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

/// Makes a text fit into so many bytes, with a sign at its end when something is missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    const SIGN: &str = "…";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most.saturating_sub(SIGN.len()));
    format!("{}{SIGN}", text.get(..end).unwrap_or_default())
}

/// Returns true for what turns the writing direction of what follows, also of others' words.
pub(crate) const fn turns(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_moves_the_cursor() {
        let table = [
            ("plain", "Größe 大阪 😀 שלום", "Größe 大阪 😀 שלום"),
            ("a line break", "a\nb", "a\\nb"),
            ("an escape", "a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a turn of direction", "a\u{202e}b", "a\\u{202e}b"),
            ("an end of text", "a\0b", "a\\u{0}b"),
        ];
        for (name, text, shown) in table {
            assert_eq!(visible(text), shown, "{name}");
        }
    }

    #[test]
    fn what_is_cut_is_whole_text_with_a_sign() {
        assert_eq!(cut("äöü", 6), "äöü");
        assert_eq!(cut("äöüß", 7), "äö…");
        assert_eq!(cut("äöüß", 2), "…");
    }
}
