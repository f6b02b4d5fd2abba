//! What the agent tells of itself: log lines and metrics.
//!
//! Logs go to standard error: JSON, one object a line, or text for people. The level is about our own
//! packages; what others log below WARN may hold statements or headers, and is never let through. Metrics
//! are kept in memory for `/metrics`. Which events and metrics there are is for those who have them.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat};

/// What our own packages' names begin with.
const OURS: [&str; 9] =
    ["tidegate", "model", "rules", "seal", "proto", "journal", "secrets", "driver", "services"];

/// The upper bounds of the buckets of everything that is measured in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// A gauge that was not set for so long is dropped: what it was about is gone.
const GAUGES_LIVE: Duration = Duration::from_secs(60);

/// Why the agent cannot tell of itself.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    #[error("logging cannot begin: another logger is set in this process")]
    Log(#[source] TryInitError),
    #[error("metrics cannot begin: another recorder is set in this process")]
    Metrics(#[source] BuildError),
    #[error("the log level cannot be changed: logging has ended")]
    Level(#[source] reload::Error),
}

/// The handles of what was begun; clones are the same.
#[derive(Clone)]
pub struct Telemetry {
    filter: reload::Handle<Targets, Registry>,
    level: Arc<Mutex<Level>>,
    metrics: PrometheusHandle,
}

impl Telemetry {
    /// Changes the level while the agent runs.
    ///
    /// # Errors
    /// When logging has ended.
    pub fn set_level(&self, level: Level) -> Result<(), TelemetryFault> {
        self.filter.reload(filter(level)).map_err(TelemetryFault::Level)?;
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level;
        Ok(())
    }

    /// Returns the present level.
    pub fn level(&self) -> Level {
        *self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles of nothing, for tests.
    #[cfg(test)]
    pub(crate) fn mute() -> Self {
        let (_, handle) = reload::Layer::new(filter(Level::INFO));
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        Self { filter: handle, level: Arc::new(Mutex::new(Level::INFO)), metrics }
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }
}

/// Begins logging and metrics for this process, once.
///
/// # Errors
/// When they were begun before.
pub fn start(log: Log) -> Result<Telemetry, TelemetryFault> {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let lines = lines(log.format, io::stderr().is_terminal(), io::stderr);
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(TelemetryFault::Log)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "A part of the agent panicked; this is a fault of the program");
    }));
    let metrics = recorder().map_err(TelemetryFault::Metrics)?;
    Ok(Telemetry { filter: handle, level: Arc::new(Mutex::new(log.level)), metrics })
}

fn recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .idle_timeout(MetricKindMask::GAUGE, Some(GAUGES_LIVE))
        .install_recorder()
}

/// Lets our own packages speak at `level` and others only when they warn.
fn filter(level: Level) -> Targets {
    let ours = LevelFilter::from_level(level);
    Targets::new().with_default(ours.min(LevelFilter::WARN)).with_targets(OURS.map(|name| (name, ours)))
}

fn lines<S, W>(format: LogFormat, is_terminal: bool, to: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let is_text = match format {
        LogFormat::Auto => is_terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    if is_text {
        let colours = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        fmt::layer().with_ansi(colours).with_target(false).with_writer(to).boxed()
    } else {
        fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(to).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().map_err(|_| io::Error::other("poisoned"))?.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(format: LogFormat, level: Level) -> String {
        let page = Page::default();
        let pages = page.clone();
        let subscriber =
            tracing_subscriber::registry()
                .with(filter(level))
                .with(lines(format, false, move || pages.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("account", id = "a-1");
            span.in_scope(|| tracing::info!(attempt = 2, "Revoked"));
            tracing::debug!("A detail");
            tracing::debug!(target: "driver_postgres::session", "A driver's detail");
            tracing::info!(target: "tokio_postgres::connection", "SELECT 'hunter2'");
            tracing::warn!(target: "h2::codec", "A stranger's warning");
        });
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line_with_the_values_as_fields() {
        let told = told(LogFormat::Json, Level::INFO);
        let lines: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{told}");
        let first = lines.first().unwrap();
        assert_eq!(first["message"], "Revoked");
        assert_eq!(first["attempt"], 2);
        assert_eq!(first["span"]["id"], "a-1");
    }

    #[test]
    fn the_level_is_about_our_own_packages() {
        let table = [
            (Level::ERROR, [false, false, false, false]),
            (Level::WARN, [false, false, false, true]),
            (Level::INFO, [true, false, false, true]),
            (Level::DEBUG, [true, true, true, true]),
        ];
        for (level, expected) in table {
            let told = told(LogFormat::Text, level);
            let seen = ["Revoked", "A detail", "A driver's detail", "A stranger's warning"]
                .map(|message| told.contains(message));
            assert_eq!(seen, expected, "{level}: {told}");
            assert!(!told.contains("hunter2"), "{level}: {told}");
        }
    }
}
