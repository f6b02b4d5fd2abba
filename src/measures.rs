//! What is measured, by name. The names are part of what operators build on: they are only added to.

use std::time::Duration;

use rules::book::Tally;

/// Registers every measure with its unit and meaning.
pub(crate) fn describe() {
    use metrics::Unit;
    metrics::describe_counter!(
        "tidegate_actions_total",
        "Actions on targets that came to an end, by action and outcome"
    );
    metrics::describe_histogram!(
        "tidegate_action_seconds",
        Unit::Seconds,
        "How long an action took, read-back included"
    );
    metrics::describe_histogram!(
        "tidegate_journal_append_seconds",
        Unit::Seconds,
        "How long a batch took to be on disk"
    );
    metrics::describe_gauge!("tidegate_accounts", "Accounts that the journal remembers");
    metrics::describe_gauge!("tidegate_accesses", "Accesses, by state");
    metrics::describe_gauge!("tidegate_overdue", "Accesses past their deadline that are not seen ended yet");
    metrics::describe_gauge!("tidegate_queue", "Accounts that wait for a slot on their target");
    metrics::describe_gauge!("tidegate_can_open", "1 when new accesses can be opened, else 0");
    metrics::describe_gauge!("tidegate_link_up", "1 while a session with the control plane stands, else 0");
}

/// An action came to an end.
pub(crate) fn action(word: &'static str, done: bool, took: Duration) {
    let outcome = if done { "done" } else { "failed" };
    metrics::counter!("tidegate_actions_total", "action" => word, "outcome" => outcome).increment(1);
    metrics::histogram!("tidegate_action_seconds", "action" => word).record(took);
}

/// A batch is on disk.
pub(crate) fn appended(took: Duration) {
    metrics::histogram!("tidegate_journal_append_seconds").record(took);
}

/// How accesses and accounts stand.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point; counts stay far below 2^52")]
pub(crate) fn standing(total: &Tally, can_open: bool) {
    let (counts, lane) = (total.counts, total.lane);
    let queue = lane.closing + lane.opening + lane.housekeeping;
    let states = [
        ("opening", counts.opening),
        ("active", counts.active),
        ("interrupted", counts.interrupted),
        ("ending", counts.ending),
    ];
    for (state, count) in states {
        metrics::gauge!("tidegate_accesses", "state" => state).set(count as f64);
    }
    metrics::gauge!("tidegate_accounts").set(counts.accounts as f64);
    metrics::gauge!("tidegate_overdue").set(counts.overdue as f64);
    metrics::gauge!("tidegate_queue").set(queue as f64);
    metrics::gauge!("tidegate_can_open").set(f64::from(u8::from(can_open)));
}

/// A session stands, or ended.
pub(crate) fn link(up: bool) {
    metrics::gauge!("tidegate_link_up").set(f64::from(u8::from(up)));
}
