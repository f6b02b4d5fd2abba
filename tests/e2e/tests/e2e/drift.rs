//! Others change what we made on the target: the next survey tells of it, and the end still comes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::world::{INTEGRATION, Options, World};
use e2e::{clock, shop};
use proto::v1;
use serde_json::Value;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// Longer than two surveys lie apart that nobody asks for, in the world where that is a minute.
const BY_ITSELF: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_tells_what_others_changed_and_the_end_comes_all_the_same() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let access = world.request(shop::ORDERS, "30m").await?;
    world.approve(&access).await?;
    world.wait_label(&access, "Active", SOON).await?;
    let account = world.credential(&access).await?.account;
    wait_drift(world, "nothing", &[]).await?;

    let by_hand = |statement: String| {
        tokio::task::block_in_place(|| world.target.psql(shop::DATABASE, &statement)).map(drop)
    };
    by_hand(format!("grant select on public.customers to \"{account}\""))?;
    wait_drift(world, "a right given by hand", &["excess"]).await?;
    by_hand(format!("comment on role \"{account}\" is null"))?;
    wait_drift(world, "a mark taken away", &["excess", "tampered"]).await?;
    by_hand(format!("alter role \"{account}\" rename to somebody_else"))?;
    wait_drift(world, "another name", &["excess", "renamed", "tampered"]).await?;

    world.revoke(&access).await?;
    world.wait_label(&access, "Revoked", SOON).await?;
    let left = world.read_back("somebody_else")?;
    ensure!(left.as_ref().is_some_and(|found| found.is_shut()), "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_tells_of_old_marks_of_widened_roles_of_what_vanished_and_of_ghosts() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = changed_by_hand(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn changed_by_hand(world: &mut World) -> anyhow::Result<()> {
    let (first, second) =
        (world.request(shop::ORDERS, "30m").await?, world.request(shop::GOODS, "30m").await?);
    world.approve(&first).await?;
    world.wait_label(&first, "Active", SOON).await?;
    let account = world.credential(&first).await?.account;
    let role = permission_role(world, &account)?;
    let older = mark(world, &account)?;
    world.approve(&second).await?;
    world.wait_label(&second, "Active", SOON).await?;
    let latest = mark(world, &account)?;
    ensure!(older != latest, "a second access is in the mark");
    let put_mark = |text: &str| {
        by_hand(world, &format!("comment on role \"{account}\" is '{}'", text.replace('\'', "''")))
    };
    put_mark(&older)?;
    wait_drift(world, "an older mark put back", &["tampered"]).await?;
    put_mark(&latest)?;
    wait_drift(world, "nothing", &[]).await?;

    let surveyed = heard(world)?;
    by_hand(world, &format!("drop owned by \"{account}\"; drop role \"{account}\""))?;
    world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
    wait_told(world, surveyed, v1::DriftKind::Vanished, &account, SOON).await?;
    for access in [&first, &second] {
        world.revoke(access).await?;
        world.wait_label(access, "Revoked", SOON).await?;
    }
    wait_drift(world, "nothing any more", &[]).await?;

    // Nobody is in the role.
    let widen = format!("grant select on public.customers to \"{role}\"");
    let narrow = format!("revoke select on public.customers from \"{role}\"");
    by_hand(world, &widen)?;
    wait_drift(world, "a permission role that was widened", &["wider_role"]).await?;
    by_hand(world, &narrow)?;
    wait_drift(world, "nothing again", &[]).await?;

    // A backup of the target brings an account back that was deleted here and is forgotten.
    world.apply(Some(0)).await?;
    let third = world.request(shop::ORDERS, "60s").await?;
    world.approve(&third).await?;
    world.wait_label(&third, "Active", SOON).await?;
    let account = world.credential(&third).await?.account;
    let backup = world.back_up_target()?;
    world.revoke(&third).await?;
    world.wait_read_back(&account, "the account is deleted", 3 * SOON, |found| found.is_none()).await?;
    let surveyed = heard(world)?;
    world.restore_target(&backup)?;
    world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
    wait_told(world, surveyed, v1::DriftKind::Ghost, &account, 3 * SOON).await?;
    let held = "the ghost is closed by its mark's deadline, and deleted";
    world.wait_read_back(&account, held, 4 * SOON, |found| found.is_none()).await?;

    // Nobody asks for the survey that finds this.
    world.agent.stop()?;
    let started = heard(world)?;
    world.agent.start_set(&["engine.survey_every=1m".into()], &[]).await?;
    clock::until("the target was looked over since the start", BY_ITSELF, async || {
        Ok((!drifts(world, started)?.is_empty()).then_some(()))
    })
    .await?;
    by_hand(world, &widen)?;
    wait_told(world, started, v1::DriftKind::WiderRole, &role, BY_ITSELF).await?;
    Ok(())
}

fn by_hand(world: &World, statement: &str) -> anyhow::Result<String> {
    tokio::task::block_in_place(|| world.target.psql(shop::DATABASE, statement))
}

fn mark(world: &World, account: &str) -> anyhow::Result<String> {
    let query = format!("select shobj_description('\"{account}\"'::regrole, 'pg_authid')");
    Ok(by_hand(world, &query)?.trim().to_owned())
}

/// The role that an account has its only access by.
fn permission_role(world: &World, account: &str) -> anyhow::Result<String> {
    let query = format!(
        "select roleid::regrole::text from pg_auth_members
         where member = '\"{account}\"'::regrole and roleid <> 'tidegate_managed'::regrole"
    );
    let found = by_hand(world, &query)?;
    let [role] = found.lines().collect::<Vec<_>>()[..] else { anyhow::bail!("{account} is in {found:?}") };
    Ok(role.trim_matches('"').to_owned())
}

/// How much was said between agent and control plane so far.
fn heard(world: &World) -> anyhow::Result<usize> {
    Ok(world.proxy.as_ref().context("a proxy")?.tape().len())
}

/// What surveys have told since.
fn drifts(world: &World, since: usize) -> anyhow::Result<Vec<v1::DriftFound>> {
    let reports = world.proxy.as_ref().context("a proxy")?.tape().reports(since)?;
    let found = reports.into_iter().filter_map(|(_, report)| match report.report {
        Some(v1::report::Report::DriftFound(found)) => Some(found),
        _ => None,
    });
    Ok(found.collect())
}

/// Waits for one survey that tells of this: what is doubted is read afresh, and the next one tells something else.
async fn wait_told(
    world: &World,
    since: usize,
    kind: v1::DriftKind,
    name: &str,
    limit: Duration,
) -> anyhow::Result<()> {
    clock::until(&format!("a survey tells of {kind:?} {name}"), limit, async || {
        let drifts = drifts(world, since)?;
        let mut told = drifts.iter().flat_map(|found| &found.drifts);
        let is_it = |one: &v1::Drift| one.kind() == kind && one.count == 1 && one.examples == [name];
        Ok(told.any(is_it).then_some(()))
    })
    .await
}

/// Has the target looked over until the survey tells of these kinds and no other.
async fn wait_drift(world: &World, what: &str, kinds: &[&str]) -> anyhow::Result<()> {
    let mut last = Value::Null;
    let what = format!("the survey tells of {what}");
    let seen = clock::until(&what, SOON, async || {
        world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        last = shown["drift"].clone();
        let found = shown["drift"].as_array().map(|all| {
            let mut found: Vec<_> = all.iter().filter_map(|one| one["kind"].as_str()).collect();
            found.sort_unstable();
            found
        });
        Ok((found.as_deref() == Some(kinds)).then_some(()))
    });
    seen.await.with_context(|| format!("it told {last}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_an_integration_sees_soon_what_comes_of_it() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = changed(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn changed(world: &mut World) -> anyhow::Result<()> {
    let checked = async |world: &World| -> anyhow::Result<Value> {
        Ok(world.admin.ask(["integrations", "show", INTEGRATION]).await?["health"]["checked_at"].clone())
    };
    let before = checked(world).await?;
    ensure!(before.is_string(), "it was never checked: {before}");
    world.apply(Some(30)).await?;
    clock::until("the changed integration is checked", SOON, async || {
        let now = checked(world).await?;
        Ok((now != before).then_some(()))
    })
    .await
}
