//! Attacks on what accounts share: permission roles, the common role, the heir; and what accounts leave.

use driver::HeirPolicy;
use driver::contract::World;
use model::{Code, Entitlement, ResidualKind, ResourceId};

use crate::admin::ident;
use crate::attacks::{orders, version};
use crate::people::{House, outcome};

pub(crate) async fn all(house: &House) {
    what_an_account_makes(house).await;
    objects_of_a_permission_role(house).await;
    if !house.world.narrow().await.unwrap() {
        memberships_given_on(house).await;
    }
    rights_given_from_below(house).await;
    wider_roles(house).await;
    let report = house.target.retire().await.unwrap();
    assert!(!report.removed.is_empty() && report.left.is_empty(), "{report:?}");
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

/// Anybody may give rights on what is their own, a temporary table will do: that must neither look like a
/// permission role that grew, nor keep others from being opened, closed and deleted.
async fn rights_given_from_below(house: &House) {
    let mallory = house.grantee("from_below", &[orders()]).await;
    let bob = house.grantee("bob", &[orders()]).await;
    let role = house.world.permission_roles(&mallory.account.name.0).await.unwrap().remove(0);
    let heir = house
        .admin("postgres")
        .await
        .one("SELECT rolname FROM pg_roles WHERE rolname LIKE 'tidegate\\_heir%'")
        .await
        .unwrap()
        .unwrap();
    let mut lines = vec![];
    for database in ["app", "sales"] {
        let line = house.line(&mallory, database).await;
        line.run("CREATE TEMP TABLE bait (id int)").await.unwrap();
        for whom in [role.as_str(), heir.as_str(), "tidegate_managed", bob.account.name.0.as_str()] {
            line.run(&format!("GRANT ALL ON bait TO {whom}; GRANT SELECT (id) ON bait TO {whom}"))
                .await
                .unwrap();
            line.run(&format!("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {whom}")).await.unwrap();
        }
        if version(house).await < 160_000 {
            // Two dozen each: more than anybody reads.
            for n in 0..24 {
                for other in [role.as_str(), "tidegate_managed"] {
                    line.run(&format!("SET ROLE {other}; CREATE TEMP TABLE of_{other}{n} (); GRANT ALL ON of_{other}{n} TO {heir}; RESET ROLE")).await.unwrap();
                }
            }
        }
        lines.push(line);
    }
    let carol = house.grantee("carol", &[orders()]).await;
    let seen = house.seen(&carol).await;
    assert!(!seen.excess.iter().any(|what| what.contains("INSERT")), "{:?}", seen.excess);
    house.close(&bob).await;
    house.close(&carol).await;
    let objects = house.world.plant_owned(&bob.account.name).await.unwrap();
    house.target.delete(&bob.account, HeirPolicy::HandOver).await.unwrap();
    for object in &objects {
        house.world.remove_owned(object).await.unwrap();
    }
    // What really grew is still seen among all of that.
    let app = house.admin("app").await;
    app.run(&format!("GRANT INSERT ON public.orders TO {role}")).await.unwrap();
    let refused = house.try_grantee("dave", &[orders()]).await.map(|_| ()).map_err(|failure| failure.code);
    assert_eq!(refused, Err(Code::PERMISSION_ROLE_WIDER));
    app.run(&format!("REVOKE INSERT ON public.orders FROM {role}")).await.unwrap();
    drop(lines);
    house.close(&mallory).await;
    let carol = house.grantee("carol", &[orders()]).await;
    assert_eq!(house.seen(&carol).await.excess, Vec::<String>::new());
    house.close(&carol).await;
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
        // Without its mark it is no role of ours any more, and the common role is another: who is in it shows that.
        let told = !narrow.is_empty() && !what.starts_with("the common role");
        assert_eq!(told_wider(house).await.contains(&role), told, "{what} as a widened role");
        if narrow.is_empty() {
            line.run(&format!("COMMENT ON ROLE {role} IS '{comment}'")).await.unwrap();
        } else {
            line.run(&narrow.replace("{}", &role)).await.unwrap();
        }
        let again = house.try_grantee(&who, &[orders()]).await;
        let again = again.unwrap_or_else(|failure| panic!("{what} was taken back, and still: {failure}"));
        assert_eq!(house.seen(&ann).await.excess, Vec::<String>::new(), "{what} was taken back");
        assert!(
            !told_wider(house).await.contains(&role),
            "{what} was taken back, and the role is still told"
        );
        house.close(&again).await;
    }
    house.close(&ann).await;
    let app = house.admin("app").await;
    app.run(&format!("GRANT INSERT ON public.orders TO {role}")).await.unwrap();
    assert_eq!(told_wider(house).await, [role.as_str()], "nobody is in it");
    app.run(&format!("REVOKE INSERT ON public.orders FROM {role}")).await.unwrap();
    assert_eq!(told_wider(house).await, [""; 0]);
}

/// The permission roles that are told as widened.
async fn told_wider(house: &House) -> Vec<String> {
    let mut found = vec![];
    house.target.wider_roles(&mut found).await.unwrap();
    found
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
}
