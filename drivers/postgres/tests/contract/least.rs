//! The admin of mode `least`: its script, and where its reach ends. What is beyond it is seen, told, and keeps nobody in.

use driver::{Driver, HeirPolicy, SetupWish};
use driver_postgres::Postgres as PostgresDriver;
use model::{Code, Entitlement, Login, ResidualKind, ResourceId, Rung};
use services::postgres::Admin;

use crate::admin::{ident, literal};
use crate::attacks::{orders, version};
use crate::people::{House, outcome};
use crate::world::PostgresWorld;

pub(crate) async fn all(house: &House) {
    what_it_may_not_do(house).await;
    what_a_superuser_adds(house).await;
    what_it_cannot_hand_over(house).await;
    what_it_lent_itself(house).await;
    a_superusers_power_is_told(house).await;
    the_script_refuses_the_other_family(&house.world).await;
    nothing_is_left_of_it(house).await;
}

/// From 16 on it reaches nobody's role but its own; up to 15 it does, as the script says.
async fn what_it_may_not_do(house: &House) {
    let beyond = if version(house).await >= 160_000 { "42501" } else { "ok" };
    let line = house.world.as_admin("app").await;
    let table = [
        ("CREATE ROLE of_its_own; DROP ROLE of_its_own", "ok"),
        ("ALTER ROLE maker_of_rules PASSWORD 'x'", beyond),
        ("GRANT pg_execute_server_program TO SESSION_USER", beyond),
        ("GRANT maker_of_rules TO SESSION_USER", beyond),
        ("ALTER ROLE tidegate_connector SUPERUSER", "42501"),
        ("CREATE DATABASE its_own", "42501"),
        ("SELECT count(*) FROM pg_authid", "42501"),
    ];
    house.admin("postgres").await.run("CREATE ROLE maker_of_rules").await.unwrap();
    for (statement, expected) in table {
        assert_eq!(outcome(&line, statement).await, expected, "{statement}");
    }
    let us = ident(house.world.admin_name());
    let back =
        format!("REVOKE pg_execute_server_program, maker_of_rules FROM {us}; DROP ROLE maker_of_rules");
    house.admin("postgres").await.run(&back).await.unwrap();
}

/// Attributes and memberships by a superuser's hand: from 16 on they stay on the account until somebody takes them,
/// and open nothing; with the account they go.
async fn what_a_superuser_adds(house: &House) {
    let mallory = house.grantee("beyond", &[orders()]).await;
    let account = ident(&mallory.account.name.0);
    let admin = house.admin("postgres").await;
    admin.run(&format!("GRANT pg_monitor TO {account}; ALTER ROLE {account} CREATEDB")).await.unwrap();
    for rung in [Rung::ShutLogin, Rung::EndSessions] {
        house.target.revoke(&mallory.account, rung).await.unwrap();
    }
    let stripped = house.target.revoke(&mallory.account, Rung::Strip).await.map_err(|failure| failure.code);
    let seen = house.seen(&mallory).await;
    assert_eq!((seen.login, seen.sessions, seen.entitlements.is_empty()), (Login::Shut, 0, true));
    if house.world.narrow().await.unwrap() {
        assert_eq!(stripped, Err(Code::RIGHT_MISSING));
        let beyond = ["attribute CREATEDB", "may act as `pg_monitor`", "membership in `pg_monitor`"];
        assert_eq!(seen.excess, beyond, "the rest was taken");
        let observed = house.target.observe(&mallory.account).await.unwrap();
        assert!(
            observed.is_shut() && !observed.is_closed(),
            "contained, and not called closed: {observed:?}"
        );
    } else {
        assert_eq!((stripped, seen.excess), (Ok(()), vec![]));
    }
    house.target.delete(&mallory.account, HeirPolicy::HandOver).await.unwrap();
    assert!(house.target.observe(&mallory.account).await.unwrap().is_absent());
}

/// Objects in a schema of somebody whom the admin does not speak for stay with the account, which stays shut.
async fn what_it_cannot_hand_over(house: &House) {
    let mallory = house.grantee("owner_of_things", &[orders()]).await;
    let account = ident(&mallory.account.name.0);
    let app = house.admin("app").await;
    app.run(&format!(
        "CREATE ROLE stranger; CREATE SCHEMA strange AUTHORIZATION stranger; \
         CREATE FUNCTION strange.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION strange.f OWNER TO {account}"
    ))
    .await
    .unwrap();
    house.close(&mallory).await;
    let kept = house.target.delete(&mallory.account, HeirPolicy::HandOver).await;
    assert_eq!(kept.map_err(|failure| failure.code), Err(Code::OWNED_OBJECTS));
    let seen = house.seen(&mallory).await;
    assert_eq!(seen.login, Login::Shut, "kept shut");
    assert!(seen.residual.iter().any(|left| left.kind == ResidualKind::OwnedObjects), "{:?}", seen.residual);
    let members =
        format!("SELECT 1 FROM pg_auth_members WHERE roleid = {}::regrole AND set_option", literal(&account));
    if version(house).await >= 160_000 {
        assert_eq!(app.one(&members).await.unwrap(), None, "and the admin is not left acting in its place");
    }
    app.run(&format!("GRANT stranger TO {}", ident(house.world.admin_name()))).await.unwrap();
    house.target.delete(&mallory.account, HeirPolicy::HandOver).await.unwrap();
    let owner = app.one("SELECT proowner::regrole FROM pg_proc WHERE proname = 'f'").await.unwrap().unwrap();
    assert!(owner.starts_with("tidegate_heir_"), "{owner}");
    let create = "SELECT 1 FROM pg_namespace, aclexplode(nspacl) a WHERE nspname = 'strange' AND a.grantee <> nspowner";
    assert_eq!(app.one(create).await.unwrap(), None, "the heir has nothing but what it was left");
    app.run("DROP SCHEMA strange CASCADE; DROP ROLE stranger").await.unwrap();
}

/// Whoever died while it acted in an account's place is still a member of that account: it does not stay so.
async fn what_it_lent_itself(house: &House) {
    let narrow = house.world.narrow().await.unwrap();
    let mallory = house.grantee("lent", &[orders()]).await;
    let account = ident(&mallory.account.name.0);
    let all_of_it = if narrow { " WITH INHERIT TRUE, SET TRUE" } else { "" };
    let lend = format!("GRANT {account} TO SESSION_USER{all_of_it}");
    house.world.as_admin("postgres").await.run(&lend).await.unwrap();
    let admin = house.admin("postgres").await;
    let acts = if narrow { "set_option" } else { "true" };
    let lent = format!(
        "SELECT member::regrole FROM pg_auth_members WHERE roleid = {}::regrole AND {acts}",
        literal(&account)
    );
    assert!(admin.one(&lent).await.unwrap().is_some());
    house.close(&mallory).await;
    assert_eq!(admin.one(&lent).await.unwrap(), None, "it is given back");
    let observed = house.target.observe(&mallory.account).await.unwrap();
    assert!(observed.is_closed(), "{observed:?}");
    house.target.delete(&mallory.account, HeirPolicy::HandOver).await.unwrap();
}

async fn the_script_refuses_the_other_family(world: &PostgresWorld) {
    let major = world.major().await;
    let other = if major >= 16 { 15 } else { 16 };
    let wish =
        SetupWish { username: Some("another".into()), server_version: Some(other), ..world.wish().await };
    let script = PostgresDriver.setup_script(&wish).unwrap();
    let refused = world.server.psql_script("postgres", &script, "").unwrap_err().to_string();
    assert!(refused.contains("make the script again with its --server-version"), "{refused}");
    // Once more with what is right, twice: the second changes nothing.
    let script = PostgresDriver.setup_script(&SetupWish { server_version: Some(major), ..wish }).unwrap();
    world.server.psql_script("postgres", &script, "pw\npw\n").unwrap();
    let again = world.server.psql_script("postgres", &script, "pw\npw\n").unwrap_err().to_string();
    assert!(again.contains("already exists"), "{again}");
    let admin = world.admin("postgres").await.unwrap();
    admin.run("DROP ROLE another").await.unwrap();
    // Nobody gets a superuser's power under the name of least, by one step or by two.
    let all_of_it = admin.one("SELECT session_user::text").await.unwrap().unwrap();
    admin.run(&format!("CREATE ROLE between; GRANT {} TO between", ident(&all_of_it))).await.unwrap();
    for owner in [all_of_it, "between".into()] {
        let wish = SetupWish {
            username: Some("another".into()),
            server_version: Some(major),
            owners: vec![owner],
            ..world.wish().await
        };
        let script = PostgresDriver.setup_script(&wish).unwrap();
        let refused = world.server.psql_script("postgres", &script, "pw\npw\n").unwrap_err().to_string();
        assert!(refused.contains("is a superuser, or a member of one"), "{refused}");
        let made = admin.one("SELECT 1 FROM pg_roles WHERE rolname = 'another'").await.unwrap();
        assert_eq!(made, None, "nothing is half-made");
    }
    admin.run("DROP ROLE between").await.unwrap();
}

/// A check does not call that least.
async fn a_superusers_power_is_told(house: &House) {
    let admin = house.admin("postgres").await;
    let all_of_it = admin.one("SELECT session_user::text").await.unwrap().unwrap();
    let (all_of_it, ours) = (ident(&all_of_it), ident(house.world.admin_name()));
    let told = async || {
        let report = house.target.check().await.unwrap();
        report.probes.iter().any(|probe| probe.detail.contains("is a member of the superuser"))
    };
    assert!(!told().await);
    admin.run(&format!("GRANT {all_of_it} TO {ours}")).await.unwrap();
    assert!(told().await);
    admin.run(&format!("REVOKE {all_of_it} FROM {ours}")).await.unwrap();
    assert!(!told().await);
}

/// After retiring, the script that removes the admin leaves the server as it was.
async fn nothing_is_left_of_it(house: &House) {
    let ann = house.grantee("last", &[orders()]).await;
    let attached = Entitlement::new(ResourceId::new("postgresql-role", ["analysts"]), "Attach");
    let bob = house.grantee("attached_last", &[attached]).await;
    let wish = SetupWish { remove: true, ..house.world.wish().await };
    let script = PostgresDriver.setup_script(&wish).unwrap();
    let early = house.world.server.psql_script("postgres", &script, "").unwrap_err().to_string();
    assert!(early.contains("can still log in"), "what is open would stay open, which is told: {early}");
    for grantee in [&ann, &bob] {
        house.close(grantee).await;
        house.target.delete(&grantee.account, HeirPolicy::HandOver).await.unwrap();
    }
    let app = house.admin("app").await;
    let report = house.target.retire().await.unwrap();
    assert!(report.left.is_empty(), "{report:?}");
    house.target.close().await;
    house.world.server.psql_script("postgres", &script, "").unwrap();
    let left = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'tidegate\\_%' AND rolname <> session_user";
    assert_eq!(app.column(left).await.unwrap(), Vec::<String>::new());
    assert_eq!(house.world.admin, Admin::Least);
}
