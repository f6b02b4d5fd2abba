//! An integration that is led elsewhere, with the real control plane: refused, told to everybody, closed where it was
//! opened, and let through by a person beside the agent.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::command::text_at;
use e2e::shop;
use e2e::world::{INTEGRATION, Options, World};
use serde_json::Value;
use services::postgres::Ground;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_hold_against_who_rules_the_control_plane() {
    hold(Ground::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bindings_hold_on_18_with_the_least_privileged_admin() {
    hold(Ground::NARROW).await;
}

async fn hold(ground: Ground) {
    let options = Options { ground, approval: "auto", ..Options::default() };
    let world = unwrapped(World::start(&options).await);
    let played = play(&world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// Waits until the control plane shows that the last look at the target came out so.
async fn health(world: &World, state: &str) -> anyhow::Result<Value> {
    clock::until(&format!("the target is {state}"), SOON, async || {
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        Ok((shown.pointer("/health/state") == Some(&Value::from(state))).then_some(shown))
    })
    .await
}

async fn play(world: &World) -> anyhow::Result<()> {
    // Without TLS there is something to say of it.
    let good = if world.target.speaks_tls() { "good" } else { "warning" };
    health(world, good).await?;
    let standing = world.request(shop::ORDERS, "1h").await?;
    world.wait_label(&standing, "Active", SOON).await?;
    let account = world.credential(&standing).await?.account;

    // Whoever may change integrations sends the secret to a server of their own.
    let trap = TcpListener::bind("127.0.0.1:0").context("set a trap")?;
    trap.set_nonblocking(true).context("set a trap")?;
    let dialled = || trap.accept().is_ok();
    let port = trap.local_addr()?.port();
    world.apply_at(port, None).await?;
    let shown = health(world, "refused").await?;
    let (code, detail) = (text_at(&shown, "/health/code")?, text_at(&shown, "/health/detail")?);
    ensure!(code == "binding_refused", "{shown}");
    let differs = format!("port {port} instead of {}", world.target.port());
    ensure!(detail.contains(&differs), "{detail}");

    let asked = world.request(shop::GOODS, "1h").await?;
    let failed = world.wait_label(&asked, "Failed", SOON).await?;
    ensure!(failed.to_string().contains("binding_refused"), "{failed}");
    world.revoke(&standing).await?;
    world.wait_label(&standing, "Revoked", SOON).await?;
    let shut = |found: Option<&e2e::world::Standing>| found.is_some_and(e2e::world::Standing::is_shut);
    world.wait_read_back(&account, "it is shut where it was opened", SOON, shut).await?;
    ensure!(!dialled(), "somebody came into the trap");

    // What is meant is approved beside the agent, with the command that the refusal names.
    let (_, command) = detail.split_once("run tidegate ").context("a way out")?;
    world.agent.tidegate(command.split(' ')).await?.ok()?;
    clock::until("the new place is dialled", SOON, async || Ok(dialled().then_some(()))).await?;
    world.apply(None).await?;
    health(world, good).await?;
    Ok(())
}
