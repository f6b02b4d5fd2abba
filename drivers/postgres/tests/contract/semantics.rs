//! What each permission lets a real login do, now and with what is made later.

use driver::HeirPolicy;
use model::{Code, Entitlement, ResourceId};
use services::postgres::Admin;

use crate::admin::ident;
use crate::people::{House, outcome, set};
use crate::world::table;

const DENIED: &str = "42501";

fn schema(database: &str, schema: &str, permission: &str) -> Entitlement {
    Entitlement::new(ResourceId::new("postgresql-schema", [database, schema]), permission)
}

fn database(database: &str, permission: &str) -> Entitlement {
    Entitlement::new(ResourceId::new("postgresql-database", [database]), permission)
}

fn role(role: &str) -> Entitlement {
    Entitlement::new(ResourceId::new("postgresql-role", [role]), "Attach")
}

/// Everything that can be read in a schema of its own.
const SHOP: &str = "
SET ROLE app_owner;
CREATE SCHEMA shop;
CREATE TABLE shop.sold (id serial PRIMARY KEY, what text, day date NOT NULL DEFAULT '2026-01-01');
INSERT INTO shop.sold (what) VALUES ('a boat');
CREATE VIEW shop.seen AS SELECT * FROM shop.sold;
CREATE MATERIALIZED VIEW shop.kept AS SELECT * FROM shop.sold;
CREATE TABLE shop.parted (day date NOT NULL) PARTITION BY RANGE (day);
CREATE TABLE shop.part PARTITION OF shop.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
REVOKE EXECUTE ON FUNCTION shop.twice(int) FROM PUBLIC;
CREATE PROCEDURE shop.nothing() LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON PROCEDURE shop.nothing() FROM PUBLIC";

/// What is made after the accounts were opened: by the owner, and by somebody else who may create here.
const LATER: &str = "
SET ROLE app_owner; CREATE TABLE shop.later (id serial PRIMARY KEY);
RESET ROLE; SET ROLE maker; CREATE TABLE shop.by_maker (id serial PRIMARY KEY); RESET ROLE";

pub(crate) async fn all(house: &House) {
    levels_on_a_schema(house).await;
    a_whole_database(house).await;
    one_table_with_its_sequence(house).await;
    attached_roles(house).await;
    random_names(house).await;
}

async fn levels_on_a_schema(house: &House) {
    let app = house.admin("app").await;
    app.run(SHOP).await.unwrap();
    app.run("RESET ROLE; CREATE ROLE maker; GRANT USAGE, CREATE ON SCHEMA shop TO maker").await.unwrap();
    let reader = house.grantee("reader", &[schema("app", "shop", "READ_ONLY")]).await;
    let writer = house.grantee("writer", &[schema("app", "shop", "READ_WRITE")]).await;
    let keeper = house.grantee("keeper", &[schema("app", "shop", "ADMIN")]).await;
    app.run(LATER).await.unwrap();

    // What somebody makes later is covered as far as the admin may speak for them.
    let maker = if house.world.admin == Admin::Least { DENIED } else { "ok" };
    // Statement, then what comes of it for READ_ONLY, READ_WRITE, ADMIN.
    let table = [
        ("SELECT * FROM shop.sold", ["ok", "ok", "ok"]),
        ("SELECT * FROM shop.seen", ["ok", "ok", "ok"]),
        ("SELECT * FROM shop.kept", ["ok", "ok", "ok"]),
        ("SELECT * FROM shop.parted", ["ok", "ok", "ok"]),
        ("SELECT * FROM shop.part", ["ok", "ok", "ok"]),
        ("SELECT last_value FROM shop.sold_id_seq", ["ok", "ok", "ok"]),
        ("SELECT * FROM shop.later", ["ok", "ok", "ok"]),
        ("SELECT * FROM shop.by_maker", [maker, maker, maker]),
        ("INSERT INTO shop.sold DEFAULT VALUES", [DENIED, "ok", "ok"]),
        ("INSERT INTO shop.later DEFAULT VALUES", [DENIED, "ok", "ok"]),
        ("INSERT INTO shop.by_maker DEFAULT VALUES", [DENIED, maker, maker]),
        ("INSERT INTO shop.parted VALUES ('2026-05-05')", [DENIED, "ok", "ok"]),
        ("UPDATE shop.sold SET what = 'two'", [DENIED, "ok", "ok"]),
        ("DELETE FROM shop.part", [DENIED, "ok", "ok"]),
        ("SELECT nextval('shop.later_id_seq')", [DENIED, "ok", "ok"]),
        ("SELECT setval('shop.later_id_seq', 5)", [DENIED, DENIED, "ok"]),
        ("TRUNCATE shop.later", [DENIED, DENIED, "ok"]),
        ("SELECT shop.twice(2)", [DENIED, DENIED, "ok"]),
        ("CALL shop.nothing()", [DENIED, DENIED, "ok"]),
        ("CREATE TABLE shop.own (); DROP TABLE shop.own", [DENIED, DENIED, "ok"]),
        ("ALTER TABLE shop.sold ADD COLUMN more int", [DENIED, DENIED, DENIED]),
        ("DROP TABLE shop.later", [DENIED, DENIED, DENIED]),
        ("SELECT * FROM stock.items", [DENIED, DENIED, DENIED]),
        ("CREATE TEMP TABLE mine ()", ["ok", "ok", "ok"]),
    ];
    let lines = [
        house.line(&reader, "app").await,
        house.line(&writer, "app").await,
        house.line(&keeper, "app").await,
    ];
    for (statement, expected) in table {
        for (line, expected) in lines.iter().zip(expected) {
            assert_eq!(outcome(line, statement).await, expected, "{statement}");
        }
    }
    drop(lines);
    // Another creator, whom nobody knew when the roles were made: covered from the next order on.
    app.run("RESET ROLE; CREATE ROLE newcomer; GRANT USAGE, CREATE ON SCHEMA shop TO newcomer")
        .await
        .unwrap();
    app.run("SET ROLE newcomer; CREATE TABLE shop.unforeseen (); RESET ROLE").await.unwrap();
    if house.world.admin == Admin::Least {
        // What is there and cannot be given is not passed over in silence.
        let refused = house.try_grantee("next", &[schema("app", "shop", "READ_ONLY")]).await.map(|_| ());
        assert_eq!(refused.map_err(|failure| failure.code), Err(Code::RIGHT_MISSING));
        let us = house.world.admin_name();
        app.run(&format!("GRANT newcomer, maker TO {us}")).await.unwrap();
    }
    let next = house.grantee("next", &[schema("app", "shop", "READ_ONLY")]).await;
    app.run("SET ROLE newcomer; CREATE TABLE shop.foreseen (); RESET ROLE").await.unwrap();
    let line = house.line(&reader, "app").await;
    assert_eq!(outcome(&line, "SELECT * FROM shop.unforeseen; SELECT * FROM shop.foreseen").await, "ok");
    drop(line);
    for grantee in [&reader, &writer, &keeper, &next] {
        assert_eq!(house.seen(grantee).await.excess, Vec::<String>::new());
        house.close(grantee).await;
        house.target.delete(&grantee.account, HeirPolicy::HandOver).await.unwrap();
    }
}

async fn a_whole_database(house: &House) {
    let reader = house.grantee("everywhere", &[database("app", "READ_ONLY")]).await;
    let keeper = house.grantee("keeper_of_all", &[database("app", "ADMIN")]).await;
    let app = house.admin("app").await;
    app.run("SET ROLE app_owner; CREATE SCHEMA brand_new; CREATE TABLE brand_new.t (id serial)")
        .await
        .unwrap();
    let table = [
        ("SELECT * FROM stock.items", ["ok", "ok"]),
        ("SELECT * FROM brand_new.t", ["ok", "ok"]),
        ("INSERT INTO stock.items DEFAULT VALUES", [DENIED, "ok"]),
        ("INSERT INTO brand_new.t DEFAULT VALUES", [DENIED, "ok"]),
        ("CREATE SCHEMA own; DROP SCHEMA own", [DENIED, "ok"]),
    ];
    let lines = [house.line(&reader, "app").await, house.line(&keeper, "app").await];
    for (statement, expected) in table {
        for (line, expected) in lines.iter().zip(expected) {
            assert_eq!(outcome(line, statement).await, expected, "{statement}");
        }
    }
    drop(lines);
    let elsewhere = house.line(&reader, "sales").await;
    assert_eq!(outcome(&elsewhere, "SELECT * FROM crm.leads").await, DENIED, "another database");
    drop(elsewhere);
    house.close(&reader).await;
    house.close(&keeper).await;
}

async fn one_table_with_its_sequence(house: &House) {
    let writer = house.grantee("one_table", &[table("app", "stock", "items", "READ_WRITE")]).await;
    let line = house.line(&writer, "app").await;
    assert_eq!(
        outcome(&line, "INSERT INTO stock.items DEFAULT VALUES").await,
        "ok",
        "draws from its sequence"
    );
    assert_eq!(outcome(&line, "SELECT * FROM stock.levels").await, DENIED, "its neighbour");
    assert_eq!(
        outcome(&line, "SELECT nextval('stock.levels_id_seq')").await,
        DENIED,
        "its neighbour's sequence"
    );
    drop(line);
    house.close(&writer).await;
}

async fn attached_roles(house: &House) {
    let admin = house.admin("postgres").await;
    admin
        .run(
            "CREATE ROLE boss CREATEROLE; CREATE ROLE under_boss; GRANT boss TO under_boss; \
             CREATE ROLE reader_of_files; GRANT pg_read_server_files TO reader_of_files; \
             CREATE ROLE given_on; CREATE ROLE may_give; GRANT given_on TO may_give WITH ADMIN OPTION",
        )
        .await
        .unwrap();
    house.admin("app").await.run("GRANT SELECT ON public.orders TO analysts").await.unwrap();
    let table = [
        ("analysts", None),
        ("no_such_role", Some(Code::RESOURCE_MISSING)),
        ("boss", Some(Code::PERMISSION_REFUSED)),
        ("under_boss", Some(Code::PERMISSION_REFUSED)),
        ("reader_of_files", Some(Code::PERMISSION_REFUSED)),
        ("may_give", Some(Code::PERMISSION_REFUSED)),
        ("pg_monitor", Some(Code::PERMISSION_REFUSED)),
        ("tidegate_managed", Some(Code::PERMISSION_REFUSED)),
        (house.world.server.superuser(), Some(Code::PERMISSION_REFUSED)),
    ];
    for (n, (name, refused)) in table.into_iter().enumerate() {
        let answer = house.try_grantee(&format!("attached{n}"), &[role(name)]).await;
        assert_eq!(answer.as_ref().err().map(|failure| failure.code.clone()), refused, "{name}");
        if let Ok(grantee) = answer {
            let line = house.line(&grantee, "app").await;
            assert_eq!(outcome(&line, "SELECT * FROM public.orders").await, "ok");
            assert_eq!(house.seen(&grantee).await.entitlements, set(&[role(name)]));
            assert_eq!(outcome(&line, "SET ROLE boss").await, DENIED);
            drop(line);
            house.close(&grantee).await;
        }
    }
}

/// Names that nobody thought of, made and granted for real: a fixed walk through characters that quoting,
/// folding and matching care about.
async fn random_names(house: &House) {
    let alphabet: Vec<char> = "a B\"'\\;-$%_.{}()*/\n\t\r\u{1}é漢\u{1f980}\u{202e}0".chars().collect();
    let app = house.admin("app").await;
    let mut wanted = vec![];
    let mut state = 0x2545_f491_u32;
    for length in 1..=24 {
        let mut name = String::new();
        for _ in 0..length {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let n = usize::try_from(state >> 16).unwrap() % alphabet.len();
            name.push(*alphabet.get(n).unwrap());
        }
        while name.len() > 60 {
            name.pop();
        }
        app.run(&format!("SET ROLE app_owner; CREATE SCHEMA {0}; CREATE TABLE {0}.{0} ()", ident(&name)))
            .await
            .unwrap();
        wanted.push(table("app", &name, &name, "READ_ONLY"));
    }
    let reader = house.grantee("any_name", &wanted).await;
    assert_eq!(house.seen(&reader).await.entitlements, set(&wanted));
    let line = house.line(&reader, "app").await;
    for entitlement in &wanted {
        let name = ident(entitlement.resource.path.last().unwrap());
        assert_eq!(outcome(&line, &format!("SELECT * FROM {name}.{name}")).await, "ok", "{name:?}");
    }
    drop(line);
    house.close(&reader).await;
}
