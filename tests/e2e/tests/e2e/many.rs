//! Many at once, and very many of them: the real programs stay within their bounds.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::bench::ours::Ours;
use e2e::bench::play;
use e2e::clock::{self, Watch};
use e2e::command::text_at;
use e2e::shop;
use e2e::world::{INTEGRATION, Options, World};
use serde_json::{Value, json};
use services::postgres::{self, Ground};
use services::usage::Memory;

use crate::unwrapped;

const PEOPLE: usize = 32;

fn options() -> Options {
    Options { proxied: false, approval: "auto", ..Options::default() }
}

#[expect(clippy::print_stdout, reason = "what was measured is for whoever reads the test's output")]
fn tell(measured: &str) {
    println!("many: {measured}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_people_open_one_table_at_once() {
    crowd(Ground::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_people_open_one_table_at_once_on_18_with_the_least_privileged_admin() {
    crowd(Ground::NARROW).await;
}

async fn crowd(ground: Ground) {
    let world = unwrapped(World::start(&Options { ground, ..options() }).await);
    let played = openings(&world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// Everybody asks by REST at the same moment, and gives back at the same moment.
async fn openings(world: &World) -> anyhow::Result<()> {
    let party = Arc::new(Ours::gather(world, PEOPLE).await?);
    let (granted, revoked) = play(&party, 0, PEOPLE, PEOPLE).await?;
    tell(&format!("{PEOPLE} people at once: {granted:?}, given back: {revoked:?}"));
    let members = |role: &str| {
        let query = format!(
            "select count(*) from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles u on u.oid = m.member
             where r.rolname ~ '{role}' and u.rolname <> '{}'",
            shop::ADMIN
        );
        tokio::task::block_in_place(|| world.target.psql("postgres", &query))
    };
    let made = members("^tidegate_managed$")?;
    ensure!(made.trim() == PEOPLE.to_string(), "{made} accounts were made");
    let held = members("^tidegate_(ro|rw|adm)_")?;
    ensure!(held.trim() == "0", "{held} memberships are left");
    let accounts = world.accounts()?;
    ensure!(accounts.is_empty(), "somebody can still log in: {accounts:?}");
    let log = std::fs::read_to_string(world.target.log_file()).context("read the target's log")?;
    ensure!(!log.contains("deadlock detected"), "somebody waited for somebody who waited for them");
    Ok(())
}

const TABLES: usize = 1_000;
const FEW: usize = 5;
const MANY: usize = 500;
/// What every run of the tests plays.
const SAMPLE: usize = 10;
/// How much more memory 100 times the databases may take, in KiB: the queues on the way, when they are full.
const MORE_KIB: u64 = 32 * 1024;
/// How long a discovery of all may take on a busy machine; the agent's own limit is 15 minutes.
const DISCOVERED: Duration = Duration::from_secs(10 * 60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: 500 databases of 1,000 tables: some minutes, and 9 GB of disk"]
async fn many_databases_are_discovered_in_bounded_memory() {
    discovery(Ground::default(), MANY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_databases_are_discovered_in_bounded_memory() {
    discovery(Ground::default(), SAMPLE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_databases_are_discovered_on_18_with_the_least_privileged_admin() {
    discovery(Ground::NARROW, SAMPLE).await;
}

async fn discovery(ground: Ground, many: usize) {
    let target = postgres::Options::for_tests();
    let mut world = unwrapped(World::start(&Options { ground, target, ..options() }).await);
    let played = databases(&mut world, many).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn databases(world: &mut World, most: usize) -> anyhow::Result<()> {
    let psql = |world: &World, statements: &str| {
        tokio::task::block_in_place(|| world.target.psql("postgres", statements)).map(drop)
    };
    // Nobody looks into a template, so that it can be copied while the agent is at work.
    psql(world, "create database wide is_template true")?;
    let tables = format!(
        "do $$ begin for n in 1..{TABLES} loop execute format('create table t%s (id int)', n); end loop; end $$; \
         create database closed allow_connections false"
    );
    tokio::task::block_in_place(|| world.target.psql("wide", &tables))?;
    let copies = |range: std::ops::RangeInclusive<usize>| {
        range
            .map(|n| format!("create database wide_{n} template wide strategy file_copy;"))
            .collect::<Vec<_>>()
    };
    psql(world, &copies(1..=FEW).concat())?;
    let few = discovered(world, FEW).await?;

    let watch = Watch::start();
    for some in copies(FEW + 1..=most).chunks(25) {
        psql(world, &some.concat())?;
    }
    tell(&format!("{} databases of {TABLES} tables made in {:.0?}", most - FEW, watch.elapsed()));
    let many = discovered(world, most).await?;
    let again = discovered(world, most).await?;
    let peaks = [("agent", [few.0, many.0, again.0]), ("control plane", [few.1, many.1, again.1])];
    for (who, [few, many, again]) in peaks {
        tell(&format!(
            "{who}: at most {few} KiB with {FEW} databases, {many} KiB with {most}, {again} KiB with as many in place \
             of as many"
        ));
        for grown in [many, again] {
            ensure!(
                grown.saturating_sub(few) < MORE_KIB,
                "the {who} took {grown} KiB, and {few} KiB for few"
            );
        }
    }
    // One of half a million is found by its name.
    let watch = Watch::start();
    let found = world.requester.ask(["resources", "--search", &format!("wide_{most} t999")]).await?;
    ensure!(found.as_array().is_some_and(|found| found.len() == 1), "{found}");
    tell(&format!("one resource found by its name in {:.1?}", watch.elapsed()));
    Ok(())
}

/// Has an agent that was just started discover so many databases, and sees it come page by page. Returns the most memory
/// that agent and control plane took, each since its own start.
async fn discovered(world: &mut World, databases: usize) -> anyhow::Result<(u64, u64)> {
    world.agent.stop()?;
    world.plane.stop()?;
    world.plane.start().await?;
    let shown = async |world: &World| world.admin.ask(["integrations", "show", INTEGRATION]).await;
    let before = shown(world).await?;
    let watch = Watch::start();
    world.agent.start().await?;
    let mut pages = vec![];
    let told =
        clock::until_every(Duration::from_millis(500), "the discovery is whole", DISCOVERED, async || {
            let now = shown(world).await?;
            if now.get("discovered_at") != before.get("discovered_at") {
                return Ok(Some(now));
            }
            ensure!(now.get("resources") == before.get("resources"), "a part was taken for the whole: {now}");
            pages.extend(now.get("discovering_pages").and_then(Value::as_u64));
            Ok(None)
        })
        .await?;
    let took = watch.elapsed();
    let count = told.get("resources").and_then(Value::as_u64).context("a count")?;
    let least = u64::try_from(databases * (TABLES + 2)).unwrap_or(u64::MAX);
    ensure!(count >= least && count < least + 100, "{count} resources of {databases} databases");
    let part = told.pointer("/unlisted/parts/0").context("what could not be looked into")?;
    ensure!(part.get("path") == Some(&json!(["closed"])), "{told}");
    ensure!(told.pointer("/unlisted/count") == Some(&json!(1)), "{told}");
    ensure!(pages.is_sorted(), "pages came and went: {pages:?}");
    if databases == MANY {
        pages.dedup();
        ensure!(pages.len() >= 3, "nobody saw it come: {pages:?}");
    }
    tell(&format!(
        "{count} resources of {databases} databases discovered in {took:.1?}, at {}",
        text_at(&told, "/discovered_at")?
    ));
    let agent = world.agent.pid().context("an agent")?;
    let plane = world.plane.pid().context("a control plane")?;
    Ok((Memory::of(agent)?.peak, Memory::of(plane)?.peak))
}
