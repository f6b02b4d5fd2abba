//! Places at which a debug build dies when a test wants it to, as if it were killed.
//!
//! `CRASH_TIDEGATE_AT=open:3` kills the process at the third exchange with the target that belongs to an
//! `open`; `open:intent` kills it when the intent is on disk and nothing was begun, `open:answer` when the
//! answer came and is not on disk, `open:kept` when it is. A release build has nothing of this: [`place`]
//! and [`exchange`] are empty there and [`within`] only waits.
//!
//! A driver calls [`exchange`] after each of its exchanges with the target; whoever performs an act wraps it
//! in [`within`].

/// Does the work of an act, so that the exchanges in it are counted.
#[cfg(not(debug_assertions))]
pub async fn within<F: Future>(_: &'static str, work: F) -> F::Output {
    work.await
}

/// An exchange with the target has come to its end.
#[cfg(not(debug_assertions))]
pub const fn exchange() {}

/// A place of an act was reached: `intent`, `answer` or `kept`.
#[cfg(not(debug_assertions))]
pub const fn place(_: &str, _: &str) {}

#[cfg(debug_assertions)]
pub use armed::{exchange, place, within};

#[cfg(debug_assertions)]
mod armed {
    use std::cell::Cell;
    use std::sync::OnceLock;

    use rustix::process::{Signal, getpid, kill_process};

    tokio::task_local! {
        static ACT: (&'static str, Cell<u32>);
    }

    fn wanted() -> Option<(&'static str, &'static str)> {
        static WANTED: OnceLock<Option<(String, String)>> = OnceLock::new();
        let read = || {
            let text = std::env::var("CRASH_TIDEGATE_AT").ok()?;
            text.split_once(':').map(|(act, place)| (act.to_owned(), place.to_owned()))
        };
        WANTED.get_or_init(read).as_ref().map(|(act, place)| (act.as_str(), place.as_str()))
    }

    /// Does the work of an act, so that the exchanges in it are counted.
    pub async fn within<F: Future>(act: &'static str, work: F) -> F::Output {
        ACT.scope((act, Cell::new(0)), work).await
    }

    /// An exchange with the target has come to its end.
    pub fn exchange() {
        let Some((act, place)) = wanted() else { return };
        let here = ACT.try_with(|(doing, count)| {
            count.set(count.get().saturating_add(1));
            *doing == act && place.parse() == Ok(count.get())
        });
        if here.unwrap_or(false) {
            die();
        }
    }

    /// A place of an act was reached: `intent`, `answer` or `kept`.
    pub fn place(act: &str, place: &str) {
        if wanted() == Some((act, place)) {
            die();
        }
    }

    /// Nothing of the process runs on: no destructor, no buffer that is written out.
    fn die() {
        kill_process(getpid(), Signal::KILL).ok();
        loop {
            std::thread::park();
        }
    }
}
