//! All keys of a connector are made anew while an access is open.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::shop;
use e2e::story::ended_receipts;
use e2e::world::{CONNECTOR, INTEGRATION, Options, World};
use serde_json::{Value, json};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accesses_live_and_end_while_the_keys_are_rotated_and_the_journal_is_lost() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let before = world.request(shop::ORDERS, "30m").await?;
    world.approve(&before).await?;
    world.wait_label(&before, "Active", SOON).await?;
    let credential = world.credential(&before).await?;
    let mut session = world.login(&credential).stay().await?;

    for key_use in ["marks", "sealing", "receipts"] {
        world.agent.tidegate(["keys", "rotate", key_use]).await?.ok()?;
    }
    world.agent.stop()?;
    let kept = world.folder().path().join("journal-kept");
    world.agent.copy_journal(&kept)?;
    world.agent.lose_journal()?;
    recognised(world, &credential.account, "a mark by an older key").await?;
    std::fs::create_dir_all(world.agent.journal()).context("a place for the journal")?;
    world.agent.put_journal_back(&kept)?;
    world.agent.start().await?;
    world.wait_connected().await?;
    ensure!(session.ask("select 1").await? == ["1"], "the session did not outlive the rotation");
    let offered = offered(world).await?;
    ensure!(offered == ["receipts", "sealing"], "offered are {offered:?}");

    let after = world.request(shop::GOODS, "30m").await?;
    world.approve(&after).await?;
    world.wait_label(&after, "Active", SOON).await?;
    world.revoke(&before).await?;
    world.wait_label(&before, "Revoked", SOON).await?;
    let ends = ended_receipts(world, &before).await?;
    ensure!(
        ends.iter().all(|end| end["verified"] == json!(false)),
        "nobody has accepted the new key: {ends:?}"
    );
    world.admin.ask(["connectors", "accept-keys", CONNECTOR, "--yes"]).await?;
    ensure!(self::offered(world).await?.is_empty(), "keys are still offered");

    world.agent.kill9()?;
    world.agent.lose_journal()?;
    recognised(world, &credential.account, "a mark by the new key").await?;
    world.agent.start().await?;
    world.wait_connected().await?;
    world.revoke(&after).await?;
    world.wait_label(&after, "Revoked", SOON).await?;
    let ends = ended_receipts(world, &after).await?;
    ensure!(ends.iter().all(|end| end["verified"] == json!(true)), "the new key was accepted: {ends:?}");
    world.login(&credential).run("select 1").await?.refused()?;

    let keys: Value = world.agent.tidegate(["keys", "show", "--json"]).await?.json()?;
    let of = |at: usize| keys.pointer(&format!("/receipts/{at}/public")).and_then(Value::as_str);
    let (new, old) = (of(0).context("a key")?, of(1).context("an older key")?);
    let export = world.folder().path().join("receipts.jsonl").display().to_string();
    let taken = ["receipts", "export", "--integration", INTEGRATION, "--to", &export];
    world.admin.ctl(taken).await?.ok()?;
    world.admin.ask(["receipts", "verify", &export, "--key", new, "--key", old]).await?;
    world.admin.ctl(["receipts", "verify", &export, "--key", new]).await?.refused()?;
    Ok(())
}

/// An agent that knew the account by its mark alone would take it for ours.
async fn recognised(world: &World, account: &str, mark: &str) -> anyhow::Result<()> {
    let shown: Value = world.agent.tidegate(["journal", "rebuild", "--dry-run", "--json"]).await?.json()?;
    ensure!(shown.pointer("/duties/0/account") == Some(&json!(account)), "{mark} is not recognised: {shown}");
    Ok(())
}

/// What the keys are for that the control plane was offered and nobody has accepted.
async fn offered(world: &World) -> anyhow::Result<Vec<String>> {
    let connectors = world.admin.ask(["connectors", "list"]).await?;
    let offered = connectors.pointer("/0/keys_offered").and_then(Value::as_array).context("offered keys")?;
    let mut purposes: Vec<_> =
        offered.iter().filter_map(|key| key["purpose"].as_str().map(str::to_owned)).collect();
    purposes.sort();
    Ok(purposes)
}
