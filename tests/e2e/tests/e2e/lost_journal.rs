//! The journal is lost and the identity is there: marks on the target say what is to be closed, and when.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::shop;
use e2e::world::{CONNECTOR, Options, World};
use serde_json::{Value, json};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_close_what_a_lost_journal_forgot_while_the_control_plane_is_away() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = alone(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn alone(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "12s").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let credential = world.credential(&access).await?;
    let mut session = world.login(&credential).stay().await?;

    world.plane.kill9()?;
    world.agent.kill9()?;
    world.agent.lose_journal()?;
    let shown = world.agent.tidegate(["journal", "rebuild", "--dry-run", "--json"]).await?.ok()?;
    let shown: Value = serde_json::from_str(&shown).context("read what would be rebuilt")?;
    ensure!(shown.pointer("/duties/0/account") == Some(&json!(credential.account)), "{shown}");
    ensure!(shown.pointer("/duties/0/open_until").is_some_and(Value::is_string), "{shown}");
    ensure!(world.read_back(&credential.account)?.is_some_and(|found| found.can_login), "looking changed it");
    world.agent.start().await?;
    let shut = "the account is shut by its mark alone";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_some_and(|found| found.is_shut()))
        .await?;
    let (status, _) = session.ended(SOON).await?;
    ensure!(!status.success(), "the open psql ended well");
    world.login(&credential).run("select 1").await?.refused()?;

    world.plane.start().await?;
    world.wait_connected().await?;
    world.wait_label(&access, "Expired", SOON).await?;
    let next = world.request(shop::ORDERS, "30m").await?;
    world.approve(&next).await?;
    world.wait_label(&next, "Active", SOON).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lives_goes_on_without_its_journal_and_ends_when_it_is_revoked() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = together(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn together(world: &mut World) -> anyhow::Result<()> {
    let (kept, given_back) =
        (world.request(shop::ORDERS, "30m").await?, world.request(shop::GOODS, "30m").await?);
    for access in [&kept, &given_back] {
        world.approve(access).await?;
        world.wait_label(access, "Active", SOON).await?;
    }
    let credential = world.credential(&kept).await?;
    world.agent.kill9()?;
    world.agent.lose_journal()?;
    // Somebody gives an access back while nobody is there who knows of it.
    world.revoke(&given_back).await?;
    world.agent.start().await?;
    world.wait_connected().await?;
    world.wait_label(&given_back, "Revoked", SOON).await?;
    world.wait_label(&kept, "Active", SOON).await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    world.login(&credential).run(shop::COUNT_GOODS.0).await?.refused()?;
    world.revoke(&kept).await?;
    world.wait_label(&kept, "Revoked", SOON).await?;
    world.login(&credential).run("select 1").await?.refused()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_identity_an_agent_does_not_start_and_a_new_one_closes_what_the_journal_has() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = another_identity(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn another_identity(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "12s").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let credential = world.credential(&access).await?;
    world.agent.kill9()?;
    std::fs::remove_dir_all(world.agent.identity()).context("lose the identity")?;
    let refused = world.agent.tidegate(["run"]).await?.refused()?;
    ensure!(refused.contains("tidegate init"), "no way out is told: {refused}");

    let state = world.agent.folder().to_owned();
    let other = state.join("other.toml");
    let (state, other) = (state.display().to_string(), other.display().to_string());
    world.agent.new_identity(CONNECTOR, &state, &other).await?;
    world.agent.start().await?;
    let shut = "the account is shut by the journal and its immutable id, whatever its mark says";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_some_and(|found| found.is_shut()))
        .await?;
    world.login(&credential).run("select 1").await?.refused()?;
    world.wait_label(&access, "Expired", SOON).await?;
    Ok(())
}
