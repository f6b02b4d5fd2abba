//! Records everything that the process logs, so that the suite can look for what must not be in it.

use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::world::LogLine;

static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Every event and span of the process, at every level.
#[derive(Debug, Default)]
pub struct Recorder {
    lines: Mutex<Vec<LogLine>>,
    spans: AtomicU64,
}

/// Hands what is logged to the one recorder.
struct Ear;

impl Recorder {
    /// Returns the process's recorder; from the first call on everything is recorded.
    ///
    /// A process has one place where its logs go. When a test has already chosen another, nothing is
    /// recorded and [`Recorder::is_listening`] says so.
    pub fn of_process() -> &'static Self {
        RECORDER.get_or_init(|| {
            let recorder = Self::default();
            if tracing::subscriber::set_global_default(Ear).is_err() {
                recorder.push(&Level::ERROR, "the recorder is deaf: another subscriber is in place".into());
            }
            recorder
        })
    }

    /// Returns true when what is logged arrives here.
    pub fn is_listening(&self) -> bool {
        let before = self.lines().len();
        tracing::trace!("Listening");
        self.lines().len() > before
    }

    /// Returns all lines so far.
    pub fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, level: &Level, text: String) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(LogLine { level: *level, text });
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let Some(recorder) = RECORDER.get() else { return Id::from_u64(1) };
        let mut text = Text::of(span.metadata());
        span.record(&mut text);
        recorder.push(span.metadata().level(), text.0);
        Id::from_u64(recorder.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        if let Some(recorder) = RECORDER.get() {
            recorder.push(&Level::INFO, text.0);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::of(event.metadata());
        event.record(&mut text);
        if let Some(recorder) = RECORDER.get() {
            recorder.push(event.metadata().level(), text.0);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One line in the making.
struct Text(String);

impl Text {
    fn of(metadata: &Metadata<'_>) -> Self {
        Self(format!("{} {}", metadata.target(), metadata.name()))
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if write!(self.0, " {}={value:?}", field.name()).is_err() {
            self.0.push_str(" (not printable)");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if write!(self.0, " {}={value}", field.name()).is_err() {
            self.0.push_str(" (not printable)");
        }
    }
}
