//! What stands now, set whenever somebody looks: queues, lanes, breakers, what is overdue.
//!
//! A gauge that is not set any more, because its integration is gone, is dropped after a while.

use std::sync::Arc;

use model::{ConnectorId, Span, Timestamp};
use rules::book::{Counts, LaneView};
use tokio::sync::{mpsc, watch};

use crate::admin::Link;
use crate::clock::Clock;
use crate::engine::published::{Condition, Message, Published};
use crate::engine::reads::News;
use crate::engine::surveys::Sightings;
use crate::status::HealthState;

/// Where it is seen what stands. Nobody is kept alive by it.
pub(crate) struct Gauges {
    pub(crate) connector: ConnectorId,
    pub(crate) started: Timestamp,
    /// Of the lease; 0 without one.
    pub(crate) epoch: u64,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) published: watch::Receiver<Published>,
    pub(crate) link: watch::Receiver<Link>,
    pub(crate) messages: mpsc::WeakSender<Message>,
    pub(crate) news: mpsc::WeakSender<News>,
    pub(crate) sightings: mpsc::WeakSender<Sightings>,
}

impl Gauges {
    /// Sets every gauge to what is so now.
    pub(crate) fn set(&self) {
        let (shown, now) = (self.published.borrow().clone(), self.clock.wall());
        of_process(&self.connector, self.started, true, self.epoch);
        set("tidegate_can_open", truth(shown.standstill.is_none() && shown.journal_works));
        set("tidegate_journal_up", truth(shown.journal_works));
        set("tidegate_link_up", truth(matches!(*self.link.borrow(), Link::Up { .. })));
        set("tidegate_reports_uncommitted", count(shown.uncommitted_reports));
        set("tidegate_reads", count(shown.reads));
        set("tidegate_clock_ahead_seconds", seconds(shown.effective.since(now)));
        if let Some(ahead) = shown.clock_skew_ms {
            set("tidegate_clock_skew_seconds", signed(ahead) / 1000.0);
        }
        let total = &shown.total;
        set("tidegate_accounts", count(total.counts.accounts));
        set("tidegate_overdue", count(total.counts.overdue));
        set("tidegate_longest_overdue_seconds", late(total.longest_overdue(now)));
        set("tidegate_queue", count(waiting(total.lane).iter().map(|(_, waiting)| waiting).sum()));
        set("tidegate_calls", f64::from(total.lane.calls));
        for (state, number) in states(total.counts) {
            metrics::gauge!("tidegate_accesses", "state" => state).set(count(number));
        }
        for (integration, condition) in shown.conditions.iter() {
            of_integration(integration.as_str(), condition, now);
        }
        channel("engine", &self.messages);
        channel("news", &self.news);
        channel("sightings", &self.sightings);
    }
}

/// Sets what stands while another instance is active.
pub(crate) fn standing_by(connector: &ConnectorId, started: Timestamp) {
    of_process(connector, started, false, 0);
    set("tidegate_can_open", 0.0);
    set("tidegate_link_up", 0.0);
}

fn of_process(connector: &ConnectorId, started: Timestamp, active: bool, epoch: u64) {
    let build = [("version", env!("CARGO_PKG_VERSION").to_owned()), ("connector", connector.to_string())];
    metrics::gauge!("tidegate_info", &build).set(1.0);
    set("tidegate_started_seconds", seconds(started.since(Timestamp::ZERO)));
    set("tidegate_active", truth(active));
    set("tidegate_epoch", count(epoch));
}

/// Sets how much waits to go on the wire.
pub(crate) fn wire<T>(out: &mpsc::Sender<T>) {
    filled("wire", out);
}

fn of_integration(id: &str, condition: &Condition, now: Timestamp) {
    let one = |name: &'static str, value: f64| {
        metrics::gauge!(name, "integration" => id.to_owned()).set(value);
    };
    let Condition { tally, paused, health } = condition;
    one("tidegate_integration_overdue", count(tally.counts.overdue));
    one("tidegate_integration_longest_overdue_seconds", late(tally.longest_overdue(now)));
    one("tidegate_integration_calls", f64::from(tally.lane.calls));
    one("tidegate_integration_mints", f64::from(tally.lane.mints));
    one("tidegate_integration_breaker_open", truth(tally.lane.breaker_open));
    one("tidegate_integration_paused", truth(*paused));
    if let Some(state) = health {
        one("tidegate_integration_healthy", truth(*state <= HealthState::Warning));
    }
    for (state, number) in states(tally.counts) {
        let labels = [("integration", id.to_owned()), ("state", state.to_owned())];
        metrics::gauge!("tidegate_integration_accesses", &labels).set(count(number));
    }
    for (class, number) in waiting(tally.lane) {
        let labels = [("integration", id.to_owned()), ("class", class.to_owned())];
        metrics::gauge!("tidegate_integration_queue", &labels).set(count(number));
    }
}

fn set(name: &'static str, value: f64) {
    metrics::gauge!(name).set(value);
}

fn channel<T>(name: &'static str, sender: &mpsc::WeakSender<T>) {
    if let Some(sender) = sender.upgrade() {
        filled(name, &sender);
    }
}

fn filled<T>(name: &'static str, sender: &mpsc::Sender<T>) {
    let most = sender.max_capacity();
    let waits = most.saturating_sub(sender.capacity());
    metrics::gauge!("tidegate_channel_length", "channel" => name).set(count(waits as u64));
    metrics::gauge!("tidegate_channel_capacity", "channel" => name).set(count(most as u64));
}

const fn states(counts: Counts) -> [(&'static str, u64); 4] {
    [
        ("opening", counts.opening),
        ("active", counts.active),
        ("interrupted", counts.interrupted),
        ("ending", counts.ending),
    ]
}

const fn waiting(lane: LaneView) -> [(&'static str, u64); 3] {
    [("closing", lane.closing), ("opening", lane.opening), ("housekeeping", lane.housekeeping)]
}

fn late(longest: Option<Span>) -> f64 {
    longest.map_or(0.0, seconds)
}

fn truth(so: bool) -> f64 {
    f64::from(u8::from(so))
}

fn seconds(span: Span) -> f64 {
    span.as_std().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point; counts stay far below 2^52")]
const fn count(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point; skews stay far below 2^52")]
const fn signed(number: i64) -> f64 {
    number as f64
}
