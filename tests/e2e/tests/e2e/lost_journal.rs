//! The journal is lost and the identity is there: marks on the target say what is to be closed, and when.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::world::{CONNECTOR, INTEGRATION, Options, World};
use e2e::{clock, shop};
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
async fn marks_that_are_not_ours_are_named_and_left_alone_and_an_older_one_closes_early() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = strange_marks(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn strange_marks(world: &mut World) -> anyhow::Result<()> {
    let by_hand =
        |world: &World, text: &str| tokio::task::block_in_place(|| world.target.psql("postgres", text));
    let mark = |world: &World, account: &str| -> anyhow::Result<String> {
        let asked =
            format!("select shobj_description(oid, 'pg_authid') from pg_roles where rolname = '{account}'");
        Ok(by_hand(world, &asked)?.trim().to_owned())
    };
    let first = world.request(shop::ORDERS, "45s").await?;
    world.approve(&first).await?;
    world.wait_label(&first, "Active", SOON).await?;
    let credential = world.credential(&first).await?;
    let account = credential.account.clone();
    let older = mark(world, &account)?;
    let second = world.request(shop::GOODS, "30m").await?;
    world.approve(&second).await?;
    world.wait_label(&second, "Active", SOON).await?;
    let newer = mark(world, &account)?;
    ensure!(older.starts_with("tidegate:1:") && older != newer, "{older} and {newer}");

    world.plane.kill9()?;
    world.agent.kill9()?;
    world.agent.lose_journal()?;
    let parts: Vec<&str> = newer.split(':').collect();
    let &[_, _, payload, key, tag] = parts.as_slice() else { anyhow::bail!("another form of mark: {newer}") };
    let strangers = [
        ("forged", format!("tidegate:1:{payload}:{key}:{}", tag.chars().rev().collect::<String>())),
        ("tampered", format!("tidegate:1:{}:{key}:{tag}", payload.replacen('A', "B", 1))),
        ("copied", newer.clone()),
        ("alien", format!("tidegate:1:{payload}:{}:{tag}", key.chars().rev().collect::<String>())),
    ];
    for (name, comment) in &strangers {
        let planted = format!(
            "create role {name} login password 'planted by hand'; comment on role {name} is '{comment}'"
        );
        by_hand(world, &planted)?;
    }
    by_hand(world, &format!("comment on role \"{account}\" is '{older}'"))?;

    let shown = world.agent.tidegate(["journal", "rebuild", "--dry-run", "--json"]).await?.ok()?;
    let shown: Value = serde_json::from_str(&shown).context("read what would be rebuilt")?;
    let duties = shown["duties"].as_array().context("duties")?;
    ensure!(duties.len() == 1 && duties[0]["account"] == json!(account), "{shown}");
    let named: Vec<_> = shown["not_ours"].as_array().context("what is not ours")?.iter().collect();
    let words = |name: &str| {
        named.iter().find(|one| one["account"] == json!(name)).map(|one| one["mark"].to_string())
    };
    let expected = [
        ("forged", "does not verify"),
        ("tampered", "does not verify"),
        ("copied", "of another account"),
        ("alien", "another connector's"),
    ];
    for (name, word) in expected {
        ensure!(words(name).is_some_and(|said| said.contains(word)), "{name}: {shown}");
    }
    ensure!(named.len() == strangers.len(), "{shown}");

    world.agent.start().await?;
    let shut = "the account is shut by the deadline of the older mark: too early rather than too late";
    world
        .wait_read_back(&account, shut, SOON + SOON, |found| found.is_some_and(|found| found.is_shut()))
        .await?;
    for (name, comment) in &strangers {
        let found = world.read_back(name)?;
        ensure!(found.is_some_and(|found| found.can_login), "{name} was touched");
        ensure!(mark(world, name)? == *comment, "the comment on {name} was touched");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_identity_and_journal_an_agent_names_what_it_cannot_close() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = both_lost(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn both_lost(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "30m").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let account = world.credential(&access).await?.account;
    world.agent.kill9()?;
    std::fs::remove_dir_all(world.agent.identity()).context("lose the identity")?;
    world.agent.lose_journal()?;
    let refused = world.agent.tidegate(["run"]).await?.refused()?;
    ensure!(refused.contains("closed by hand"), "it is not told what is lost: {refused}");
    let state = world.agent.folder().to_owned();
    let (other, state) = (state.join("other.toml").display().to_string(), state.display().to_string());
    world.agent.new_identity(CONNECTOR, &state, &other).await?;
    world.agent.start().await?;
    world.wait_connected().await?;
    clock::until("the control plane is told of an account that is not ours any more", SOON, async || {
        world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        let foreign =
            shown["drift"].as_array().and_then(|all| all.iter().find(|one| one["kind"] == "foreign"));
        Ok(foreign.is_some_and(|one| one.to_string().contains(&account)).then_some(()))
    })
    .await?;
    let shown = world.agent.tidegate(["journal", "rebuild", "--dry-run", "--json"]).await?.ok()?;
    let shown: Value = serde_json::from_str(&shown).context("read what would be rebuilt")?;
    ensure!(shown.pointer("/not_ours/0/account") == Some(&json!(account)), "{shown}");
    ensure!(shown["duties"] == json!([]), "{shown}");
    // Revoked, it is not called ended before a person has closed it.
    world.revoke(&access).await?;
    clock::until("the end is tried and held up", SOON, async || {
        let shown = world.show(&access).await?;
        ensure!(shown["over"] == json!(false), "it was called ended: {shown}");
        Ok((shown.pointer("/agent/code") == Some(&json!("account_foreign"))).then_some(()))
    })
    .await?;
    ensure!(world.read_back(&account)?.is_some_and(|found| found.can_login), "a foreign account was touched");
    let by_hand = format!("drop owned by \"{account}\"; drop role \"{account}\"");
    tokio::task::block_in_place(|| world.target.psql(shop::DATABASE, &by_hand))?;
    world.wait_label(&access, "Revoked", SOON + SOON).await?;
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
