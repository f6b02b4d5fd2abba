//! What people are told on the ladder of a close: contained while something holds up what comes after the shutting,
//! ended, and ended with what outlives it. Whichever it is, nobody logs in by then.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock;
use e2e::command::text_at;
use e2e::psql::Session;
use e2e::shop;
use e2e::world::{Access, Credential, INTEGRATION, Options, World};
use serde_json::{Value, json};
use services::postgres::{Admin, Ground};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// A close that failed for a while is tried at most a minute apart.
const AFTER_A_PAUSE: Duration = Duration::from_secs(180);
/// The database that is not to be connected to for a while.
const ATTIC: &str = "attic";

/// What keeps a right that somebody gave by hand from being taken back, after the login is shut.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    /// Somebody else's transaction holds the table that it is on.
    Transaction,
    /// The database that it is in takes no connections.
    Database,
}

impl Obstacle {
    /// By what code the delay is told.
    const fn code(self) -> &'static str {
        match self {
            Self::Transaction => "busy",
            Self::Database => "right_missing",
        }
    }

    /// Puts it in the way; a transaction is there as long as its session.
    async fn place(self, world: &World, account: &str) -> anyhow::Result<Option<Session>> {
        Ok(match self {
            Self::Transaction => {
                on_target(world, shop::DATABASE, &format!("grant select on billing.invoices to {account}"))?;
                let mut session = world.superuser(shop::DATABASE).await?;
                session.ask("begin").await?;
                session.ask("alter table billing.invoices set (fillfactor = 90)").await?;
                Some(session)
            }
            Self::Database => {
                on_target(world, "postgres", &format!("create database {ATTIC}"))?;
                let given = format!("create table kept (id int); grant select on kept to {account}");
                on_target(world, ATTIC, &given)?;
                connections(world, false)?;
                None
            }
        })
    }
}

fn on_target(world: &World, database: &str, statements: &str) -> anyhow::Result<String> {
    tokio::task::block_in_place(|| world.target.psql(database, statements))
}

fn connections(world: &World, allowed: bool) -> anyhow::Result<()> {
    on_target(world, "postgres", &format!("alter database {ATTIC} allow_connections {allowed}")).map(drop)
}

/// The statements of the receipts that the control plane has of an access's end.
async fn endings(world: &World, access: &Access) -> anyhow::Result<Vec<String>> {
    let receipts = world.admin.ask(["receipts", "list", "--access", &access.0]).await?;
    let ended = receipts.as_array().context("receipts")?.iter().filter(|one| one["deed"] == "ended");
    ended
        .map(|one| {
            let signed: Value = serde_json::from_str(&text_at(one, "/signed")?).context("read a receipt")?;
            text_at(&signed, "/body")
        })
        .collect()
}

/// Waits for the one receipt of an access's end, and gives its statement: it may come after the label.
async fn ending(world: &World, access: &Access) -> anyhow::Result<String> {
    let mut found = clock::until("a receipt of the end", SOON, async || {
        Ok(Some(endings(world, access).await?).filter(|all| !all.is_empty()))
    })
    .await?;
    ensure!(found.len() == 1, "it ended more than once: {found:?}");
    found.pop().context("a receipt")
}

/// Makes sure that nobody can use an account, whatever else is left of it, and gives how much that is.
async fn shut(world: &World, credential: &Credential) -> anyhow::Result<u64> {
    for database in [shop::DATABASE, "postgres"] {
        let login = e2e::psql::Login { database: database.into(), ..world.login(credential) };
        login.run("select 1").await?.refused().with_context(|| format!("log in to {database}"))?;
    }
    let found = world.read_back(&credential.account)?.context("the account is kept")?;
    ensure!(!found.can_login && found.memberships == 0 && found.sessions == 0, "the target has {found:?}");
    Ok(found.dependencies + found.prepared)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_is_held_up_behind_the_shutting_is_contained_until_it_ends() {
    let world = unwrapped(World::start(&Options { approval: "auto", ..Options::default() }).await);
    for obstacle in [Obstacle::Transaction, Obstacle::Database] {
        let played = contained(&world, obstacle).await.with_context(|| format!("{obstacle:?}"));
        unwrapped(played.map_err(|fault| world.explained(fault)));
    }
}

async fn contained(world: &World, obstacle: Obstacle) -> anyhow::Result<()> {
    let (access, credential) = world.opened(shop::ORDERS, "30m").await?;
    let mut session = world.login(&credential).stay().await?;
    let placed = obstacle.place(world, &credential.account).await?;
    world.revoke(&access).await?;
    let mut last = Value::Null;
    let told = clock::until("it is told as contained", SOON, async || {
        last = world.show(&access).await?;
        Ok((last.pointer("/agent/contained") == Some(&json!(true))).then(|| last.clone()))
    });
    let told = told.await.with_context(|| format!("told was {last}"))?;
    ensure!(told["label"] == "Revoking" && told["over"] != json!(true), "{told}");
    ensure!(told.to_string().contains("contained: the login is shut"), "people are not told: {told}");
    ensure!(told.pointer("/agent/code") == Some(&obstacle.code().into()), "the reason is another: {told}");
    let (status, _) = session.ended(SOON).await?;
    ensure!(!status.success(), "the open psql ended well");
    ensure!(shut(world, &credential).await? > 0, "nothing was in the way");
    let early = endings(world, &access).await?;
    ensure!(early.is_empty(), "signed as ended: {early:?}");

    match placed {
        Some(session) => drop(session),
        None => connections(world, true)?,
    }
    let told = world.wait_label(&access, "Revoked", AFTER_A_PAUSE).await?;
    ensure!(told.pointer("/agent/residual") == Some(&json!([])), "{told}");
    ensure!(shut(world, &credential).await? == 0, "the right by hand is left");
    let body: Value = serde_json::from_str(&ending(world, &access).await?).context("read a statement")?;
    ensure!(body["residual"] == json!([]), "{body}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_outlives_a_close_is_in_the_report_and_in_the_receipt() {
    let ground = Ground { admin: Admin::Least, ..Ground::default() };
    let world = unwrapped(World::start(&Options { approval: "auto", ground, ..Options::default() }).await);
    let played = outlived(&world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// What the agent's own journal has of that statement, signed.
async fn exported(world: &World, body: &str) -> anyhow::Result<bool> {
    let exported = world.agent.tidegate(["receipts", "export"]).await?.ok()?;
    for line in exported.lines() {
        let line: Value = serde_json::from_str(line).context("read an export")?;
        if line["line"] == "receipt" && line["body"] == body {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn outlived(world: &World) -> anyhow::Result<()> {
    let access = world.request_as(&world.requester, "postgresql-schema:shop/public", "ADMIN", "30m").await?;
    world.wait_label(&access, "Active", SOON).await?;
    let credential = world.credential(&access).await?;
    // Two things that a close leaves: what the account owns, and a transaction where nobody can roll it back.
    world.login(&credential).run("create table public.planted (id int)").await?.ok()?;
    on_target(world, "postgres", &format!("create database {ATTIC}"))?;
    let login = e2e::psql::Login { database: ATTIC.into(), ..world.login(&credential) };
    login.run("begin; select 1; prepare transaction 'left behind'").await?.ok()?;
    connections(world, false)?;

    world.revoke(&access).await?;
    let told = world.wait_label(&access, "Revoked", AFTER_A_PAUSE).await?;
    ensure!(told.to_string().contains("something may outlive the close: see the receipt"), "{told}");
    let residual = told.pointer("/agent/residual").and_then(Value::as_array).context("a residual")?;
    let owned = |one: &Value| one["kind"] == "owned_objects" && one["detail"].to_string().contains("shop");
    let waits =
        |one: &Value| one["kind"] == "prepared_transaction" && one["detail"].to_string().contains(ATTIC);
    ensure!(residual.iter().any(owned) && residual.iter().any(waits), "left, and not told: {told}");
    ensure!(shut(world, &credential).await? >= 2, "nothing is left that could be told");

    let signed = ending(world, &access).await?;
    let body: Value = serde_json::from_str(&signed).context("read a statement")?;
    ensure!(body["residual"].as_array() == Some(residual), "{body} says another thing than {told}");
    ensure!(body.pointer("/read_back/login") == Some(&json!("shut")), "{body}");
    ensure!(exported(world, &signed).await?, "the agent's journal has no such receipt: {signed}");
    world.agent.tidegate(["receipts", "verify"]).await?.ok()?;
    world.admin.ask(["receipts", "verify", "--integration", INTEGRATION]).await?;
    Ok(())
}
