//! An old copy of the journal is put back, and later the journal is lost: both are told of, and neither is an alarm.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::command::text_at;
use e2e::shop;
use e2e::world::{INTEGRATION, Options, World};
use serde_json::Value;

use super::by_the_page;
use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_put_back_or_lost_is_told_of_and_is_no_alarm() {
    let options = Options { approval: "auto", ..Options::default() };
    let mut world = unwrapped(World::start(&options).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "30m").await?;
    world.wait_label(&access, "Active", SOON).await?;
    world.agent.stop()?;
    let copy = world.agent.folder().with_file_name("journal-copy");
    world.agent.copy_journal(&copy)?;
    world.agent.start().await?;
    world.wait_connected().await?;
    world.revoke(&access).await?;
    world.wait_label(&access, "Revoked", SOON).await?;
    wait_receipts(world, 2).await?;
    ensure!(begun(world).await? == 0, "a restart is told of as another life");
    let before = verified(world).await?;
    ensure!(before.len() == 1, "one life: {before:?}");

    // The old copy believes that the access lives, and closes it once more.
    world.agent.stop()?;
    world.agent.put_journal_back(&copy)?;
    world.agent.start().await?;
    wait_begun(world, 1).await?;
    world.wait_connected().await?;

    world.agent.kill9()?;
    world.agent.lose_journal()?;
    world.agent.start().await?;
    world.wait_connected().await?;
    let next = world.request(shop::ORDERS, "30m").await?;
    world.wait_label(&next, "Active", SOON).await?;
    wait_begun(world, 2).await?;

    let alarms = world.admin.ask(["audit", "--what", "alarm.receipt"]).await?;
    ensure!(alarms == Value::Array(vec![]), "an honest event is an alarm: {alarms:#}");
    let heads = verified(world).await?;
    ensure!(heads.len() == 3, "three lives: {heads:?}");
    let said = world.admin.ctl(["receipts", "verify", "--integration", INTEGRATION]).await?.ok()?;
    ensure!(said.contains("has 3 lives"), "{said}");

    // Elsewhere, with the agent's key alone, and what was kept from before.
    let keys: Value = world.agent.tidegate(["keys", "show", "--json"]).await?.json()?;
    let key = text_at(&keys, "/receipts/0/public")?;
    let file = world.folder().path().join("lives.jsonl").display().to_string();
    world.admin.ctl(["receipts", "export", "--integration", INTEGRATION, "--to", &file]).await?.ok()?;
    let export = std::fs::read_to_string(&file).context("read the export")?;
    let own = world
        .agent
        .tidegate(["receipts", "verify", &file, "--key", &key, "--head", &before[0]])
        .await?
        .ok()?;
    ensure!(own.contains("has 3 lives"), "{own}");
    let page = by_the_page(&export, &[&key, &before[0]]).await?.ok()?;
    ensure!(heads.iter().all(|head| page.contains(head.as_str())), "{page} lacks one of {heads:?}");

    // The journal itself knows of one life, and that something from before is missing.
    let own = world.agent.tidegate(["receipts", "verify"]).await?.ok()?;
    ensure!(!own.contains("lives"), "{own}");
    world.agent.tidegate(["receipts", "verify", "--head", &before[0]]).await?.refused()?;
    Ok(())
}

/// The heads that `tidegatectl` finds in what the control plane has, as it takes them again.
async fn verified(world: &World) -> anyhow::Result<Vec<String>> {
    let heads = world.admin.ask(["receipts", "verify", "--integration", INTEGRATION]).await?;
    let heads = heads.as_array().context("heads")?;
    heads
        .iter()
        .map(|head| {
            let number = head.get("number").and_then(Value::as_u64).context("a number")?;
            Ok(format!("{}:{number}:{}", text_at(head, "/integration")?, text_at(head, "/hash")?))
        })
        .collect()
}

async fn begun(world: &World) -> anyhow::Result<usize> {
    let noted = world.admin.ask(["audit", "--what", "receipts.life_begun"]).await?;
    Ok(noted.as_array().context("entries of the audit log")?.len())
}

async fn wait_begun(world: &World, count: usize) -> anyhow::Result<()> {
    clock::until(&format!("{count} further lives are noted"), SOON, async || {
        Ok((begun(world).await? == count).then_some(()))
    })
    .await
}

async fn wait_receipts(world: &World, count: usize) -> anyhow::Result<()> {
    clock::until(&format!("there are {count} receipts"), SOON, async || {
        let list = world.admin.ask(["receipts", "list"]).await?;
        Ok((list.as_array().context("a list of receipts")?.len() >= count).then_some(()))
    })
    .await
}
