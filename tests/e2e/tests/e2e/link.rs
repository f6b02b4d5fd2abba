//! The link to the control plane on lines that are bad, hostile, or lead through proxies: nothing is lost, nothing happens
//! twice, and accesses end at their deadlines whatever the line does.

#[cfg(target_os = "linux")]
mod herd;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::authority::Authority;
use e2e::clock::{self, Watch};
use e2e::command::text_at;
use e2e::gateway::{Gateway, Rule};
use e2e::proxy::{Proxy, Side};
use e2e::shop;
use e2e::wire::{Trick, Weather, Wire};
use e2e::world::{Access, INTEGRATION, Options, World};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(90);
/// By design a dead line is noticed within 15 s; a loaded machine is given twice that.
const NOTICED: Duration = Duration::from_secs(30);
const CONNECTED: &str = "Connected to the control plane";
const NOT_CONNECTED: &str = "Not connected to the control plane";

fn options() -> Options {
    Options { proxied: false, approval: "auto", ..Options::default() }
}

/// Figures are shown, never held to.
#[expect(clippy::print_stdout, reason = "a test's output is where its figures belong")]
fn figure(text: &str) {
    println!("{text}");
}

/// How often the agent said something.
fn said(world: &World, words: &str) -> anyhow::Result<usize> {
    Ok(world.agent.log().text()?.lines().filter(|line| line.contains(words)).count())
}

/// Waits until the agent has said something more often than that.
async fn says(world: &World, words: &str, before: usize, limit: Duration) -> anyhow::Result<()> {
    clock::until(&format!("the agent says {words:?}"), limit, async || {
        Ok((said(world, words)? > before).then_some(()))
    })
    .await
}

/// Has the agent dial another port of this machine, under a host name of ours.
async fn dial(world: &mut World, host: &str, port: u16, more: &[String]) -> anyhow::Result<()> {
    world.agent.stop()?;
    let mut settings = vec![format!("control_plane.url=https://{host}:{port}")];
    settings.extend(more.iter().cloned());
    world.agent.start_set(&settings, &[]).await
}

/// A world whose agent dials through a line.
async fn on_a_wire() -> anyhow::Result<(World, Wire)> {
    let mut world = World::start(&options()).await?;
    let wire = Wire::start("127.0.0.1", world.plane.agents()).await?;
    let before = said(&world, CONNECTED)?;
    dial(&mut world, "localhost", wire.address().port(), &[]).await?;
    says(&world, CONNECTED, before, SOON).await?;
    Ok((world, wire))
}

/// Each receipt of an access, by its deed.
async fn deeds(world: &World, access: &Access) -> anyhow::Result<Vec<String>> {
    let list = world.admin.ask(["receipts", "list", "--access", &access.0]).await?;
    let list = list.as_array().context("a list of receipts")?;
    let mut deeds =
        list.iter().map(|receipt| text_at(receipt, "/deed")).collect::<anyhow::Result<Vec<_>>>()?;
    deeds.sort();
    Ok(deeds)
}

/// Opens an access, and looks that it was opened once.
async fn opens(world: &World, resource: &str) -> anyhow::Result<Access> {
    let access = world.request(resource, "1h").await?;
    world.wait_label(&access, "Active", SOON).await?;
    let deeds = deeds(world, &access).await?;
    ensure!(deeds == ["opened"], "{}: {deeds:?}", access.0);
    Ok(access)
}

/// Ends an access, and looks that it ended once.
async fn ends(world: &World, access: &Access) -> anyhow::Result<()> {
    world.revoke(access).await?;
    world.wait_label(access, "Revoked", SOON).await?;
    let deeds = deeds(world, access).await?;
    ensure!(deeds == ["ended", "opened"], "{}: {deeds:?}", access.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_goes_still_is_noticed_and_what_is_due_meanwhile_ends() {
    let (world, wire) = unwrapped(on_a_wire().await);
    unwrapped(still(&world, &wire).await.map_err(|fault| world.explained(fault)));
}

async fn still(world: &World, wire: &Wire) -> anyhow::Result<()> {
    let due = world.request(shop::ORDERS, "20s").await?;
    world.wait_label(&due, "Active", SOON).await?;
    let account = world.credential(&due).await?.account;
    let before = said(world, NOT_CONNECTED)?;
    wire.turns(Weather::Still);
    let watch = Watch::start();
    says(world, NOT_CONNECTED, before, NOTICED).await?;
    figure(&format!("the agent noticed a half-open line after {:?}", watch.elapsed()));
    clock::until("the control plane notices, too", NOTICED, async || {
        let connectors = world.admin.ask(["connectors", "list"]).await?;
        Ok((connectors.pointer("/0/connected") == Some(&false.into())).then_some(()))
    })
    .await?;
    figure(&format!("the control plane noticed it within {:?}", watch.elapsed()));
    // Asked for while nobody hears it.
    let meanwhile = world.request(shop::GOODS, "1h").await?;
    let shut = |found: Option<&e2e::world::Standing>| found.is_some_and(e2e::world::Standing::is_shut);
    world.wait_read_back(&account, "it is shut at its deadline", SOON, shut).await?;
    ensure!(world.show(&due).await?["over"] == false, "the control plane cannot know yet");
    wire.turns(Weather::Fair);
    world.wait_label(&due, "Expired", SOON).await?;
    ensure!(deeds(world, &due).await? == ["ended", "opened"]);
    world.wait_label(&meanwhile, "Active", SOON).await?;
    ensure!(deeds(world, &meanwhile).await? == ["opened"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_and_one_that_breaks_again_and_again_lose_nothing_and_do_nothing_twice() {
    let (world, wire) = unwrapped(on_a_wire().await);
    let played = async {
        wire.turns(Weather::Slow(6_000));
        let slowly = opens(&world, shop::ORDERS).await?;
        ends(&world, &slowly).await?;
        wire.turns(Weather::Fair);
        let mut live = vec![];
        for resource in [shop::ORDERS, shop::GOODS, shop::ODD] {
            let before = said(&world, CONNECTED)?;
            let access = world.request(resource, "1h").await?;
            // Wherever the order, its answer and the acknowledgements are just now.
            wire.cut();
            world.wait_label(&access, "Active", SOON).await?;
            ensure!(deeds(&world, &access).await? == ["opened"], "{resource}");
            says(&world, CONNECTED, before, SOON).await?;
            live.push(access);
        }
        for access in &live {
            world.revoke(access).await?;
            wire.cut();
        }
        for access in &live {
            world.wait_label(access, "Revoked", SOON).await?;
            ensure!(deeds(&world, access).await? == ["ended", "opened"], "{}", access.0);
        }
        anyhow::Ok(())
    };
    unwrapped(played.await.map_err(|fault| world.explained(fault)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_line_that_changes_doubles_swaps_or_leaves_out_records_only_breaks_sessions() {
    let (world, wire) = unwrapped(on_a_wire().await);
    let played = async {
        for side in [Side::Agent, Side::Control] {
            for trick in [Trick::Flip, Trick::Twice, Trick::Swap, Trick::Leave] {
                let (before, connections) = (said(&world, CONNECTED)?, wire.connections());
                wire.plays(side, trick);
                let access =
                    opens(&world, shop::ORDERS).await.with_context(|| format!("{side:?} {trick:?}"))?;
                clock::until("the trick is played", SOON, async || Ok(wire.has_played().then_some(())))
                    .await?;
                says(&world, CONNECTED, before, SOON).await.with_context(|| {
                    format!("{side:?} {trick:?}: the session was broken and there is another")
                })?;
                ensure!(wire.connections() > connections, "{side:?} {trick:?}");
                ends(&world, &access).await.with_context(|| format!("{side:?} {trick:?}"))?;
            }
        }
        anyhow::Ok(())
    };
    unwrapped(played.await.map_err(|fault| world.explained(fault)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_authority_that_was_named_is_believed_and_ipv6_is_dialled() {
    let mut world = unwrapped(World::start(&options()).await);
    let played = authorities(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

async fn authorities(world: &mut World) -> anyhow::Result<()> {
    let other = Authority::new(&world.folder().path().join("other-ca.pem"))?;
    let impostor = Proxy::start(&other, world.plane.agents(), world.plane.authority()).await?;
    let before = said(world, "UnknownIssuer")?;
    dial(world, "localhost", impostor.address().port(), &[]).await?;
    says(world, "UnknownIssuer", before, SOON).await?;
    ensure!(impostor.tape().is_empty(), "not a word, and no token, went to it");
    // The same place, whose authority is named, on IPv6; and the target on IPv6, too.
    let wire = Wire::start("::1", impostor.address()).await?;
    let file = format!("control_plane.ca_file={}", other.file().display());
    let before = said(world, CONNECTED)?;
    dial(world, "[::1]", wire.address().port(), &[file]).await?;
    says(world, CONNECTED, before, SOON).await?;
    ensure!(wire.connections() == 1, "{}", wire.connections());
    world.apply_to("::1", world.target.port(), None).await?;
    let refused = clock::until("another name of the host is another place", SOON, async || {
        let shown = world.admin.ask(["integrations", "show", INTEGRATION]).await?;
        let detail = shown.pointer("/health/detail").and_then(|text| text.as_str()).unwrap_or_default();
        Ok(detail.split_once("run tidegate ").map(|(_, command)| command.to_owned()))
    })
    .await?;
    world.agent.tidegate(refused.split(' ')).await?.ok()?;
    let access = opens(world, shop::ORDERS).await?;
    ends(world, &access).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_are_used_as_they_are_named_and_their_refusals_say_the_way_out() {
    let mut world = unwrapped(World::start(&options()).await);
    let played = proxies(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// Starts the agent anew with settings and variables, and waits until it says something.
async fn anew(
    world: &mut World,
    settings: &[String],
    env: &[(&str, &str)],
    words: &str,
) -> anyhow::Result<()> {
    let before = said(world, words)?;
    world.agent.stop()?;
    world.agent.start_set(settings, env).await?;
    says(world, words, before, SOON).await.with_context(|| format!("{settings:?} {env:?}"))
}

async fn proxies(world: &mut World) -> anyhow::Result<()> {
    let plane = format!("localhost:{}", world.plane.agents().port());
    let file = |name: &str| world.folder().path().join(name);
    let (login_file, ca_file) = (file("proxy-login"), file("edge-ca.pem"));
    let authority = Authority::new(&ca_file)?;
    let login = "edge user:pa:ss word";
    let free = Gateway::start(Rule::Anybody, None).await?;
    let guarded = Gateway::start(Rule::Login(login.into()), None).await?;
    let tls = Gateway::start(Rule::Login(login.into()), Some(&authority)).await?;
    let closed = Gateway::start(Rule::Nobody("403 Forbidden"), None).await?;
    let at = |scheme: &str, gateway: &Gateway| format!("{scheme}://localhost:{}", gateway.address().port());
    let set = |key: &str, value: &str| format!("control_plane.{key}={value}");
    let named = |gateway: &Gateway| set("proxy", &at("http", gateway));
    let shown = login_file.display().to_string();
    let with_login = set("proxy_credentials_file", &shown);
    let nobody = "http://127.0.0.1:1";

    anew(world, &[named(&free)], &[], CONNECTED).await?;
    let asked = free.asked();
    ensure!(asked.len() == 1 && asked[0].to == plane && asked[0].login.is_none(), "{asked:?}");

    // A proxy that wants a login says so, and the log names the key; so does a wrong one, which is mended without a restart.
    anew(world, &[named(&guarded)], &[], "wants a login (407): put `user:password` into a file").await?;
    write(&login_file, "edge user:wrong")?;
    let refused = "refuses the login (407): mend the file of `control_plane.proxy_credentials_file`";
    anew(world, &[named(&guarded), with_login.clone()], &[], refused).await?;
    let before = said(world, CONNECTED)?;
    write(&login_file, login)?;
    says(world, CONNECTED, before, SOON).await?;
    ensure!(
        guarded.asked().last().is_some_and(|asked| asked.led_on && asked.login.as_deref() == Some(login))
    );
    let access = opens(world, shop::ORDERS).await?;
    ends(world, &access).await?;

    // Over TLS to the proxy: only under the authority that is named.
    let of_tls = vec![set("proxy", &at("https", &tls)), with_login.clone()];
    anew(world, &of_tls, &[], "`control_plane.proxy_ca_file`").await?;
    ensure!(tls.asked().is_empty(), "the login went to a proxy that nobody vouched for");
    let mut believed = of_tls.clone();
    believed.push(set("proxy_ca_file", &ca_file.display().to_string()));
    anew(world, &believed, &[], CONNECTED).await?;
    ensure!(tls.asked().last().is_some_and(|asked| asked.led_on && asked.to == plane));

    // Others that are none.
    anew(world, &[named(&closed)], &[], "does not lead to").await?;
    ensure!(said(world, "403 Forbidden")? > 0);
    anew(world, &[set("proxy", nobody)], &[], "cannot be reached: look at `control_plane.proxy`").await?;
    let postgres = format!("http://localhost:{}", world.target.port());
    anew(world, &[set("proxy", &postgres)], &[], "the control plane cannot be reached through the proxy")
        .await?;

    // The environment's, and what leaves it out.
    let count = free.asked().len();
    let edge = at("http", &free);
    anew(world, &[], &[("HTTPS_PROXY", &edge)], CONNECTED).await?;
    ensure!(free.asked().len() == count + 1);
    for (settings, env) in [
        (vec![], vec![("HTTPS_PROXY", nobody), ("NO_PROXY", "example.com, localhost")]),
        (vec![set("proxy", "none")], vec![("HTTPS_PROXY", nobody)]),
        (vec![], vec![("HTTP_PROXY", nobody)]),
    ] {
        anew(world, &settings, &env, CONNECTED).await?;
        ensure!(free.asked().len() == count + 1, "{env:?}");
    }
    // Nothing that the proxy was shown, and no login, stands in the log.
    for secret in ["pa:ss word", "ZWRnZSB1c2Vy"] {
        ensure!(said(world, secret)? == 0, "{secret} was logged");
    }
    Ok(())
}

fn write(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)))?;
    Ok(())
}
