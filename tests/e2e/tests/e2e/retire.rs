//! An integration is retired: nothing of ours is left on its target, and a receipt says what went.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::command::text_at;
use e2e::world::{INTEGRATION, Options, World};
use e2e::{clock, shop};
use serde_json::{Value, json};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// Roles but for the server's superuser and the admin that the agent logs in as, default privileges, and comments that speak of us.
const OURS: &str = "select 'role ' || rolname from pg_roles where rolname like 'tidegate%' and rolname not in ('tidegate_connector', 'tidegate_admin')
    union all select 'default privilege of ' || defaclrole::regrole from pg_default_acl
    union all select 'comment ' || description from pg_shdescription where description ilike '%tidegate%'
    union all select 'label ' || label from pg_shseclabel";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_ours_is_left_on_the_target_and_a_receipt_names_what_went() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

fn ours(world: &World, database: &str) -> anyhow::Result<Vec<String>> {
    let found = tokio::task::block_in_place(|| world.target.psql(database, OURS))?;
    Ok(found.lines().map(str::to_owned).collect())
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let table = world.request(shop::ORDERS, "30m").await?;
    let schema = world.request("postgresql-schema:shop/public", "30m").await?;
    for access in [&table, &schema] {
        world.approve(access).await?;
        world.wait_label(access, "Active", SOON).await?;
    }
    let credential = world.credential(&table).await?;
    ensure!(!ours(world, shop::DATABASE)?.is_empty(), "the target has nothing of ours");

    let looked = world.admin.ask(["retire", INTEGRATION]).await?;
    ensure!(looked.get("lifecycle") == Some(&json!("live")), "it was retired without --yes: {looked}");
    let begun = world.admin.ask(["retire", INTEGRATION, "--yes"]).await?;
    ensure!(begun.get("lifecycle") == Some(&json!("retiring")), "{begun}");
    for access in [&table, &schema] {
        world.wait_label(access, "Revoked", SOON).await?;
    }
    world.login(&credential).run("select 1").await?.refused()?;
    clock::until("the integration is retired", SOON, async || {
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        Ok((shown.get("lifecycle") == Some(&json!("retired"))).then_some(()))
    })
    .await?;
    for database in [shop::DATABASE, "postgres"] {
        let left = ours(world, database)?;
        ensure!(left.is_empty(), "{left:?} is left in {database}");
    }
    let receipts = world.admin.ask(["receipts", "list", "--integration", INTEGRATION]).await?;
    let last = receipts.as_array().and_then(|all| all.iter().find(|one| one["deed"] == "retired"));
    let last = last.with_context(|| format!("a receipt of the retirement in {receipts}"))?;
    let signed: Value = serde_json::from_str(&text_at(last, "/signed")?).context("read a receipt")?;
    let body: Value = serde_json::from_str(&text_at(&signed, "/body")?).context("read its body")?;
    ensure!(body["removed"].as_array().is_some_and(|all| !all.is_empty()), "{body}");
    ensure!(body["left"] == json!([]) && body["residual"] == json!([]), "{body}");
    world.request(shop::ORDERS, "30m").await.err().context("a request on what is retired was taken")?;
    Ok(())
}
