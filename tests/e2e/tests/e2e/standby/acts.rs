//! An instance is stopped inside an act for longer than its lease, by a table of acts and places. Another one takes over,
//! finishes, and goes on; then the first wakes up with the rest of its act in hand. Nothing of that is left, and what was
//! told as ended stays ended.

use anyhow::{Context as _, ensure};
use e2e::shop;
use e2e::world::{Access, Credential, INTEGRATION, World};
use tokio::task::JoinSet;

use super::{SOON, SUPERSEDED, TAKEN_OVER, epoch, shared, stand_by};
use crate::unwrapped;

/// Which act it is stopped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// One of two accesses ends; the grantee gets the same again before the first instance wakes up.
    Shrink,
    /// A new credential; there is a newer one yet before the first instance wakes up.
    Rotate,
    /// A new credential; the access has ended before the first instance wakes up.
    RotateAndEnd,
    /// The last access ends, and the account goes; the grantee has another one before the first instance wakes up.
    Delete,
}

/// Before it changes anything, and with the change on its way.
const PLACES: [(Doing, &str); 7] = [
    (Doing::Shrink, "converge:1"),
    (Doing::Shrink, "converge:sent1"),
    (Doing::Rotate, "rotate:1"),
    (Doing::Rotate, "rotate:sent1"),
    (Doing::RotateAndEnd, "rotate:1"),
    (Doing::Delete, "delete:1"),
    (Doing::Delete, "delete:sent1"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_stopped_inside_an_act_changes_nothing_when_it_goes_on() {
    let mut world = shared().await;
    for (doing, place) in PLACES {
        let played = stopped_in(&mut world, doing, place).await;
        let played = played.with_context(|| format!("{doing:?}, stopped at {place}"));
        unwrapped(played.map_err(|fault| world.explained(fault)));
    }
}

/// What there is before the act.
struct Before {
    /// What the act is about, and the credential that it was opened with.
    access: Access,
    credential: Credential,
    /// For [`Doing::Shrink`]: what stays.
    other: Option<Access>,
}

/// What is there when the first instance wakes up.
struct After {
    /// What lives.
    lives: Vec<Access>,
    /// What was told as ended.
    over: Vec<Access>,
    /// The credential that opens, if one does, and those that open nothing.
    opens: Option<Credential>,
    void: Vec<Credential>,
    /// The account's own id on the target.
    oid: String,
}

async fn stopped_in(world: &mut World, doing: Doing, place: &str) -> anyhow::Result<()> {
    // The second instance is the active one after each round but the first.
    world.apply((doing == Doing::Delete).then_some(0)).await?;
    let (access, credential) = world.opened(shop::ORDERS, "30m").await?;
    let other = match doing {
        Doing::Shrink => Some(world.opened(shop::GOODS, "30m").await?.0),
        Doing::Rotate | Doing::RotateAndEnd | Doing::Delete => None,
    };
    let before = Before { access, credential, other };
    world.standby.as_mut().context("a second instance")?.stop()?;
    world.agent.stop()?;
    world.agent.start_to_stop(place).await?;
    world.agent.wait_mode("open", SOON).await?;
    world.agent.wait_ready().await?;
    stand_by(world).await?;

    let mut asking = JoinSet::new();
    match doing {
        Doing::Shrink | Doing::Delete => world.revoke(&before.access).await?,
        Doing::Rotate | Doing::RotateAndEnd => {
            let (requester, access) = (world.requester.clone(), before.access.0.clone());
            asking.spawn(async move { requester.ask(["credential", &access, "--rotate"]).await.map(drop) });
        }
    }
    world.agent.wait_stopped(SOON).await?;
    let held = epoch(world)?;
    world.standby.as_ref().context("a second instance")?.wait_mode("open", TAKEN_OVER).await?;
    ensure!(epoch(world)? == held + 1, "no other took over");
    // Whoever asked for a new credential has it, before anything else becomes of the access.
    while let Some(asked) = asking.join_next().await {
        asked.context("the asking broke off")??;
    }
    let after = finished(world, doing, before).await?;
    as_told(world, &after).await.context("before the first one wakes up")?;

    world.agent.go_on()?;
    let code = world.agent.wait_ended(SOON).await?;
    ensure!(code == Some(SUPERSEDED), "it ended with {code:?}");
    as_told(world, &after).await.context("after the first one woke up")?;
    // Nor is anything found that would have to be put right.
    world.admin.ask(["integrations", "survey", INTEGRATION]).await?;
    for access in &after.lives {
        world.revoke(access).await?;
        world.wait_label(access, "Revoked", SOON).await?;
    }
    let left = world.accounts()?;
    ensure!(left.is_empty(), "somebody can still log in: {left:?}");
    for access in after.over.iter().chain(&after.lives) {
        let receipts = world.admin.ask(["receipts", "list", "--access", &access.0]).await?;
        let all = receipts.as_array().context("receipts")?;
        let endings = all.iter().filter(|one| one["deed"] == "ended").count();
        ensure!(endings == 1, "{} ended {endings} times: {receipts}", access.0);
    }
    Ok(())
}

/// Waits until the instance that took over has finished, and has it go on to something that a late call would spoil.
async fn finished(world: &World, doing: Doing, before: Before) -> anyhow::Result<After> {
    let Before { access, credential, other } = before;
    let (mut lives, mut over, mut void) = (vec![], vec![], vec![]);
    let opens = match doing {
        Doing::Shrink => {
            world.wait_label(&access, "Revoked", SOON).await?;
            let refused = world.login(&credential).run(shop::COUNT_ORDERS.0).await?.refused()?;
            ensure!(refused.contains("permission denied"), "it lost more than its right: {refused}");
            over.push(access);
            let (again, credential) = world.opened(shop::ORDERS, "30m").await?;
            lives.extend([again].into_iter().chain(other));
            Some(credential)
        }
        Doing::Rotate | Doing::RotateAndEnd => {
            let rotated = world.credential(&access).await?;
            ensure!(rotated.generation > credential.generation, "nothing was rotated");
            void.push(credential);
            world.login(&rotated).run(shop::COUNT_ORDERS.0).await?.ok()?;
            if doing == Doing::Rotate {
                // What is set late must be another one than what is there: the same one twice does no harm.
                world.requester.ask(["credential", &access.0, "--rotate"]).await?;
                let newest = world.credential(&access).await?;
                ensure!(newest.generation > rotated.generation, "nothing was rotated again");
                void.push(rotated);
                lives.push(access);
                Some(newest)
            } else {
                world.revoke(&access).await?;
                world.wait_label(&access, "Revoked", SOON).await?;
                over.push(access);
                void.push(rotated);
                None
            }
        }
        Doing::Delete => {
            world.wait_label(&access, "Revoked", SOON).await?;
            let gone = "the account is gone";
            world.wait_read_back(&credential.account, gone, SOON, |found| found.is_none()).await?;
            over.push(access);
            let (again, fresh) = world.opened(shop::ORDERS, "30m").await?;
            // Under another name it would be out of reach of whatever comes late.
            ensure!(fresh.account == credential.account, "{} after {}", fresh.account, credential.account);
            lives.push(again);
            void.push(credential);
            Some(fresh)
        }
    };
    let account = opens.as_ref().or(void.first()).context("a credential")?.account.clone();
    Ok(After { lives, over, opens, void, oid: oid(world, &account)? })
}

fn oid(world: &World, account: &str) -> anyhow::Result<String> {
    let query = format!("select oid from pg_roles where rolname = '{account}'");
    tokio::task::block_in_place(|| world.target.psql("postgres", &query))
}

async fn as_told(world: &World, after: &After) -> anyhow::Result<()> {
    for (accesses, label) in [(&after.lives, "Active"), (&after.over, "Revoked")] {
        for access in accesses {
            let shown = world.show(access).await?;
            ensure!(shown["label"] == label, "{} is not {label}: {shown}", access.0);
        }
    }
    for credential in &after.void {
        world.login(credential).run("select 1").await?.refused().context("with an old credential")?;
    }
    let Some(credential) = &after.opens else {
        let accounts = world.accounts()?;
        ensure!(accounts.is_empty(), "these can log in: {accounts:?}");
        let query = format!("select count(rolpassword) from pg_authid where oid = {}", after.oid.trim());
        let set = tokio::task::block_in_place(|| world.target.psql("postgres", &query))?;
        ensure!(set.trim() == "0", "the shut account has a password");
        return Ok(());
    };
    world.login(credential).run(shop::COUNT_ORDERS.0).await?.ok()?;
    let found = world.read_back(&credential.account)?.context("the account")?;
    let rights = u64::try_from(after.lives.len()).unwrap_or(u64::MAX);
    ensure!(found.can_login && found.memberships == rights, "the account stands so: {found:?}");
    let accounts = world.accounts()?;
    ensure!(accounts == [credential.account.clone()], "these can log in: {accounts:?}");
    ensure!(oid(world, &credential.account)? == after.oid, "it is another account");
    Ok(())
}
