//! A close that does not succeed is canceled by a person: refused too early, told as what it is, and given up on by nobody.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::shop;
use e2e::world::{Access, INTEGRATION, Options, World};
use serde_json::Value;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// Ten tries, each at the agent's next heartbeat.
const TEN_TRIES: Duration = Duration::from_secs(240);
/// Longer than the longest pause between two tries, and than that between two of what was canceled.
const PAUSE: Duration = Duration::from_secs(61);
const SLOW_PAUSE: Duration = Duration::from_secs(16 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_canceled_when_it_failed_often_and_comes_about_all_the_same() {
    let options = Options { approval: "auto", ..Options::default() };
    let world = unwrapped(World::start(&options).await);
    let played = play(&world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// How often the agent has tried to close, as its log tells.
fn tries(world: &World) -> anyhow::Result<usize> {
    let is_try = |line: &&str| line.contains("Action did not succeed") && line.contains("\"close\"");
    Ok(world.agent.log().text()?.lines().filter(is_try).count())
}

async fn cancel(world: &World, access: &Access) -> anyhow::Result<e2e::command::Finished> {
    world.admin.ctl(["--json", "cancel", &access.0, "--reason", "the database is gone for good"]).await
}

async fn play(world: &World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "2h").await?;
    world.wait_label(&access, "Active", SOON).await?;
    let credential = world.credential(&access).await?;
    let refused = cancel(world, &access).await?.refused()?;
    ensure!(refused.contains("cancel_not_possible"), "no code: {refused}");

    world.stop_target()?;
    world.revoke(&access).await?;
    let shown = world.wait_label(&access, "Revoking", SOON).await?;
    ensure!(shown.pointer("/agent/cancel_possible") == Some(&Value::Bool(false)), "{shown}");
    let refused = cancel(world, &access).await?.refused()?;
    ensure!(refused.contains("only after several failed tries"), "no way out: {refused}");

    // The pauses between the tries pass for the agent, as if it slept through them.
    let (mut passed, mut seen) = (Duration::ZERO, 0);
    let possible = clock::until("canceling is offered", TEN_TRIES, async || {
        let now = tries(world)?;
        if now > seen {
            (seen, passed) = (now, passed + PAUSE);
            world.agent.set_clock(passed, passed)?;
        }
        let shown = world.show(&access).await?;
        Ok((shown.pointer("/agent/cancel_possible") == Some(&Value::Bool(true))).then_some(shown))
    });
    let shown = possible.await.with_context(|| format!("after {seen} tries"))?;
    ensure!(
        shown.pointer("/agent/attempts").and_then(Value::as_u64).is_some_and(|tried| tried >= 10),
        "{shown}"
    );
    let denied = world.requester.ctl(["cancel", &access.0, "--reason", "tired of it"]).await?.refused()?;
    ensure!(!denied.is_empty(), "the requester may not");
    cancel(world, &access).await?.ok()?;
    let shown = world.wait_label(&access, "Revoke Canceled", SOON).await?;
    ensure!(shown.to_string().contains("may remain"), "what it means is not told: {shown}");
    let receipts = world.admin.ask(["receipts", "list", "--access", &access.0]).await?;
    let deeds: Vec<_> =
        receipts.as_array().context("receipts")?.iter().map(|one| one["deed"].clone()).collect();
    ensure!(deeds.iter().any(|deed| deed == "canceled"), "{deeds:?}");
    ensure!(deeds.iter().all(|deed| deed != "ended"), "told as ended: {deeds:?}");

    // The target comes back: nobody has given up on it.
    world.start_target()?;
    ensure!(
        world.read_back(&credential.account)?.is_some_and(|found| found.can_login),
        "it was shut by something else"
    );
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    passed += SLOW_PAUSE;
    world.agent.set_clock(passed, passed)?;
    let shut = "the account is shut though nobody waits for it";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_some_and(|found| found.is_shut()))
        .await?;
    world.login(&credential).run("select 1").await?.refused()?;
    clock::until("a receipt tells of the late close", SOON, async || {
        let receipts = world.admin.ask(["receipts", "list"]).await?;
        Ok(receipts.to_string().contains("unremembered").then_some(()))
    })
    .await?;
    world.admin.ask(["receipts", "verify", "--integration", INTEGRATION]).await?;
    // What people were told stays: they saw the access canceled, not ended.
    world.wait_label(&access, "Revoke Canceled", SOON).await?;
    Ok(())
}
