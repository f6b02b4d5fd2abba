//! The target is away for hours, by every clock: what falls due meanwhile is told, survives the agent's own death, and
//! ends once, as soon as the target is back.

use std::time::Duration;

use model::{Deed, ReceiptBody};
use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;
use services::postgres::Mode;

use crate::passing::Passing;
use crate::plane::until;
use crate::world::World;

const MINUTE: u64 = 60;
const HOUR: i64 = 3_600;
/// An access, its grantee, and after how many minutes it is due.
type Due = (&'static str, &'static str, u64);
/// What falls due during the outage.
const DUE: [Due; 3] = [("a-1", "ann", 40), ("a-2", "bob", 110), ("a-3", "carl", 230)];
/// How long the target is away, in hours.
const AWAY: i64 = 6;
/// The hour after which the agent is killed and started again.
const KILLED_AFTER: i64 = 2;
/// In real time, for many tries on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(MINUTE * count)
}

/// How often the control plane was told, and how often it was signed, that an access has ended.
fn endings(world: &World, access: &str) -> (usize, usize) {
    let reports = world.plane.reports();
    let ended = |report: &&Told| match report {
        Told::AccessChanged(told) if told.access_id == access => {
            matches!(told.state.as_ref().and_then(|told| told.state.as_ref()), Some(State::Ended(_)))
        }
        _ => false,
    };
    let signed = |report: &&Told| match report {
        Told::Receipt(receipt) => {
            let body: ReceiptBody = serde_json::from_str(&receipt.body).unwrap();
            body.access.is_some_and(|of| of.to_string() == access) && matches!(body.deed, Deed::Ended { .. })
        }
        _ => false,
    };
    (reports.iter().filter(ended).count(), reports.iter().filter(signed).count())
}

/// Waits until heartbeats, the metrics and the status name so many as overdue, the longest for so many seconds at the least.
fn wait_overdue(world: &World, count: usize, longest: i64) {
    let count = u64::try_from(count).unwrap();
    let beat = || {
        let beat = world.plane.beat()?;
        let late = beat.longest_overdue.map_or(0, |late| late.seconds);
        (beat.overdue == count && late >= longest).then_some(())
    };
    let told = until(beat);
    told.unwrap_or_else(|| panic!("{count} overdue since {longest} s: {:#?}", world.plane.beat()));
    let status = world.run(&["status", "--json"]).ended(0).json();
    assert_eq!(status["work"]["total"]["counts"]["overdue"], count, "{status}");
}

#[test]
fn what_falls_due_in_hours_without_the_target_is_told_and_ends_once_when_it_is_back() {
    let world = World::start(&[]);
    for (access, grantee, due) in DUE {
        world.put(access, grantee, "orders", minutes(due));
        world.wait(access, "active", |state| matches!(state, State::Active(_)));
    }
    for (access, grantee) in [("kept-1", "dora"), ("kept-2", "emil")] {
        world.put(access, grantee, "stock", minutes(24 * 60));
        world.wait(access, "active", |state| matches!(state, State::Active(_)));
    }
    assert_eq!(world.logins().len(), 5);
    world.server.stop(Mode::Immediate).unwrap();
    let mut passing = Passing::in_world(world);
    for hour in 1..=AWAY {
        passing.pass(HOUR);
        let passed = u64::try_from(hour * HOUR).unwrap();
        let (due, alive): (Vec<Due>, Vec<Due>) =
            DUE.into_iter().partition(|(_, _, due)| due * MINUTE <= passed);
        for (access, ..) in &due {
            passing.world.wait(access, "being ended", |state| matches!(state, State::Ending(_)));
        }
        let first = i64::try_from(DUE[0].2 * MINUTE).unwrap();
        wait_overdue(&passing.world, due.len(), hour * HOUR - first - HOUR / 60);
        for (access, ..) in &alive {
            let state = passing.world.plane.state(access);
            assert!(matches!(state, Some(State::Active(_))), "{access} after {hour} h: {state:?}");
        }
        if hour == KILLED_AFTER {
            passing.world.restart();
            wait_overdue(&passing.world, due.len(), hour * HOUR - first - HOUR / 60);
        }
    }
    for (access, ..) in DUE {
        assert_eq!(
            endings(&passing.world, access),
            (0, 0),
            "{access} is told as ended, and nobody has seen it"
        );
    }

    passing.world.server.start().unwrap();
    assert_eq!(passing.world.logins().len(), 5, "nobody has shut them meanwhile");
    passing.pass_until("all that is due has ended", PATIENCE, |world| {
        DUE.iter().all(|(access, ..)| matches!(world.plane.state(access), Some(State::Ended(_))))
    });
    assert_eq!(passing.world.logins().len(), 2, "what is not due stays, and nothing else");
    for (access, ..) in DUE {
        let ended = passing.world.wait(access, "ended", |state| matches!(state, State::Ended(_)));
        let State::Ended(ended) = ended else { panic!("{ended:?}") };
        assert_eq!((ended.verdict(), &ended.residual), (v1::Verdict::Expired, &vec![]), "{access}");
    }
    wait_overdue(&passing.world, 0, 0);

    // Nor does it end again, after another death and with other work done.
    passing.world.restart();
    passing.world.plane.order([Order::EndAccess(v1::EndAccess { access_id: "kept-1".into() })]);
    passing.pass_until("one more is closed", PATIENCE, |world| {
        matches!(world.plane.state("kept-1"), Some(State::Ended(_)))
    });
    for (access, ..) in DUE {
        assert_eq!(endings(&passing.world, access), (1, 1), "{access}: reports and receipts of its end");
    }
    assert!(matches!(passing.world.plane.state("kept-2"), Some(State::Active(_))));
    assert_eq!(passing.world.logins().len(), 1, "{:?}", passing.world.logins());
    passing.world.run(&["receipts", "verify"]).ended(0);
}
