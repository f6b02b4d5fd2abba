//! The driver on real PostgreSQL servers: the contract suite, and what is PostgreSQL's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to fail")]

#[path = "contract/admin.rs"]
mod admin;
#[path = "contract/attacks.rs"]
mod attacks;
#[path = "contract/certificates.rs"]
mod certificates;
#[path = "contract/checks.rs"]
mod checks;
#[path = "contract/failover.rs"]
mod failover;
#[path = "contract/grantee.rs"]
mod grantee;
#[path = "contract/grantors.rs"]
mod grantors;
#[path = "contract/hostile.rs"]
mod hostile;
#[path = "contract/inventory.rs"]
mod inventory;
#[path = "contract/least.rs"]
mod least;
#[path = "contract/lines.rs"]
mod lines;
#[path = "contract/many.rs"]
mod many;
#[path = "contract/mistrust.rs"]
mod mistrust;
#[path = "contract/people.rs"]
mod people;
#[path = "contract/predecessors.rs"]
mod predecessors;
#[path = "contract/resistance.rs"]
mod resistance;
#[path = "contract/semantics.rs"]
mod semantics;
#[path = "contract/shared.rs"]
mod shared;
#[path = "contract/world.rs"]
mod world;

use driver::contract;
use people::House;
use services::install::{self, Need};
use services::postgres::{Admin, LogStatement, Options, Server, Tls};
use world::PostgresWorld;

/// Returns a server that logs every statement. `POSTGRES_BIN` chooses another usual one by the folder of its programs.
fn all_logged(server: Server) -> Options {
    let chosen = || std::env::var_os("POSTGRES_BIN").map(Into::into);
    let bin_dir = server.bin_dir().unwrap().or_else(chosen);
    Options { bin_dir, log_statement: LogStatement::All, tls: Tls::AsBuilt, ..Options::for_tests() }
}

/// Returns a server that speaks TLS.
fn with_tls(server: Server) -> Options {
    let bin_dir = match server {
        Server::Usual => None,
        Server::Eighteen => Some(install::here(Need::Postgres18Tls).unwrap()),
    };
    Options { bin_dir, ..Options::for_tests() }
}

async fn start(server: Server, admin: Admin, elsewhere: Option<Box<PostgresWorld>>) -> PostgresWorld {
    start_with(&all_logged(server), server, admin, elsewhere).await
}

async fn start_with(
    options: &Options,
    server: Server,
    admin: Admin,
    elsewhere: Option<Box<PostgresWorld>>,
) -> PostgresWorld {
    let world = PostgresWorld::start(options, admin, elsewhere).await;
    let major = world.major().await;
    assert!(server == Server::Usual || major == 18, "this is {major} and no 18");
    world
}

/// `CONTRACT=part` plays only the cases whose names contain that part.
async fn keeps_the_contract(server: Server, admin: Admin) {
    let elsewhere = start(server, admin, None).await;
    let world = start(server, admin, Some(Box::new(elsewhere))).await;
    match std::env::var("CONTRACT") {
        Ok(part) => {
            let report = contract::play(&world, &part).await;
            assert!(report.broken.is_empty() && !report.kept.is_empty(), "{report}");
        }
        Err(_) => drop(contract::run(&world).await),
    }
}

async fn a_login_can_do_what_its_permissions_say(server: Server, admin: Admin) {
    let house = House::open(start(server, admin, None).await).await;
    semantics::all(&house).await;
    grantors::all(&house).await;
}

async fn a_check_changes_nothing_and_names_what_is_missing(server: Server, admin: Admin) {
    checks::all(&House::open(start(server, admin, None).await).await).await;
}

async fn a_standby_takes_over(server: Server, admin: Admin) {
    failover::all(House::open(start(server, admin, None).await).await).await;
}

async fn attacks_do_not_succeed(server: Server, admin: Admin) {
    let options = Options { max_connections: attacks::ROOM, ..all_logged(server) };
    let house = House::open(start_with(&options, server, admin, None).await).await;
    attacks::all(&house).await;
    shared::all(&house).await;
}

async fn many_databases_are_told_page_by_page(server: Server, admin: Admin) {
    many::databases(&House::open(start(server, admin, None).await).await).await;
}

async fn many_open_one_table_at_once(server: Server, admin: Admin) {
    many::openings(&House::open(start(server, admin, None).await).await).await;
}

async fn its_reach_ends_where_the_script_says(server: Server, admin: Admin) {
    least::all(&House::open(start(server, admin, None).await).await).await;
}

async fn an_earlier_instance_is_ended(server: Server, admin: Admin) {
    predecessors::all(&House::open(start(server, admin, None).await).await).await;
}

/// Plays tests on a server, in a room of its name.
macro_rules! plays {
    ($($room:ident: $server:expr, $admin:expr => $($test:ident),*;)*) => {$(
        mod $room {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test($server, $admin).await;
                }
            )*
        }
    )*};
}

plays! {
    usual: crate::Server::Usual, crate::Admin::Superuser => keeps_the_contract, a_login_can_do_what_its_permissions_say,
        a_check_changes_nothing_and_names_what_is_missing, attacks_do_not_succeed, an_earlier_instance_is_ended,
        a_standby_takes_over, many_open_one_table_at_once, many_databases_are_told_page_by_page;
    usual_least: crate::Server::Usual, crate::Admin::Least => keeps_the_contract, a_login_can_do_what_its_permissions_say,
        a_check_changes_nothing_and_names_what_is_missing, attacks_do_not_succeed, an_earlier_instance_is_ended,
        a_standby_takes_over, many_open_one_table_at_once, its_reach_ends_where_the_script_says;
    eighteen: crate::Server::Eighteen, crate::Admin::Superuser => keeps_the_contract, a_login_can_do_what_its_permissions_say,
        a_check_changes_nothing_and_names_what_is_missing, attacks_do_not_succeed, an_earlier_instance_is_ended,
        a_standby_takes_over, many_open_one_table_at_once;
    eighteen_least: crate::Server::Eighteen, crate::Admin::Least => keeps_the_contract, a_login_can_do_what_its_permissions_say,
        a_check_changes_nothing_and_names_what_is_missing, attacks_do_not_succeed, an_earlier_instance_is_ended,
        a_standby_takes_over, many_open_one_table_at_once, many_databases_are_told_page_by_page,
        its_reach_ends_where_the_script_says;
}

/// Thousands of accounts on each server, for each admin. What it took is in the output.
macro_rules! plays_thousands {
    ($($test:ident: $server:expr, $admin:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "long: 5,000 accounts take half a minute and more to make"]
        async fn $test() {
            let server: Server = $server;
            // What the server thinks of its catalogue stays as it was while that was small.
            let options = Options { log_statement: LogStatement::None, ..all_logged(server) };
            let options = options.set("autovacuum", "off");
            let house = House::open(start_with(&options, server, $admin, None).await).await;
            many::accounts(&house, 5_000).await;
        }
    )*};
}

plays_thousands! {
    many_accounts_on_15: Server::Usual, Admin::Superuser;
    many_accounts_on_15_least: Server::Usual, Admin::Least;
    many_accounts_on_18: Server::Eighteen, Admin::Superuser;
    many_accounts_on_18_least: Server::Eighteen, Admin::Least;
}

/// Plays on both servers what only one that speaks TLS can be tried with.
macro_rules! plays_with_tls {
    ($($test:ident, $on_18:ident => $play:path;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            $play(&with_tls(Server::Usual)).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "long: PostgreSQL 18 with TLS is not for every machine"]
        async fn $on_18() {
            $play(&with_tls(Server::Eighteen)).await;
        }
    )*};
}

plays_with_tls! {
    every_tls_mode_keeps_its_word, every_tls_mode_keeps_its_word_on_18 => lines::all;
    a_client_certificate_is_shown_for_tls_as_the_server_asks, a_client_certificate_is_shown_for_tls_as_18_asks => certificates::all;
    a_hostile_middle_of_tls_cannot_use_the_login, a_hostile_middle_of_tls_before_18_cannot_use_the_login => hostile::in_the_middle;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_server_gets_no_secret_with_tls_or_without() {
    hostile::all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_handshake_tells_its_cause_for_tls() {
    mistrust::all().await;
}
