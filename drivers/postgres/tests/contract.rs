//! The driver on real PostgreSQL servers: the contract suite, and what is PostgreSQL's own.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has to fail")]

#[path = "contract/admin.rs"]
mod admin;
#[path = "contract/attacks.rs"]
mod attacks;
#[path = "contract/grantee.rs"]
mod grantee;
#[path = "contract/inventory.rs"]
mod inventory;
#[path = "contract/lines.rs"]
mod lines;
#[path = "contract/people.rs"]
mod people;
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
use services::postgres::{LogStatement, Options};
use world::PostgresWorld;

/// A server that logs every statement; `POSTGRES_BIN` chooses another version by the folder of its programs.
fn all_logged() -> Options {
    let bin_dir = std::env::var_os("POSTGRES_BIN").map(Into::into);
    Options { bin_dir, log_statement: LogStatement::All, ..Options::for_tests() }
}

/// `CONTRACT=part` plays only the cases whose names contain that part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract() {
    let elsewhere = PostgresWorld::start(&all_logged(), None).await;
    let world = PostgresWorld::start(&all_logged(), Some(Box::new(elsewhere))).await;
    match std::env::var("CONTRACT") {
        Ok(part) => {
            let report = contract::play(&world, &part).await;
            assert!(report.broken.is_empty() && !report.kept.is_empty(), "{report}");
        }
        Err(_) => drop(contract::run(&world).await),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_can_do_what_its_permissions_say() {
    semantics::all(&House::open(PostgresWorld::start(&all_logged(), None).await).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attacks_do_not_succeed() {
    let house = House::open(PostgresWorld::start(&all_logged(), None).await).await;
    attacks::all(&house).await;
    shared::all(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_tls_mode_keeps_its_word() {
    lines::all().await;
}
