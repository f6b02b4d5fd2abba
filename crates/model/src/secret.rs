//! A secret is a type with one way out.
//!
//! It has no `Display`, no `Serialize`, no `PartialEq`; `Debug` prints a placeholder; the bytes are
//! overwritten when it is dropped. [`Secret::expose`] is the one exit: call it at the last moment and do
//! not keep what it returns.

use std::fmt;

use zeroize::Zeroizing;

/// Text that must never be seen: an admin password, a token, a new credential.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text as secret; the caller's own copy is the caller's to wipe.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text. The one exit; use it in the call that needs it and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns a second owner of the same text; both wipe their own copy.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Returns true when there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2".into()))), "Some(Secret(…))");
    }
}
