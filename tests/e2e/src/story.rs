//! The story of the demo: one access from the request to the receipt, and every step seen.
//!
//! What the product says is not enough: what it did is read from the target itself, as its superuser, and by logging in
//! as the grantee.

mod steps;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::clock::Watch;
use crate::world::World;
pub use steps::ended_receipts;

/// How long a step may take that needs nothing but work.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// How long the access lives whose deadline is waited for.
pub const SHORT: Duration = Duration::from_secs(20);

/// Something that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// A name for machines.
    pub step: &'static str,
    /// What was seen, for people.
    pub seen: String,
    /// How long it took.
    pub ms: u64,
}

/// The steps, in their order.
pub const STEPS: [&str; 13] = [
    "world",
    "requested",
    "granted",
    "login",
    "joined",
    "first_ended",
    "second_stands",
    "deadline",
    "session_killed",
    "login_refused",
    "read_back",
    "receipts",
    "deleted",
];

/// Who is told of each step as it is seen.
pub type Tell<'t> = dyn FnMut(&Seen) + Send + 't;

/// A story under way.
pub(crate) struct Story<'w, 't> {
    pub(crate) world: &'w World,
    tell: &'t mut Tell<'t>,
}

impl Story<'_, '_> {
    pub(crate) fn seen(&mut self, step: &'static str, watch: Watch, seen: impl Into<String>) {
        let ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
        (self.tell)(&Seen { step, seen: seen.into(), ms });
    }
}

/// Plays the story in a world that has just started. It ends well only if every step was seen.
pub async fn play<'t>(world: &World, started: Watch, tell: &'t mut Tell<'t>) -> anyhow::Result<()> {
    let mut story = Story { world, tell };
    let played = steps::all(&mut story, started).await;
    played.map_err(|fault| world.explained(fault)).context("the story broke off")
}
