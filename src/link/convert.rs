//! Between the wire's messages and the words of `model` and `rules`.
//!
//! What comes in is checked here once, for form: ids, lengths, times, kinds. Nothing downstream checks it
//! again, and nothing that this build does not know is guessed at. What goes out always fits: prose is cut,
//! and a report that cannot be put on the wire becomes an alarm in its place, so that no position is left
//! out. Whether an order may be done is left to the rules and the guardrails.

mod manifest;
mod news;
mod orders;
mod reports;
mod session;
#[cfg(test)]
mod tests;
mod words;

use std::str::FromStr;

use model::id::IdFault;
use proto::limits;

pub(crate) use manifest::{manifest, probes, resource, resource_id};
pub(crate) use news::news;
pub(crate) use orders::{Received, received};
pub(crate) use reports::report;
pub(crate) use session::{
    Cursor, StandingPage, Welcome, ack, control_heartbeat, cursor, goodbye, standing_page, welcome,
};
pub(crate) use words::{failure, span, time};

/// Why something that came in cannot be read: field, reason, way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("`{field}` is not set: set it")]
    Missing { field: &'static str },
    #[error("`{field}` cannot be read: {fault}")]
    Id { field: &'static str, fault: IdFault },
    #[error("`{field}` is not a UUID: write it as 8-4-4-4-12 hex digits")]
    Uuid { field: &'static str },
    #[error("`{field}` has {found} bytes: the most is {most}")]
    TooLong { field: &'static str, found: usize, most: usize },
    #[error("`{field}` has {found} items: the most is {most}")]
    TooMany { field: &'static str, found: usize, most: usize },
    #[error("`{field}` has {found} bytes: it must have {needed}")]
    Length { field: &'static str, found: usize, needed: usize },
    #[error("`{field}` is not a time: give one between 1970 and 9999, with nanoseconds below a second")]
    Time { field: &'static str },
    #[error("`{field}` is not a length of time: give one that is not negative")]
    Span { field: &'static str },
    #[error("`{field}` is of a kind that this build does not know: run a build that does")]
    UnknownKind { field: &'static str },
    #[error("`{field}` cannot be read: {reason}")]
    Unreadable { field: &'static str, reason: &'static str },
}

/// Reads an id that the control plane made.
fn id<I: FromStr<Err = IdFault>>(field: &'static str, text: &str) -> Result<I, Fault> {
    text.parse().map_err(|fault| Fault::Id { field, fault })
}

/// Reads an id of the control plane's that may be left out.
fn optional_id<I: FromStr<Err = IdFault>>(field: &'static str, text: &str) -> Result<Option<I>, Fault> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

/// Reads an incarnation, an account's or an instance's id.
fn uuid<I: FromStr<Err = uuid::Error>>(field: &'static str, text: &str) -> Result<I, Fault> {
    if text.is_empty() {
        return Err(Fault::Missing { field });
    }
    text.parse().map_err(|_| Fault::Uuid { field })
}

/// Takes a text of at most so many bytes.
fn text(field: &'static str, text: String, most: usize) -> Result<String, Fault> {
    if text.len() > most { Err(Fault::TooLong { field, found: text.len(), most }) } else { Ok(text) }
}

/// Takes a name that must be there.
fn name(field: &'static str, name: String) -> Result<String, Fault> {
    if name.is_empty() {
        return Err(Fault::Missing { field });
    }
    text(field, name, limits::NAME_BYTES)
}

/// Takes no more items than are allowed.
fn at_most<I>(field: &'static str, items: Vec<I>, most: usize) -> Result<Vec<I>, Fault> {
    if items.len() > most { Err(Fault::TooMany { field, found: items.len(), most }) } else { Ok(items) }
}

/// Takes bytes that must have a certain length.
fn exactly<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], Fault> {
    if bytes.is_empty() {
        return Err(Fault::Missing { field });
    }
    bytes.try_into().map_err(|_| Fault::Length { field, found: bytes.len(), needed: N })
}

/// Takes a number that counts from 1.
fn from_one(field: &'static str, number: u64) -> Result<u64, Fault> {
    if number == 0 { Err(Fault::Missing { field }) } else { Ok(number) }
}

/// Puts a text for people on the wire: what others named in it moves nobody's cursor, and it fits.
fn cut(text: &str, most: usize) -> String {
    crate::text::cut(&crate::text::visible(text), most)
}
