//! What is wrong with something that a person sent: field, reason, way out. All at once, never one by one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing that is wrong with what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// The field, as a path in the JSON body: `entitlements[3].permission`.
    pub field: String,
    pub reason: String,
    pub way_out: String,
}

impl Fault {
    /// Names a fault. What it repeats of what was sent is told back short, and moves no cursor.
    pub fn new(field: impl Into<String>, reason: impl Into<String>, way_out: impl Into<String>) -> Self {
        let (field, reason) = (told_back(&field.into()), told_back(&reason.into()));
        Self { field, reason, way_out: way_out.into() }
    }
}

/// Returns a fault when a text is longer than `most` characters or holds control characters; line breaks
/// and tabs are allowed when `lines` is true.
pub fn text_fault(field: &str, text: &str, most: usize, lines: bool) -> Option<Fault> {
    let length = text.chars().count();
    if length > most {
        return Some(Fault::new(
            field,
            format!("it has {length} characters, the most is {most}"),
            "shorten it",
        ));
    }
    let odd = text.chars().find(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t')));
    let odd = odd.map(|c| Fault::new(field, format!("it has the control character {c:?}"), "remove it"));
    odd.or_else(|| {
        let turn = text.chars().find(|c| turns(*c))?;
        let reason =
            format!("it has {}, which turns the writing direction of what follows", turn.escape_unicode());
        Some(Fault::new(field, reason, "remove it"))
    })
}

/// Returns true for what makes a text look otherwise than it is to who decides on it: other scripts need none of it.
pub const fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes what a caller sent fit to be told back: short, and without anything that moves a cursor.
pub fn told_back(text: &str) -> String {
    const MOST: usize = 400;
    let mut told = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == MOST {
            told.push('…');
            break;
        }
        if c.is_control() || turns(c) {
            told.extend(c.escape_unicode());
        } else {
            told.push(c);
        }
    }
    told
}
