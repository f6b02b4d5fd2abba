//! Figures: what a storm came to, as one line for machines and as words for people.

use std::time::Duration;

use serde::Serialize;

/// What one storm came to. Lateness is from an access's deadline until it was read back as closed.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub name: &'static str,
    pub accesses: usize,
    pub targets: usize,
    /// The most memory that the agent had in use from its restart to the end of the storm.
    pub rss_mib: f64,
    /// Of accesses on targets that answer.
    pub late_p50_ms: i64,
    pub late_p99_ms: i64,
    pub late_max_ms: i64,
    /// Until the login was shut on the target: the rest of the ladder and the read-back are not in it.
    pub shut_p99_ms: i64,
    pub shut_max_ms: i64,
    /// Of accesses on targets that were slow, and on those that were down or silent.
    pub slow_late_max_ms: i64,
    pub down_late_max_ms: i64,
    /// How many accesses were on a real PostgreSQL beside the made-up targets, and how late they ended.
    pub real: usize,
    pub real_late_p50_ms: i64,
    pub real_late_p99_ms: i64,
    pub real_late_max_ms: i64,
    /// The longest time in which nothing ended on any target that answers.
    pub pause_max_ms: i64,
    /// With all accesses open: in use now, before the restart and after it.
    pub live_rss_mib: f64,
    pub resumed_rss_mib: f64,
    /// From the start of the process after `kill -9`: until it says that it has started, until it is ready, until the
    /// control plane knows how all accesses stand.
    pub resume_started_ms: i64,
    pub resume_ready_ms: i64,
    pub resume_known_ms: i64,
    /// The agent's processor time for one access.
    pub open_cpu_ms: f64,
    pub close_cpu_ms: f64,
    /// How long opening all took.
    pub open_s: f64,
    /// The filesystem of the journal.
    pub disk: String,
    /// Set when the figures mean nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub smoke: bool,
}

impl Figures {
    /// Tells them to people.
    pub fn lines(&self) -> Vec<String> {
        let Self { accesses, targets, .. } = self;
        vec![
            format!("{accesses} accesses on {targets} targets, journal on {}", self.disk),
            format!(
                "  late: half within {} ms, 99 % within {} ms, all within {} ms (login shut: {} and {} ms)",
                self.late_p50_ms, self.late_p99_ms, self.late_max_ms, self.shut_p99_ms, self.shut_max_ms
            ),
            format!(
                "  slow targets at most {} ms late, those away {} ms; longest pause of the others {} ms",
                self.slow_late_max_ms, self.down_late_max_ms, self.pause_max_ms
            ),
            format!(
                "  on a PostgreSQL, {}: half within {} ms, 99 % within {} ms, all within {} ms",
                self.real, self.real_late_p50_ms, self.real_late_p99_ms, self.real_late_max_ms
            ),
            format!(
                "  memory: at most {} MiB in the storm; {} MiB with all open, {} MiB after the restart",
                self.rss_mib, self.live_rss_mib, self.resumed_rss_mib
            ),
            format!(
                "  restart: started after {} ms, ready after {} ms, all known after {} ms",
                self.resume_started_ms, self.resume_ready_ms, self.resume_known_ms
            ),
            format!(
                "  processor time an access: {} ms to open, {} ms to close; all open after {} s",
                self.open_cpu_ms, self.close_cpu_ms, self.open_s
            ),
        ]
    }
}

/// Tells how the cost of an access grew from the smallest storm to the largest.
pub fn growth(all: &[Figures]) -> Option<String> {
    let (first, last) = (all.first()?, all.last()?);
    if first.accesses == last.accesses || first.open_cpu_ms <= 0.0 || first.close_cpu_ms <= 0.0 {
        return None;
    }
    Some(format!(
        "an access costs {:.2} times the processor time to open and {:.2} times to close with {} as with {}",
        last.open_cpu_ms / first.open_cpu_ms,
        last.close_cpu_ms / first.close_cpu_ms,
        last.accesses,
        first.accesses
    ))
}

/// The value that so many percent are not above, of sorted ones.
pub fn percentile(sorted: &[i64], percent: usize) -> i64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0)
}

/// KiB as MiB, with one digit.
pub fn mib(kib: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no machine has so much memory")]
    let kib = kib as f64;
    (kib / 1024.0 * 10.0).round() / 10.0
}

/// A length of time in whole milliseconds.
pub fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A share of a length of time in milliseconds, with two digits.
pub fn share_ms(time: Duration, of: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer accesses than a float has digits")]
    let of = of.max(1) as f64;
    (time.as_secs_f64() * 1e3 / of * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_there() {
        let hundred: Vec<i64> = (1..=100).collect();
        let table = [
            ("half", &hundred[..], 50, 50),
            ("99 %", &hundred[..], 99, 99),
            ("all", &hundred[..], 100, 100),
            ("of one", &hundred[..1], 99, 1),
            ("of none", &[], 99, 0),
        ];
        for (name, sorted, percent, expected) in table {
            assert_eq!(percentile(sorted, percent), expected, "{name}");
        }
        assert!((mib(1536) - 1.5).abs() < f64::EPSILON);
        assert!((share_ms(Duration::from_millis(250), 100) - 2.5).abs() < f64::EPSILON);
    }
}
