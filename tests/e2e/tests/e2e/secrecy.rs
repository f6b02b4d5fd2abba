//! No secret is anywhere but where it belongs: not in a database, a journal, a log, a frame, an argument, an
//! environment; in no form. And the search finds what was put there, in every place.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::census::Census;
use e2e::search::Wanted;
use e2e::world::places::{PLACES, find};
use e2e::world::{Options, World};
use e2e::{clock, command, random, session, shop};
use model::Secret;

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

/// Longer than a look of the census.
const A_MOMENT: &str = "select pg_sleep(0.3)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_where_it_does_not_belong() {
    let census = unwrapped(Census::start());
    let options = Options { log_level: "debug", without_rights: true, ..Options::default() };
    let world = unwrapped(World::start(&options).await);
    let played = play(&world, &census).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn play(world: &World, census: &Census) -> anyhow::Result<()> {
    let mut wanted = passwords(world).await?;
    wanted.push(Wanted::new("the admin secret", world.admin_password.expose()));
    let mut tokens = vec![];
    for file in &world.tokens {
        let token = std::fs::read_to_string(file).context("read a token")?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tokens.push(Wanted::new(name, token.trim()));
    }
    for program in ["tidegate", "tidegate-control", "tidegatectl", "psql"] {
        ensure!(census.has_seen(program), "the census has not seen {program}");
    }

    let places = world.places(census)?;
    for secret in &wanted {
        let found = find(secret, &places);
        ensure!(found.is_empty(), "{} is in {found:#?}", secret.name);
    }
    for token in &tokens {
        // The agent shows its own token to the control plane, and nobody else.
        let found = find(token, &places);
        let connectors = token.name == "connector.token";
        let odd = found.iter().filter(|(place, ..)| !(connectors && *place == PLACES[6])).collect::<Vec<_>>();
        ensure!(odd.is_empty(), "the token {} is in {odd:#?}", token.name);
        ensure!(connectors != found.is_empty(), "the connector's token was not heard: is it searched for?");
    }
    every_message_is_known(world)?;
    hardened(world)?;
    the_search_bites(world, census).await
}

/// Lives through three generations of a credential, and gives all passwords there were.
async fn passwords(world: &World) -> anyhow::Result<Vec<Wanted>> {
    let mut wanted = vec![];
    let mut keep = |name: &str, password: &Secret| wanted.push(Wanted::new(name, password.expose()));
    let first = world.request(shop::ORDERS, "30m").await?;
    world.approve(&first).await?;
    world.wait_label(&first, "Active", SOON).await?;
    let credential = world.credential(&first).await?;
    keep("the first password", &credential.password);
    world.connect(&first, A_MOMENT).await?.ok()?;

    world.requester.ask(["credential", &first.0, "--rotate"]).await?;
    let rotated = world.credential(&first).await?;
    ensure!(rotated.generation > credential.generation, "nothing was rotated");
    ensure!(rotated.password.expose() != credential.password.expose(), "nothing was rotated");
    keep("the rotated password", &rotated.password);
    world.connect(&first, A_MOMENT).await?.ok()?;
    world.login(&credential).run("select 1").await?.refused()?;

    world.revoke(&first).await?;
    world.wait_label(&first, "Revoked", SOON).await?;
    world.apply(Some(0)).await?;
    let second = world.request(shop::GOODS, "30m").await?;
    world.approve(&second).await?;
    world.wait_label(&second, "Active", SOON).await?;
    let third = world.credential(&second).await?;
    keep("the reopened account's password", &third.password);
    world.login(&third).run(A_MOMENT).await?.ok()?;
    world.revoke(&second).await?;
    world.wait_label(&second, "Revoked", SOON).await?;
    world.wait_read_back(&third.account, "the account is gone", SOON, |found| found.is_none()).await?;
    Ok(wanted)
}

fn every_message_is_known(world: &World) -> anyhow::Result<()> {
    let path = world.folder().path().join("heard.session");
    session::keep(&path, &world.proxy.as_ref().context("a proxy")?.tape().all())?;
    let spoken = session::read(&path)?;
    ensure!(spoken.len() > 20, "only {} messages were heard", spoken.len());
    for message in &spoken {
        session::kind(message)?;
    }
    Ok(())
}

/// The agent leaves no core file, and nobody but root may look into its memory.
fn hardened(world: &World) -> anyhow::Result<()> {
    let pid = world.agent.pid().context("the agent runs")?;
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
    };
    let limits = read("limits")?;
    let core =
        limits.lines().find(|line| line.starts_with("Max core file size")).context("a limit of cores")?;
    let fields: Vec<_> = core.split_whitespace().collect();
    ensure!(fields.get(4..6) == Some(&["0", "0"][..]), "the agent may leave a core file: {core}");
    let status = read("status")?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:")).context("a user")?;
    let user: u32 = user.split_whitespace().next().context("a user")?.parse()?;
    ensure!(user != 0, "the agent runs as root: whether it is closed to others cannot be seen");
    // The kernel hands the files of a process that is closed to others to root.
    let owner = std::fs::metadata(format!("/proc/{pid}/environ")).context("look at the agent")?.uid();
    ensure!(owner == 0, "user {user}'s agent can be looked into by user {owner}");
    Ok(())
}

/// Puts a word into every place, on the ways by which things get there, and finds it in all of them.
async fn the_search_bites(world: &World, census: &Census) -> anyhow::Result<()> {
    let word = random::plain(32);
    let host = format!("{word}.invalid");
    let document = serde_json::json!({
        "id": word, "connector": e2e::world::CONNECTOR, "kind": "postgres", "title": word,
        "settings": { "hostname": host }, "secret": "file://shop.json",
    });
    let file = world.folder().path().join("planted.json");
    std::fs::write(&file, document.to_string()).context("write a document")?;
    let file = file.display().to_string();
    world.admin.ask(["integrations", "apply", "-f", &file]).await?;
    world.admin.ask(["integrations", "show", &word]).await?;
    let statement = format!("{A_MOMENT} /* {word} */");
    let superuser = tokio::task::block_in_place(|| world.target.psql("postgres", &statement));
    superuser.context("plant it in the target's log")?;
    let mut process = tokio::process::Command::new("sleep");
    process.arg0(&word).arg("0.3").env("PLANTED", &word);
    command::run(process, "", SOON).await?.ok()?;

    let wanted = Wanted::new("the planted word", &word);
    let mut missed = vec![];
    let everywhere = clock::until("the planted word is found in every place", SOON, async || {
        let found = find(&wanted, &world.places(census)?);
        missed = PLACES.iter().filter(|place| found.iter().all(|(name, ..)| name != *place)).collect();
        Ok(missed.is_empty().then_some(()))
    })
    .await;
    everywhere.with_context(|| format!("it was not found in {missed:?}"))
}
