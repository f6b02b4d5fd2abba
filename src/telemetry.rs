//! What the agent tells of itself: log lines and metrics.
//!
//! Logs go to standard error: JSON, one object a line, or text for people. The level is about our own
//! packages; what others log below WARN may hold statements or headers, and is never let through. A reader
//! who does not read holds nobody up: see `paper`. Metrics are kept in memory for `/metrics`. Which events
//! and metrics there are is for those who have them.

mod paper;

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
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
use crate::text::turns;
use paper::{MOST_WAITING, Paper};

/// What our own packages' names begin with.
const OURS: [&str; 9] =
    ["tidegate", "model", "rules", "seal", "proto", "journal", "secrets", "driver", "services"];

/// The upper bounds of the buckets of everything that is measured in seconds.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// A gauge that was not set for so long is dropped: what it was about is gone.
const GAUGES_LIVE: Duration = Duration::from_secs(60);

/// How long what was told last may take to be written.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why the agent cannot tell of itself.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    #[error("logging cannot begin: another logger is set in this process")]
    Log(#[source] TryInitError),
    #[error("the error output cannot be used for the log")]
    Output(#[source] io::Error),
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
    paper: Paper,
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

    /// Returns how many lines nobody will read: they were told faster than they were read.
    pub(crate) fn dropped_lines(&self) -> u64 {
        self.paper.dropped()
    }

    /// Waits until what was told so far is written, for at most a second.
    pub(crate) fn last_words(&self) {
        self.paper.last_words(LAST_WORDS);
    }

    /// Handles of nothing, for tests.
    #[cfg(test)]
    pub(crate) fn mute() -> Self {
        let nowhere = File::options().write(true).open("/dev/null").unwrap();
        let paper = Paper::new(nowhere, 1, |_| vec![]);
        let (_, handle) = reload::Layer::new(filter(Level::INFO));
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        Self { filter: handle, level: Arc::new(Mutex::new(Level::INFO)), paper, metrics }
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
    let (format, is_terminal) = (log.format, io::stderr().is_terminal());
    // Not the error output's own lock: whoever else prints there must not wait for the log, either.
    let output = io::stderr().as_fd().try_clone_to_owned().map_err(TelemetryFault::Output)?;
    let apology = move |dropped| apology(format, is_terminal, dropped);
    let paper = Paper::new(File::from(output), MOST_WAITING, apology);
    let lines = lines(format, is_terminal, paper.clone());
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(TelemetryFault::Log)?;
    let last = paper.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "A part of the agent panicked; this is a fault of the program");
        // It may be the last thing that is told.
        last.last_words(LAST_WORDS);
    }));
    let metrics = recorder().map_err(TelemetryFault::Metrics)?;
    Ok(Telemetry { filter: handle, level: Arc::new(Mutex::new(log.level)), paper, metrics })
}

/// Lines of text in which nothing of others begins a line, moves the cursor or turns the writing direction. In JSON it
/// cannot.
struct Plain<W> {
    to: W,
    /// The log's own escapes stand in them; those in values are made visible before.
    colours: bool,
}

struct PlainLine<W> {
    to: W,
    colours: bool,
}

impl<'w, W: fmt::MakeWriter<'w>> fmt::MakeWriter<'w> for Plain<W> {
    type Writer = PlainLine<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        PlainLine { to: self.to.make_writer(), colours: self.colours }
    }
}

impl<W: Write> Write for PlainLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let mut shown = String::with_capacity(text.len() + 1);
        for c in text.chars() {
            let ours = c == '\t' || c == '\u{1b}' && self.colours;
            if (c.is_control() && !ours) || turns(c) {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        shown.push('\n');
        self.to.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Writes the line that says how many were dropped, as the log's own.
fn apology(format: LogFormat, is_terminal: bool, dropped: u64) -> Vec<u8> {
    let page = Page::default();
    let to = page.clone();
    let subscriber = tracing_subscriber::registry().with(lines(format, is_terminal, move || to.clone()));
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(dropped, "Log lines were dropped before this one: they were not read in time");
    });
    page.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Lines in memory.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        fmt::layer().with_ansi(colours).with_target(false).with_writer(Plain { to, colours }).boxed()
    } else {
        fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(to).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn how_many_lines_were_dropped_is_told_as_the_log_tells() {
        let told = apology(LogFormat::Json, false, 7);
        let line: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!((&line["level"], &line["dropped"]), (&"WARN".into(), &7.into()), "{line}");
        assert!(told.ends_with(b"}\n"));
    }

    /// Set for the process that panics.
    const PANICS: &str = "TIDEGATE_TEST_PANICS";

    #[test]
    fn a_panic_is_told_even_when_the_process_ends_with_it() {
        if std::env::var_os(PANICS).is_some() {
            start(Log { level: Level::INFO, format: LogFormat::Json }).unwrap();
            // Longer than a pipe is: the last line is far from being written when it is told.
            (0..2_000).for_each(|n| tracing::info!(n, "A line before the last one"));
            std::thread::spawn(|| panic!("a planted fault")).join().unwrap_err();
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "telemetry::tests::a_panic_is_told_even_when_the_process_ends_with_it";
        again.args(["--exact", name, "--nocapture"]).env(PANICS, "1");
        let told = again.output().unwrap();
        let text = String::from_utf8_lossy(&told.stderr);
        assert_eq!(text.matches("A line before the last one").count(), 2_000);
        let last = text.lines().last().unwrap();
        assert!(last.contains("A part of the agent panicked") && last.contains("a planted fault"), "{last}");
    }

    #[test]
    fn a_line_of_text_is_one_line_whatever_stands_in_it() {
        let hostile = "a\nb\r\u{1b}[2Jc\u{202e}d\0";
        for format in [LogFormat::Text, LogFormat::Json] {
            let page = Page::default();
            let to = page.clone();
            let subscriber = tracing_subscriber::registry().with(lines(format, false, move || to.clone()));
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(name = hostile, shown = %hostile, "Told: {hostile}");
                tracing::info!("The next line");
            });
            let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), 2, "{text:?}");
            let turned = format == LogFormat::Text && text.contains('\u{202e}');
            assert!(!turned && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
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
