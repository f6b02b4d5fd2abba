//! Two instances of one connector on a shared journal: who is active, how fast the other takes over, and what a late one
//! cannot do. Bounds here are ceilings for a busy machine; the exact ones are the lease's own tests.

mod acts;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock::{self, Watch};
use e2e::shop;
use e2e::world::{Options, World};
use model::Span;
use serde_json::json;
use services::postgres::Mode;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// How long a takeover may take here, all in all. Promised are 15 s.
const TAKEN_OVER: Duration = Duration::from_secs(25);
/// Another instance took over: the exit code that a supervisor sees.
const SUPERSEDED: i32 = 8;

async fn shared() -> World {
    let options = Options { shared: true, approval: "auto", ..Options::default() };
    unwrapped(World::start(&options).await)
}

/// Starts the second instance, and waits until it stands by.
async fn stand_by(world: &mut World) -> anyhow::Result<()> {
    let standby = world.standby.as_mut().context("a second instance")?;
    standby.start().await?;
    let report = standby.wait_mode("standby", SOON).await?;
    ensure!(report.get("ready") == Some(&json!(false)), "a standby says that it is ready: {report}");
    ensure!(report.get("active").is_some_and(|active| active.is_string()), "{report}");
    ensure!(report.pointer("/journal/state") == Some(&json!("good")), "{report}");
    Ok(())
}

/// Who holds the lease: its epoch.
fn epoch(world: &World) -> anyhow::Result<u64> {
    let journals = world.journals.as_ref().context("a shared journal")?;
    let told = tokio::task::block_in_place(|| journals.psql("tidegate", "SELECT epoch FROM tidegate.lease"))?;
    told.trim().parse().context("read the epoch")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_instance_is_replaced_and_what_is_due_ends() {
    let mut world = shared().await;
    let played = killed(&mut world).await;
    let took = unwrapped(played.map_err(|fault| world.explained(fault)));
    println!("standby: took over {took:?} after a kill");
}

/// Returns how long the takeover took.
async fn killed(world: &mut World) -> anyhow::Result<Duration> {
    stand_by(world).await?;
    ensure!(epoch(world)? == 1);
    let (access, credential) = world.opened(shop::ORDERS, "20s").await?;
    let (kept, still) = world.opened(shop::ORDERS, "30m").await?;
    ensure!(still.account == credential.account, "one account for one grantee");
    world.agent.kill9()?;
    let watch = Watch::start();
    let standby = world.standby.as_ref().context("a second instance")?;
    standby.wait_mode("open", TAKEN_OVER).await?;
    let took = watch.elapsed();
    ensure!(epoch(world)? == 2);
    standby.wait_ready().await?;
    world.wait_label(&access, "Expired", SOON).await?;
    world.wait_label(&kept, "Active", SOON).await?;
    world.login(&still).run(shop::COUNT_ORDERS.0).await?.ok()?;
    world.revoke(&kept).await?;
    world.wait_label(&kept, "Revoked", SOON).await?;
    world.login(&still).run("select 1").await?.refused()?;
    // What the dead one was comes back, and stands by.
    world.agent.start().await?;
    world.agent.wait_mode("standby", SOON).await?;
    Ok(took)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ordered_stop_hands_over_at_once() {
    let mut world = shared().await;
    let played = handed_over(&mut world).await;
    let took = unwrapped(played.map_err(|fault| world.explained(fault)));
    println!("standby: took over {took:?} after an ordered stop");
}

/// Returns how long the takeover took.
async fn handed_over(world: &mut World) -> anyhow::Result<Duration> {
    stand_by(world).await?;
    let (access, credential) = world.opened(shop::ORDERS, "30m").await?;
    looked_into(world).await?;
    world.agent.stop()?;
    let watch = Watch::start();
    let standby = world.standby.as_ref().context("a second instance")?;
    standby.wait_mode("open", TAKEN_OVER).await?;
    let took = watch.elapsed();
    // It was given back, not waited for.
    let unasked = journal_lasts();
    ensure!(took < unasked, "it took {took:?}, and without being given back {unasked:?}");
    standby.wait_ready().await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    world.revoke(&access).await?;
    world.wait_label(&access, "Revoked", SOON).await?;
    world.login(&credential).run("select 1").await?.refused()?;
    Ok(took)
}

/// The commands that read a journal read the shared one beside its holder.
async fn looked_into(world: &World) -> anyhow::Result<()> {
    let standby = world.standby.as_ref().context("a second instance")?;
    for instance in [&world.agent, standby] {
        let listed = instance.tidegate(["journal", "list", "--json"]).await?.ok()?;
        let listed: serde_json::Value = serde_json::from_str(&listed).context("read what is listed")?;
        ensure!(listed.pointer("/rows/account") == Some(&json!(1)), "{listed}");
        instance.tidegate(["journal", "show", "account"]).await?.ok()?;
        instance.tidegate(["receipts", "verify"]).await?.ok()?;
        let copy = instance.folder().join("copy.db").display().to_string();
        let refused = instance.tidegate(["journal", "backup", &copy]).await?.refused()?;
        ensure!(refused.contains("pg_dump"), "no way out is told: {refused}");
        let refused = instance.tidegate(["journal", "reset-clock", "--yes"]).await?.refused()?;
        ensure!(refused.contains("stop every instance"), "the clock was reset beside its holder: {refused}");
    }
    Ok(())
}

/// How long a lease that nobody gives back lasts at the least after a renewal: renewals are 3 s apart.
fn journal_lasts() -> Duration {
    Span::from_secs(7).as_std()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_stopped_inside_an_opening_opens_nothing_when_it_goes_on() {
    let mut world = shared().await;
    let played = stopped_opening(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn stopped_opening(world: &mut World) -> anyhow::Result<()> {
    world.agent.stop()?;
    for place in ["open:intent", "open:1", "open:sent2"] {
        world.agent.start_to_stop(place).await?;
        world.agent.wait_mode("open", SOON).await?;
        world.agent.wait_ready().await?;
        stand_by(world).await?;
        let access = world.request(shop::ORDERS, "30m").await?;
        world.agent.wait_stopped(SOON).await?;
        let before = epoch(world)?;
        let standby = world.standby.as_ref().context("a second instance")?;
        standby.wait_mode("open", TAKEN_OVER).await?;
        ensure!(epoch(world)? == before + 1, "{place}");
        // The one that took over opens it for the same order, and ends it.
        world.wait_label(&access, "Active", SOON).await?;
        let credential = world.credential(&access).await?;
        world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
        world.revoke(&access).await?;
        world.wait_label(&access, "Revoked", SOON).await?;
        let shut = |found: &e2e::world::Standing| found.is_shut();
        ensure!(
            world.read_back(&credential.account)?.as_ref().is_none_or(shut),
            "{place}: ended and not shut"
        );

        world.agent.go_on()?;
        let code = world.agent.wait_ended(SOON).await?;
        ensure!(code == Some(SUPERSEDED), "{place}: it ended with {code:?}");
        ensure!(world.read_back(&credential.account)?.as_ref().is_none_or(shut), "{place}: opened late");
        world.login(&credential).run("select 1").await?.refused()?;
        world.standby.as_mut().context("a second instance")?.kill9()?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_stopped_inside_a_close_shuts_nothing_of_a_later_access() {
    let mut world = shared().await;
    let played = stopped_closing(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn stopped_closing(world: &mut World) -> anyhow::Result<()> {
    world.agent.stop()?;
    world.agent.start_to_stop("close:2").await?;
    world.agent.wait_ready().await?;
    stand_by(world).await?;
    let (first, before) = world.opened(shop::ORDERS, "30m").await?;
    world.revoke(&first).await?;
    world.agent.wait_stopped(SOON).await?;
    let standby = world.standby.as_ref().context("a second instance")?;
    standby.wait_mode("open", TAKEN_OVER).await?;
    world.wait_label(&first, "Revoked", SOON).await?;
    world.login(&before).run("select 1").await?.refused()?;
    let (second, after) = world.opened(shop::ORDERS, "30m").await?;
    ensure!(after.account == before.account, "one account for one grantee");

    world.agent.go_on()?;
    let code = world.agent.wait_ended(SOON).await?;
    ensure!(code == Some(SUPERSEDED), "it ended with {code:?}");
    world.login(&after).run(shop::COUNT_ORDERS.0).await?.ok()?;
    world.wait_label(&second, "Active", SOON).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_journals_database_closing_goes_on_and_nothing_opens() {
    let mut world = shared().await;
    let played = without_journal(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn without_journal(world: &mut World) -> anyhow::Result<()> {
    stand_by(world).await?;
    let (access, credential) = world.opened(shop::ORDERS, "25s").await?;
    let mut session = world.login(&credential).stay().await?;
    let journals = world.journals.as_ref().context("a shared journal")?;
    tokio::task::block_in_place(|| journals.stop(Mode::Fast))?;
    let told = clock::until("the active instance says that its journal is away", SOON, async || {
        let report = world.agent.report().await?;
        let bad = report.pointer("/journal/state") == Some(&json!("bad"));
        Ok(bad.then_some(report))
    })
    .await?;
    ensure!(told.get("ready") == Some(&json!(false)), "{told}");
    let reason = told.pointer("/journal/reason").and_then(serde_json::Value::as_str).unwrap_or_default();
    ensure!(reason.contains("look at its volume, or at its database"), "no way out is told: {told}");
    let held = world.request(shop::GOODS, "30m").await?;
    let shut = "the account is shut though nothing can be recorded";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_none_or(|found| found.is_shut()))
        .await?;
    let (status, _) = session.ended(SOON).await?;
    ensure!(!status.success(), "the open psql ended well");
    ensure!(world.show(&held).await?["label"] != "Active", "something was opened meanwhile");
    world.login(&credential).run("select 1").await?.refused().context("opened again")?;
    let pid = world.agent.pid();
    tokio::task::block_in_place(|| journals.start())?;
    // Either may be the active one now; what was closed is recorded and told.
    world.wait_label(&access, "Expired", SOON).await?;
    world.wait_label(&held, "Active", SOON).await.context("what waited is opened")?;
    let (_, next) = world.opened(shop::ORDERS, "30m").await?;
    world.login(&next).run(shop::COUNT_ORDERS.0).await?.ok()?;
    if world.agent.report().await.is_ok() {
        ensure!(world.agent.pid() == pid, "the agent was started anew");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_journal_that_a_newer_build_left_is_read_and_what_it_knows_is_closed() {
    let mut world = shared().await;
    let played = left_behind(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

fn in_journal(world: &World, statements: &str) -> anyhow::Result<String> {
    let journals = world.journals.as_ref().context("a shared journal")?;
    let statements = format!("SET search_path = tidegate; {statements}");
    tokio::task::block_in_place(|| journals.psql("tidegate", &statements))
}

/// All that is in the journal but who acts.
fn contents(world: &World) -> anyhow::Result<String> {
    let mut all = in_journal(world, "SELECT connector, incarnation, committed, sum FROM head")?;
    for table in ["account", "integration", "tombstone", "meta", "report", "receipt", "format"] {
        all.push_str(&in_journal(world, &format!("SELECT t::text FROM {table} AS t ORDER BY 1"))?);
    }
    Ok(all)
}

async fn left_behind(world: &mut World) -> anyhow::Result<()> {
    let (access, credential) = world.opened(shop::ORDERS, "20s").await?;
    world.agent.stop()?;
    in_journal(world, "UPDATE format SET version = 9, min_reader = 9")?;
    let before = contents(world)?;
    world.agent.start().await?;
    // Whoever can do more could take over for a while.
    let report = world.agent.wait_mode("close_only", SOON).await?;
    ensure!(report.get("ready") == Some(&json!(false)), "{report}");
    ensure!(report.pointer("/journal/state") == Some(&json!("bad")), "{report}");
    ensure!(report.to_string().contains("run the newer build"), "no way out is told: {report}");
    let shut = "the account is shut though nothing can be recorded";
    world
        .wait_read_back(&credential.account, shut, SOON, |found| found.is_none_or(|found| found.is_shut()))
        .await?;
    world.login(&credential).run("select 1").await?.refused()?;
    let held = world.request(shop::GOODS, "30m").await?;
    ensure!(world.show(&access).await?["label"] != "Expired", "told as ended, and not recorded");
    ensure!(contents(world)? == before, "what a newer build wrote was written to");

    // The newer build waits for it to be stopped, and goes on.
    world.agent.stop()?;
    ensure!(contents(world)? == before, "what a newer build wrote was written to at the end");
    in_journal(world, "UPDATE format SET version = 1, min_reader = 1")?;
    world.agent.start().await?;
    world.wait_label(&access, "Expired", SOON).await?;
    world.wait_label(&held, "Active", SOON).await.context("what waited is opened")?;
    Ok(())
}
