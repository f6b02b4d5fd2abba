//! A storm that every run of the tests plays. What it takes is told and not judged; who is starved, and what is missing
//! or left open, is.

use std::time::Duration;

use storm::play::{Plan, befalls, play};
use storm::target::trouble::Kind;

const ACCESSES: usize = 1_000;
const TARGETS: usize = 20;
/// On a PostgreSQL beside them.
const REAL: usize = 30;

#[expect(clippy::print_stdout, reason = "what was measured is for whoever reads the test's output")]
fn tell(measured: &str) {
    println!("storm: {measured}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_starved_when_all_end_in_one_second() {
    for kind in [Kind::Slow, Kind::Down, Kind::Silent] {
        assert!((0..TARGETS).any(|target| befalls(target) == kind), "no target is {}", kind.word());
    }
    let plan = Plan {
        agent: env!("CARGO_BIN_EXE_storm-agent").into(),
        accesses: ACCESSES,
        targets: TARGETS,
        real: REAL,
        trouble: Duration::from_secs(3),
        lead: Duration::from_secs(22),
        smoke: true,
    };
    let played = play(&plan, &tell).await.unwrap_or_else(|fault| panic!("{fault:#}"));
    played.figures.lines().iter().for_each(|line| tell(line));
    assert_eq!(played.starved, Vec::<String>::new());
}
