//! The agent is killed at the worst moments, and everything ends as if it had not been.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::command::text_at;
use e2e::shop;
use e2e::world::{Access, Credential, Options, Standing, World};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

/// When the agent is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While the target makes it wait for this table, in granting.
    Granting(&'static str),
    /// After the target has granted, before the control plane was told.
    Granted,
    /// While the target makes it wait for this table, in closing.
    Closing(&'static str),
    /// Before the deadline, to be started after it.
    Deadline,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_killed_ends_all_the_same() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    // What was under way when an agent was killed may still land on the target: for ten seconds after it nothing opens on
    // that account. Therefore the short access comes first.
    let table = [
        ("away while the deadline passes", Moment::Deadline),
        ("granting, before the account is there", Moment::Granting("pg_authid")),
        ("granting, between account and rights", Moment::Granting("pg_auth_members")),
        ("granted and not yet told", Moment::Granted),
        ("closing, at the login", Moment::Closing("pg_authid")),
        ("closing, at the rights", Moment::Closing("pg_auth_members")),
    ];
    for (name, moment) in table {
        let played = play(&mut world, moment).await.with_context(|| format!("killed: {name}"));
        unwrapped(played.map_err(|fault| world.explained(fault)));
    }
}

async fn play(world: &mut World, moment: Moment) -> anyhow::Result<()> {
    let until = if matches!(moment, Moment::Deadline) { "6s" } else { "30m" };
    let access = world.request(shop::ORDERS, until).await?;
    match moment {
        Moment::Granting(table) => {
            let lock = world.lock(table).await?;
            world.approve(&access).await?;
            world.wait_blocked().await?;
            world.agent.kill9()?;
            drop(lock);
            world.agent.start().await?;
        }
        Moment::Granted => {
            let lock = world.lock("pg_auth_members").await?;
            world.approve(&access).await?;
            world.wait_blocked().await?;
            let proxy = world.proxy.as_ref().context("a proxy")?;
            proxy.refuse(true);
            proxy.cut();
            drop(lock);
            clock::until("the target has granted", SOON, async || {
                let accounts = world.accounts()?;
                Ok((accounts.len() == 1).then_some(()))
            })
            .await?;
            world.agent.kill9()?;
            world.proxy.as_ref().context("a proxy")?.refuse(false);
            world.agent.start().await?;
        }
        Moment::Closing(_) | Moment::Deadline => world.approve(&access).await?,
    }
    world.wait_label(&access, "Active", SOON).await?;
    let credential = works(world, &access).await?;
    match moment {
        Moment::Granting(_) | Moment::Granted => world.revoke(&access).await?,
        Moment::Closing(table) => {
            let lock = world.lock(table).await?;
            world.revoke(&access).await?;
            world.wait_blocked().await?;
            world.agent.kill9()?;
            drop(lock);
            world.agent.start().await?;
        }
        Moment::Deadline => {
            world.agent.kill9()?;
            let shown = world.show(&access).await?;
            let until: jiff::Timestamp = text_at(&shown, "/until")?.parse()?;
            clock::until("the deadline has passed", SOON, async || Ok((clock::now() > until).then_some(())))
                .await?;
            let standing = world.read_back(&credential.account)?.context("the account")?;
            ensure!(standing.can_login, "nobody was there to shut it: {standing:?}");
            world.agent.start().await?;
        }
    }
    let label = if matches!(moment, Moment::Deadline) { "Expired" } else { "Revoked" };
    world.wait_label(&access, label, SOON).await?;
    let standing = world.read_back(&credential.account)?.context("the account is kept")?;
    ensure!(standing.is_shut(), "it ended and the target has {standing:?}");
    world.login(&credential).run("select 1").await?.refused()?;
    let accounts = world.accounts()?;
    ensure!(accounts.is_empty(), "somebody can still log in: {accounts:?}");
    Ok(())
}

/// Opens the credential and uses it.
async fn works(world: &World, access: &Access) -> anyhow::Result<Credential> {
    let credential = world.credential(access).await?;
    let (query, count) = shop::COUNT_ORDERS;
    let read = world.login(&credential).run(query).await?.ok()?;
    ensure!(read.trim() == count, "{query} gave {read:?}");
    let standing = world.read_back(&credential.account)?;
    let open = standing.as_ref().is_some_and(|found: &Standing| found.can_login && found.memberships == 1);
    ensure!(open, "the account stands so: {standing:?}");
    Ok(credential)
}
