//! Somebody else rules one of the two machines.

use anyhow::{Context as _, ensure};
use e2e::command::text_at;
use e2e::world::INTEGRATION;
use e2e::{clock, private_file, shop};
use serde_json::Value;

use super::play::{Play, SECRET};
use super::{ALL, SOON};

/// First a login is stolen, then nothing of the control plane is believed.
pub(super) async fn control_plane(play: &mut Play) -> anyhow::Result<()> {
    let (first, _) = play.opened(shop::ORDERS, "30m").await?;
    play.types_all(&["tidegatectl panic"]).await?;
    play.world.wait_label(&first, "Revoked", SOON).await?;
    play.types_all(&["tidegatectl users list", "tidegatectl users disable"]).await?;
    play.types_all(&["tidegatectl connectors resume"]).await?;
    play.world.agent.wait_ready().await?;

    let (second, credential) = play.opened(shop::GOODS, "30m").await?;
    play.types_all(&["tidegate pause", "tidegate close --all"]).await?;
    play.shut(&credential).await?;
    play.world.wait_label(&second, "Revoked", SOON).await?;
    clock::until("the control plane has every report", SOON, async || {
        let said = play.world.agent.tidegate(["status"]).await?.ok()?;
        Ok(said.contains("0 wait for the control plane").then_some(()))
    })
    .await?;
    way(play, false)?;

    let keys: Value = play.world.agent.tidegate(["keys", "show", "--json"]).await?.json()?;
    play.set("KEY", text_at(&keys, "/receipts/0/public")?);
    play.types_all(&["tidegate keys show", "tidegate receipts export"]).await?;
    let said = play.types("tidegate receipts verify \"$BACKUP/receipts.jsonl\"").await?.ok()?;
    let head = said.lines().find(|line| line.starts_with(&format!("{INTEGRATION}:")));
    play.set("HEAD", head.with_context(|| format!("a head in {said}"))?);

    let guardrails = play.variable("GUARDRAILS")?.to_owned();
    private_file(guardrails.as_ref(), ALL)?;
    play.types_all(&["tidegate guardrails check"]).await?;
    let listed = play.types("tidegate bindings list").await?.ok()?;
    ensure!(listed.contains(SECRET), "{listed}");
    play.world.agent.stop()?;
    let narrower = ["secrets.bindings=strict".to_owned(), format!("guardrails.file={guardrails}")];
    play.world.agent.start_set(&narrower, &[]).await?;
    way(play, true)?;
    play.world.wait_connected().await?;

    play.types_all(&["tidegatectl receipts export", "/control.jsonl\" --key"]).await?;
    let said = play.types("tidegatectl whoami").await?.ok()?;
    ensure!(said.contains("key"), "{said}");
    play.types_all(&["tidegate resume"]).await?;
    play.world.agent.wait_ready().await?;
    play.opened(shop::ORDERS, "30m").await?;
    Ok(())
}

/// Opens or cuts the agent's way to the control plane.
fn way(play: &Play, open: bool) -> anyhow::Result<()> {
    let proxy = play.world.proxy.as_ref().context("a proxy between agent and control plane")?;
    proxy.refuse(!open);
    if !open {
        proxy.cut();
    }
    Ok(())
}

/// The agent's machine is cut off, what it opened is shut by hand, and another one takes its place.
pub(super) async fn machine(play: &mut Play) -> anyhow::Result<()> {
    let (_, credential) = play.opened(shop::ORDERS, "30m").await?;
    let mut session = play.world.login(&credential).stay().await?;
    play.world.agent.kill9()?;
    play.types_all(&["ALTER ROLE tidegate_connector", "usename = 'tidegate_connector'"]).await?;
    let listed = play.types("SELECT a.rolname").await?.ok()?;
    ensure!(listed.contains(&credential.account), "{listed}");
    play.types_all(&["ALTER ROLE \\\"$ACCOUNT\\\"", "usename = '$ACCOUNT'"]).await?;
    let (status, _) = session.ended(SOON).await?;
    ensure!(!status.success(), "the open psql ended well");
    play.world.login(&credential).run("select 1").await?.refused()?;

    play.types_all(&["tidegatectl panic", "tidegatectl connectors rotate-token"]).await?;
    play.world.plane.stop()?;
    play.world.plane.start().await?;
    // Nothing of the old machine comes to the new one.
    std::fs::remove_dir_all(play.world.agent.identity()).context("leave the old identity")?;
    play.world.agent.lose_journal()?;
    play.types_all(&["cp ", "tidegate init"]).await?;
    let password = play.new_password()?;
    play.world.agent.keep_secret(SECRET, shop::ADMIN, &password)?;
    play.world.agent.start().await?;
    play.world.wait_connected().await?;
    play.types_all(&["tidegatectl connectors resume"]).await?;
    play.world.agent.wait_ready().await?;
    let listed = play.types("tidegate journal rebuild").await?.ok()?;
    ensure!(listed.contains(&credential.account), "{listed}");
    play.world.login(&credential).run("select 1").await?.refused()?;
    play.types_all(&["tidegate health"]).await
}
