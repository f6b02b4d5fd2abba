//! Whether anybody was starved: pure, from when each access ended.
//!
//! The targets that answer are judged by one another, since machines differ: none may begin to be served long after the
//! others, be done long after the others, or stand still while the slow and the silent are waited for.

use std::collections::BTreeMap;

/// What counts for nothing: a busy machine, one large batch. In milliseconds.
const SLACK: i64 = 2_000;

/// One access that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub target: usize,
    /// When it ended, in milliseconds; all have the same zero.
    pub at: i64,
}

/// A target's first and last end.
#[derive(Clone, Copy, Debug)]
struct Service {
    first: i64,
    last: i64,
}

/// Says who was starved among those that these ends are of, and how; nothing is good.
pub fn starved(ends: &[End]) -> Vec<String> {
    let mut services: BTreeMap<usize, Service> = BTreeMap::new();
    for End { target, at } in ends.iter().copied() {
        let service = services.entry(target).or_insert(Service { first: at, last: at });
        service.first = service.first.min(at);
        service.last = service.last.max(at);
    }
    let begin = services.values().map(|service| service.first).min().unwrap_or(0);
    let end = services.values().map(|service| service.last).max().unwrap_or(0);
    let part = (end - begin) / 4 + SLACK;
    let mut lasts: Vec<i64> = services.values().map(|service| service.last - begin).collect();
    lasts.sort_unstable();
    let usual = lasts.get(lasts.len() / 2).copied().unwrap_or(0);
    let mut faults = vec![];
    let whole = end - begin;
    for (target, service) in &services {
        let (first, last) = (service.first - begin, service.last - begin);
        if first > part {
            faults.push(format!("target {target} waited {first} ms for its first close, of {whole} ms"));
        }
        if last > usual * 2 + SLACK {
            faults.push(format!("target {target} was done after {last} ms, half of all after {usual} ms"));
        }
    }
    let pause = longest_pause(ends);
    if pause > part {
        faults.push(format!("nobody was closed for {pause} ms of {whole} ms: all waited for somebody"));
    }
    faults
}

/// The longest time between an end and the next one, in milliseconds.
pub fn longest_pause(ends: &[End]) -> i64 {
    let mut times: Vec<i64> = ends.iter().map(|end| end.at).collect();
    times.sort_unstable();
    times.windows(2).filter_map(|two| Some(two.last()? - two.first()?)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: usize = 20;
    const EACH: i64 = 100;

    /// Ends of every target, by a rule that gives the time of a target's n-th.
    fn ends(at: impl Fn(usize, i64) -> i64) -> Vec<End> {
        let at = &at;
        let of = move |target| (0..EACH).map(move |n| End { target, at: at(target, n) });
        (0..TARGETS).flat_map(of).collect()
    }

    #[test]
    fn who_was_starved_is_named() {
        let fair = |_: usize, n: i64| n * 100;
        let seventh = |target: usize, then: i64, usual: i64| if target == 7 { then } else { usual };
        let table = [
            ("in turns", ends(fair), None),
            ("in turns, after a long begin", ends(|target, n| 30_000 + fair(target, n)), None),
            ("one after the other", ends(|target, n| target as i64 * 1_000 + n * 10), Some("first close")),
            (
                "one begins late",
                ends(|target, n| fair(target, n) + seventh(target, 9_000, 0)),
                Some("target 7 waited"),
            ),
            (
                "one is slow",
                ends(|target, n| fair(target, n) * seventh(target, 4, 1)),
                Some("target 7 was done"),
            ),
            (
                "all wait for somebody",
                ends(|target, n| fair(target, n) + if n > 50 { 9_000 } else { 0 }),
                Some("nobody was closed"),
            ),
            ("nobody", vec![], None),
        ];
        for (name, ends, expected) in table {
            let faults = starved(&ends);
            match expected {
                None => assert_eq!(faults, Vec::<String>::new(), "{name}"),
                Some(part) => assert!(faults.iter().any(|fault| fault.contains(part)), "{name}: {faults:?}"),
            }
        }
    }
}
