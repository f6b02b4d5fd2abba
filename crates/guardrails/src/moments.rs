//! Until when something is allowed, asked moment by moment.
//!
//! Asked at the beginning, at each quarter of an hour, and just before the end. Between a yes and the no that
//! follows it the border is found to the millisecond. What says no and yes again within one quarter of an hour can
//! be missed: rules about times change at quarters of an hour everywhere on earth.

use model::{Span, Timestamp};

/// How far the moments are apart.
const APART: Span = Span::from_mins(15);

/// Returns the moments at which it is asked, in order.
pub(crate) fn moments(from: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> {
    let first = (from.as_millis() / APART.as_millis() + 1) * APART.as_millis();
    let count = count(from, until).saturating_sub(2);
    let between = (0..count).map(move |n| {
        let ahead = i64::try_from(n).unwrap_or(i64::MAX).saturating_mul(APART.as_millis());
        Timestamp::from_millis(first.saturating_add(ahead))
    });
    let last = until.minus(Span::from_millis(1));
    std::iter::once(from).chain(between).chain((last > from).then_some(last))
}

/// Returns how many moments there are.
pub(crate) fn count(from: Timestamp, until: Timestamp) -> u64 {
    let last = until.minus(Span::from_millis(1));
    if last <= from {
        return 1;
    }
    let quarters = (last.as_millis() - 1) / APART.as_millis() - from.as_millis() / APART.as_millis();
    u64::try_from(quarters).unwrap_or(0).saturating_add(2)
}

/// Returns until when it is allowed; the first no if it is not allowed at the beginning.
pub(crate) fn until<E>(
    from: Timestamp,
    until: Timestamp,
    allowed: impl Fn(Timestamp) -> Result<(), E>,
) -> Result<Timestamp, E> {
    allowed(from)?;
    let mut yes = from;
    for at in moments(from, until).skip(1) {
        if allowed(at).is_ok() {
            yes = at;
            continue;
        }
        let mut no = at;
        while no.since(yes) > Span::from_millis(1) {
            let middle = yes.plus(Span::from_millis(no.since(yes).as_millis() / 2));
            if allowed(middle).is_ok() { yes = middle } else { no = middle }
        }
        return Ok(no);
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-03-02T{text}Z").parse().unwrap()
    }

    #[test]
    fn the_first_no_is_the_end_to_the_millisecond() {
        let closes = |close: &str| {
            let close = at(close);
            move |now: Timestamp| if now < close { Ok(()) } else { Err(()) }
        };
        let table = [
            ("never closes", "09:07:11", "12:00:00", "23:00:00", Ok("12:00:00")),
            ("closes on a quarter", "09:07:11", "12:00:00", "10:00:00", Ok("10:00:00")),
            ("closes between quarters", "09:07:11", "12:00:00", "10:03:04.567", Ok("10:03:04.567")),
            ("closes within the first quarter", "09:07:11", "09:09:00", "09:08:00", Ok("09:08:00")),
            ("closes with the end", "09:07:11", "12:00:00", "12:00:00", Ok("12:00:00")),
            ("is closed", "09:07:11", "12:00:00", "09:07:11", Err(())),
            ("a millisecond long", "09:07:11", "09:07:11.001", "23:00:00", Ok("09:07:11.001")),
        ];
        for (name, from, end, close, expected) in table {
            assert_eq!(until(at(from), at(end), closes(close)), expected.map(at), "{name}");
        }
    }

    #[test]
    fn what_opens_again_later_ends_all_the_same() {
        let noon = |now: Timestamp| {
            if now >= at("12:00:00") && now < at("13:00:00") { Err(()) } else { Ok(()) }
        };
        assert_eq!(until(at("11:00:00"), at("15:00:00"), noon), Ok(at("12:00:00")));
    }

    proptest! {
        #[test]
        fn as_many_moments_as_counted_in_order_and_within(from in 0..10_000_000_i64, long in 1..90_000_000_i64) {
            let (from, until) = (Timestamp::from_millis(from), Timestamp::from_millis(from + long));
            let all: Vec<_> = moments(from, until).collect();
            prop_assert_eq!(all.len() as u64, count(from, until));
            prop_assert!(all.windows(2).all(|two| two[0] < two[1] && two[1].since(two[0]) <= APART));
            prop_assert!(all.iter().all(|at| *at >= from && *at < until));
        }
    }
}
