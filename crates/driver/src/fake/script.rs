//! Scripted faults: what the next calls of a verb come to.

use std::collections::{BTreeMap, VecDeque};

use model::{Code, Rung};
use tokio::sync::watch;

/// A verb of the port, as a script names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    Connect,
    Identify,
    Check,
    Discover,
    Create,
    Grant,
    Rotate,
    Enable,
    Renew,
    /// Of systems with transactions; on others opening is create, grant, rotate, enable.
    Open,
    Revoke(Rung),
    Delete,
    Observe,
    Survey,
    WiderRoles,
    Retire,
}

/// What one call comes to.
#[derive(Debug)]
pub enum Fate {
    /// Surely not done, and never will be unchanged.
    Refuse(Code),
    /// Surely not done, worth another try.
    NotDone(Code),
    /// Done; the answer is lost.
    UnknownButDone,
    /// Not done; the answer is lost.
    UnknownNotDone,
    /// Begins only when it is told to.
    Slow(Hold),
    /// Done at once; answers only when it is told to.
    Late(Hold),
    /// The answer is lost at once; what was asked is done when [`super::System::land`] is called.
    LandsLater,
    /// The connection breaks after this many statements of the call.
    BreaksAfter(u32),
}

/// Holds a call until its [`Release`] lets go.
#[derive(Debug)]
pub struct Hold(watch::Receiver<bool>);

/// Lets a held call go on, when told to or when dropped.
#[derive(Debug)]
pub struct Release(watch::Sender<bool>);

/// Makes a hold and its release.
pub fn hold() -> (Hold, Release) {
    let (sender, receiver) = watch::channel(false);
    (Hold(receiver), Release(sender))
}

impl Hold {
    pub(super) async fn wait(mut self) {
        // An error means that the release was dropped: the call goes on as well.
        if self.0.wait_for(|gone| *gone).await.is_err() {
            tracing::trace!("The release of a held call was dropped");
        }
    }
}

impl Release {
    /// Lets the call go on.
    pub fn go(self) {
        self.0.send_replace(true);
    }
}

/// What the next calls come to, verb by verb; a call for which nothing is planned goes well.
#[derive(Debug, Default)]
pub(super) struct Script {
    planned: BTreeMap<Verb, VecDeque<Fate>>,
    calls: BTreeMap<Verb, u32>,
}

impl Script {
    pub(super) fn plan(&mut self, verb: Verb, fate: Fate) {
        self.planned.entry(verb).or_default().push_back(fate);
    }

    pub(super) fn next(&mut self, verb: Verb) -> Option<Fate> {
        *self.calls.entry(verb).or_default() += 1;
        self.planned.get_mut(&verb)?.pop_front()
    }

    pub(super) fn calls(&self, verb: Verb) -> u32 {
        self.calls.get(&verb).copied().unwrap_or_default()
    }
}
