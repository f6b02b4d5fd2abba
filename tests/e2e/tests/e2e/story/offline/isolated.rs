//! The control plane is away for long and the agent is restarted meanwhile, in good order and by a kill: what is due is
//! done all the same, and the control plane has each report and each receipt of it exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::person::Person;
use e2e::story::ended_receipts;
use e2e::world::{Access, INTEGRATION, Options, World};
use e2e::{clock, shop};
use journal::Journal as _;
use journal::sqlite::{Sqlite, SqliteOptions};
use model::durable::{Batch, BatchId, Table, Write};
use proto::v1;
use serde_json::Value;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);
/// A rotation comes with the second survey after a start, a minute after the first.
const AFTER_TWO_SURVEYS: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_done_without_a_control_plane_and_told_once_on_its_return() {
    let mut world = unwrapped(World::start(&Options::default()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let mia = another_requester(world).await?;
    // One account is shut, and kept: its credential is to change each day.
    world.apply_policy(Some(1), None).await?;
    let first = world.request(shop::ORDERS, "30m").await?;
    world.approve(&first).await?;
    world.wait_label(&first, "Active", SOON).await?;
    let kept = world.credential(&first).await?.account;
    world.revoke(&first).await?;
    world.wait_label(&first, "Revoked", SOON).await?;
    // Another one is open for two accesses, and is to be deleted when it is shut.
    world.apply_policy(Some(1), Some(0)).await?;
    let due = [
        world.request_as(&mia, shop::ORDERS, "READ_ONLY", "30s").await?,
        world.request_as(&mia, shop::GOODS, "READ_ONLY", "45s").await?,
    ];
    for access in &due {
        world.approve(access).await?;
        world.wait_label(access, "Active", SOON).await?;
    }
    let open = world.accounts()?;
    let [hers] = open.as_slice() else { anyhow::bail!("one account is open, not {open:?}") };

    world.plane.kill9()?;
    let before = verifier(world, &kept)?;
    world.agent.stop()?;
    make_rotation_due(world.agent.journal(), &kept).await?;
    let often = ["engine.survey_every=1m".to_owned()];
    world.agent.start_set(&often, &[]).await?;
    let gone = "both deadlines have passed and the account is deleted";
    world.wait_read_back(hers, gone, 2 * SOON, |found| found.is_none()).await?;
    clock::until("the shut account has another credential", AFTER_TWO_SURVEYS, async || {
        let is_told = is_rotated(world.agent.journal(), &kept).await?;
        Ok((is_told && verifier(world, &kept)? != before).then_some(()))
    })
    .await?;
    let left = world.read_back(&kept)?;
    ensure!(left.as_ref().is_some_and(|found| found.is_shut()), "it is as shut as before: {left:?}");

    world.agent.kill9()?;
    world.agent.start_set(&often, &[]).await?;
    let away = world.proxy.as_ref().context("a proxy")?.tape().len();
    world.plane.start().await?;
    world.wait_connected().await?;
    for access in &due {
        let shown = world.wait_label(access, "Expired", SOON).await?;
        ended_once(world, access, &shown).await?;
    }
    everything_is_there_once(world, away).await?;
    world.admin.ask(["receipts", "verify", "--integration", INTEGRATION]).await?;

    let next = world.request(shop::ORDERS, "30m").await?;
    world.approve(&next).await?;
    world
        .wait_label(&next, "Active", SOON)
        .await
        .context("work goes on, also on the account that rotated")?;
    Ok(())
}

async fn another_requester(world: &World) -> anyhow::Result<Person> {
    let people = world.folder().path().join("people");
    let (file, email) = (people.join("mia.token"), "mia@example.org");
    let text = file.display().to_string();
    world.admin.ask(["users", "create", email, "--role", "requester"]).await?;
    world.admin.ask(["tokens", "create", "--user", email, "--name", "first", "--token-file", &text]).await?;
    Person::login(world.desk(), &people.join("mia"), email, &file).await
}

/// What the target checks a login against.
fn verifier(world: &World, account: &str) -> anyhow::Result<String> {
    let query = format!("select coalesce(rolpassword, 'none') from pg_authid where rolname = '{account}'");
    tokio::task::block_in_place(|| world.target.psql("postgres", &query))
}

/// Makes the journal of an agent that is off say that the shut account's credential was to change when it was shut:
/// as if the agent had been off for a day.
async fn make_rotation_due(folder: PathBuf, account: &str) -> anyhow::Result<()> {
    let journal = Sqlite::open(SqliteOptions::new(folder)).await?;
    let (key, mut body) = remembered(&journal, account).await?;
    ensure!(!body["rotate_due"].is_null(), "no rotation is planned: {body}");
    body["rotate_due"] = body["last_revoked"].clone();
    let put = Write::Put { table: Table::Account, key, body: body.to_string() };
    journal.append(&Batch { id: BatchId(1), writes: vec![put] }).await?;
    Ok(journal.close().await?)
}

/// Whether a running agent has written down that the account's next rotation is a day off.
async fn is_rotated(folder: PathBuf, account: &str) -> anyhow::Result<bool> {
    let journal = Sqlite::open_beside(SqliteOptions::new(folder)).await?;
    let (_, body) = remembered(&journal, account).await?;
    journal.close().await?;
    Ok(body["rotate_due"] != body["last_revoked"] && body["intent"].is_null())
}

/// What a journal has of an account: its key and its body.
async fn remembered(journal: &Sqlite, account: &str) -> anyhow::Result<(String, Value)> {
    let rows = journal.load().await?.rows;
    let row = rows.into_iter().find(|row| row.table == Table::Account && row.body.contains(account));
    let row = row.with_context(|| format!("the journal has no {account}"))?;
    Ok((row.key, serde_json::from_str(&row.body)?))
}

async fn ended_once(world: &World, access: &Access, shown: &Value) -> anyhow::Result<()> {
    let history = shown.get("history").and_then(Value::as_array).context("a history")?;
    let told = |line: &&Value| {
        line["by"].as_str().is_some_and(|by| by.starts_with("agent:"))
            && line["what"].as_str().is_some_and(|what| what.contains("ended"))
    };
    ensure!(history.iter().filter(told).count() == 1, "the end was not told of once: {history:#?}");
    let receipts = ended_receipts(world, access).await?;
    ensure!(receipts.len() == 1, "there is not one receipt of the end: {receipts:#?}");
    Ok(())
}

/// Counts by number: what the journal made, what came through the line, and what the control plane has.
async fn everything_is_there_once(world: &World, away: usize) -> anyhow::Result<()> {
    let made = clock::until("every report is committed", SOON, async || {
        let journal = Sqlite::open_beside(SqliteOptions::new(world.agent.journal())).await?;
        let kept = journal.statistics().await?;
        journal.close().await?;
        Ok((kept.uncommitted_reports == 0).then_some(kept.last_report.0))
    })
    .await?;
    let tape = world.proxy.as_ref().context("a proxy")?.tape();
    let of = |reports: &[(u64, v1::Report)]| -> BTreeSet<u64> {
        reports.iter().map(|(_, report)| report.position).filter(|position| *position > 0).collect()
    };
    let reports = tape.reports(0)?;
    let mut once = BTreeSet::new();
    for (connection, report) in reports.iter().filter(|(_, report)| report.position > 0) {
        ensure!(once.insert((connection, report.position)), "report {} came twice", report.position);
    }
    let lives: BTreeSet<_> = reports.iter().map(|(_, report)| report.journal_incarnation.as_str()).collect();
    ensure!(lives.len() == 1, "it is one journal, not {lives:?}");
    let (all, returned) = (of(&reports), of(&tape.reports(away)?));
    let last = all.last().copied().unwrap_or_default();
    ensure!(last == made, "{made} reports were made and {last} came");
    ensure!(all.iter().copied().eq(1..=last), "there is a gap in {all:?}");
    let known = all.difference(&returned).max().copied().unwrap_or_default();
    ensure!(known > 0, "what was committed long ago came again: {returned:?}");
    ensure!(returned.iter().copied().eq(known + 1..=last), "after {known} came {returned:?}");

    let by_number: BTreeMap<u64, &v1::report::Report> = reports
        .iter()
        .map(|(_, report)| report)
        .filter(|report| report.position > 0)
        .filter_map(|report| Some((report.position, report.report.as_ref()?)))
        .collect();
    let (mut accounts, mut receipts) = (BTreeMap::<&str, BTreeSet<u64>>::new(), BTreeSet::new());
    for (position, report) in &by_number {
        if let v1::report::Report::AccountChanged(told) = report {
            accounts.entry(&told.account_id).or_default().insert(*position);
        } else if let v1::report::Report::Receipt(told) = report {
            ensure!(receipts.insert(told.number), "receipt {} has two numbers", told.number);
        }
    }
    ensure!(accounts.len() == 2, "two accounts were changed: {accounts:?}");
    for (account, told) in accounts {
        ensure!(!told.is_disjoint(&returned), "nothing of {account} was told on return");
        let count = told.len();
        let subject = format!("account/{account}");
        let entries = world.admin.ask(["audit", "--subject", &subject, "--all"]).await?;
        let entries = entries.as_array().context("a list of entries")?.len();
        ensure!(entries == count, "{count} reports on {account} became {entries} entries");
    }
    let kept = world.admin.ask(["receipts", "list", "--integration", INTEGRATION, "--all"]).await?;
    let kept = kept.as_array().context("a list of receipts")?;
    let mut numbers: Vec<u64> = kept.iter().filter_map(|one| one["number"].as_u64()).collect();
    numbers.sort_unstable();
    ensure!(numbers.iter().eq(receipts.iter()), "receipts {receipts:?} were made, and {numbers:?} are there");
    let through = numbers.last().copied().unwrap_or_default();
    ensure!(numbers.iter().copied().eq(1..=through), "there is a gap in {numbers:?}");
    Ok(())
}
