//! The contract suite, tried on the made-up system: the sound driver keeps it, every sabotage is found.
#![expect(clippy::unwrap_used, reason = "tests end at the first surprise")]

#[path = "contract/fake_world.rs"]
mod fake_world;
#[path = "contract/sabotage.rs"]
mod sabotage;
#[path = "contract/script.rs"]
mod script;

use driver::contract;
use driver::fake::Nature;

use fake_world::FakeWorld;

#[tokio::test(start_paused = true)]
async fn a_system_with_transactions_keeps_the_contract() {
    let report = contract::run(&FakeWorld::new(Nature::Transactions)).await;
    assert_eq!(report.not_applicable, [], "every case is played");
}

#[tokio::test(start_paused = true)]
async fn a_system_of_single_statements_keeps_the_contract() {
    let report = contract::run(&FakeWorld::new(Nature::Steps)).await;
    let left_out: Vec<_> = report.not_applicable.iter().map(|(name, _)| *name).collect();
    assert_eq!(left_out, ["secrecy::nothing_secret_is_in_the_targets_log"]);
}
