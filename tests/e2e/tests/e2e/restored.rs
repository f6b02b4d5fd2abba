//! What is put back from a copy, doubled or replaced: journal, control plane, the whole agent, target. Each as the table
//! "What survives what" of `ARCHITECTURE.md` says.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::person::Person;
use e2e::shop;
use e2e::world::{Access, CONNECTOR, Credential, INTEGRATION, Options, Standing, World};
use serde_json::{Value, json};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// A close that failed for a while is tried at most a minute apart.
const AFTER_A_PAUSE: Duration = Duration::from_secs(150);
/// What a password is good for on the odd table.
const COUNT_ODD: &str = r#"select count(*) from billing."O'Brien ""&"" sons""#;

async fn auto() -> World {
    unwrapped(World::start(&Options { approval: "auto", ..Options::default() }).await)
}

async fn revoked(world: &World, access: &Access) -> anyhow::Result<()> {
    world.revoke(access).await?;
    world.wait_label(access, "Revoked", SOON).await?;
    Ok(())
}

fn is_shut(found: Option<&Standing>) -> bool {
    found.is_none_or(Standing::is_shut)
}

/// Waits until an access works with the credential that it has now: where an old copy took it away, its order has opened
/// it again with a new one.
async fn works(world: &World, access: &Access, query: &str) -> anyhow::Result<Credential> {
    clock::until("what lives works", SOON, async || {
        // Until it is open again there may be none to be had.
        let Ok(credential) = world.credential(access).await else { return Ok(None) };
        let ran = world.login(&credential).run(query).await?;
        Ok(ran.status.success().then_some(credential))
    })
    .await
}

/// Waits until the control plane was told an alarm, and gives the entries.
async fn wait_alarm(world: &World, code: &str) -> anyhow::Result<Value> {
    let what = format!("alarm.{code}");
    clock::until(&what, SOON, async || {
        let noted = world.admin.ask(["audit", "--what", &what]).await?;
        Ok(noted.as_array().is_some_and(|all| !all.is_empty()).then_some(noted))
    })
    .await
}

/// Somebody else who may ask, with an account of their own.
async fn second_requester(world: &World) -> anyhow::Result<Person> {
    let (email, people) = ("ben@example.org", world.folder().path().join("people"));
    world.admin.ask(["users", "create", email, "--role", "requester"]).await?;
    let file = people.join("ben.token");
    let text = file.display().to_string();
    world.admin.ask(["tokens", "create", "--user", email, "--name", "first", "--token-file", &text]).await?;
    Person::login(world.desk(), &people.join("ben"), email, &file).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_the_journal_opens_nothing_again_and_closes_what_it_never_knew() {
    let mut world = auto().await;
    let played = old_journal(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn old_journal(world: &mut World) -> anyhow::Result<()> {
    let ben = second_requester(world).await?;
    let (over, _) = world.opened(shop::ORDERS, "1h").await?;
    world.agent.stop()?;
    let copy = world.agent.folder().with_file_name("journal-copy");
    world.agent.copy_journal(&copy)?;
    world.agent.start().await?;
    world.wait_connected().await?;
    revoked(world, &over).await?;
    let (lives, credential) = world.opened(shop::GOODS, "1h").await?;
    let short = world.request_as(&ben, shop::ORDERS, "READ_ONLY", "40s").await?;
    world.wait_label(&short, "Active", SOON).await?;
    let of_ben = e2e::command::text_at(&ben.ask(["credential", &short.0]).await?, "/account_name")?;

    // What the copy believes: one access lives that has ended; of the others it knows nothing. Nobody can tell it.
    world.agent.stop()?;
    world.plane.kill9()?;
    world.agent.put_journal_back(&copy)?;
    world.agent.start().await?;
    let shut = "what only its mark remembers is shut by its mark";
    world.wait_read_back(&of_ben, shut, AFTER_A_PAUSE, is_shut).await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused().context("what has ended")?;
    let report = world.agent.report().await?;
    ensure!(report.get("ready") == Some(&json!(false)), "{report}");

    world.plane.start().await?;
    world.wait_connected().await?;
    wait_alarm(world, "reconciling").await?;
    world.wait_label(&short, "Expired", SOON).await?;
    world.agent.wait_ready().await?;
    for (access, label) in [(&over, "Revoked"), (&lives, "Active")] {
        world.wait_label(access, label, SOON).await?;
    }
    let credential = works(world, &lives, shop::COUNT_GOODS.0).await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused().context("what has ended stays so")?;
    revoked(world, &lives).await?;
    ensure!(is_shut(world.read_back(&credential.account)?.as_ref()), "ended and not shut");
    let (_, next) = world.opened(shop::ORDERS, "1h").await?;
    world.login(&next).run(shop::COUNT_ORDERS.0).await?.ok()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_from_a_backup_ends_nothing_by_absence_and_opens_nothing_again() {
    let mut world = auto().await;
    let played = old_plane(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn old_plane(world: &mut World) -> anyhow::Result<()> {
    let (kept, credential) = world.opened(shop::ORDERS, "1h").await?;
    let (over, _) = world.opened(shop::GOODS, "1h").await?;
    let copy = world.back_up_plane().await?;
    world.wait_connected().await?;
    revoked(world, &over).await?;
    // The backup has never heard of this one, which has a deadline.
    let (_forgotten, _) = world.opened(shop::ODD, "90s").await?;
    world.login(&credential).run(COUNT_ODD).await?.ok()?;
    world.restore_plane(&copy).await?;
    world.wait_connected().await?;
    wait_alarm(world, "reconciling").await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok().context("what both know lives on")?;
    world.login(&credential).run(COUNT_ODD).await?.ok().context("absence ends nothing")?;
    world.login(&credential).run(shop::COUNT_GOODS.0).await?.refused().context("what had ended")?;
    // Its orders come again, and an id that has ended never opens: the control plane learns that it is over.
    clock::until("what had ended is over", SOON, async || {
        let shown = world.show(&over).await?;
        Ok((shown.get("over") == Some(&Value::Bool(true))).then_some(()))
    })
    .await?;
    world.login(&credential).run(shop::COUNT_GOODS.0).await?.refused().context("nothing opens again")?;
    // Deadlines hold, whoever remembers them; so do explicit ends.
    clock::until("what nobody there knows ends by its deadline", AFTER_A_PAUSE, async || {
        Ok((!world.login(&credential).run(COUNT_ODD).await?.status.success()).then_some(()))
    })
    .await?;
    world.wait_label(&kept, "Active", SOON).await?;
    revoked(world, &kept).await?;
    ensure!(is_shut(world.read_back(&credential.account)?.as_ref()), "ended and not shut");
    let (_, next) = world.opened(shop::GOODS, "1h").await?;
    world.login(&next).run(shop::COUNT_GOODS.0).await?.ok().context("work goes on")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_whole_agent_is_refused_and_can_only_close() {
    let mut world = auto().await;
    let played = cloned(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn cloned(world: &mut World) -> anyhow::Result<()> {
    let ben = second_requester(world).await?;
    let (known, credential) = world.opened(shop::ORDERS, "1h").await?;
    let short = world.request_as(&ben, shop::ORDERS, "READ_ONLY", "100s").await?;
    world.wait_label(&short, "Active", SOON).await?;
    let of_ben = e2e::command::text_at(&ben.ask(["credential", &short.0]).await?, "/account_name")?;
    world.agent.stop()?;
    let mut clone = world.clone_agent().await?;
    world.agent.start().await?;
    world.wait_connected().await?;
    world.agent.wait_ready().await?;

    // Both run. The control plane keeps to the first, and the second one opens nothing.
    clone.start().await?;
    let refused = clock::until("the copy is refused", SOON, async || {
        let report = clone.report().await?;
        let reason = report.pointer("/link/reason").and_then(Value::as_str).unwrap_or_default();
        Ok(reason.contains("one active instance").then(|| report.clone()))
    });
    let report = refused.await.with_context(|| clone.log().tail())?;
    ensure!(report.get("ready") == Some(&json!(false)), "{report}");
    ensure!(report.get("mode") == Some(&json!("close_only")), "{report}");
    world.agent.wait_ready().await?;
    let (lives, _) = world.opened(shop::GOODS, "1h").await?;
    revoked(world, &known).await?;
    // So that the first one has surely told more than the copy will have.
    for _ in 0..2 {
        let (more, _) = world.opened(shop::ODD, "1h").await?;
        revoked(world, &more).await?;
    }
    world.login(&credential).run(shop::COUNT_GOODS.0).await?.ok().context("the copy disturbs nothing")?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused().context("nor opens it again")?;

    // The first one dies, and nobody can be asked: what is due ends by the copy alone.
    world.plane.kill9()?;
    world.agent.kill9()?;
    let shut = "the copy closes what is due";
    world.wait_read_back(&of_ben, shut, AFTER_A_PAUSE, is_shut).await?;

    // With the control plane back the copy is found to be old, learns what it missed, and goes on as another life.
    world.plane.start().await?;
    world.wait_connected().await?;
    wait_alarm(world, "reconciling").await?;
    world.wait_label(&short, "Expired", SOON).await?;
    clone.wait_ready().await.with_context(|| clone.log().tail())?;
    world.wait_label(&known, "Revoked", SOON).await?;
    world.wait_label(&lives, "Active", SOON).await?;
    let credential = works(world, &lives, shop::COUNT_GOODS.0).await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused().context("what has ended stays so")?;
    revoked(world, &lives).await?;
    ensure!(is_shut(world.read_back(&credential.account)?.as_ref()), "ended and not shut");
    // The first one comes back: now it is the one that is refused.
    world.agent.start().await?;
    let report = clock::until("the first one is refused", SOON, async || {
        let report = world.agent.report().await?;
        let reason = report.pointer("/link/reason").and_then(Value::as_str).unwrap_or_default();
        Ok(reason.contains("one active instance").then(|| report.clone()))
    });
    ensure!(report.await?.get("ready") == Some(&json!(false)));
    ensure!(is_shut(world.read_back(&credential.account)?.as_ref()), "opened again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_under_the_targets_name_gets_nothing_and_proves_nothing() {
    let world = auto().await;
    let played = replaced(&world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// The same address, certificate and admin password: only the server's own identity differs.
async fn replaced(world: &World) -> anyhow::Result<()> {
    let (access, credential) = world.opened(shop::ORDERS, "1h").await?;
    let kept = world.replace_target()?;
    world.admin.ask(["integrations", "check", INTEGRATION]).await?;
    let alarm = wait_alarm(world, "target_replaced").await?;
    ensure!(alarm.to_string().contains("nothing opens there"), "{alarm}");
    clock::until("the integration's health tells it", AFTER_A_PAUSE, async || {
        world.admin.ask(["integrations", "check", INTEGRATION]).await?;
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        Ok(shown["health"].to_string().contains("target_replaced").then_some(()))
    })
    .await?;
    // Nothing opens there, and what is missing there has not ended.
    let waits = world.request(shop::GOODS, "1h").await?;
    world.revoke(&access).await?;
    let tried = clock::until("closing was tried there", SOON, async || {
        let shown = world.show(&access).await?;
        Ok((shown.pointer("/agent/code") == Some(&json!("target_replaced"))).then_some(shown))
    });
    let shown = tried.await?;
    ensure!(shown["label"] == "Revoking" && shown["over"] == false, "{shown}");
    ensure!(world.accounts()?.is_empty(), "made on another server: {:?}", world.accounts()?);
    // Tried there by now, were it ever to be: a check passes through the same lane.
    world.admin.ask(["integrations", "check", INTEGRATION]).await?;
    world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
    let shown = world.show(&access).await?;
    ensure!(shown["over"] == json!(false), "what is missing on another server has ended: {shown}");
    let made = "select count(*) from pg_roles where rolname like 'tidegate\\_%' and rolname <> 'tidegate_connector' \
                and rolname <> 'tidegate_admin'";
    let made = tokio::task::block_in_place(|| world.target.psql("postgres", made))?;
    ensure!(made.trim() == "0", "{made} roles of ours were made on another server");
    let status = world.agent.tidegate(["status", "--json"]).await?.json()?;
    ensure!(
        status.pointer("/work/integrations/0/replaced_by").is_some_and(Value::is_string),
        "an operator is not told: {status}"
    );

    // The right one is back under its name.
    world.put_target_back(&kept)?;
    ensure!(world.read_back(&credential.account)?.is_some_and(|found| found.can_login), "it was open there");
    world.wait_label(&access, "Revoked", AFTER_A_PAUSE).await?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused()?;
    world.wait_label(&waits, "Active", AFTER_A_PAUSE).await?;
    world.opened(shop::GOODS, "30m").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_of_the_target_brings_back_is_closed_though_it_was_deleted() {
    let world = auto().await;
    let played = deleted(&world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn deleted(world: &World) -> anyhow::Result<()> {
    world.apply(Some(0)).await?;
    let (over, credential) = world.opened(shop::ORDERS, "1h").await?;
    let backup = world.back_up_target()?;
    revoked(world, &over).await?;
    let gone = "the account is deleted at its close";
    world.wait_read_back(&credential.account, gone, SOON, |found| found.is_none()).await?;
    world.restore_target(&backup)?;
    world.login(&credential).run(shop::COUNT_ORDERS.0).await?.ok().context("the backup has it open")?;
    world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
    let shut = "nobody remembers it, and it may not live: it is shut and deleted";
    world.wait_read_back(&credential.account, shut, SOON, |found| found.is_none()).await?;
    wait_alarm(world, "account_unremembered").await?;
    world.wait_label(&over, "Revoked", SOON).await?;
    // The same grantee's next account has the same name, and a life of its own.
    let (_, next) = world.opened(shop::ORDERS, "1h").await?;
    ensure!(next.account == credential.account, "one name for one grantee");
    world.login(&next).run(shop::COUNT_ORDERS.0).await?.ok()?;
    world.login(&credential).run("select 1").await?.refused().context("the old password")?;
    ensure!(world.admin.ask(["connectors", "list"]).await?.to_string().contains(CONNECTOR));
    Ok(())
}
