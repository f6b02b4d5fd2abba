//! One access from request to receipt: the story of the demo, as a test.

mod crash;
mod offline;
mod points;

use std::path::Path;

use e2e::clock::Watch;
use e2e::story::{self, STEPS};
use e2e::transcript;
use e2e::world::{Options, World};
use services::postgres::Ground;

use crate::unwrapped;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_the_demo_is_seen() {
    let started = Watch::start();
    let mut world = unwrapped(World::start(&Options::default()).await);
    let mut steps = vec![];
    unwrapped(story::play(&world, started, &mut |seen| steps.push(seen.step)).await);
    assert_eq!(steps, STEPS);
    unwrapped(world.agent.stop());
    operating_reads_the_log_as_it_is_kept(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_the_demo_is_seen_on_18_with_the_least_privileged_admin() {
    let started = Watch::start();
    let world = unwrapped(World::start(&Options { ground: Ground::NARROW, ..Options::default() }).await);
    let mut steps = vec![];
    unwrapped(story::play(&world, started, &mut |seen| steps.push(seen.step)).await);
    assert_eq!(steps, STEPS);
}

/// What an operator sees who tails the agent's log. `GOLDEN=write` writes it, for a person to read the difference.
fn operating_reads_the_log_as_it_is_kept(world: &World) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/agent.log");
    let found = unwrapped(world.agent.log().text().and_then(|log| transcript::of(&log)));
    if std::env::var_os("GOLDEN").is_some_and(|word| word == "write") {
        unwrapped(std::fs::write(&kept, &found).map_err(Into::into));
    }
    let expected = std::fs::read_to_string(&kept).unwrap_or_default();
    assert_eq!(found, expected, "{} differs: run with GOLDEN=write and read the difference", kept.display());
}
