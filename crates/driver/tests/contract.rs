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

#[tokio::test(start_paused = true)]
async fn what_is_not_applicable_is_exactly_what_the_world_lists() {
    const LOG: &str = "secrecy::nothing_secret_is_in_the_targets_log";
    let silent = FakeWorld::new(Nature::Steps).listing(&[]);
    let report = contract::play(&silent, LOG).await;
    assert!(report.is_broken(LOG) && report.not_applicable.is_empty(), "not listed: {report}");
    let listed = FakeWorld::new(Nature::Transactions).listing(&[(LOG, "for once")]);
    let report = contract::play(&listed, LOG).await;
    assert_eq!((report.kept.len(), report.not_applicable.as_slice()), (0, &[(LOG, "for once")][..]));
    let odd = FakeWorld::new(Nature::Steps).listing(&[("retire::nothing", "")]);
    let report = contract::play(&odd, "retire::nothing_of_ours_is_left").await;
    assert!(report.is_broken("retire::nothing"), "no such case: {report}");
}
