//! The agent dies at every step of its journal, after every exchange with the target, and with every
//! statement whose answer nobody reads any more; and everything comes to what it should have been: no
//! account that nobody knows, no early end, the same credential.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::clock;
use e2e::command::text_at;
use e2e::psql::Session;
use e2e::shop;
use e2e::world::{Access, Credential, Options, World};
use services::postgres::{Admin, Ground, Server};
use tokio::task::JoinSet;

use crate::unwrapped;

/// Within this everything is as it should be after a death. What was under way may still land for ten
/// seconds; until then nothing is opened on that account.
const SOON: Duration = Duration::from_secs(60);
/// Statements of a closing by which an admin who is no superuser rolls back a prepared transaction in its account's place,
/// and is itself again. Before them the login is shut, the sessions are ended, a membership is lent, the role is taken;
/// after them the membership is given back.
const IN_ITS_PLACE: [&str; 2] = ["sent5", "sent6"];
/// More exchanges than any act has.
const MOST: u32 = 60;

/// What is done when the agent dies, and which act of the agent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// The first access of somebody.
    First,
    /// The first access of somebody whose account is there and shut.
    Again,
    /// A second access joins.
    Join,
    /// One of two ends.
    Leave,
    /// A new credential is asked for.
    Rotate,
    /// The last access ends while the grantee has a session and a prepared transaction, and the account is kept.
    Close,
    /// The last access ends, and the account goes, which owns something.
    Delete,
}

/// What the target does for an agent that is dead already.
#[derive(Clone, Copy, Debug)]
enum Landed {
    Unlooked,
    /// An account is open.
    Open,
    /// No account is.
    Shut,
}

/// The deeds with their acts, in shares that take about as long: most of the time is waiting.
const SHARES: [&[(Deed, &str)]; 5] = [
    &[(Deed::First, "mint"), (Deed::First, "open")],
    &[(Deed::Again, "open")],
    &[(Deed::Join, "converge")],
    &[(Deed::Leave, "converge"), (Deed::Rotate, "rotate")],
    &[(Deed::Close, "close"), (Deed::Delete, "delete")],
];

/// Where it dies.
type Place = (Deed, &'static str, &'static str, Landed);

/// Where it dies in every run of the tests: in each act on each ground, and everywhere at another place.
const SAMPLE: [(Ground, [Place; 6]); 4] = [
    (
        Ground { server: Server::Usual, admin: Admin::Superuser },
        [
            (Deed::First, "mint", "answer", Landed::Unlooked),
            // The commit of an opening, and the first statement of a closing, whose answers nobody reads.
            (Deed::First, "open", "sent2", Landed::Open),
            (Deed::Close, "close", "sent1", Landed::Shut),
            (Deed::Join, "converge", "answer", Landed::Unlooked),
            (Deed::Rotate, "rotate", "1", Landed::Unlooked),
            (Deed::Delete, "delete", "intent", Landed::Unlooked),
        ],
    ),
    (
        Ground { server: Server::Eighteen, admin: Admin::Least },
        [
            (Deed::First, "mint", "kept", Landed::Unlooked),
            (Deed::Again, "open", "2", Landed::Unlooked),
            (Deed::Leave, "converge", "sent1", Landed::Unlooked),
            (Deed::Rotate, "rotate", "sent1", Landed::Unlooked),
            (Deed::Close, "close", IN_ITS_PLACE[0], Landed::Shut),
            (Deed::Delete, "delete", "sent2", Landed::Unlooked),
        ],
    ),
    (
        Ground { server: Server::Usual, admin: Admin::Least },
        [
            (Deed::First, "mint", "intent", Landed::Unlooked),
            (Deed::First, "open", "1", Landed::Unlooked),
            (Deed::Join, "converge", "sent1", Landed::Unlooked),
            (Deed::Rotate, "rotate", "answer", Landed::Unlooked),
            (Deed::Close, "close", IN_ITS_PLACE[1], Landed::Shut),
            (Deed::Delete, "delete", "3", Landed::Unlooked),
        ],
    ),
    (
        Ground { server: Server::Eighteen, admin: Admin::Superuser },
        [
            (Deed::First, "mint", "answer", Landed::Unlooked),
            (Deed::Again, "open", "answer", Landed::Unlooked),
            (Deed::Leave, "converge", "1", Landed::Unlooked),
            (Deed::Rotate, "rotate", "kept", Landed::Unlooked),
            (Deed::Close, "close", "3", Landed::Unlooked),
            (Deed::Delete, "delete", "sent1", Landed::Unlooked),
        ],
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_dies_at_a_step_comes_to_what_it_should_have_been() {
    let [a, b, c, d] = SAMPLE.map(some_places);
    tokio::join!(a, b, c, d);
}

async fn some_places((ground, places): (Ground, [Place; 6])) {
    let mut world = unwrapped(World::start(&options(ground)).await);
    for (deed, act, place, landed) in places {
        let died = unwrapped(told(&mut world, deed, act, place, landed).await);
        assert!(died, "{ground}: {deed:?} has no {act}:{place}");
    }
}

/// The agent dies at every place there is, on one ground.
macro_rules! dies_everywhere {
    ($($test:ident: $server:expr, $admin:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "long: every step of every act, ten seconds each"]
        async fn $test() {
            let ground = Ground { server: $server, admin: $admin };
            let [a, b, c, d, e] = SHARES.map(|share| every_deed(ground, share));
            tokio::join!(a, b, c, d, e);
        }
    )*};
}

dies_everywhere! {
    an_agent_that_dies_at_any_step_comes_to_what_it_should_have_been: Server::Usual, Admin::Superuser;
    an_agent_that_dies_at_any_step_on_18_with_the_least_privileged_admin: Server::Eighteen, Admin::Least;
}

async fn every_deed(ground: Ground, share: &[(Deed, &str)]) {
    let mut world = unwrapped(World::start(&options(ground)).await);
    for (deed, act) in share {
        every_place(&mut world, *deed, act).await;
    }
}

/// Plays a deed with a death at each of its places.
async fn every_place(world: &mut World, deed: Deed, act: &str) {
    for place in ["intent", "answer", "kept"] {
        let died = told(world, deed, act, place, Landed::Unlooked).await;
        assert!(unwrapped(died), "{deed:?} has no {act}:{place}");
    }
    if act == "mint" {
        return;
    }
    for (of, least) in [("", 2), ("sent", 1)] {
        let mut count = 0;
        while unwrapped(told(world, deed, act, &format!("{of}{}", count + 1), Landed::Unlooked).await) {
            count += 1;
            assert!(count < MOST, "{deed:?} has no end of {act}:{of}…");
        }
        assert!(count >= least, "{deed:?} has only {count} of {act}:{of}…");
    }
}

fn options(ground: Ground) -> Options {
    Options { ground, proxied: false, approval: "auto", ..Options::default() }
}

async fn told(world: &mut World, deed: Deed, act: &str, place: &str, landed: Landed) -> anyhow::Result<bool> {
    let played = play(world, deed, act, place, landed).await;
    played.with_context(|| format!("{deed:?}, dead at {act}:{place}")).map_err(|fault| world.explained(fault))
}

/// Plays a deed; returns whether the agent died in it.
async fn play(world: &mut World, deed: Deed, act: &str, place: &str, landed: Landed) -> anyhow::Result<bool> {
    let cleanup = if matches!(deed, Deed::Again | Deed::Close) { None } else { Some(0) };
    world.apply(cleanup).await?;
    let mut standing: Vec<Access> = vec![];
    if deed == Deed::Again {
        let before = opened(world, shop::GOODS).await?;
        ended(world, &before).await?;
    }
    if !matches!(deed, Deed::First | Deed::Again) {
        standing.push(opened(world, shop::ORDERS).await?);
    }
    if deed == Deed::Leave {
        standing.push(opened(world, shop::GOODS).await?);
    }
    let before = match standing.first() {
        Some(access) => Some(world.credential(access).await?),
        None => None,
    };
    let _session = match (deed, &before) {
        (Deed::Close, Some(credential)) => Some(busy(world, credential).await?),
        (Deed::Delete, Some(credential)) => {
            world.login(credential).run("select lo_create(0)").await?.ok()?;
            None
        }
        _ => None,
    };
    world.agent.stop()?;
    world.agent.start_to_die(&format!("{act}:{place}")).await?;

    let mut rotating = JoinSet::new();
    let ending = match deed {
        Deed::First | Deed::Again => {
            standing.push(world.request(shop::ORDERS, "30m").await?);
            None
        }
        Deed::Join => {
            standing.push(world.request(shop::GOODS, "30m").await?);
            None
        }
        Deed::Rotate => {
            // It waits for the new credential, longer than the agent lives.
            let (requester, access) =
                (world.requester.clone(), standing.first().context("an access")?.0.clone());
            rotating.spawn(async move { requester.ask(["credential", &access, "--rotate"]).await.map(drop) });
            None
        }
        Deed::Leave | Deed::Close | Deed::Delete => {
            let access = standing.pop().context("an access")?;
            world.revoke(&access).await?;
            Some(access)
        }
    };
    let died = clock::until("the agent died, or all is done", SOON, async || {
        if world.agent.died()? {
            return Ok(Some(true));
        }
        Ok(done(world, deed, &standing, ending.as_ref(), before.as_ref()).await?.then_some(false))
    })
    .await?;
    // All may be done on the target a moment before the agent reaches the place: a stop in good order takes it
    // there, or past it.
    let died = died || world.agent.stop_or_died()?;
    clock::until(&format!("{landed:?} with the agent dead"), SOON, async || {
        let open = world.accounts()?;
        Ok(match landed {
            Landed::Unlooked => true,
            Landed::Open => open.len() == 1,
            Landed::Shut => open.is_empty(),
        }
        .then_some(()))
    })
    .await?;
    world.agent.start().await?;
    clock::until("all is as it should be", SOON, async || {
        let done = done(world, deed, &standing, ending.as_ref(), before.as_ref()).await?;
        Ok(done.then_some(()))
    })
    .await?;
    while let Some(asked) = rotating.join_next().await {
        asked.context("the asking broke off")??;
    }
    as_it_should_be(world, deed, &standing, before.as_ref()).await?;
    for access in &standing {
        ended(world, access).await?;
    }
    let left = world.accounts()?;
    ensure!(left.is_empty(), "somebody can still log in: {left:?}");
    Ok(died)
}

/// Has the grantee leave a prepared transaction, and stay in a session.
async fn busy(world: &World, credential: &Credential) -> anyhow::Result<Session> {
    let login = world.login(credential);
    let (query, _) = shop::COUNT_ORDERS;
    login.run(&format!("begin; {query}; prepare transaction 'left behind'")).await?.ok()?;
    let standing = world.read_back(&credential.account)?.context("the account")?;
    ensure!(standing.prepared == 1, "nothing is prepared: {standing:?}");
    login.stay().await
}

async fn opened(world: &World, resource: &str) -> anyhow::Result<Access> {
    let access = world.request(resource, "30m").await?;
    world.wait_label(&access, "Active", SOON).await?;
    Ok(access)
}

async fn ended(world: &World, access: &Access) -> anyhow::Result<()> {
    world.revoke(access).await?;
    world.wait_label(access, "Revoked", SOON).await?;
    Ok(())
}

async fn label(world: &World, access: &Access) -> anyhow::Result<String> {
    text_at(&world.show(access).await?, "/label")
}

/// Whether the deed has come to its end, as far as the control plane and the target tell.
async fn done(
    world: &World,
    deed: Deed,
    standing: &[Access],
    ending: Option<&Access>,
    before: Option<&Credential>,
) -> anyhow::Result<bool> {
    for access in standing {
        match label(world, access).await?.as_str() {
            "Active" => {}
            "Granting" => return Ok(false),
            other => bail!("{} stands and is {other}", access.0),
        }
    }
    if let Some(access) = ending {
        match label(world, access).await?.as_str() {
            "Revoked" => {}
            "Revoking" | "Active" => return Ok(false),
            other => bail!("{} ends and is {other}", access.0),
        }
    }
    let Some(before) = before else { return Ok(true) };
    Ok(match deed {
        Deed::Rotate => {
            let access = standing.first().context("an access")?;
            world.credential(access).await?.generation > before.generation
        }
        Deed::Delete => world.read_back(&before.account)?.is_none(),
        Deed::First | Deed::Again | Deed::Join | Deed::Leave | Deed::Close => true,
    })
}

/// What is open works with the credential that the grantee has, and nothing else is open.
async fn as_it_should_be(
    world: &World,
    deed: Deed,
    standing: &[Access],
    before: Option<&Credential>,
) -> anyhow::Result<()> {
    if world.ground.admin == Admin::Least {
        let acts_as = world.acts_as()?;
        ensure!(acts_as.is_empty(), "the agent is left acting in the place of {acts_as:?}");
    }
    if let Some(access) = standing.first() {
        let credential = world.credential(access).await?;
        if let Some(before) = before.filter(|_| deed != Deed::Rotate) {
            let same = credential.generation == before.generation;
            ensure!(same, "the credential is another: {credential:?} after {before:?}");
            ensure!(credential.password.expose() == before.password.expose(), "the password is another");
        }
        let (query, count) = shop::COUNT_ORDERS;
        let read = world.login(&credential).run(query).await?.ok()?;
        ensure!(read.trim() == count, "{query} gave {read:?}");
        let rights = u64::try_from(standing.len()).unwrap_or(u64::MAX);
        let found = world.read_back(&credential.account)?.context("the account")?;
        ensure!(found.can_login && found.memberships == rights, "the account stands so: {found:?}");
        let accounts = world.accounts()?;
        ensure!(accounts == [credential.account], "these can log in: {accounts:?}");
        return Ok(());
    }
    let before = before.context("what was open")?;
    world.login(before).run("select 1").await?.refused()?;
    let found = world.read_back(&before.account)?;
    if deed == Deed::Delete {
        ensure!(found.is_none(), "the account is there: {found:?}");
    } else {
        ensure!(found.as_ref().is_some_and(e2e::world::Standing::is_shut), "the target has {found:?}");
    }
    Ok(())
}
