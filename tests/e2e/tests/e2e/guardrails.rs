//! The operator's own policies beside a real agent: what they refuse and shorten, what happens when they change, and
//! that nothing but opening waits while they cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::world::{Options, World};
use e2e::{clock, private_file, shop};
use serde_json::{Value, json};

use crate::unwrapped;

const SOON: Duration = Duration::from_secs(60);

const ALL: &str = "@id(\"all\") permit (principal, action, resource);\n";

const FIRST: &str = r#"
@id("all") permit (principal, action, resource);

@id("no-billing")
@reason("billing is closed this week")
forbid (principal, action == Action::"open", resource in Place::"shop-db/shop/billing");

@id("twenty-minutes")
forbid (principal, action == Action::"open", resource)
when { context.elapsed >= duration("20m") };

@id("writing-needs-a-decision")
forbid (principal, action == Action::"open", resource)
when { context.permission != "READ_ONLY" }
unless { context has approval };
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_guardrails_forbid_is_not_opened_whoever_orders_it() {
    let options = Options { guardrails: Some(FIRST), ..Options::default() };
    let mut world = unwrapped(World::start(&options).await);
    let played = orders(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_guardrails_cannot_be_read_closing_goes_on_and_nothing_opens() {
    let options = Options { guardrails: Some(ALL), approval: "auto", ..Options::default() };
    let mut world = unwrapped(World::start(&options).await);
    let played = broken(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// Does something to the file that makes it useless.
type Spoil = dyn Fn(&World) -> anyhow::Result<()>;

fn file(world: &World) -> PathBuf {
    world.folder().path().join("guardrails.cedar")
}

/// The word of the agent that explains a state.
fn code(shown: &Value) -> Option<&str> {
    shown.pointer("/agent/code").and_then(Value::as_str)
}

/// How often it was said that guardrails are in force.
fn in_force(world: &World) -> anyhow::Result<usize> {
    Ok(world.agent.log().text()?.matches("Guardrails are in force").count())
}

async fn orders(world: &mut World) -> anyhow::Result<()> {
    let refused = world.request(shop::ODD, "10m").await?;
    world.approve(&refused).await?;
    let shown = world.wait_label(&refused, "Failed", SOON).await?;
    let said = shown.to_string();
    ensure!(code(&shown) == Some("guardrail_refused"), "{shown}");
    ensure!(said.contains("`no-billing` says no: billing is closed this week"), "{shown}");

    let short = world.request(shop::ORDERS, "60m").await?;
    world.approve(&short).await?;
    let shown = world.wait_label(&short, "Active", SOON).await?;
    let time = |name: &str| -> anyhow::Result<model::Timestamp> {
        Ok(shown[name].as_str().context("a time")?.parse()?)
    };
    let lasts = time("until")?.since(time("from")?);
    // It begins for the agent when the order comes.
    let (least, most) = (model::Span::from_mins(20), model::Span::from_mins(21));
    ensure!(lasts >= least && lasts < most, "{lasts}: {shown}");

    let decided = world.request_as(&world.requester, shop::GOODS, "READ_WRITE", "10m").await?;
    world.approve(&decided).await?;
    world.wait_label(&decided, "Active", SOON).await?;

    // New policies while they live: what they forbid ends, and nothing else.
    let credential = world.credential(&decided).await?;
    let mut session = world.login(&credential).stay().await?;
    let next = format!(
        "{FIRST}\n@id(\"no-writing\") forbid (principal, action == Action::\"open\", resource) when {{ context.permission == \"READ_WRITE\" }};"
    );
    private_file(&file(world), &next)?;
    let shown = world.wait_label(&decided, "Revoked", SOON).await?;
    ensure!(world.show(&short).await?["label"] == json!("Active"), "the other one goes on");
    drop(session.ask("select 1").await);
    let why = "guardrail `no-writing` says no";
    ensure!(shown.to_string().contains(why), "{shown}");
    ensure!(world.plane.log().text()?.contains("guardrail_refused"), "an alarm is raised");
    let left = world.login(&credential).run(r#"update "склад"."товары" set "остаток" = 0"#).await?;
    left.refused()?;

    let (one, other) = (["guardrails", "check"], ["guardrails", "words"]);
    let listed = world.agent.tidegate(one).await?.ok()?;
    ensure!(listed.contains("no-writing") && listed.contains("billing is closed"), "{listed}");
    let words = world.agent.tidegate(other).await?.ok()?;
    ensure!(words.contains("entity Grantee;"), "{words}");
    Ok(())
}

async fn broken(world: &mut World) -> anyhow::Result<()> {
    let ends = world.request(shop::ORDERS, "30m").await?;
    world.wait_label(&ends, "Active", SOON).await?;
    let credential = world.credential(&ends).await?;
    let _session = world.login(&credential).stay().await?;

    let spoilt: [(&str, &Spoil, &str); 3] = [
        ("no Cedar", &|world| private_file(&file(world), "forbid everything"), "line 1"),
        (
            "others may write",
            &|world| Ok(fs::set_permissions(file(world), fs::Permissions::from_mode(0o666))?),
            "chmod go-w",
        ),
        ("gone", &|world| Ok(fs::remove_file(file(world))?), "cannot be read"),
    ];
    for (name, spoil, said) in spoilt {
        spoil(world)?;
        let report = world.agent.wait_mode("close_only", SOON).await.context(name)?;
        ensure!(report.to_string().contains(said), "{name}: {report}");
        if name == "gone" {
            break;
        }
        fs::remove_file(file(world))?;
        private_file(&file(world), ALL)?;
        world.agent.wait_ready().await.context(name)?;
    }

    let waits = world.request(shop::GOODS, "30m").await?;
    world.revoke(&ends).await?;
    world.wait_label(&ends, "Revoked", SOON).await?;
    world.login(&credential).run("select 1").await?.refused()?;
    ensure!(world.show(&waits).await?["label"] == json!("Granting"), "nothing opens meanwhile");

    // Broken at the start, too: what is past its end closes, what is ordered waits.
    world.agent.kill9()?;
    world.agent.start().await?;
    world.agent.wait_mode("close_only", SOON).await?;
    world.wait_connected().await?;
    ensure!(world.show(&waits).await?["label"] == json!("Granting"), "nor after a restart");

    // Ordered while nobody could be asked: held against them once they can be.
    private_file(
        &file(world),
        &format!("{ALL}@id(\"none\") forbid (principal, action == Action::\"open\", resource);"),
    )?;
    let shown = clock::until("the waiting access is refused", SOON, async || {
        let shown = world.show(&waits).await?;
        Ok((shown["over"] == json!(true)).then_some(shown))
    });
    let shown = shown.await?;
    ensure!(shown.to_string().contains("`none` says no"), "{shown}");
    let before = in_force(world)?;
    private_file(&file(world), ALL)?;
    clock::until("the file is read again", SOON, async || Ok((in_force(world)? > before).then_some(())))
        .await?;
    let last = world.request(shop::GOODS, "30m").await?;
    world.wait_label(&last, "Active", SOON).await?;
    Ok(())
}
