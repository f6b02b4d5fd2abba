//! One access from request to receipt: the story of the demo, as a test.

mod crash;
mod offline;
mod points;

use e2e::clock::Watch;
use e2e::story::{self, STEPS};
use e2e::world::{Options, World};

use crate::unwrapped;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_the_demo_is_seen() {
    let started = Watch::start();
    let world = unwrapped(World::start(&Options::default()).await);
    let mut steps = vec![];
    unwrapped(story::play(&world, started, &mut |seen| steps.push(seen.step)).await);
    assert_eq!(steps, STEPS);
}
