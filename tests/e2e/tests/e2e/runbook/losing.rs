//! What is lost, and what is made anew on purpose.

use anyhow::{Context as _, ensure};
use e2e::command::text_at;
use e2e::world::INTEGRATION;
use e2e::{clock, shop};
use serde_json::{Value, json};

use super::SOON;
use super::play::{Play, SECRET};

/// The journal is gone; the identity says what is to be closed, and its marks say when.
pub(super) async fn journal(play: &mut Play) -> anyhow::Result<()> {
    let (access, credential) = play.opened(shop::ORDERS, "20s").await?;
    play.world.agent.kill9()?;
    play.types_all(&["mv "]).await?;
    let shown = play.types("tidegate journal rebuild").await?.ok()?;
    ensure!(shown.contains(&credential.account), "{shown}");
    play.world.agent.start().await?;
    play.shut(&credential).await?;
    play.world.wait_label(&access, "Expired", SOON).await?;
    play.world.agent.wait_ready().await?;
    play.types_all(&["tidegate status", "tidegate receipts verify"]).await?;
    play.types_until("tidegatectl audit", "receipts.life_begun").await?;
    play.opened(shop::ORDERS, "30m").await?;
    Ok(())
}

/// The identity is gone; with a new one the journal says what is to be closed.
pub(super) async fn identity(play: &mut Play) -> anyhow::Result<()> {
    let (access, credential) = play.opened(shop::ORDERS, "20s").await?;
    play.world.agent.kill9()?;
    std::fs::remove_dir_all(play.world.agent.identity()).context("lose the identity")?;
    let ended = play.world.agent.tidegate(["run"]).await?;
    ensure!(ended.status.code() == Some(4) && ended.err.contains("there is no identity in"), "{ended:?}");
    play.types_all(&["tidegate init", "tidegate keys show"]).await?;
    play.world.agent.start().await?;
    play.shut(&credential).await?;
    play.world.wait_label(&access, "Expired", SOON).await?;
    play.world.agent.wait_ready().await?;
    let listed = play.types("tidegate bindings list").await?.ok()?;
    ensure!(listed.contains(SECRET), "{listed}");
    play.types_until("tidegatectl audit", "alarm.connector_keys_changed").await?;
    play.types_until("tidegatectl connectors keys", "offered").await?;
    let accepted = play.types("tidegatectl connectors accept-keys").await?.ok()?;
    ensure!(!accepted.contains("offered"), "{accepted}");
    play.types_all(&["tidegate health"]).await
}

/// What the control plane tells of the last look at the target.
async fn health(play: &Play) -> anyhow::Result<Value> {
    Ok(play.world.admin.ask(["integrations", "show", INTEGRATION]).await?["health"].clone())
}

/// The token and the admin's password are new, and a secret is sealed.
pub(super) async fn rotated(play: &mut Play) -> anyhow::Result<()> {
    play.types_all(&["tidegatectl connectors rotate-token", "cp ", "tidegate check"]).await?;
    play.world.agent.stop()?;
    play.world.agent.start().await?;
    play.world.wait_connected().await?;
    play.world.agent.wait_ready().await?;

    let before = health(play).await?["checked_at"].clone();
    let password = play.new_password()?;
    play.world.agent.keep_secret(SECRET, shop::ADMIN, &password)?;
    play.types_all(&["tidegatectl integrations check"]).await?;
    clock::until("the target was good after the change", SOON, async || {
        let now = health(play).await?;
        Ok((now["checked_at"] != before && now["state"] == json!("good")).then_some(()))
    })
    .await?;
    play.types_all(&["tidegatectl integrations show"]).await?;

    let keys: Value = play.world.agent.tidegate(["keys", "show", "--json"]).await?.json()?;
    let fingerprint = text_at(&keys, "/sealing/0/fingerprint")?;
    let shown = play.types("tidegate keys show").await?.ok()?;
    ensure!(shown.contains(&fingerprint), "{shown}");
    play.set("FINGERPRINT", fingerprint);
    let sealed = play.types("tidegatectl seal").await?.ok()?;
    ensure!(!sealed.trim().is_empty() && !sealed.contains(shop::ADMIN), "{sealed}");
    let (_, credential) = play.opened(shop::ORDERS, "30m").await?;
    play.set("OLD_KEY", text_at(&keys, "/sealing/0/id")?);
    for rotated in ["keys rotate marks", "keys rotate sealing", "keys rotate receipts"] {
        play.types_all(&[rotated]).await?;
    }
    play.world.agent.stop()?;
    play.world.agent.start().await?;
    play.world.wait_connected().await?;
    play.types_until("tidegatectl connectors keys", "offered").await?;
    let accepted = play.types("tidegatectl connectors accept-keys").await?.ok()?;
    ensure!(!accepted.contains("offered"), "{accepted}");
    play.types_all(&["tidegate keys retire"]).await?;
    play.world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    Ok(())
}
