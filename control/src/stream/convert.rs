//! Between the wire's messages and our words: the only room that knows both.
//!
//! What comes in is checked here once, for form: ids, lengths, times, kinds. What this build does not know is
//! refused where it stands, never guessed at. What goes out always fits.

mod hello;
mod manifest;
mod report;
mod send;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use model::id::IdFault;
use model::{Code, Failure, Retry, Span, Timestamp};
use prost_types::{Duration as WireDuration, Timestamp as WireTimestamp};
use proto::{limits, v1};

pub(super) use hello::{hello, pulse};
pub(super) use report::{Incoming, incoming, verdict};
pub(super) use send::{ack, goodbye, heartbeat, order, standing, welcome};

/// Why something that came in cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub(super) struct Unreadable {
    field: &'static str,
    reason: String,
}

fn unreadable(field: &'static str, reason: impl Into<String>) -> Unreadable {
    Unreadable { field, reason: reason.into() }
}

fn id<I: FromStr<Err = IdFault>>(field: &'static str, text: &str) -> Result<I, Unreadable> {
    text.parse().map_err(|fault: IdFault| unreadable(field, format!("is not an id: {fault}")))
}

fn uuid<I: FromStr<Err = uuid::Error>>(field: &'static str, text: &str) -> Result<I, Unreadable> {
    text.parse().map_err(|_| unreadable(field, "is not a UUID"))
}

fn text(field: &'static str, text: String, most: usize) -> Result<String, Unreadable> {
    if text.len() > most {
        return Err(unreadable(field, format!("has {} bytes, the most is {most}", text.len())));
    }
    Ok(text)
}

fn name(field: &'static str, name: String) -> Result<String, Unreadable> {
    if name.is_empty() {
        return Err(unreadable(field, "is empty"));
    }
    text(field, name, limits::NAME_BYTES)
}

fn bytes(field: &'static str, found: &[u8], needed: usize) -> Result<(), Unreadable> {
    if found.len() == needed {
        return Ok(());
    }
    Err(unreadable(field, format!("has {} bytes and needs {needed}", found.len())))
}

fn at_most(field: &'static str, found: usize, most: usize) -> Result<(), Unreadable> {
    if found <= most {
        Ok(())
    } else {
        Err(unreadable(field, format!("has {found} items, the most is {most}")))
    }
}

fn time(field: &'static str, time: Option<WireTimestamp>) -> Result<Timestamp, Unreadable> {
    let time = time.ok_or_else(|| unreadable(field, "is not set"))?;
    let fits = (0..=253_402_207_199).contains(&time.seconds) && (0..1_000_000_000).contains(&time.nanos);
    if !fits {
        return Err(unreadable(field, "is not a time between 1970 and 9999"));
    }
    Ok(Timestamp::from_millis(time.seconds * 1_000 + i64::from(time.nanos / 1_000_000)))
}

fn optional_time(field: &'static str, found: Option<WireTimestamp>) -> Result<Option<Timestamp>, Unreadable> {
    found.map(|found| time(field, Some(found))).transpose()
}

fn to_time(time: Timestamp) -> WireTimestamp {
    let millis = time.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    WireTimestamp { seconds: millis.div_euclid(1_000), nanos }
}

fn to_duration(span: Span) -> WireDuration {
    let millis = span.as_millis();
    WireDuration {
        seconds: millis / 1_000,
        nanos: i32::try_from(millis % 1_000 * 1_000_000).unwrap_or_default(),
    }
}

fn code(field: &'static str, code: String) -> Result<Code, Unreadable> {
    Ok(Code::other(name(field, code)?))
}

fn failure(field: &'static str, failure: Option<v1::Failure>) -> Result<Option<Failure>, Unreadable> {
    let Some(failure) = failure else { return Ok(None) };
    let certainty = match failure.certainty() {
        v1::Certainty::Refused => model::Certainty::Refused,
        v1::Certainty::NotDone => model::Certainty::NotDone,
        v1::Certainty::Unknown | v1::Certainty::Unspecified => model::Certainty::Unknown,
    };
    let wait = failure.retry_after.map_or(Span::ZERO, |wait| {
        let whole = Span::from_secs(wait.seconds).as_millis();
        Span::from_millis(whole.saturating_add(i64::from(wait.nanos / 1_000_000)))
    });
    let retry = match failure.retry() {
        v1::Retry::Never => Retry::Never,
        v1::Retry::Backoff | v1::Retry::Unspecified => Retry::Backoff,
        v1::Retry::After => Retry::After(wait),
        v1::Retry::AfterNewSecret => Retry::AfterNewSecret,
        v1::Retry::NeedsHuman => Retry::NeedsHuman,
    };
    let detail = text(field, failure.detail, limits::TEXT_BYTES)?;
    Ok(Some(Failure { certainty, retry, code: code(field, failure.code)?, detail }))
}
