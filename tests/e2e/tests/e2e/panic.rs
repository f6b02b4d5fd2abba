//! An admin ends everything at once.

use std::time::Duration;

use anyhow::ensure;
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
