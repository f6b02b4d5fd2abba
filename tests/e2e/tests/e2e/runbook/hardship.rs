//! The agent closes and opens nothing: guardrails, journal, clock, lease.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::{private_file, shop};
use serde_json::json;

use super::play::Play;
use super::{ALL, SOON};

/// How long a takeover may take here, all in all. Promised are 15 s.
const TAKEN_OVER: Duration = Duration::from_secs(25);
const NOT_READY: i32 = 6;
const JOURNAL: i32 = 5;
const CONFIG: i32 = 3;

/// The file is no Cedar for a while.
pub(super) async fn guardrails(play: &mut Play) -> anyhow::Result<()> {
    let (_, credential) = play.opened(shop::ORDERS, "30m").await?;
    let file = play.variable("GUARDRAILS")?.to_owned();
    private_file(file.as_ref(), "forbid everything")?;
    play.world.agent.wait_mode("close_only", SOON).await?;
    let said = play.types_ending("tidegate health", NOT_READY).await?;
    ensure!(said.contains("closes only: guardrails_broken"), "{said}");
    let said = play.types_ending("tidegate guardrails check", CONFIG).await?;
    ensure!(said.contains("line 1"), "{said}");
    private_file(file.as_ref(), ALL)?;
    play.world.agent.wait_ready().await?;
    play.types_all(&["tidegate guardrails check", "tidegate health"]).await?;
    play.world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    Ok(())
}

/// The journal takes no writes. No disk is filled here: its file is moved away for a while, which is refused in the same
/// words. What a full disk does is a test of the journal and of the agent alone.
pub(super) async fn disk(play: &mut Play) -> anyhow::Result<()> {
    let (access, credential) = play.opened(shop::ORDERS, "30m").await?;
    let file = play.world.agent.journal().join("journal.db");
    let away = play.copies("away.db")?;
    std::fs::rename(&file, &away).context("move the journal away")?;
    let waits = play.world.request(shop::GOODS, "30m").await?;
    let report = play.world.agent.wait_mode("close_only", SOON).await?;
    ensure!(report.pointer("/journal/state") == Some(&json!("bad")), "{report}");
    let said = play.types_ending("tidegate health", NOT_READY).await?;
    ensure!(said.contains("closes only: close_only"), "{said}");
    play.types_all(&["tidegate health --closing"]).await?;
    play.types_ending("tidegate close --access", JOURNAL).await?;
    play.shut(&credential).await?;

    std::fs::rename(&away, &file).context("put the journal back")?;
    play.world.agent.wait_ready().await?;
    play.types_all(&["tidegate health", "tidegate status"]).await?;
    play.world.wait_label(&access, "Revoked", SOON).await?;
    play.world.wait_label(&waits, "Active", SOON).await?;
    Ok(())
}

/// Nobody's clock can be set here: the commands are typed where the clock is right. What a wrong one does is played
/// against the agent by a control plane that lies about the time, and in made-up worlds.
pub(super) async fn clocks(play: &mut Play) -> anyhow::Result<()> {
    let status = play.types("tidegate status").await?.ok()?;
    ensure!(!status.contains("effective time"), "{status}");
    let looked = play.types("tidegate journal reset-clock").await?.ok()?;
    ensure!(looked.contains("Nothing was changed"), "{looked}");
    play.types_ending("tidegate journal reset-clock --yes", JOURNAL).await?;
    play.world.agent.stop()?;
    play.types_all(&["tidegate journal reset-clock --yes"]).await?;
    play.world.agent.start().await?;
    play.world.agent.wait_ready().await?;
    play.types_all(&["tidegate health"]).await
}

/// The active instance dies, another one takes over; later the journal's database is lost with all of it.
pub(super) async fn standbys(play: &mut Play) -> anyhow::Result<()> {
    let standby = play.world.standby.as_mut().context("a second instance")?;
    standby.start().await?;
    standby.wait_mode("standby", SOON).await?;
    play.types_all(&["tidegate status"]).await?;
    play.beside_standby = true;
    let said = play.types_ending("tidegate health", NOT_READY).await?;
    ensure!(said.contains("stands by"), "{said}");
    play.beside_standby = false;

    let (access, credential) = play.opened(shop::ORDERS, "30m").await?;
    play.world.agent.kill9()?;
    let standby = play.world.standby.as_mut().context("a second instance")?;
    standby.wait_mode("open", TAKEN_OVER).await?;
    play.world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;

    let standby = play.world.standby.as_mut().context("a second instance")?;
    standby.kill9()?;
    let (server, database) =
        (play.world.journals.as_ref().context("a shared journal")?, play.variable("JOURNAL_DATABASE")?);
    let lost = format!("DROP DATABASE \"{database}\" WITH (FORCE)");
    tokio::task::block_in_place(|| server.psql("postgres", &lost))?;
    play.at_the_journals = true;
    play.types_all(&["CREATE DATABASE"]).await?;
    let shown = play.types("tidegate journal rebuild").await?.ok()?;
    ensure!(shown.contains(&credential.account), "{shown}");
    play.world.agent.start().await?;
    play.world.agent.wait_ready().await?;
    let standby = play.world.standby.as_mut().context("a second instance")?;
    standby.start().await?;
    standby.wait_mode("standby", SOON).await?;
    play.types_all(&["tidegate health", "tidegate journal list"]).await?;
    play.world.wait_label(&access, "Active", SOON).await?;
    play.world.revoke(&access).await?;
    play.world.wait_label(&access, "Revoked", SOON).await?;
    play.shut(&credential).await
}
