//! Figures: what a round took, medians of rounds, and how they are told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// What one round took.
#[derive(Clone, Debug)]
pub struct Round {
    per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Round {
    /// Takes the round's length and that of each deed.
    pub fn new(whole: Duration, mut times: Vec<Duration>) -> Self {
        times.sort();
        let count = times.len();
        #[expect(clippy::cast_precision_loss, reason = "a round has fewer deeds than a float has digits")]
        let per_s = count as f64 / whole.as_secs_f64();
        let at = |percent: usize| {
            let place = (count * percent).div_ceil(100).saturating_sub(1);
            times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        Self { per_s, p50_ms: at(50), p99_ms: at(99) }
    }
}

/// One line of speed.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    pub name: &'static str,
    pub who: &'static str,
    pub at_a_time: usize,
    pub per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Set when the figures mean nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub smoke: bool,
}

/// One line of size.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    pub name: &'static str,
    pub who: &'static str,
    pub value: f64,
    /// Set when the figures mean nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub smoke: bool,
}

/// What is measured, by whom, how many at a time.
pub type Key = (&'static str, usize, &'static str);

/// The rounds of everybody.
#[derive(Debug, Default)]
pub struct Book(BTreeMap<Key, Vec<Round>>);

impl Book {
    /// Writes a round down.
    pub fn add(&mut self, key: Key, round: Round) {
        self.0.entry(key).or_default().push(round);
    }

    /// The medians, one line for each key.
    pub fn speeds(&self, smoke: bool) -> Vec<Speed> {
        let lines = self.0.iter().map(|(&(name, at_a_time, who), rounds)| Speed {
            name,
            who,
            at_a_time,
            per_s: rounded(median(rounds.iter().map(|round| round.per_s))),
            p50_ms: rounded(median(rounds.iter().map(|round| round.p50_ms))),
            p99_ms: rounded(median(rounds.iter().map(|round| round.p99_ms))),
            smoke,
        });
        lines.collect()
    }
}

/// The middle one; the lower of two. 0 of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// Two digits after the point.
pub fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Says how ours stands beside the others, in words.
pub fn side_by_side(speeds: &[Speed]) -> Vec<String> {
    let per_s = |name: &str, at_a_time: usize, who: &str| {
        let line = speeds.iter().find(|line| (line.name, line.at_a_time, line.who) == (name, at_a_time, who));
        line.map(|line| line.per_s)
    };
    let mut words = vec![];
    for (name, deed) in [("pg_grant", "grants"), ("pg_revoke", "revokes")] {
        for at_a_time in [1, 8] {
            let Some(ours) = per_s(name, at_a_time, "tidegate") else { continue };
            for other in ["openbao", "bare"] {
                if let Some(theirs) = per_s(name, at_a_time, other).filter(|theirs| *theirs > 0.0) {
                    let ratio = ours / theirs;
                    words.push(format!(
                        "{deed}, {at_a_time} at a time: tidegate does {ours:.0} a second, {other} {theirs:.0}: {ratio:.2} times as many"
                    ));
                }
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_medians_are_what_they_say() {
        let times = (1..=100).map(Duration::from_millis).collect();
        let round = Round::new(Duration::from_secs(2), times);
        assert_eq!((round.per_s, round.p50_ms, round.p99_ms), (50.0, 50.0, 99.0));
        let one = Round::new(Duration::from_secs(1), vec![Duration::from_millis(7)]);
        assert_eq!((one.p50_ms, one.p99_ms), (7.0, 7.0));
        let table = [("none", vec![], 0.0), ("odd", vec![3.0, 1.0, 2.0], 2.0), ("even", vec![4.0, 1.0], 1.0)];
        for (name, values, expected) in table {
            assert_eq!(median(values.into_iter()), expected, "{name}");
        }
    }

    #[test]
    fn lines_are_as_they_were_promised() {
        let mut book = Book::default();
        book.add(
            ("pg_grant", 8, "tidegate"),
            Round::new(Duration::from_secs(1), vec![Duration::from_millis(2); 4]),
        );
        book.add(
            ("pg_grant", 8, "openbao"),
            Round::new(Duration::from_secs(2), vec![Duration::from_millis(2); 4]),
        );
        let speeds = book.speeds(false);
        let line = serde_json::to_string(&speeds[1]).unwrap();
        let promised =
            r#"{"name":"pg_grant","who":"tidegate","at_a_time":8,"per_s":4.0,"p50_ms":2.0,"p99_ms":2.0}"#;
        assert_eq!(line, promised);
        let size = Size { name: "binary_mib", who: "tidegate", value: 1.5, smoke: true };
        let line = serde_json::to_string(&size).unwrap();
        assert_eq!(line, r#"{"name":"binary_mib","who":"tidegate","value":1.5,"smoke":true}"#);
        let words = side_by_side(&speeds);
        assert_eq!(words.len(), 1);
        assert!(words[0].ends_with("2.00 times as many"), "{words:?}");
    }
}
