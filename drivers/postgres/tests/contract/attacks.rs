//! A hostile grantee, and a careless administrator: each attack alone, against a single verb.

use std::time::Duration;

use driver::HeirPolicy;
use model::{Code, Entitlement, ResidualKind, ResourceId, Rung};
use tokio::time::{Instant, timeout};

use crate::admin::{Line, ident};
use crate::people::{House, outcome};
use crate::world::table;

/// A closing verb has to be through by then, whatever the grantee does.
const SOON: Duration = Duration::from_secs(12);

fn orders() -> Entitlement {
    table("app", "public", "orders", "READ_ONLY")
}

async fn version(house: &House) -> u32 {
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
    a_hundred_sessions(house).await;
    objects_of_a_permission_role(house).await;
    a_database_that_lies(house).await;
    memberships_given_on(house).await;
    a_role_dropped_under_its_session(house).await;
    wider_roles(house).await;
    what_an_account_makes(house).await;
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
        let other = house.grantee(&format!("beside_{database}"), &[fresh]).await;
        house.close(&other).await;
        drop(line);
    }
    house.close(&mallory).await;
}

async fn a_hundred_sessions(house: &House) {
    let mallory = house.grantee("many", &[orders()]).await;
    let role = ident(&mallory.account.name.0);
    house.admin("postgres").await.run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1")).await.unwrap();
    let mut lines = vec![];
    for _ in 0..100 {
        lines.push(house.line(&mallory, "app").await);
    }
    within(house, &mallory, Rung::ShutLogin, "many sessions").await;
    within(house, &mallory, Rung::EndSessions, "many sessions").await;
    for line in &lines {
        assert_ne!(outcome(line, "SELECT 1").await, "ok");
    }
    house.close(&mallory).await;
}

/// Before 16 a member can set the role, and what it makes then is the role's own.
async fn objects_of_a_permission_role(house: &House) {
    let wanted = Entitlement::new(ResourceId::new("postgresql-schema", ["app", "stock"]), "ADMIN");
    let mallory = house.grantee("planter", std::slice::from_ref(&wanted)).await;
    let line = house.line(&mallory, "app").await;
    let name = &mallory.account.name.0;
    let role = house
        .admin("postgres")
        .await
        .one(&format!(
            "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid \
             JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = '{name}' AND r.rolname LIKE 'tidegate\\_adm%'"
        ))
        .await
        .unwrap()
        .unwrap();
    let planted = format!(
        "SET ROLE {}; CREATE FUNCTION stock.door() RETURNS bigint SECURITY DEFINER LANGUAGE sql \
         AS 'SELECT count(*) FROM stock.items'; RESET ROLE",
        ident(&role)
    );
    if version(house).await >= 160_000 {
        assert_eq!(outcome(&line, &planted).await, "42501", "the role cannot be set at all");
        drop(line);
        house.close(&mallory).await;
        return;
    }
    line.run(&planted).await.unwrap();
    assert!(!house.seen(&mallory).await.excess.is_empty(), "objects of the permission role are told");
    // Nobody else is held up, and the door leads nowhere.
    let other = house.grantee("beside_planter", std::slice::from_ref(&wanted)).await;
    assert_eq!(house.seen(&other).await.excess, Vec::<String>::new());
    let owner = house
        .admin("app")
        .await
        .one("SELECT proowner::regrole FROM pg_proc WHERE proname = 'door'")
        .await
        .unwrap()
        .unwrap();
    assert!(owner.starts_with("tidegate_heir_"), "{owner}");
    assert_eq!(outcome(&line, "SELECT stock.door()").await, "42501", "runs with the heir's rights: none");
    line.run(&planted.replace("door", "second_door")).await.unwrap();
    drop(line);
    house.close(&mallory).await;
    let left = format!("SELECT 1 FROM pg_shdepend WHERE refobjid = '{role}'::regrole AND deptype = 'o'");
    assert_eq!(house.admin("postgres").await.one(&left).await.unwrap(), None, "closing leaves none either");
    house.close(&other).await;
    house.admin("app").await.run("DROP FUNCTION stock.door, stock.second_door").await.unwrap();
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

async fn memberships_given_on(house: &House) {
    let mallory = house.grantee("giver", &[orders()]).await;
    let own = ident(&mallory.account.name.0);
    let role = house.world.permission_roles(&mallory.account.name.0).await.unwrap().remove(0);
    let admin = house.admin("postgres").await;
    admin.run(&format!("CREATE ROLE helper LOGIN; GRANT {role} TO {own} WITH ADMIN OPTION")).await.unwrap();
    house.line(&mallory, "app").await.run(&format!("GRANT {role} TO helper")).await.unwrap();
    admin.run(&format!("GRANT {own} TO helper")).await.unwrap();
    let seen = house.seen(&mallory).await;
    assert!(seen.excess.iter().any(|what| what.contains("give membership")), "{:?}", seen.excess);
    house.close(&mallory).await;
    let members = format!(
        "SELECT m.roleid::regrole FROM pg_auth_members m WHERE m.member = 'helper'::regrole AND m.roleid IN ('{role}'::regrole, '{}'::regrole)",
        mallory.account.name.0
    );
    assert_eq!(admin.column(&members).await.unwrap(), Vec::<String>::new());
    let seen = house.seen(&mallory).await;
    assert!(!seen.residual.iter().any(|left| left.kind == ResidualKind::OnwardGrant), "{:?}", seen.residual);
    house.target.delete(&mallory.account, HeirPolicy::HandOver).await.unwrap();
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

/// A permission role that was given more by hand gives no new access, and says so on the old.
async fn wider_roles(house: &House) {
    let ann = house.grantee("widened", &[orders()]).await;
    let role = house.world.permission_roles(&ann.account.name.0).await.unwrap().remove(0);
    let table = [
        (
            "another privilege",
            "app",
            "GRANT INSERT ON public.orders TO {}",
            "REVOKE INSERT ON public.orders FROM {}",
        ),
        (
            "grant option",
            "app",
            "GRANT SELECT ON public.orders TO {} WITH GRANT OPTION",
            "REVOKE GRANT OPTION FOR SELECT ON public.orders FROM {}",
        ),
        ("another table", "app", "GRANT SELECT ON stock.items TO {}", "REVOKE SELECT ON stock.items FROM {}"),
        (
            "a column",
            "app",
            "GRANT UPDATE (id) ON public.orders TO {}",
            "REVOKE UPDATE (id) ON public.orders FROM {}",
        ),
        (
            "the schema",
            "app",
            "GRANT CREATE ON SCHEMA public TO {}",
            "REVOKE CREATE ON SCHEMA public FROM {}",
        ),
        (
            "the database",
            "app",
            "GRANT TEMPORARY ON DATABASE app TO {}",
            "REVOKE TEMPORARY ON DATABASE app FROM {}",
        ),
        (
            "another database",
            "sales",
            "GRANT SELECT ON crm.leads TO {}",
            "REVOKE SELECT ON crm.leads FROM {}",
        ),
        (
            "what will be made",
            "app",
            "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT ON TABLES TO {}",
            "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner REVOKE SELECT ON TABLES FROM {}",
        ),
        (
            "a routine",
            "app",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT EXECUTE ON FUNCTION f TO {}",
            "DROP FUNCTION f",
        ),
        ("a membership", "app", "GRANT analysts TO {}", "REVOKE analysts FROM {}"),
        ("an attribute", "app", "ALTER ROLE {} CREATEDB", "ALTER ROLE {} NOCREATEDB"),
        ("a login", "app", "ALTER ROLE {} LOGIN", "ALTER ROLE {} NOLOGIN"),
        (
            "the common role",
            "app",
            "GRANT SELECT ON stock.items TO tidegate_managed",
            "REVOKE SELECT ON stock.items FROM tidegate_managed",
        ),
        (
            "the common role joins",
            "app",
            "GRANT analysts TO tidegate_managed",
            "REVOKE analysts FROM tidegate_managed",
        ),
        ("its comment", "app", "COMMENT ON ROLE {} IS 'mine'", ""),
    ];
    for (n, (what, database, widen, narrow)) in table.into_iter().enumerate() {
        let line = house.admin(database).await;
        let comment = format!("SELECT shobj_description('{role}'::regrole, 'pg_authid')");
        let comment = line.one(&comment).await.unwrap().unwrap();
        line.run(&widen.replace("{}", &role)).await.unwrap();
        let who = format!("wide{n}");
        let answer = house.try_grantee(&who, &[orders()]).await.map(|_| ()).map_err(|failure| failure.code);
        assert_eq!(answer, Err(Code::PERMISSION_ROLE_WIDER), "{what}");
        assert!(!house.seen(&ann).await.excess.is_empty(), "{what} is not told");
        if narrow.is_empty() {
            line.run(&format!("COMMENT ON ROLE {role} IS '{comment}'")).await.unwrap();
        } else {
            line.run(&narrow.replace("{}", &role)).await.unwrap();
        }
        let again = house.try_grantee(&who, &[orders()]).await;
        let again = again.unwrap_or_else(|failure| panic!("{what} was taken back, and still: {failure}"));
        assert_eq!(house.seen(&ann).await.excess, Vec::<String>::new(), "{what} was taken back");
        house.close(&again).await;
    }
    house.close(&ann).await;
}

/// An account makes things wherever it can; they go to somebody powerless, in every database.
async fn what_an_account_makes(house: &House) {
    let wanted = [
        Entitlement::new(ResourceId::new("postgresql-database", ["app"]), "ADMIN"),
        Entitlement::new(ResourceId::new("postgresql-schema", ["sales", "crm"]), "ADMIN"),
    ];
    let mallory = house.grantee("maker_of_things", &wanted).await;
    let app = house.line(&mallory, "app").await;
    app.run(
        "CREATE SCHEMA mine; CREATE TABLE mine.t (id serial); GRANT SELECT ON mine.t TO PUBLIC; \
         CREATE TYPE mine.e AS ENUM ('a'); CREATE FUNCTION mine.f() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql \
         AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER planted BEFORE INSERT ON stock.items FOR EACH ROW EXECUTE FUNCTION mine.f(); \
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC; SELECT lo_create(4711)",
    )
    .await
    .unwrap();
    house.line(&mallory, "sales").await.run("CREATE VIEW crm.v AS SELECT * FROM crm.leads").await.unwrap();
    drop(app);
    house.close(&mallory).await;
    let seen = house.seen(&mallory).await;
    let owned = seen.residual.iter().filter(|left| left.kind == ResidualKind::OwnedObjects).count();
    assert!(owned >= 2, "{:?}", seen.residual);
    let kept = house.target.delete(&mallory.account, HeirPolicy::KeepShut).await;
    assert_eq!(kept.map_err(|failure| failure.code), Err(Code::OWNED_OBJECTS));
    house.target.delete(&mallory.account, HeirPolicy::HandOver).await.unwrap();
    assert!(house.target.observe(&mallory.account).await.unwrap().is_absent());
    for (database, query) in [
        ("app", "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'mine'::regnamespace"),
        ("app", "SELECT proowner::regrole FROM pg_proc WHERE pronamespace = 'mine'::regnamespace"),
        ("app", "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'mine'"),
        ("app", "SELECT lomowner::regrole FROM pg_largeobject_metadata WHERE oid = 4711"),
        ("sales", "SELECT relowner::regrole FROM pg_class WHERE oid = 'crm.v'::regclass"),
    ] {
        let owners = house.admin(database).await.column(query).await.unwrap();
        assert!(
            owners.len() == 1 && owners.iter().all(|owner| owner.starts_with("tidegate_heir_")),
            "{query}: {owners:?}"
        );
    }
    house.admin("app").await.run("DROP SCHEMA mine CASCADE; SELECT lo_unlink(4711)").await.unwrap();
    house.admin("sales").await.run("DROP VIEW crm.v").await.unwrap();
    let report = house.target.retire().await.unwrap();
    assert!(!report.removed.is_empty());
}
