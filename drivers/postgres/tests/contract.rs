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
use services::postgres::{LogStatement, Options, Tls};
use world::{Admin, PostgresWorld};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    /// The one that the other tests use, too: 15 where it can be had. `POSTGRES_BIN` chooses another by the
    /// folder of its programs.
    Usual,
    /// The newest.
    Eighteen,
}

impl Server {
    /// Returns a server that logs every statement.
    fn all_logged(self) -> Options {
        let bin_dir = match self {
            Self::Usual => std::env::var_os("POSTGRES_BIN").map(Into::into),
            Self::Eighteen => Some(install::here(Need::Postgres18).unwrap()),
        };
        Options { bin_dir, log_statement: LogStatement::All, tls: Tls::AsBuilt, ..Options::for_tests() }
    }

    /// Returns a server that speaks TLS.
    fn with_tls(self) -> Options {
        let bin_dir = match self {
            Self::Usual => None,
            Self::Eighteen => Some(install::here(Need::Postgres18Tls).unwrap()),
        };
        Options { bin_dir, ..Options::for_tests() }
    }

    async fn world(self, admin: Admin, elsewhere: Option<Box<PostgresWorld>>) -> PostgresWorld {
        self.world_of(&self.all_logged(), admin, elsewhere).await
    }

    async fn world_of(
        self,
        options: &Options,
        admin: Admin,
        elsewhere: Option<Box<PostgresWorld>>,
    ) -> PostgresWorld {
        let world = PostgresWorld::start(options, admin, elsewhere).await;
        let line = world.admin("postgres").await.unwrap();
        let version = line.one("SHOW server_version_num").await.unwrap().unwrap();
        assert!(self == Self::Usual || version.starts_with("18"), "this is {version} and no 18");
        world
    }
}

/// `CONTRACT=part` plays only the cases whose names contain that part.
async fn keeps_the_contract(server: Server, admin: Admin) {
    let elsewhere = server.world(admin, None).await;
    let world = server.world(admin, Some(Box::new(elsewhere))).await;
    match std::env::var("CONTRACT") {
        Ok(part) => {
            let report = contract::play(&world, &part).await;
            assert!(report.broken.is_empty() && !report.kept.is_empty(), "{report}");
        }
        Err(_) => drop(contract::run(&world).await),
    }
}

async fn a_login_can_do_what_its_permissions_say(server: Server, admin: Admin) {
    let house = House::open(server.world(admin, None).await).await;
    semantics::all(&house).await;
    grantors::all(&house).await;
}

async fn a_check_changes_nothing_and_names_what_is_missing(server: Server, admin: Admin) {
    checks::all(&House::open(server.world(admin, None).await).await).await;
}

async fn a_standby_takes_over(server: Server, admin: Admin) {
    failover::all(House::open(server.world(admin, None).await).await).await;
}

async fn attacks_do_not_succeed(server: Server, admin: Admin) {
    let options = Options { max_connections: attacks::ROOM, ..server.all_logged() };
    let house = House::open(server.world_of(&options, admin, None).await).await;
    attacks::all(&house).await;
    shared::all(&house).await;
}

async fn many_databases_are_told_page_by_page(server: Server, admin: Admin) {
    many::databases(&House::open(server.world(admin, None).await).await).await;
}

async fn many_open_one_table_at_once(server: Server, admin: Admin) {
    many::openings(&House::open(server.world(admin, None).await).await).await;
}

async fn its_reach_ends_where_the_script_says(server: Server, admin: Admin) {
    least::all(&House::open(server.world(admin, None).await).await).await;
}

async fn an_earlier_instance_is_ended(server: Server, admin: Admin) {
    predecessors::all(&House::open(server.world(admin, None).await).await).await;
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
    usual: crate::Server::Usual, crate::Admin::Superuser => many_databases_are_told_page_by_page, many_open_one_table_at_once, a_standby_takes_over, keeps_the_contract, a_check_changes_nothing_and_names_what_is_missing,
        a_login_can_do_what_its_permissions_say, attacks_do_not_succeed, an_earlier_instance_is_ended;
    usual_least: crate::Server::Usual, crate::Admin::Least => many_open_one_table_at_once, its_reach_ends_where_the_script_says, keeps_the_contract, a_check_changes_nothing_and_names_what_is_missing,
        a_login_can_do_what_its_permissions_say, attacks_do_not_succeed, an_earlier_instance_is_ended;
    eighteen_least: crate::Server::Eighteen, crate::Admin::Least => many_open_one_table_at_once, a_standby_takes_over, its_reach_ends_where_the_script_says, keeps_the_contract, a_check_changes_nothing_and_names_what_is_missing,
        a_login_can_do_what_its_permissions_say, attacks_do_not_succeed, an_earlier_instance_is_ended;
    eighteen: crate::Server::Eighteen, crate::Admin::Superuser => keeps_the_contract, a_check_changes_nothing_and_names_what_is_missing,
        a_login_can_do_what_its_permissions_say, attacks_do_not_succeed;
}

/// Thousands of accounts on each server, for each admin. What it took is in the output.
macro_rules! plays_thousands {
    ($($test:ident: $server:expr, $admin:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "long: 5,000 accounts take half a minute and more to make"]
        async fn $test() {
            let server: Server = $server;
            // What the server thinks of its catalogue stays as it was while that was small.
            let options = Options { log_statement: LogStatement::None, ..server.all_logged() };
            let options = options.set("autovacuum", "off");
            let house = House::open(server.world_of(&options, $admin, None).await).await;
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
            $play(&Server::Usual.with_tls()).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[ignore = "long: PostgreSQL 18 with TLS is not for every machine"]
        async fn $on_18() {
            $play(&Server::Eighteen.with_tls()).await;
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
