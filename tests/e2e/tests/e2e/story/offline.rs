//! The control plane is away while a deadline passes. The access ends all the same, and is told of once.

mod isolated;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::shop;
use e2e::story::ended_receipts;
use e2e::world::{INTEGRATION, Options, World};
use serde_json::Value;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_passes_while_the_control_plane_is_away() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "8s").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let credential = world.credential(&access).await?;
    let mut session = world.login(&credential).stay().await?;
    let agent = world.agent.pid();

    world.plane.kill9()?;
    let shut = "the account is shut without a control plane";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_some_and(|found| found.is_shut()))
        .await?;
    let (status, _) = session.ended(SOON).await?;
    ensure!(!status.success(), "the open psql ended well");
    world.login(&credential).run("select 1").await?.refused()?;
    ensure!(world.agent.pid() == agent && agent.is_some(), "the agent still runs");

    world.plane.start().await?;
    world.wait_connected().await?;
    let shown = world.wait_label(&access, "Expired", SOON).await?;
    let history = shown.get("history").and_then(Value::as_array).context("a history")?;
    let told = |line: &&Value| {
        line.get("by").and_then(Value::as_str).is_some_and(|by| by.starts_with("agent:"))
            && line.get("what").and_then(Value::as_str).is_some_and(|what| what.contains("ended"))
    };
    ensure!(history.iter().filter(told).count() == 1, "the end was not told of once: {history:#?}");
    let receipts = ended_receipts(world, &access).await?;
    ensure!(receipts.len() == 1, "there is not one receipt of the end: {receipts:#?}");
    world.admin.ask(["receipts", "verify", "--integration", INTEGRATION]).await?;

    let next = world.request(shop::ORDERS, "30m").await?;
    world.approve(&next).await?;
    world.wait_label(&next, "Active", SOON).await.context("work goes on")?;
    Ok(())
}
