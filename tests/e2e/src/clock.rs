//! The clock of this package: deadlines, stopwatches, the time of day. The only place here that asks for the time.

use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;

/// How long a wait sleeps between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A running stopwatch.
#[derive(Clone, Copy, Debug)]
pub struct Watch(Instant);

impl Watch {
    /// Starts it.
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this file is the clock of the end-to-end world")]
        Self(Instant::now())
    }

    /// How long it has run.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The time of day.
pub fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this file is the clock of the end-to-end world")]
    Timestamp::now()
}

/// Looks again and again until there is an answer, and says what was waited for when there is none in time. A look that
/// fails ends the wait: what may pass by itself is no answer yet.
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

/// Runs something to its end, or says that it took too long.
pub async fn within<T>(
    what: &str,
    limit: Duration,
    doing: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(limit, doing).await {
        Ok(done) => done,
        Err(_) => bail!("{what} took longer than {limit:?}"),
    }
}
