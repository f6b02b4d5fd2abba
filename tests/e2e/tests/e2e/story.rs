//! One access from request to receipt.

use e2e::world::{Options, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_world_starts() {
    let world = World::start(&Options::default()).await.unwrap();
    drop(world);
}
