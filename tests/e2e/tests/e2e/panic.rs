//! An admin ends everything at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use e2e::bench::give;
use e2e::bench::ours::Ours;
use e2e::clock::Watch;
use e2e::shop;
use e2e::world::{CONNECTOR, Options, World};
use serde_json::json;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_ends_and_nothing_opens_until_it_is_allowed_again() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let mine = [world.request(shop::ORDERS, "30m").await?, world.request(shop::GOODS, "30m").await?];
    let another = world.request_as(&world.approver, shop::ODD, "READ_ONLY", "30m").await;
    ensure!(another.is_err(), "an approver who is no requester asked for access");
    for access in &mine {
        world.approve(access).await?;
        world.wait_label(access, "Active", SOON).await?;
    }
    let waits = world.request(shop::ODD, "30m").await?;
    let credential = world.credential(&mine[0]).await?;

    let unsure = world.admin.ctl(["panic", "--all", "--reason", "a stolen laptop"]).await?.refused()?;
    ensure!(unsure.contains("--yes"), "{unsure}");
    world.requester.ctl(["panic", "--all", "--reason", "for fun", "--yes"]).await?.refused()?;
    world.show(&mine[0]).await.and_then(|shown| {
        ensure!(shown["label"] == "Active", "{shown}");
        Ok(())
    })?;

    let ended = world.admin.ask(["panic", "--all", "--reason", "a stolen laptop", "--yes"]).await?;
    ensure!(ended["ended"] == json!(3) && ended["paused"] == json!([CONNECTOR]), "{ended}");
    for access in &mine {
        world.wait_label(access, "Revoked", SOON).await?;
    }
    world.login(&credential).run("select 1").await?.refused()?;
    ensure!(world.show(&waits).await?["over"] == json!(true), "a pending request lives on");

    let next = world.request(shop::ORDERS, "30m").await?;
    world.approve(&next).await?;
    let again = world.admin.ask(["panic", "--all", "--reason", "once more", "--yes"]).await?;
    ensure!(again["ended"] == json!(1) && again["paused"] == json!([]), "{again}");
    world.wait_label(&next, "Revoked", SOON).await?;
    world.admin.ask(["connectors", "resume", CONNECTOR]).await?;
    let last = world.request(shop::ORDERS, "30m").await?;
    world.approve(&last).await?;
    world.wait_label(&last, "Active", SOON).await?;
    Ok(())
}

/// How many people are let in before everything is ended.
const MANY: usize = 10_000;
/// What every run of the tests plays: more than the agent has under way at once.
const SAMPLE: usize = 40;
const AT_A_TIME: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: 10,000 people are let in and out: some minutes"]
async fn many_accesses_end_at_once() {
    crowded(MANY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_accesses_end_at_once() {
    crowded(SAMPLE).await;
}

async fn crowded(people: usize) {
    let options = Options { proxied: false, approval: "auto", ..Options::default() };
    let world = unwrapped(World::start(&options).await);
    let played = empty(&world, people).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// One command ends them all, the control plane is told of each end, and nobody can log in.
#[expect(clippy::print_stdout, reason = "what was measured is for whoever reads the test's output")]
async fn empty(world: &World, people: usize) -> anyhow::Result<()> {
    let party = Arc::new(Ours::gather(world, people).await?);
    let watch = Watch::start();
    let (_, held) = give(&party, 0, people, AT_A_TIME).await?;
    println!("many: {people} people let in by the control plane in {:.0?}", watch.elapsed());
    let inside = world.accounts()?.len();
    ensure!(inside == people, "{inside} of {people} can log in");

    let watch = Watch::start();
    let ended = world.admin.ask(["panic", "--all", "--reason", "a leak", "--yes"]).await?;
    ensure!(ended["ended"] == json!(people) && ended["paused"] == json!([CONNECTOR]), "{ended}");
    println!("many: {people} ends ordered by one command in {:.1?}", watch.elapsed());
    party.revoked(held, AT_A_TIME).await?;
    println!("many: all {people} seen to be revoked {:.0?} after that command", watch.elapsed());
    let inside = world.accounts()?;
    ensure!(inside.is_empty(), "{} can still log in, the first is {}", inside.len(), inside[0]);
    Ok(())
}
