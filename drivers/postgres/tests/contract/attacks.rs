//! A hostile grantee, and a careless administrator: each attack alone, against a single verb.

use std::time::Duration;

use driver::HeirPolicy;
use model::{Code, Entitlement, Login, ResourceId, Rung};
use services::postgres::Admin;
use tokio::time::{Instant, timeout};

use crate::admin::{Line, ident};
use crate::people::{House, outcome, set};
use crate::world::table;

/// A closing verb has to be through by then, whatever the grantee does.
const SOON: Duration = Duration::from_secs(12);

pub(crate) fn orders() -> Entitlement {
    table("app", "public", "orders", "READ_ONLY")
}

pub(crate) async fn version(house: &House) -> u32 {
    house.admin("postgres").await.one("SHOW server_version_num").await.unwrap().unwrap().parse().unwrap()
}

async fn within(house: &House, who: &crate::people::Grantee, rung: Rung, what: &str) {
    let began = Instant::now();
    let done = timeout(SOON, house.target.revoke(&who.account, rung)).await;
    done.unwrap_or_else(|_| panic!("{what}: {} hangs", rung.word()))
        .unwrap_or_else(|failure| panic!("{what}: {} after {:?}: {failure}", rung.word(), began.elapsed()));
}

pub(crate) async fn all(house: &House) {
    row_locked_by_a_session(house).await;
    row_locked_by_prepared_transactions(house).await;
    a_login_that_nobody_sees(house).await;
    advisory_locks(house).await;
    a_thousand_sessions(house).await;
    a_database_that_lies(house).await;
    a_role_dropped_under_its_session(house).await;
    an_ending_of_one_of_two(house).await;
}

async fn row_locked_by_a_session(house: &House) {
    let mallory = house.grantee("row", &[orders()]).await;
    let own = ident(&mallory.account.name.0);
    let line = house.line(&mallory, "app").await;
    line.run(&format!("BEGIN; ALTER ROLE {own} PASSWORD 'x'; ALTER ROLE {own} SET work_mem = '1MB'"))
        .await
        .unwrap();
    within(house, &mallory, Rung::ShutLogin, "a session holds the row").await;
    assert_ne!(outcome(&line, "SELECT 1").await, "ok", "the session that stood in the way is gone");
    house.close(&mallory).await;
}

async fn row_locked_by_prepared_transactions(house: &House) {
    let account = |who: &str, how: &str| (who.to_owned(), how.to_owned());
    for (who, how) in [
        account("prepared", "ALTER ROLE {own} PASSWORD 'x'"),
        account("nested", "SAVEPOINT s; ALTER ROLE {own} PASSWORD 'x'; RELEASE s"),
        account("as_another", "SAVEPOINT s; ALTER ROLE {own} PASSWORD 'x'; RELEASE s; SET LOCAL ROLE {role}"),
        account("as_the_common", "ALTER ROLE {own} PASSWORD 'x'; SET LOCAL ROLE tidegate_managed"),
        account(
            "as_attached",
            "SAVEPOINT s; ALTER ROLE {own} PASSWORD 'x'; RELEASE s; SET LOCAL ROLE analysts",
        ),
    ] {
        let attached = Entitlement::new(ResourceId::new("postgresql-role", ["analysts"]), "Attach");
        let mallory = house.grantee(&who, &[orders(), attached]).await;
        let roles = house.world.permission_roles(&mallory.account.name.0).await.unwrap();
        let own = ident(&mallory.account.name.0);
        let how = how.replace("{own}", &own).replace("{role}", &ident(roles.first().unwrap()));
        // In another database than the one in which accounts are made.
        let line = house.line(&mallory, "app").await;
        let prepared = outcome(&line, &format!("BEGIN; {how}; PREPARE TRANSACTION 'hold {who}'")).await;
        let sets_roles = how.contains("ROLE analysts") || who.starts_with("as_");
        let expected = if sets_roles && version(house).await >= 160_000 { "42501" } else { "ok" };
        assert_eq!(prepared, expected, "{who}");
        drop(line);
        within(house, &mallory, Rung::ShutLogin, &who).await;
        house.close(&mallory).await;
        let left = house.admin("app").await.column("SELECT gid FROM pg_prepared_xacts").await.unwrap();
        assert_eq!(left, Vec::<String>::new(), "{who}");
    }
}

/// The activity view shows a session only after `post_auth_delay`, which the client chooses.
async fn a_login_that_nobody_sees(house: &House) {
    let mallory = house.grantee("unseen", &[orders()]).await;
    let mut login = house.login(&mallory, "app");
    login.options("-c post_auth_delay=8");
    let mut waiting = tokio::task::JoinSet::new();
    // The server may still say hello before it says goodbye: what counts is whether anything can be done.
    waiting.spawn(async move {
        match Line::open(&login).await {
            Ok(line) => outcome(&line, "SELECT 1").await == "ok",
            Err(_) => false,
        }
    });
    let admin = house.admin("postgres").await;
    let hidden = "SELECT 1 FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass \
                  AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE usesysid IS NOT NULL)";
    let seen = timeout(SOON, async {
        while admin.one(hidden).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    });
    seen.await.expect("the login does not hang in its delay");
    house.close(&mallory).await;
    let came_through = timeout(SOON, waiting.join_next()).await.unwrap().unwrap().unwrap();
    assert!(!came_through, "a session came to life on a closed account");
}

async fn advisory_locks(house: &House) {
    let mallory = house.grantee("locks", &[orders()]).await;
    for database in ["postgres", "app"] {
        let line = house.line(&mallory, database).await;
        line.run("SELECT pg_advisory_lock(hashtext('tidegate'), hashtext('shared roles'))").await.unwrap();
        let fresh = table("app", "stock", if database == "app" { "items" } else { "by_hand" }, "READ_ONLY");
        let who = format!("beside_{database}");
        if database == "app" && house.world.admin == Admin::Least && version(house).await < 160_000 {
            // Up to 15 there is no other lock that such an admin could take.
            let held_up = house.try_grantee(&who, &[fresh]).await.map(|_| ()).map_err(|failure| failure.code);
            assert_eq!(held_up, Err(Code::BUSY));
        } else {
            let other = house.grantee(&who, &[fresh]).await;
            house.close(&other).await;
        }
        drop(line);
    }
    house.close(&mallory).await;
}

/// How many sessions a grantee fills the house with, and how many log in at a time.
const CROWD: usize = 1_000;
const AT_ONCE: usize = 25;
/// How many the server and this process have to have room for.
pub(crate) const ROOM: u16 = 1_100;

async fn a_thousand_sessions(house: &House) {
    // Each is an open file of this process, too; where this is not allowed the logins below say so.
    let limit = format!("--nofile={}:", 4 * usize::from(ROOM));
    let own = std::process::id().to_string();
    drop(std::process::Command::new("prlimit").args(["--pid", &own, &limit]).status());
    let mallory = house.grantee("many", &[orders()]).await;
    let role = ident(&mallory.account.name.0);
    house.admin("postgres").await.run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await.unwrap();
    let mut lines = vec![];
    while lines.len() < CROWD {
        let logins = (0..AT_ONCE).map(|_| house.line(&mallory, "app"));
        lines.extend(futures_util::future::join_all(logins).await);
    }
    assert_eq!(house.seen(&mallory).await.sessions, 1_000);
    let began = Instant::now();
    within(house, &mallory, Rung::ShutLogin, "many sessions").await;
    within(house, &mallory, Rung::EndSessions, "many sessions").await;
    let seen = house.seen(&mallory).await;
    assert_eq!((seen.login, seen.sessions), (Login::Shut, 0), "after {:?}", began.elapsed());
    for line in &lines {
        assert_ne!(outcome(line, "SELECT 1").await, "ok");
    }
    house.close(&mallory).await;
}

/// A database whose owner sets paths, roles and functions to catch an admin who looks there.
async fn a_database_that_lies(house: &House) {
    let admin = house.admin("postgres").await;
    admin
        .run(
            "ALTER DATABASE sales SET search_path = trap, pg_catalog; ALTER DATABASE sales SET role = 'analysts'; \
             ALTER DATABASE sales SET default_transaction_read_only = on; \
             ALTER DATABASE sales SET statement_timeout = '1ms'; ALTER DATABASE sales SET standard_conforming_strings = off",
        )
        .await
        .unwrap();
    // A session that does not take the bait has to be opened to set it up.
    let line = house.admin("app").await;
    line.run("ALTER DATABASE sales SET statement_timeout = '5s'").await.unwrap();
    let sales = house.admin("sales").await;
    sales.run("SET default_transaction_read_only = off").await.unwrap();
    sales
        .run(
            "SET ROLE app_owner; CREATE SCHEMA trap; \
             GRANT USAGE ON SCHEMA trap TO PUBLIC; \
             CREATE FUNCTION trap.aclexplode(aclitem[]) RETURNS TABLE (grantor oid, grantee oid, privilege_type text, is_grantable bool) \
             LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$; \
             CREATE FUNCTION trap.count(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$; \
             CREATE TABLE trap.pg_roles (oid oid, rolname name); CREATE TABLE trap.pg_class (oid oid)",
        )
        .await
        .unwrap();
    let ann = house.grantee("trapped", &[table("sales", "crm", "leads", "READ_WRITE")]).await;
    assert_eq!(house.seen(&ann).await.excess, Vec::<String>::new());
    let role = ident(&ann.account.name.0);
    sales.run(&format!("SET ROLE none; GRANT DELETE ON crm.leads TO {role}")).await.unwrap();
    house.close(&ann).await;
    house.target.delete(&ann.account, HeirPolicy::HandOver).await.unwrap();
    admin.run("ALTER DATABASE sales RESET ALL").await.unwrap();
    sales.run("SET ROLE none; DROP SCHEMA trap CASCADE").await.unwrap();
}

async fn a_role_dropped_under_its_session(house: &House) {
    let ann = house.grantee("dropped", &[orders()]).await;
    let line = house.line(&ann, "app").await;
    let role = ident(&ann.account.name.0);
    for database in ["app", "postgres"] {
        house.admin(database).await.run(&format!("DROP OWNED BY {role}")).await.unwrap();
    }
    house.admin("postgres").await.run(&format!("DROP ROLE {role}")).await.unwrap();
    assert_eq!(outcome(&line, "SELECT 1").await, "ok", "the session goes on without its role");
    within(house, &ann, Rung::EndSessions, "dropped by hand").await;
    assert_ne!(outcome(&line, "SELECT 1").await, "ok");
}

/// Of two accesses one ends while the grantee holds its row: it ends all the same.
async fn an_ending_of_one_of_two(house: &House) {
    let (stays, ends) = (orders(), table("app", "stock", "items", "READ_ONLY"));
    let mallory = house.grantee("both", &[stays.clone(), ends]).await;
    let own = ident(&mallory.account.name.0);
    let line = house.line(&mallory, "app").await;
    line.run(&format!("BEGIN; ALTER ROLE {own} PASSWORD 'x'")).await.unwrap();
    let still = set(std::slice::from_ref(&stays));
    timeout(SOON * 2, house.target.grant(&mallory.account, &still)).await.unwrap().unwrap();
    assert_eq!(house.seen(&mallory).await.entitlements, still);
    house.close(&mallory).await;
}
