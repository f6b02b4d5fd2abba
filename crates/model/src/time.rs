//! Time as a value: absolute UTC and spans, in milliseconds.
//!
//! Nobody here asks for the time. It is an argument everywhere, so a seed replays exactly; only the
//! `clock` of a building reads the real one. Text form is RFC 3339.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in absolute time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The greatest time that `jiff` can print: 9999-12-30T22:00:00Z.
const LAST_MS: i64 = 253_402_207_200_000;

impl Timestamp {
    /// The beginning of time.
    pub const ZERO: Self = Self(0);
    /// Later than every deadline.
    pub const NEVER: Self = Self(LAST_MS);

    /// Takes milliseconds since the epoch; times outside 1970–9999 are brought to the nearest end.
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 {
            0
        } else if ms > LAST_MS {
            LAST_MS
        } else {
            ms
        })
    }

    /// Takes seconds since the epoch; see [`Self::from_millis`].
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// Returns milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time `span` later, at most [`Self::NEVER`].
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_add(span.0))
    }

    /// Returns the time `span` earlier, at least [`Self::ZERO`].
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_sub(span.0))
    }

    /// Returns how long ago `earlier` was, zero if it is later.
    pub const fn since(self, earlier: Self) -> Span {
        let ms = self.0.saturating_sub(earlier.0);
        Span(if ms < 0 { 0 } else { ms })
    }

    /// Returns the distance between two times, whichever is later.
    pub const fn distance(self, other: Self) -> Span {
        Span(self.0.saturating_sub(other.0).saturating_abs())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time: write it as RFC 3339, for example 2026-01-31T10:00:00Z")]
pub struct TimeFault {
    text: String,
}

impl FromStr for Timestamp {
    type Err = TimeFault;
    fn from_str(text: &str) -> Result<Self, TimeFault> {
        let time: jiff::Timestamp = text.parse().map_err(|_| TimeFault { text: text.into() })?;
        let ms = time.as_millisecond();
        if (0..=LAST_MS).contains(&ms) { Ok(Self(ms)) } else { Err(TimeFault { text: text.into() }) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A length of time in milliseconds, never negative.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Takes milliseconds; negative ones become zero.
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 { 0 } else { ms })
    }

    /// Takes seconds.
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// Takes minutes.
    pub const fn from_mins(mins: i64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// Takes hours.
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_mins(hours.saturating_mul(60))
    }

    /// Takes days of 24 hours.
    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    /// Returns milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the same length for the standard library.
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.unsigned_abs())
    }
}

impl fmt::Display for Span {
    /// The form that people type: `90m`, `1h30m`, `45s`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
            if rest >= size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a duration: write it as a number and a unit, for example 90m, 8h, 1h30m, 45s, 2d")]
pub struct SpanFault {
    text: String,
}

impl FromStr for Span {
    type Err = SpanFault;
    fn from_str(text: &str) -> Result<Self, SpanFault> {
        let fault = || SpanFault { text: text.into() };
        let mut total: i64 = 0;
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(fault());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fault)?;
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(fault)?;
            let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at_checked(letters).ok_or_else(fault)?;
            let size = match unit {
                "ms" => 1,
                "s" => 1000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(fault()),
            };
            let number: i64 = number.parse().map_err(|_| fault())?;
            let part = number.checked_mul(size).ok_or_else(fault)?;
            total = total.checked_add(part).ok_or_else(fault)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_as_people_type_them() {
        for (text, ms) in
            [("90m", 5_400_000), ("1h30m", 5_400_000), ("45s", 45_000), ("2d", 172_800_000), ("250ms", 250)]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_millis(), ms, "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        for text in ["", "m", "5", "-5m", "5 m", "5y", "99999999999999999999h", "é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_round_trip_and_stay_within_four_digit_years() {
        let time: Timestamp = "2038-01-19T03:14:08Z".parse().unwrap();
        assert_eq!(time.as_secs(), 2_147_483_648);
        assert_eq!(time.to_string(), "2038-01-19T03:14:08.000Z");
        assert_eq!(serde_json::from_str::<Timestamp>(&serde_json::to_string(&time).unwrap()).unwrap(), time);
        assert_eq!(Timestamp::NEVER.plus(Span::from_days(1)), Timestamp::NEVER);
        assert_eq!(Timestamp::ZERO.minus(Span::from_days(1)), Timestamp::ZERO);
        assert_eq!(Timestamp::NEVER.to_string().parse::<Timestamp>().unwrap(), Timestamp::NEVER);
        assert!("1969-12-31T23:59:59Z".parse::<Timestamp>().is_err());
    }
}
