//! Ways to an end: by draining, by force, and when it does not come.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::agent::{Agent, Setup};
use e2e::programs::Programs;
use e2e::proxy::Proxy;
use e2e::world::CONNECTOR;
use e2e::{clock, shop};
use serde_json::Value;

use super::SOON;
use super::play::{Play, SECRET};

/// Ten tries with growing pauses take so long at most.
const TEN_TRIES: Duration = Duration::from_secs(420);

/// An agent is drained, stopped, and goes on in another folder, which stands for another machine.
pub(super) async fn drained(play: &mut Play) -> anyhow::Result<()> {
    let (short, credential) = play.opened(shop::ORDERS, "12s").await?;
    let (long, _) = play.opened(shop::GOODS, "30m").await?;
    play.types_all(&["tidegate pause"]).await?;
    play.world.wait_label(&short, "Expired", SOON).await?;
    play.types_all(&["tidegate close --all"]).await?;
    play.world.wait_label(&long, "Revoked", SOON).await?;
    play.shut(&credential).await?;
    for says in ["0 open, 0 opening, 0 interrupted, 0 ending", "0 wait for the control plane"] {
        play.types_until("tidegate status", says).await?;
    }
    let waits = play.world.request(shop::ODD, "30m").await?;
    play.world.agent.stop()?;
    play.types_all(&["tidegate journal backup"]).await?;

    move_in(play).await?;
    play.types_all(&["mkdir ", "cp ", "tidegate check"]).await?;
    play.world.agent.start().await?;
    play.world.wait_connected().await?;
    play.types_all(&["tidegate resume"]).await?;
    play.world.agent.wait_ready().await?;
    play.types_until("tidegatectl connectors list", "connected").await?;
    play.types_all(&["tidegate health"]).await?;
    play.world.wait_label(&waits, "Active", SOON).await?;
    Ok(())
}

/// Sets a machine up with all of the agent but its journal.
async fn move_in(play: &mut Play) -> anyhow::Result<()> {
    let world = &play.world;
    let folder = world.folder().path().join("moved");
    let authority = world.agent.folder().join("control-plane.pem");
    let token_file = world.agent.folder().join("token");
    let setup = Setup {
        connector: CONNECTOR,
        token_file: &token_file,
        plane: world.proxy.as_ref().map_or(world.plane.agents(), Proxy::address),
        authority: &authority,
        log_level: "info",
        without_rights: false,
        settings: &[],
    };
    let moved = Agent::set_up(&Programs::find()?.agent, &folder, setup).await?;
    moved.share_identity(&world.agent)?;
    moved.keep_secret(SECRET, shop::ADMIN, &world.admin_password)?;
    play.set("JOURNAL", moved.journal().display().to_string());
    play.world.agent = moved;
    Ok(())
}

/// The admin's password was changed on the target alone, so that nothing can be closed there.
pub(super) async fn stuck(play: &mut Play) -> anyhow::Result<()> {
    let (access, credential) = play.opened(shop::ORDERS, "30m").await?;
    let password = play.new_password()?;
    play.world.revoke(&access).await?;
    play.types_until("tidegatectl list --state ending", &access.0).await?;
    play.types_all(&["tidegate status", "tidegatectl show"]).await?;
    let said = play.types_ending("tidegate close --access", 1).await?;
    ensure!(said.contains("not seen closed"), "{said}");

    play.world.login(&credential).run("select 1").await?.ok().context("it is open until somebody acts")?;
    play.types_all(&["ALTER ROLE", "pg_terminate_backend"]).await?;
    play.world.login(&credential).run("select 1").await?.refused()?;
    clock::until("ten tries have failed", TEN_TRIES, async || {
        let shown = play.world.show(&access).await?;
        let tries = shown.pointer("/agent/attempts").and_then(Value::as_u64).unwrap_or_default();
        Ok((tries >= 10).then_some(()))
    })
    .await?;
    play.types_all(&["tidegatectl cancel"]).await?;
    play.world.wait_label(&access, "Revoke Canceled", SOON).await?;
    play.types_until("tidegatectl receipts list", "canceled").await?;

    // It is tried all the same, and comes to its end when the cause is mended.
    play.world.agent.keep_secret(SECRET, shop::ADMIN, &password)?;
    play.types_all(&["tidegatectl integrations check"]).await?;
    play.shut(&credential).await
}

/// Accesses are ended beside the agent while the control plane is away.
pub(super) async fn glass(play: &mut Play) -> anyhow::Result<()> {
    let (third, credential) = play.opened(shop::ODD, "30m").await?;
    let (second, _) = play.opened(shop::GOODS, "30m").await?;
    let (first, _) = play.opened(shop::ORDERS, "30m").await?;
    play.world.plane.kill9()?;
    play.types_all(&["tidegate pause", "tidegate close --access"]).await?;
    play.world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused()?;
    play.world.login(&credential).run(shop::COUNT_GOODS.0).await?.ok()?;
    play.types_all(&["tidegate close --integration"]).await?;
    play.shut(&credential).await?;
    play.types_all(&["tidegate close --all", "tidegate status"]).await?;

    play.world.plane.start().await?;
    play.world.wait_connected().await?;
    for access in [&first, &second, &third] {
        play.world.wait_label(access, "Revoked", SOON).await?;
    }
    play.types_until("tidegatectl audit --what alarm.break_glass", "alarm.break_glass").await?;
    play.types_until("tidegatectl receipts list", "ended").await?;
    play.types_all(&["tidegate resume"]).await?;
    play.opened(shop::ORDERS, "30m").await?;
    Ok(())
}
