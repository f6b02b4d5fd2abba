//! It lies about the time.

use std::time::Duration;

use proto::v1::access_state::State;

use super::{ask, settled, wait_active};
use crate::plane::{Lies, until};
use crate::world::{World, put};

const A_DAY: i64 = 86_400;

#[test]
fn no_lie_about_the_time_ends_or_extends_anything() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    for (name, skew, access) in [
        ("a day ahead", A_DAY, "b-1"),
        ("ten years behind", -3650 * A_DAY, "b-2"),
        ("at the beginning of time", -56 * 365 * A_DAY, "b-3"),
        ("far beyond all deadlines", 7000 * 365 * A_DAY, "b-4"),
    ] {
        world.plane.order([put(access, &format!("of-{access}"), "orders", Duration::from_secs(12))]);
        wait_active(&world, access);
        // From now on in every heartbeat, and in the next greeting.
        world.plane.lie(Lies { skew, ..Lies::default() });
        world.plane.hang_up();
        // Meanwhile nothing opens, and what is open stays so until its own deadline.
        let asked = format!("{access}-more");
        world.plane.order([ask(&asked, "eve")]);
        world.plane.until("it is hindered by the clock", || {
            let beat = world.plane.beat()?;
            beat.hindrances.iter().any(|one| one.code == "clock_untrusted").then_some(())
        });
        assert!(!world.logins().iter().any(|login| login.contains("eve")), "{name}: {:?}", world.logins());
        world.wait_ended(access);
        assert!(world.logins().iter().any(|login| login.contains("ann")), "{name}: {:?}", world.logins());
        let accepted = world.plane.state(&asked);
        assert!(matches!(accepted, Some(State::Accepted(_))), "{name}: {accepted:?}");
        // The truth lets it open.
        world.plane.lie(Lies::default());
        world.plane.hang_up();
        wait_active(&world, &asked);
        world.plane.order([super::end(&asked)]);
        world.wait_ended(&asked);
    }
    settled(&world);
    // A restart while it lies brings back nothing and ends nothing.
    world.plane.lie(Lies { skew: A_DAY, ..Lies::default() });
    world.restart();
    world.plane.until("it is hindered by the clock", || {
        let beat = world.plane.beat()?;
        beat.hindrances.iter().any(|one| one.code == "clock_untrusted").then_some(())
    });
    let stays = until(|| (world.logins().len() == 1).then_some(()));
    assert!(stays.is_some(), "{:?}", world.logins());
}
