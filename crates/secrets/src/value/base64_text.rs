//! Keys whose value is base64: whitespace and line ends in it mean nothing.

use model::Secret;
use zeroize::Zeroizing;

/// Returns true when the key's name says that its value is base64.
pub(super) fn is_base64(key: &str) -> bool {
    key.starts_with("base64_")
}

/// Returns the value without whitespace when its key says that it is base64.
pub(super) fn compact(key: &str, value: Secret) -> Secret {
    if !is_base64(key) {
        return value;
    }
    let mut text = Zeroizing::new(String::with_capacity(value.expose().len()));
    text.extend(value.expose().chars().filter(|c| !c.is_whitespace()));
    Secret::new(std::mem::take(&mut *text))
}
