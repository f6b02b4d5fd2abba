//! Places at which a debug build dies when a test wants it to, as if it were killed.
//!
//! `CRASH_TIDEGATE_AT=open:3` kills the process at the third exchange with the target that belongs to an
//! `open`; `open:sent2` when the second statement of an `open` is on its way to the target and nothing of its
//! answer was read; `open:intent` kills it when the intent is on disk and nothing was begun, `open:answer` when
//! the answer came and is not on disk, `open:kept` when it is. A release build has nothing of this: [`place`],
//! [`exchange`] and [`sent`] are empty there, [`dies_when_sent`] is false and [`within`] only waits.
//!
//! `STOP_TIDEGATE_AT` names a place in the same words: the process is stopped there once, as if by SIGSTOP, until a
//! test lets it go on.
//!
//! A driver calls [`exchange`] after each of its exchanges with the target; before a statement that may change
//! something it asks [`dies_when_sent`], and if so calls [`sent`] as soon as the statement was given to the
//! network. Whoever performs an act wraps it in [`within`].

/// Does the work of an act, so that the exchanges in it are counted.
#[cfg(not(debug_assertions))]
pub async fn within<F: Future>(_: &'static str, work: F) -> F::Output {
    work.await
}

/// An exchange with the target has come to its end.
#[cfg(not(debug_assertions))]
pub const fn exchange() {}

/// A statement that may change something is about to be sent: is it the one after which the process dies?
#[cfg(not(debug_assertions))]
pub const fn dies_when_sent() -> bool {
    false
}

/// The statement for which [`dies_when_sent`] was true is on its way, and nothing of its answer was read.
#[cfg(not(debug_assertions))]
pub const fn sent() {}

/// A place of an act was reached: `intent`, `answer` or `kept`.
#[cfg(not(debug_assertions))]
pub const fn place(_: &str, _: &str) {}

#[cfg(debug_assertions)]
pub use armed::{dies_when_sent, exchange, place, sent, within};

#[cfg(debug_assertions)]
mod armed {
    use std::cell::Cell;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// An act that is being performed, and how far it has come.
    struct Doing {
        act: &'static str,
        exchanges: Cell<u32>,
        statements: Cell<u32>,
    }

    tokio::task_local! {
        static DOING: Doing;
    }

    /// What happens there.
    #[derive(Clone, Copy)]
    enum Fate {
        Die,
        Stop,
    }

    struct Wanted {
        fate: Fate,
        act: String,
        place: String,
    }

    fn wanted() -> Option<&'static Wanted> {
        static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
        let read = || {
            let found = [("CRASH_TIDEGATE_AT", Fate::Die), ("STOP_TIDEGATE_AT", Fate::Stop)];
            let (text, fate) =
                found.into_iter().find_map(|(name, fate)| Some((std::env::var(name).ok()?, fate)))?;
            let (act, place) = text.split_once(':')?;
            Some(Wanted { fate, act: act.to_owned(), place: place.to_owned() })
        };
        WANTED.get_or_init(read).as_ref()
    }

    /// Does the work of an act, so that the exchanges in it are counted.
    pub async fn within<F: Future>(act: &'static str, work: F) -> F::Output {
        let doing = Doing { act, exchanges: Cell::new(0), statements: Cell::new(0) };
        DOING.scope(doing, work).await
    }

    /// An exchange with the target has come to its end.
    pub fn exchange() {
        if let Some(wanted) = wanted()
            && is_next(&wanted.act, Some(&wanted.place), |doing| &doing.exchanges)
        {
            meet(wanted.fate);
        }
    }

    /// A statement that may change something is about to be sent: is it the one after which the process dies?
    pub fn dies_when_sent() -> bool {
        wanted().is_some_and(|wanted| {
            is_next(&wanted.act, wanted.place.strip_prefix("sent"), |doing| &doing.statements)
        })
    }

    /// The statement for which [`dies_when_sent`] was true is on its way, and nothing of its answer was read.
    pub fn sent() {
        if let Some(wanted) = wanted() {
            meet(wanted.fate);
        }
    }

    /// Counts one more in the act that is being performed; is it the one of that act and number?
    fn is_next(act: &str, number: Option<&str>, of: fn(&Doing) -> &Cell<u32>) -> bool {
        let next = DOING.try_with(|doing| {
            let count = of(doing);
            count.set(count.get().saturating_add(1));
            doing.act == act && number.is_some_and(|number| number.parse() == Ok(count.get()))
        });
        next.unwrap_or(false)
    }

    /// A place of an act was reached: `intent`, `answer` or `kept`.
    pub fn place(act: &str, place: &str) {
        if let Some(wanted) = wanted()
            && (wanted.act.as_str(), wanted.place.as_str()) == (act, place)
        {
            meet(wanted.fate);
        }
    }

    fn meet(fate: Fate) {
        static STOPPED: AtomicBool = AtomicBool::new(false);
        match fate {
            Fate::Die => die(),
            // Once: whoever was stopped is to be seen going on.
            Fate::Stop if !STOPPED.swap(true, Ordering::SeqCst) => {
                kill_process(getpid(), Signal::STOP).ok();
            }
            Fate::Stop => {}
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
