//! JSON values as YAML 1.2, in block style.
//!
//! Texts that could be taken for something else are written in JSON's quotes, which YAML reads alike.

use serde_json::Value;

/// Writes a value as one document.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    if let Value::Object(map) = value
        && !map.is_empty()
    {
        for (key, inner) in map {
            text.push_str(&format!("{indent}{}:", plain_or_quoted(key)));
            below(inner, depth, text);
        }
    } else if let Value::Array(list) = value
        && !list.is_empty()
    {
        for inner in list {
            item(inner, depth, text);
        }
    } else {
        text.push_str(&format!("{indent}{}\n", scalar(value)));
    }
}

/// Writes what stands after `key:`.
fn below(value: &Value, depth: usize, text: &mut String) {
    if is_block(value) {
        text.push('\n');
        // A list may stand under its key without more indentation, but not everyone reads it so.
        block(value, depth + 1, text);
    } else {
        text.push_str(&format!(" {}\n", scalar(value)));
    }
}

/// Writes one item of a list; the first line of a block stands after its dash.
fn item(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    if is_block(value) {
        let mut inner = String::new();
        block(value, depth + 1, &mut inner);
        let first = inner.strip_prefix(&"  ".repeat(depth + 1)).unwrap_or(&inner);
        text.push_str(&format!("{indent}- {first}"));
    } else {
        text.push_str(&format!("{indent}- {}\n", scalar(value)));
    }
}

fn is_block(value: &Value) -> bool {
    value.as_object().is_some_and(|map| !map.is_empty())
        || value.as_array().is_some_and(|list| !list.is_empty())
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), plain_or_quoted)
}

/// Returns the text as it is when nobody can take it for anything else; times and versions with a letter
/// or underscore at their beginning are no exception.
fn plain_or_quoted(text: &str) -> String {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let harmless =
        text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+'));
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if starts && harmless && !word.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        // YAML does not allow every character that JSON leaves as it is.
        let json = Value::from(text).to_string();
        json.chars().fold(String::new(), |mut all, c| {
            if matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
                all.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                all.push(c);
            }
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let value = json!({
            "plain": "READ_ONLY", "empty": "", "list": [1, -2.5, "a b", [], {}, [["deep"]], {"k": [true, null]}],
            "odd": ["yes", "No", "~", "null", "1.0", "0x1f", "2026-01-01", "- a", "a: b", "#c", "\"q\"", "'", "a\nb",
                "\u{85}\u{2028}\u{feff}\u{7f}é表🔑", "*x", "&x", "!t", "%", "@", "`", "|", ">", " lead", "trail ", "y"],
            "key: odd": {"": {"nested": {}}}, "123": "n",
        });
        let read: Value = serde_saphyr::from_str(&document(&value)).unwrap();
        assert_eq!(read, value, "{}", document(&value));
        for small in [json!([]), json!({}), json!(null), json!("x"), json!(7)] {
            assert_eq!(serde_saphyr::from_str::<Value>(&document(&small)).unwrap(), small);
        }
    }

    #[test]
    fn it_is_pleasant_to_read() {
        let value = json!({"items": [{"id": "a", "path": ["x", "y"]}], "size": 1});
        assert_eq!(document(&value), "items:\n  - id: a\n    path:\n      - x\n      - \"y\"\nsize: 1\n");
    }
}
