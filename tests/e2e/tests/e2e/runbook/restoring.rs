//! What is put back from a backup, or replaced.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::world::Standing;
use e2e::{clock, shop};
use services::postgres::{self, Postgres};

use super::SOON;
use super::play::{Play, SECRET};

const COUNT_ODD: &str = r#"select count(*) from billing."O'Brien ""&"" sons""#;

/// A copy of the journal is put back that still has as active what ended since.
pub(super) async fn journal(play: &mut Play) -> anyhow::Result<()> {
    let (access, credential) = play.opened(shop::ORDERS, "30m").await?;
    play.types_all(&["tidegate journal backup"]).await?;
    play.world.revoke(&access).await?;
    play.world.wait_label(&access, "Revoked", SOON).await?;

    play.world.agent.stop()?;
    play.types_all(&["mv ", "mkdir ", "cp "]).await?;
    play.world.agent.start().await?;
    play.world.wait_connected().await?;
    play.world.agent.wait_ready().await?;
    play.types_all(&["tidegate status", "tidegate receipts verify"]).await?;
    for what in ["alarm.journal_went_back", "receipts.life_begun"] {
        play.types_until(&format!("tidegatectl audit --what {what}"), what).await?;
    }
    play.shut(&credential).await
}

/// The control plane is put back, and an agent has an access of after the backup.
pub(super) async fn control_plane(play: &mut Play) -> anyhow::Result<()> {
    let (_, credential) = play.opened(shop::ORDERS, "30m").await?;
    play.world.plane.stop()?;
    copy(&play.world.plane.data(), &play.copies("control")?)?;
    play.world.plane.start().await?;
    play.world.wait_connected().await?;
    let (other, _) = play.opened(shop::ODD, "30m").await?;
    let (since, _) = play.opened(shop::GOODS, "30m").await?;

    play.world.plane.stop()?;
    play.types_all(&["mv ", "cp -a ", "tidegate-control new-incarnation"]).await?;
    play.world.plane.start().await?;
    play.world.wait_connected().await?;
    // One account holds both, and nothing of it has ended.
    for (statement, _) in [shop::COUNT_ORDERS, shop::COUNT_GOODS] {
        play.world.login(&credential).run(statement).await?.ok()?;
    }
    let shown = play.types("tidegate journal show account").await?.ok()?;
    ensure!(shown.contains(&since.0) && shown.contains(&other.0), "{shown}");
    play.types_all(&["tidegate close --access"]).await?;
    play.world.login(&credential).run(shop::COUNT_GOODS.0).await?.refused()?;
    play.world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    play.types_until("tidegatectl connectors strays", &since.0).await?;
    play.types_all(&["tidegatectl connectors end-stray"]).await?;
    play.types_until("tidegatectl audit --what alarm.", "alarm.unknown_access").await?;
    play.types_until("tidegatectl connectors list", "connected").await?;
    // The other one, that nobody ended, is not in the list.
    play.world.login(&credential).run(COUNT_ODD).await?.ok()?;
    play.types_all(&["tidegatectl connectors standing"]).await?;
    clock::until("what the list lacks has ended", SOON, async || {
        let asked = play.world.login(&credential).run(COUNT_ODD).await?;
        Ok((!asked.status.success()).then_some(()))
    })
    .await?;
    play.world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().context("run cp")?;
    ensure!(copied.success(), "copy {} to {}: {copied}", from.display(), to.display());
    Ok(())
}

/// The target's backup has open what ended since.
pub(super) async fn target(play: &mut Play) -> anyhow::Result<()> {
    let (access, credential) = play.opened(shop::ORDERS, "30m").await?;
    let backup = play.world.back_up_target()?;
    play.world.revoke(&access).await?;
    play.world.wait_label(&access, "Revoked", SOON).await?;
    play.world.restore_target(&backup)?;
    ensure!(
        play.world.read_back(&credential.account)?.is_some_and(|found: Standing| found.can_login),
        "the backup has it open"
    );
    play.types_all(&["tidegatectl integrations survey"]).await?;
    play.shut(&credential).await?;
    play.types_all(&["tidegatectl integrations show", "tidegatectl list", "tidegate status"]).await
}

/// Another server takes the target's place, at another address and under an authority of its own.
pub(super) async fn replaced(play: &mut Play) -> anyhow::Result<()> {
    let (_, credential) = play.opened(shop::ORDERS, "30m").await?;
    play.types_all(&["tidegate close --integration"]).await?;
    play.shut(&credential).await?;

    let other = tokio::task::block_in_place(|| {
        let other = Postgres::launch(&postgres::Options::for_tests())?;
        shop::fill(&other)?;
        let world = &play.world;
        shop::make_admin(&other, world.ground.admin, world.agent.program(), &world.admin_password)?;
        anyhow::Ok(other)
    });
    let other = other.context("start another target")?;
    play.set("PORT", other.port().to_string());
    // The former one lives on until the end: nobody is to take its port.
    let _former = std::mem::replace(&mut play.world.target, other);
    play.world.apply(None).await?;
    play.types_until("tidegate status", "binding_refused").await?;
    let listed = play.types("tidegate bindings list").await?.ok()?;
    ensure!(listed.contains(SECRET), "{listed}");
    play.types_all(&["tidegate bindings approve"]).await?;
    play.types_until("tidegate status", "another target answers").await?;
    play.types_all(&["tidegate resume", "tidegate check"]).await?;
    let (_, next) = play.opened(shop::ORDERS, "30m").await?;
    play.world.login(&next).run(shop::COUNT_ORDERS.0).await?.ok()?;
    Ok(())
}
