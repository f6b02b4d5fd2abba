//! `check`: it changes nothing, as a dump shows it, and names what is missing with the statement that gives it.

use driver::{CheckReport, Grade, HeirPolicy, Probe};
use model::Code;
use services::postgres::Admin;

use crate::admin::ident;
use crate::attacks::orders;
use crate::people::House;
use crate::world::table;

pub(crate) async fn all(house: &House) {
    a_dump_is_the_same_before_and_after(house).await;
    nothing_is_missing(house).await;
    managed_services_are_recognised(house).await;
    if house.world.admin == Admin::Least {
        each_missing_right_is_named(house).await;
        owners_are_named(house).await;
    }
}

async fn checked(house: &House) -> CheckReport {
    // Anew: what a session was told when it logged in stays with it.
    house.again().await.check().await.unwrap()
}

fn told<'r>(report: &'r CheckReport, part: &str) -> Option<&'r Probe> {
    report.probes.iter().find(|probe| probe.detail.contains(part))
}

/// With roles, rights, defaults, comments, settings and rows of ours and of others on it.
async fn a_dump_is_the_same_before_and_after(house: &House) {
    let ann = house.grantee("dumped", &[orders(), table("sales", "crm", "leads", "READ_WRITE")]).await;
    let app = house.admin("app").await;
    app.run("INSERT INTO stock.levels (name) SELECT 'level ' || n FROM generate_series(1, 500) AS n")
        .await
        .unwrap();
    let before = house.world.server.dump().unwrap();
    for part in [
        "CREATE ROLE tidegate_managed",
        "tidegate:1:",
        "level 500",
        "GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE crm.leads",
    ] {
        assert!(before.contains(part), "the dump is whole: {part}");
    }
    for _ in 0..2 {
        checked(house).await;
        let after = house.world.server.dump().unwrap();
        if before != after {
            let differ = before.lines().zip(after.lines()).find(|(one, other)| one != other);
            panic!("check changed the dump: {differ:?}, {} bytes and {}", before.len(), after.len());
        }
    }
    house.close(&ann).await;
    house.target.delete(&ann.account, HeirPolicy::HandOver).await.unwrap();
}

async fn nothing_is_missing(house: &House) {
    let report = checked(house).await;
    let missing: Vec<_> = report.probes.iter().filter(|probe| probe.detail.contains("missing")).collect();
    // The database in which accounts are made is the superuser's here, as on most servers.
    let expected = if house.world.admin == Admin::Least { 1 } else { 0 };
    assert_eq!(missing.len(), expected, "{missing:?}");
    assert!(missing.iter().all(|probe| probe.grade == Grade::Warning && probe.detail.contains("`postgres`")));
    assert!(
        report.probes.iter().all(|probe| probe.grade != Grade::Bad && probe.name != "service"),
        "{report:?}"
    );
}

async fn managed_services_are_recognised(house: &House) {
    let admin = house.admin("postgres").await;
    let aurora =
        "CREATE FUNCTION pg_catalog.aurora_version() RETURNS text LANGUAGE sql AS 'SELECT ''16.1.0''::text'";
    for (role, beside, gone, product) in [
        ("rds_superuser", "", "", "Amazon RDS"),
        ("rds_superuser", aurora, "DROP FUNCTION pg_catalog.aurora_version()", "Amazon Aurora"),
        ("cloudsqlsuperuser", "", "", "Cloud SQL"),
        ("alloydbsuperuser", "", "", "AlloyDB"),
        ("azure_pg_admin", "", "", "Azure"),
    ] {
        admin.run(&format!("CREATE ROLE {role}; {beside}")).await.unwrap();
        let report = checked(house).await;
        let probe = report.probes.iter().find(|probe| probe.name == "service").unwrap();
        assert!(
            probe.detail.starts_with(product) && probe.detail.contains("recognised, not proven"),
            "{product}: {probe:?}"
        );
        admin.run(&format!("DROP ROLE {role}; {gone}")).await.unwrap();
    }
}

/// Takes each right away, and gives it back by the statement that `check` prints.
async fn each_missing_right_is_named(house: &House) {
    let admin = house.admin("postgres").await;
    let us = ident(house.world.admin_name());
    let narrow = house.world.narrow().await.unwrap();
    let common = "DROP ROLE tidegate_managed; CREATE ROLE tidegate_managed";
    identity_is_asked_for(house).await;
    let mut table = vec![
        (format!("ALTER ROLE {us} NOCREATEROLE"), "CREATEROLE", Grade::Bad),
        (format!("REVOKE pg_signal_backend FROM {us}"), "pg_signal_backend", Grade::Bad),
        ("REVOKE CONNECT ON DATABASE postgres, sales FROM PUBLIC; GRANT CONNECT ON DATABASE postgres TO PUBLIC".into(), "CONNECT on", Grade::Warning),
    ];
    if narrow {
        house.target.retire().await.unwrap();
        table.push((common.into(), "ADMIN OPTION on tidegate_managed", Grade::Bad));
    } else {
        table.push((format!("ALTER ROLE {us} NOINHERIT"), "INHERIT", Grade::Bad));
    }
    for (take, name, grade) in table {
        let owners_too = name == "CONNECT on";
        if owners_too {
            admin
                .run(&format!(
                    "ALTER DATABASE sales OWNER TO SESSION_USER; REVOKE CONNECT ON DATABASE sales FROM {us}"
                ))
                .await
                .unwrap();
        }
        admin.run(&take).await.unwrap();
        let report = checked(house).await;
        let probe = told(&report, name).unwrap_or_else(|| panic!("{name} is not told: {report:?}"));
        assert_eq!(probe.grade, grade, "{probe:?}");
        if name == "pg_signal_backend" || name == "CREATEROLE" || name == "ADMIN OPTION on tidegate_managed" {
            cannot_be_opened_or_closed(house, name).await;
        }
        let give = statement(probe, name);
        admin.run(give).await.unwrap();
        let report = checked(house).await;
        assert!(told(&report, name).is_none(), "`{give}` does not cure {name}: {report:?}");
        if owners_too {
            admin.run("ALTER DATABASE sales OWNER TO app_owner").await.unwrap();
        }
    }
    let ann = house.grantee("after_all", &[orders()]).await;
    house.close(&ann).await;
}

/// The right to ask which system this is stands in each database for itself.
async fn identity_is_asked_for(house: &House) {
    const DATABASES: [&str; 3] = ["postgres", "app", "sales"];
    for database in DATABASES {
        let take = "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC";
        house.admin(database).await.run(take).await.unwrap();
    }
    let report = checked(house).await;
    let probe = told(&report, "EXECUTE on pg_control_system()").unwrap();
    assert_eq!(probe.grade, Grade::Warning);
    let give = statement(probe, "pg_control_system");
    house.admin("postgres").await.run(give).await.unwrap();
    let half = house.again().await.check().await.map_err(|failure| failure.code);
    assert_eq!(half, Err(Code::RIGHT_MISSING), "told in one database and not in the others");
    for database in DATABASES {
        house.admin(database).await.run(give).await.unwrap();
    }
    assert!(told(&checked(house).await, "EXECUTE on pg_control_system()").is_none());
}

/// The statement between the backticks behind the name of what is missing.
fn statement<'p>(probe: &'p Probe, name: &str) -> &'p str {
    let (_, behind) = probe.detail.split_once(name).unwrap();
    behind.split('`').find(|part| part.ends_with(';')).unwrap_or_else(|| panic!("no statement in {probe:?}"))
}

/// What is Bad keeps accounts from being opened, or from being closed.
async fn cannot_be_opened_or_closed(house: &House, name: &str) {
    match house.try_grantee("hindered", &[orders()]).await {
        Err(failure) => assert_eq!(failure.code, Code::RIGHT_MISSING, "{name}"),
        Ok(ann) => {
            let line = house.line(&ann, "app").await;
            let ended = house.target.revoke(&ann.account, model::Rung::EndSessions).await;
            assert_eq!(ended.map_err(|failure| failure.code), Err(Code::RIGHT_MISSING), "{name}");
            drop(line);
        }
    }
}

/// Somebody else's table in a schema: nothing of it can be given, and the statement makes it possible.
async fn owners_are_named(house: &House) {
    let app = house.admin("app").await;
    app.run("CREATE ROLE newcomer; CREATE TABLE stock.of_newcomer (id int); ALTER TABLE stock.of_newcomer OWNER TO newcomer")
        .await
        .unwrap();
    let wanted = table("app", "stock", "of_newcomer", "READ_ONLY");
    let refused = house.try_grantee("too_early", std::slice::from_ref(&wanted)).await.map(|_| ());
    assert_eq!(refused.map_err(|failure| failure.code), Err(Code::RIGHT_MISSING));
    let report = checked(house).await;
    let probe = told(&report, "membership in \"newcomer\"").unwrap();
    assert!(probe.grade == Grade::Warning && probe.detail.contains("`app`"), "{probe:?}");
    app.run(statement(probe, "newcomer")).await.unwrap();
    let ann = house.grantee("in_time", &[wanted]).await;
    house.close(&ann).await;
    house.target.delete(&ann.account, HeirPolicy::HandOver).await.unwrap();
    app.run("DROP TABLE stock.of_newcomer").await.unwrap();
}
