//! The clock of this package: deadlines for waiting on processes. The only place here that asks for the time.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How long a wait sleeps between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A moment after which waiting has no use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(span: Duration) -> Self {
        #[expect(clippy::disallowed_methods, reason = "this file is the clock of the services")]
        Self(Instant::now() + span)
    }

    pub(crate) fn passed(self) -> bool {
        #[expect(clippy::disallowed_methods, reason = "this file is the clock of the services")]
        let now = Instant::now();
        now >= self.0
    }
}

/// Looks again and again until there is an answer, and says what was waited for when there is none in time.
pub(crate) fn wait_until<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Deadline::after(within);
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if deadline.passed() {
            bail!("waited {within:?} in vain for this: {what}");
        }
        std::thread::sleep(LOOK);
    }
}
