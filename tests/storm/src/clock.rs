//! The clock of this package: stopwatches, deadlines, the time of day. The only place here that asks for the time.

use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;

/// How long a wait sleeps between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// The time of day, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "this file is the clock of the storm")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A running stopwatch.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts it.
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this file is the clock of the storm")]
        let now = Instant::now();
        Self(now)
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Sleeps until a time of day.
pub async fn sleep_until(ms: i64) {
    let left = u64::try_from(ms.saturating_sub(now_ms())).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(left)).await;
}

/// Looks again and again until there is an answer, and says what was waited for when there is none in time.
pub async fn until<T>(
    what: &str,
    within: Duration,
    look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    until_every(LOOK, what, within, look).await
}

/// The same with a pause of one's own between two looks, where the answer's time is measured.
pub async fn until_every<T>(
    pause: Duration,
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let watch = Watch::start();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if watch.elapsed() > within {
            bail!("waited {within:?} in vain for this: {what}");
        }
        tokio::time::sleep(pause).await;
    }
}
