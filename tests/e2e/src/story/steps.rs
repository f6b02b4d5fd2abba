//! The steps of the story, one function each.

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use serde_json::Value;

use super::{SHORT, SOON, Story};
use crate::clock::{self, Watch};
use crate::command::text_at;
use crate::psql::{Login, Session};
use crate::shop;
use crate::world::{Access, Credential, INTEGRATION, Standing, World};

/// Longer than any story.
const LONG: &str = "30m";

pub(super) async fn all(story: &mut Story<'_, '_>, started: Watch) -> anyhow::Result<()> {
    world(story, started)?;
    let first = requested(story).await?;
    let credential = granted(story, &first).await?;
    login(story, &first, &credential).await?;
    let second = joined(story, &credential).await?;
    let login = story.world.login(&credential);
    first_ended(story, &first, &login).await?;
    let mut session = second_stands(story, &login, &credential).await?;
    deadline(story, &second).await?;
    session_killed(story, &mut session).await?;
    login_refused(story, &login).await?;
    read_back(story, &credential).await?;
    receipts(story, &[&first, &second]).await?;
    deleted(story, &credential).await
}

fn world(story: &mut Story<'_, '_>, started: Watch) -> anyhow::Result<()> {
    let version = tokio::task::block_in_place(|| story.world.target.psql("postgres", "show server_version"))?;
    let accounts = story.world.accounts()?;
    ensure!(accounts.is_empty(), "there are accounts before anything was asked for: {accounts:?}");
    let port = story.world.target.port();
    let seen = format!(
        "PostgreSQL {} on localhost:{port}, control plane and agent run; no account on the target",
        version.trim()
    );
    story.seen("world", started, seen);
    Ok(())
}

async fn requested(story: &mut Story<'_, '_>) -> anyhow::Result<Access> {
    let watch = Watch::start();
    let access = story.world.request(shop::ORDERS, LONG).await?;
    let label = text_at(&story.world.show(&access).await?, "/label")?;
    ensure!(label == "Pending Approval", "a request that needs approval is {label}");
    let accounts = story.world.accounts()?;
    ensure!(accounts.is_empty(), "there are accounts before anything was approved: {accounts:?}");
    story.seen("requested", watch, format!("{} is {label}; nothing changed on the target", access.0));
    Ok(access)
}

async fn granted(story: &mut Story<'_, '_>, access: &Access) -> anyhow::Result<Credential> {
    let watch = Watch::start();
    story.world.approve(access).await?;
    let shown = story.world.wait_label(access, "Active", SOON).await?;
    let took = between(&shown, "/decision/at", "/agent/since")?;
    let credential = story.world.credential(access).await?;
    let standing = story.world.read_back(&credential.account)?.context("the account is not on the target")?;
    ensure!(standing.can_login && standing.memberships == 1, "the account stands so: {standing:?}");
    let seen = format!("Active {took} ms after the approval; {} is on the target", credential.account);
    story.seen("granted", watch, seen);
    Ok(credential)
}

async fn login(story: &mut Story<'_, '_>, access: &Access, credential: &Credential) -> anyhow::Result<()> {
    let watch = Watch::start();
    let (query, count) = shop::COUNT_ORDERS;
    let read = story.world.connect(access, query).await?.ok()?;
    ensure!(read.trim() == count, "{query} gave {read:?}");
    let write = "delete from public.orders";
    let refused = story.world.connect(access, write).await?.refused()?;
    ensure!(refused.contains("permission denied"), "{write} was refused so: {refused}");
    let other = story.world.connect(access, shop::COUNT_GOODS.0).await?.refused()?;
    ensure!(other.contains("permission denied"), "another table was refused so: {other}");
    let seen =
        format!("psql as {}: {count} orders read; writing and other tables refused", credential.account);
    story.seen("login", watch, seen);
    Ok(())
}

async fn joined(story: &mut Story<'_, '_>, credential: &Credential) -> anyhow::Result<Access> {
    let watch = Watch::start();
    let span = format!("{}s", SHORT.as_secs());
    let access = story.world.request(shop::GOODS, &span).await?;
    story.world.approve(&access).await?;
    story.world.wait_label(&access, "Active", SOON).await?;
    let again = story.world.credential(&access).await?;
    ensure!(again.account == credential.account, "it is another account: {}", again.account);
    ensure!(again.generation == credential.generation, "it is generation {}", again.generation);
    ensure!(again.password.expose() == credential.password.expose(), "it has another password");
    let login = story.world.login(credential);
    for (query, count) in [shop::COUNT_ORDERS, shop::COUNT_GOODS] {
        let read = login.run(query).await?.ok()?;
        ensure!(read.trim() == count, "{query} gave {read:?}");
    }
    let seen = format!("{} for {span}: the same password now also reads {}", access.0, shop::GOODS);
    story.seen("joined", watch, seen);
    Ok(access)
}

async fn first_ended(story: &mut Story<'_, '_>, first: &Access, login: &Login) -> anyhow::Result<()> {
    let watch = Watch::start();
    story.world.revoke(first).await?;
    let shown = story.world.wait_label(first, "Revoked", SOON).await?;
    let took = last_asked(&shown)?;
    let refused = login.run(shop::COUNT_ORDERS.0).await?.refused()?;
    ensure!(refused.contains("permission denied"), "the first table was refused so: {refused}");
    story.seen("first_ended", watch, format!("{} is Revoked after {took} ms; its table is refused", first.0));
    Ok(())
}

async fn second_stands(
    story: &mut Story<'_, '_>,
    login: &Login,
    credential: &Credential,
) -> anyhow::Result<Session> {
    let watch = Watch::start();
    let (query, count) = shop::COUNT_GOODS;
    let mut session = login.stay().await?;
    let read = session.ask(query).await?;
    ensure!(read == [count], "{query} gave {read:?}");
    let standing = story.world.read_back(&credential.account)?.context("the account is gone")?;
    ensure!(
        standing.can_login && standing.memberships == 1 && standing.sessions >= 1,
        "the account stands so: {standing:?}"
    );
    story.seen(
        "second_stands",
        watch,
        format!("the same password reads {count} rows of it; a psql stays open"),
    );
    Ok(session)
}

async fn deadline(story: &mut Story<'_, '_>, access: &Access) -> anyhow::Result<()> {
    let watch = Watch::start();
    let shown = story.world.wait_label(access, "Expired", SHORT + SOON).await?;
    let late = between(&shown, "/until", "/agent/since")?;
    ensure!(late >= 0, "it ended {late} ms after its deadline: before it");
    let residual = shown.pointer("/agent/residual").and_then(Value::as_array).cloned().unwrap_or_default();
    ensure!(residual.is_empty(), "something outlives it: {residual:?}");
    story.seen("deadline", watch, format!("{} is Expired, seen shut {late} ms after its deadline", access.0));
    Ok(())
}

async fn session_killed(story: &mut Story<'_, '_>, session: &mut Session) -> anyhow::Result<()> {
    let watch = Watch::start();
    let (status, said) = session.ended(SOON).await?;
    ensure!(!status.success(), "the open psql ended well: {said}");
    ensure!(said.contains("terminating connection"), "the open psql ended so: {said}");
    story.seen("session_killed", watch, "the open psql was ended by the server");
    Ok(())
}

async fn login_refused(story: &mut Story<'_, '_>, login: &Login) -> anyhow::Result<()> {
    let watch = Watch::start();
    let refused = login.run("select 1").await?.refused()?;
    let why = ["is not permitted to log in", "password authentication failed"];
    let Some(why) = why.into_iter().find(|why| refused.contains(why)) else {
        bail!("the login was refused so: {refused}");
    };
    story.seen("login_refused", watch, format!("a new login: {why}"));
    Ok(())
}

async fn read_back(story: &mut Story<'_, '_>, credential: &Credential) -> anyhow::Result<()> {
    let watch = Watch::start();
    let shut = |standing: Option<&Standing>| standing.is_some_and(Standing::is_shut);
    let what = "the account is shut and has nothing";
    story.world.wait_read_back(&credential.account, what, SOON, shut).await?;
    let seen = "no login, no role, no session, no right in any database";
    story.seen("read_back", watch, seen);
    Ok(())
}

async fn receipts(story: &mut Story<'_, '_>, ended: &[&Access]) -> anyhow::Result<()> {
    let watch = Watch::start();
    for access in ended {
        ended_receipts(story.world, access).await?;
    }
    let keys: Value = story.world.agent.tidegate(["keys", "show", "--json"]).await?.json()?;
    let key = text_at(&keys, "/receipts/0/public")?;
    let export = story.world.folder().path().join("receipts.jsonl").display().to_string();
    let admin = &story.world.admin;
    admin.ctl(["receipts", "export", "--integration", INTEGRATION, "--to", &export]).await?.ok()?;
    let heads = admin.ask(["receipts", "verify", &export, "--key", &key]).await?;
    let number = heads.pointer("/0/number").and_then(Value::as_u64).context("a head of the chain")?;
    let seen = format!("{number} receipts: whole, in order, signed by the agent's key");
    story.seen("receipts", watch, seen);
    Ok(())
}

async fn deleted(story: &mut Story<'_, '_>, credential: &Credential) -> anyhow::Result<()> {
    let watch = Watch::start();
    let world = story.world;
    world.apply(Some(0)).await?;
    let third = world.request(shop::ORDERS, LONG).await?;
    world.approve(&third).await?;
    world.wait_label(&third, "Active", SOON).await?;
    let again = world.credential(&third).await?;
    ensure!(again.account == credential.account, "it is another account: {}", again.account);
    ensure!(again.password.expose() != credential.password.expose(), "a shut account kept its password");
    let (query, count) = shop::COUNT_ORDERS;
    let read = world.login(&again).run(query).await?.ok()?;
    ensure!(read.trim() == count, "{query} gave {read:?}");
    world.revoke(&third).await?;
    world.wait_label(&third, "Revoked", SOON).await?;
    let gone = "the account is gone from the target";
    world.wait_read_back(&credential.account, gone, SOON, |standing| standing.is_none()).await?;
    let seen = format!("cleanup policy 0: {} is opened once more, revoked, and gone", credential.account);
    story.seen("deleted", watch, seen);
    Ok(())
}

/// Waits until the control plane has a receipt of an access's end, and gives all that it has of them.
pub async fn ended_receipts(world: &World, access: &Access) -> anyhow::Result<Vec<Value>> {
    clock::until(&format!("there is a receipt of the end of {}", access.0), SOON, async || {
        let list = world.admin.ask(["receipts", "list", "--access", &access.0]).await?;
        let all = list.as_array().context("a list of receipts")?;
        let is_end = |receipt: &&Value| receipt.get("deed").and_then(Value::as_str) == Some("ended");
        let ends: Vec<Value> = all.iter().filter(is_end).cloned().collect();
        Ok((!ends.is_empty()).then_some(ends))
    })
    .await
}

/// Milliseconds between two times in an answer.
fn between(answer: &Value, from: &str, to: &str) -> anyhow::Result<i128> {
    let at = |pointer: &str| -> anyhow::Result<Timestamp> {
        text_at(answer, pointer)?.parse().with_context(|| format!("read the time at {pointer}"))
    };
    Ok(at(to)?.duration_since(at(from)?).as_millis())
}

/// Milliseconds from the asking for an end to the end.
fn last_asked(answer: &Value) -> anyhow::Result<i128> {
    let history = answer.get("history").and_then(Value::as_array).context("a history")?;
    let asked = history
        .iter()
        .find(|line| line.get("what").and_then(Value::as_str) == Some("revoke_asked"))
        .with_context(|| format!("nobody asked for the end in {history:?}"))?;
    let asked: Timestamp = text_at(asked, "/at")?.parse().context("read a time")?;
    let ended: Timestamp = text_at(answer, "/agent/since")?.parse().context("read a time")?;
    Ok(ended.duration_since(asked).as_millis())
}
