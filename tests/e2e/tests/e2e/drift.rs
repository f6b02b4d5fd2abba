//! Others change what we made on the target: the next survey tells of it, and the end still comes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::world::{INTEGRATION, Options, World};
use e2e::{clock, shop};
use serde_json::Value;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_tells_what_others_changed_and_the_end_comes_all_the_same() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "30m").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let account = world.credential(&access).await?.account;
    wait_drift(world, "nothing", &[]).await?;

    let by_hand = |statement: String| {
        tokio::task::block_in_place(|| world.target.psql(shop::DATABASE, &statement)).map(drop)
    };
    by_hand(format!("grant select on public.customers to \"{account}\""))?;
    wait_drift(world, "a right given by hand", &["excess"]).await?;
    by_hand(format!("comment on role \"{account}\" is null"))?;
    wait_drift(world, "a mark taken away", &["excess", "tampered"]).await?;
    by_hand(format!("alter role \"{account}\" rename to somebody_else"))?;
    wait_drift(world, "another name", &["excess", "renamed", "tampered"]).await?;

    world.revoke(&access).await?;
    world.wait_label(&access, "Revoked", SOON).await?;
    let left = world.read_back("somebody_else")?;
    ensure!(left.as_ref().is_some_and(|found| found.is_shut()), "{left:?}");
    Ok(())
}

/// Has the target looked over until the survey tells of these kinds and no other.
async fn wait_drift(world: &World, what: &str, kinds: &[&str]) -> anyhow::Result<()> {
    let mut last = Value::Null;
    let what = format!("the survey tells of {what}");
    let seen = clock::until(&what, SOON, async || {
        world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        last = shown["drift"].clone();
        let found = shown["drift"].as_array().map(|all| {
            let mut found: Vec<_> = all.iter().filter_map(|one| one["kind"].as_str()).collect();
            found.sort_unstable();
            found
        });
        Ok((found.as_deref() == Some(kinds)).then_some(()))
    });
    seen.await.with_context(|| format!("it told {last}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_an_integration_sees_soon_what_comes_of_it() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = changed(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn changed(world: &mut World) -> anyhow::Result<()> {
    let checked = async |world: &World| -> anyhow::Result<Value> {
        Ok(world.admin.ask(["integrations", "show", INTEGRATION]).await?["health"]["checked_at"].clone())
    };
    let before = checked(world).await?;
    ensure!(before.is_string(), "it was never checked: {before}");
    world.apply(Some(30)).await?;
    clock::until("the changed integration is checked", SOON, async || {
        let now = checked(world).await?;
        Ok((now != before).then_some(()))
    })
    .await
}
