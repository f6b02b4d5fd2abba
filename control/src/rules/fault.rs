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
    /// Names a fault.
    pub fn new(field: impl Into<String>, reason: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into(), way_out: way_out.into() }
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
    odd.map(|c| Fault::new(field, format!("it has the control character {c:?}"), "remove it"))
}
