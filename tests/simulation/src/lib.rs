//! The rules in made-up worlds: a target that refuses, is late, answers twice, out of order or never; a
//! grantee who resists; crashes between any two steps; clocks that step; links that drop; old copies of the
//! journal and of the control plane brought back. Thousands of worlds a second, each from a seed, each
//! checked at every landing, every report and at its end.
//!
//! [`Fault`] plants mistakes, one at a time, to see that the checks bite.

#![expect(clippy::wildcard_enum_match_arm, reason = "a made-up world looks only at what it checks")]

mod agent;
mod chains;
mod chaos;
mod check;
mod ending;
mod events;
mod fault;
mod link;
mod plane;
mod rng;
mod target;
mod weather;
mod world;

pub use fault::Fault;

/// A world in which a promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub seed: u64,
    pub why: String,
    /// What happened, a line each. Replayed from the seed.
    pub story: Vec<String>,
}

/// Runs the world of a seed.
///
/// # Errors
/// When a promise is broken: why, and the whole story.
pub fn run(seed: u64, fault: Option<Fault>) -> Result<u64, Box<Broken>> {
    let mut world = world::World::new(seed, fault, false);
    match world.run() {
        Ok(()) => Ok(world.steps),
        Err(why) => {
            let mut again = world::World::new(seed, fault, true);
            let told = again.run();
            debug_assert_eq!(told.as_ref().err(), Some(&why), "a seed replays exactly");
            Err(Box::new(Broken { seed, why, story: again.story.unwrap_or_default() }))
        }
    }
}

/// Returns the story of a seed's world, a line for each thing that happened.
pub fn story(seed: u64) -> Vec<String> {
    let mut world = world::World::new(seed, None, true);
    let told = world.run();
    let mut story = world.story.unwrap_or_default();
    story.extend(told.err());
    story
}
