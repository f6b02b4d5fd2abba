//! A private PostgreSQL: TLS, administrator, stops, starts, crashes, and the end of its holder.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use services::install::{self, Need};
use services::postgres::{LogStatement, Mode, Options, Postgres, Tls};

use crate::{is_gone, kill9, runs, wait_for};

#[test]
fn answers_over_tls_and_is_gone_when_dropped() {
    let options = Options { log_statement: LogStatement::All, ..Options::for_tests() };
    let server = Postgres::launch(&options.set("work_mem", "5MB")).unwrap();
    let (pid, folder) = (server.pid().unwrap(), server.folder().to_owned());

    let table = [
        ("TLS", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", "t"),
        ("administrator", "select rolsuper from pg_roles where rolname = current_user", "t"),
        ("prepared transactions", "show max_prepared_transactions", "50"),
        ("connections", "show max_connections", "200"),
        ("a given setting", "show work_mem", "5MB"),
        ("a database with a hostile name", r#"create database "it's \ a ""name"""; select 1"#, "1"),
    ];
    for (name, statement, expected) in table {
        assert_eq!(server.psql("postgres", statement).unwrap().trim(), expected, "{name}");
    }
    let there = server.psql(r#"it's \ a "name""#, "select current_database()").unwrap();
    assert_eq!(there.trim(), r#"it's \ a "name""#);
    let verifier =
        server.psql("postgres", "select rolpassword from pg_authid where rolname = current_user").unwrap();
    assert!(verifier.starts_with("SCRAM-SHA-256$"), "{verifier}");
    let log = std::fs::read_to_string(server.log_file()).unwrap();
    assert!(log.contains("show max_prepared_transactions"), "statements are in the log");
    assert!(!log.contains(server.password()), "the password is not");

    drop(server);
    assert!(!runs(pid));
    assert!(is_gone(&folder));
}

#[test]
fn a_wrong_password_is_refused() {
    let server = Postgres::launch(&Options::for_tests()).unwrap();
    std::fs::write(server.pass_file(), format!("*:*:*:{}:wrong\n", server.superuser())).unwrap();
    let refused = server.psql("postgres", "select 1").unwrap_err().to_string();
    assert!(refused.contains("password authentication failed"), "{refused}");
}

#[test]
fn rows_survive_every_kind_of_stop_on_the_same_port() {
    let server = Postgres::launch(&Options::for_tests()).unwrap();
    let port = server.port();
    server.psql("postgres", "create table kept (step text)").unwrap();
    for mode in [Mode::Smart, Mode::Fast, Mode::Immediate] {
        server.psql("postgres", &format!("insert into kept values ('{mode:?}'); checkpoint")).unwrap();
        let pid = server.pid().unwrap();
        server.stop(mode).unwrap();
        assert!(!runs(pid), "{mode:?}");
        assert_eq!(server.pid(), None, "{mode:?}");
        assert!(server.psql("postgres", "select 1").is_err(), "{mode:?}");
        server.start().unwrap();
    }
    server.psql("postgres", "insert into kept values ('kill'); checkpoint").unwrap();
    server.kill9().unwrap();
    assert!(server.psql("postgres", "select 1").is_err());
    server.start().unwrap();
    assert!(server.start().is_err(), "it runs already");
    server.restart().unwrap();
    assert_eq!(server.psql("postgres", "select count(*) from kept").unwrap().trim(), "4");
    assert_eq!(server.port(), port);
}

#[test]
fn programs_without_tls_make_a_server_without_it_only_when_asked_to() {
    let bin_dir = install::here(Need::Postgres18).unwrap();
    let options = Options { bin_dir: Some(bin_dir), ..Options::for_tests() };
    let refused = Postgres::launch(&options).unwrap_err().to_string();
    assert!(refused.contains("built without TLS"), "{refused}");
    let server = Postgres::launch(&Options { tls: Tls::AsBuilt, ..options }).unwrap();
    assert!(!server.speaks_tls());
    let version = server.psql("postgres", "show server_version_num").unwrap();
    assert!(version.starts_with("18"), "{version}");
    assert!(Postgres::launch(&Options { tls: Tls::AsBuilt, ..Options::for_tests() }).unwrap().speaks_tls());
}

#[test]
fn a_standby_follows_until_it_is_promoted() {
    let primary = Postgres::launch(&Options::for_tests()).unwrap();
    primary.psql("postgres", "create table kept (step text)").unwrap();
    let standby = primary.standby(&Options::for_tests()).unwrap();
    primary.psql("postgres", "insert into kept values ('streamed')").unwrap();
    standby.catch_up(&primary).unwrap();
    let read = standby.psql("postgres", "select step from kept").unwrap();
    assert_eq!(read.trim(), "streamed");
    let refused = standby.psql("postgres", "insert into kept values ('refused')").unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    drop(primary);
    standby.promote().unwrap();
    standby.psql("postgres", "insert into kept values ('promoted')").unwrap();
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let fault = Postgres::launch(&Options::for_tests().set("no_such_setting", "1")).unwrap_err().to_string();
    assert!(fault.contains("unrecognized configuration parameter"), "{fault}");
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_is_left_when_the_holder_is_killed() {
    let (mut holder, pid, folder) = holder();
    kill9(holder.id());
    holder.wait().unwrap();
    wait_for("the server of a killed holder is gone", || !runs(pid));
    wait_for("the folder of a killed holder is gone", || is_gone(&folder));
}

#[test]
fn nothing_is_left_when_the_holder_ends() {
    let (mut holder, pid, folder) = holder();
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(!runs(pid));
    assert!(is_gone(&folder));
}

#[test]
#[cfg(target_os = "linux")]
fn the_server_ends_when_its_keeper_is_killed() {
    let server = Postgres::launch(&Options::for_tests()).unwrap();
    let pid = server.pid().unwrap();
    kill9(server.keeper_pid().unwrap());
    wait_for("the server of a killed keeper is gone", || !runs(pid));
    server.start().unwrap();
    assert_eq!(server.psql("postgres", "select 1").unwrap().trim(), "1");
}

#[test]
fn the_server_outlives_the_thread_that_started_it() {
    let server = std::thread::spawn(|| Postgres::launch(&Options::for_tests()).unwrap()).join().unwrap();
    assert_eq!(server.psql("postgres", "select 1").unwrap().trim(), "1");
}

/// Another process that holds a server, with the server's process id and folder.
fn holder() -> (Child, u32, PathBuf) {
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hold-postgres"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (pid, folder) = line.trim().split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    assert!(runs(pid));
    (holder, pid, folder.into())
}
