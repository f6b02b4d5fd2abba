//! What is measured, by name. The names, kinds and labels are part of what operators build on: they are only added
//! to. `docs/reference/metrics.md` is made from the list; a test compares it with a running agent's `/metrics`.

pub(crate) mod gauges;

use std::time::Duration;

use model::{Code, Span, Verdict};

use crate::engine::reads::Reading;

/// How a measure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// Returns the word that Prometheus has for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub meaning: &'static str,
}

const fn measure(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    meaning: &'static str,
) -> Measure {
    Measure { name, kind, labels, meaning }
}

const INTEGRATION: &[&str] = &["integration"];

/// Every measure.
#[rustfmt::skip]
pub const MEASURES: &[Measure] = &[
    // The whole agent.
    measure("tidegate_info", Kind::Gauge, &["version", "connector"], "Always 1; which build runs, as which connector"),
    measure("tidegate_started_seconds", Kind::Gauge, &[], "When the process started, in seconds since 1970"),
    measure("tidegate_can_open", Kind::Gauge, &[], "1 when new accesses can be opened as far as journal, clock, pauses and agreement with the control plane go, else 0"),
    measure("tidegate_active", Kind::Gauge, &[], "1 when this instance acts for the connector, 0 while it stands by"),
    measure("tidegate_epoch", Kind::Gauge, &[], "The epoch of the lease under which it acts; 0 while it stands by, and when it is the only instance"),
    measure("tidegate_accounts", Kind::Gauge, &[], "Accounts that the journal remembers"),
    measure("tidegate_accesses", Kind::Gauge, &["state"], "Accesses, by state: opening, active, interrupted, ending"),
    measure("tidegate_overdue", Kind::Gauge, &[], "Accesses past their deadline that are not seen ended yet"),
    measure("tidegate_longest_overdue_seconds", Kind::Gauge, &[], "How long the longest of them is past its deadline; 0 when none is"),
    measure("tidegate_queue", Kind::Gauge, &[], "Accounts that wait for a slot on their target"),
    measure("tidegate_calls", Kind::Gauge, &[], "Calls under way on targets"),
    measure("tidegate_clock_ahead_seconds", Kind::Gauge, &[], "How far the time that deadlines are judged by is ahead of the machine's clock"),
    measure("tidegate_clock_skew_seconds", Kind::Gauge, &[], "How far the control plane's clock is ahead of the machine's; absent when it was not heard lately"),
    // One integration.
    measure("tidegate_integration_accesses", Kind::Gauge, &["integration", "state"], "Accesses on the integration, by state"),
    measure("tidegate_integration_overdue", Kind::Gauge, INTEGRATION, "Its accesses past their deadline that are not seen ended yet"),
    measure("tidegate_integration_longest_overdue_seconds", Kind::Gauge, INTEGRATION, "How long the longest of them is past its deadline; 0 when none is"),
    measure("tidegate_integration_queue", Kind::Gauge, &["integration", "class"], "Its accounts that wait for a slot: closing, opening, housekeeping"),
    measure("tidegate_integration_calls", Kind::Gauge, INTEGRATION, "Calls under way on its target; of 8 slots one is kept for closing"),
    measure("tidegate_integration_mints", Kind::Gauge, INTEGRATION, "Credentials that are being made for it; at most 16"),
    measure("tidegate_integration_breaker_open", Kind::Gauge, INTEGRATION, "1 while its target does not answer and calls are held back, but for one probe at a time"),
    measure("tidegate_integration_paused", Kind::Gauge, INTEGRATION, "1 while opening is paused on it, by the control plane or beside the agent"),
    measure("tidegate_integration_healthy", Kind::Gauge, INTEGRATION, "1 when its target was good at the last look, or only warned of; 0 when not; absent before the first look"),
    // Work on targets.
    measure("tidegate_actions_total", Kind::Counter, &["action", "outcome"], "Actions on targets that came to an end, by action and outcome"),
    measure("tidegate_action_seconds", Kind::Histogram, &["action"], "How long an action took, read-back included"),
    measure("tidegate_reads_total", Kind::Counter, &["reading", "outcome"], "Checks, discoveries and surveys that came to an end, by outcome"),
    measure("tidegate_read_seconds", Kind::Histogram, &["reading"], "How long a check, discovery or survey took"),
    measure("tidegate_reads", Kind::Gauge, &[], "Checks, discoveries and surveys under way"),
    measure("tidegate_ended_total", Kind::Counter, &["verdict"], "Accesses that were seen ended: expired, revoked, deleted"),
    measure("tidegate_close_lateness_seconds", Kind::Histogram, &[], "How long after its deadline an expired access was seen ended"),
    measure("tidegate_close_seconds", Kind::Histogram, &[], "How long it took from the word that an access ends until it was seen ended"),
    measure("tidegate_alarms_total", Kind::Counter, &["code"], "Alarms, by code: a person should look"),
    measure("tidegate_orders_refused_total", Kind::Counter, &["code"], "Orders of the control plane that were not taken, by code"),
    // The log.
    measure("tidegate_log_lines_dropped_total", Kind::Counter, &[], "Log lines that nobody will read: they were told faster than whoever reads the error output took them"),
    // Journal.
    measure("tidegate_journal_up", Kind::Gauge, &[], "1 while the journal takes writes, else 0: only closing goes on then"),
    measure("tidegate_journal_append_seconds", Kind::Histogram, &[], "How long a batch took to be on disk"),
    measure("tidegate_journal_faults_total", Kind::Counter, &[], "Batches that the journal refused or did not answer for"),
    measure("tidegate_lease_failures_total", Kind::Counter, &[], "Renewals of the lease that the journal's database refused or did not answer"),
    measure("tidegate_reports_uncommitted", Kind::Gauge, &[], "Reports that the control plane has not committed yet"),
    // Link.
    measure("tidegate_link_up", Kind::Gauge, &[], "1 while a session with the control plane stands, else 0"),
    measure("tidegate_link_sessions_total", Kind::Counter, &[], "Sessions that came to stand"),
    measure("tidegate_link_failures_total", Kind::Counter, &[], "Dials that failed and sessions that ended"),
    // Queues within the agent.
    measure("tidegate_channel_length", Kind::Gauge, &["channel"], "What waits within the agent: engine (orders, answers, questions), news (for the link), sightings (of surveys), wire (to the control plane; absent without a session)"),
    measure("tidegate_channel_capacity", Kind::Gauge, &["channel"], "How much may wait there; whoever brings more waits"),
];

/// Registers every measure with its meaning, and begins those counters whose labels are known at 0.
pub(crate) fn describe() {
    for Measure { name, kind, meaning, .. } in MEASURES {
        match kind {
            Kind::Counter => metrics::describe_counter!(*name, *meaning),
            Kind::Gauge => metrics::describe_gauge!(*name, *meaning),
            Kind::Histogram => metrics::describe_histogram!(*name, *meaning),
        }
    }
    for verdict in [Verdict::Expired, Verdict::Revoked, Verdict::Deleted] {
        metrics::counter!("tidegate_ended_total", "verdict" => verdict_word(verdict)).increment(0);
    }
    metrics::counter!("tidegate_journal_faults_total").increment(0);
    metrics::counter!("tidegate_lease_failures_total").increment(0);
    metrics::counter!("tidegate_log_lines_dropped_total").increment(0);
    metrics::counter!("tidegate_link_sessions_total").increment(0);
    metrics::counter!("tidegate_link_failures_total").increment(0);
}

const fn outcome(done: bool) -> &'static str {
    if done { "done" } else { "failed" }
}

/// An action came to an end.
pub(crate) fn action(word: &'static str, done: bool, took: Duration) {
    metrics::counter!("tidegate_actions_total", "action" => word, "outcome" => outcome(done)).increment(1);
    metrics::histogram!("tidegate_action_seconds", "action" => word).record(took);
}

/// A reading came to an end.
pub(crate) fn read(reading: Reading, done: bool, took: Duration) {
    let word = reading.word();
    metrics::counter!("tidegate_reads_total", "reading" => word, "outcome" => outcome(done)).increment(1);
    metrics::histogram!("tidegate_read_seconds", "reading" => word).record(took);
}

/// A batch is on disk.
pub(crate) fn appended(took: Duration) {
    metrics::histogram!("tidegate_journal_append_seconds").record(took);
}

/// A batch was refused, or not answered for.
pub(crate) fn journal_failed() {
    metrics::counter!("tidegate_journal_faults_total").increment(1);
}

/// The lease was not prolonged.
pub(crate) fn lease_failed() {
    metrics::counter!("tidegate_lease_failures_total").increment(1);
}

/// An access was seen ended: how late after its deadline when that was why, and how long after the word.
pub(crate) fn ended(verdict: Verdict, late: Option<Span>, took: Option<Span>) {
    metrics::counter!("tidegate_ended_total", "verdict" => verdict_word(verdict)).increment(1);
    if let Some(late) = late {
        metrics::histogram!("tidegate_close_lateness_seconds").record(late.as_std());
    }
    if let Some(took) = took {
        metrics::histogram!("tidegate_close_seconds").record(took.as_std());
    }
}

/// Something that a person should know was told.
pub(crate) fn alarm(code: &Code) {
    metrics::counter!("tidegate_alarms_total", "code" => code.to_string()).increment(1);
}

/// An order was not taken.
pub(crate) fn refused(code: &Code) {
    metrics::counter!("tidegate_orders_refused_total", "code" => code.to_string()).increment(1);
}

/// So many lines of the log were dropped since the start.
pub(crate) fn dropped_lines(count: u64) {
    metrics::counter!("tidegate_log_lines_dropped_total").absolute(count);
}

/// A session stands.
pub(crate) fn session() {
    metrics::counter!("tidegate_link_sessions_total").increment(1);
}

/// A dial failed, or a session ended.
pub(crate) fn link_failed() {
    metrics::counter!("tidegate_link_failures_total").increment(1);
}

pub(crate) const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Expired => "expired",
        Verdict::Revoked => "revoked",
        Verdict::Deleted => "deleted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_say_what_they_count() {
        let names: BTreeSet<_> = MEASURES.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), MEASURES.len());
        for Measure { name, kind, meaning, .. } in MEASURES {
            assert!(name.starts_with("tidegate_") && !meaning.ends_with('.'), "{name}: {meaning}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        }
    }
}
