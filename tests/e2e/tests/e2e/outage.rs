//! The target is down while a deadline passes, or comes back from a backup in which what had ended lives. The outage
//! here lasts for seconds; one of hours, by the clocks of agent and control plane, is `tests/agent/cli/outage.rs`.

use std::time::Duration;

use anyhow::ensure;
use e2e::shop;
use e2e::world::{INTEGRATION, Options, World};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// A close that failed for a while is tried at most a minute apart.
const AFTER_A_PAUSE: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_due_during_an_outage_is_closed_when_the_target_is_back() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = outage(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn outage(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "8s").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let credential = world.credential(&access).await?;
    world.stop_target()?;
    // Nothing is called ended that was not seen.
    world.wait_label(&access, "Revoking", SOON).await?;
    let shown = world.show(&access).await?;
    ensure!(shown.get("over") != Some(&serde_json::Value::Bool(true)), "{shown}");
    world.start_target()?;
    world.wait_label(&access, "Expired", AFTER_A_PAUSE).await?;
    let found = world.read_back(&credential.account)?;
    ensure!(found.as_ref().is_some_and(|found| found.is_shut()), "{found:?}");
    world.login(&credential).run("select 1").await?.refused()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_brings_back_is_closed_again() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = restored(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn restored(world: &mut World) -> anyhow::Result<()> {
    let (over, kept) = (world.request(shop::ORDERS, "30m").await?, world.request(shop::GOODS, "30m").await?);
    world.approve(&over).await?;
    world.wait_label(&over, "Active", SOON).await?;
    let credential = world.credential(&over).await?;
    let backup = world.back_up_target()?;
    world.revoke(&over).await?;
    world.wait_label(&over, "Revoked", SOON).await?;
    world.login(&credential).run("select 1").await?.refused()?;

    world.restore_target(&backup)?;
    ensure!(
        world.read_back(&credential.account)?.is_some_and(|found| found.can_login),
        "the backup has it open"
    );
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
    let shut = "the account of the backup is shut";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_some_and(|found| found.is_shut()))
        .await?;
    world.login(&credential).run("select 1").await?.refused()?;
    // Work goes on, on the same account.
    world.approve(&kept).await?;
    world.wait_label(&kept, "Active", SOON).await?;
    Ok(())
}
