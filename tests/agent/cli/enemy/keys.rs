//! It wants a grantee's credential: by another key in the grantee's name.

use proto::v1;
use proto::v1::access_state::State;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;

use super::{alarms, ask, changed, receipts, refusals, wait_active};
use crate::plane::until;
use crate::world::{INTEGRATION, World};

/// The enemy's own key.
const KEY: [u8; 32] = [13; 32];

fn sealed(world: &World) -> Vec<v1::CredentialSealed> {
    let of = |told| match told {
        Told::CredentialSealed(sealed) => Some(sealed),
        _ => None,
    };
    world.plane.reports().into_iter().filter_map(of).collect()
}

fn in_base64(key: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(key)
}

#[test]
fn another_key_in_a_grantees_name_is_an_alarm_and_stands_in_the_receipt() {
    let mut world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let first = sealed(&world);
    assert_eq!(first.len(), 1, "{first:?}");

    // Joining with another key delivers nothing: the credential stays sealed to the person.
    world.plane.order([changed(ask("a-2", "ann"), |access| {
        access.grantee.as_mut().unwrap().public_key = KEY.to_vec();
    })]);
    wait_active(&world, "a-2");
    assert!(sealed(&world).iter().all(|one| one.public_key == first[0].public_key), "{:?}", sealed(&world));

    // Asked for, a new credential is sealed to the enemy, and the person's stops: nothing stands against that here. It is
    // told, logged and stated.
    world.plane.order([Order::RotateAccount(v1::RotateAccount {
        integration_id: INTEGRATION.into(),
        grantee_id: "ann".into(),
        public_key: Some(KEY.to_vec()),
    })]);
    world.plane.until("it is sealed to the other key", || {
        sealed(&world).into_iter().find(|one| one.public_key == KEY)
    });
    let alarm = world.plane.until("an alarm is raised", || alarms(&world, "grantee_key_changed").pop());
    assert!(alarm.detail.contains(&in_base64(&KEY)), "{alarm:?}");
    let stated = world.plane.until("a receipt states it", || receipts(&world, "rotated").pop());
    assert_eq!(stated["key_fingerprint"], in_base64(&KEY), "{stated}");
    assert_eq!(stated["grantee"], "ann", "{stated}");
    let own = world.run(&["receipts", "export"]).ended(0).out;
    assert!(own.contains(&in_base64(&KEY)), "the agent's own copy names it");
    until(|| {
        let said = world.agent().said("Alarm: look at it soon");
        said.iter().any(|line| line["code"] == "grantee_key_changed").then_some(())
    })
    .expect("the log says so");

    // A first key that is the enemy's is no change: nobody beside the agent knows whose it is.
    world.plane.order([changed(ask("b-1", "bob"), |access| {
        access.grantee.as_mut().unwrap().public_key = KEY.to_vec();
    })]);
    wait_active(&world, "b-1");
    assert_eq!(alarms(&world, "grantee_key_changed").len(), 1);
    let opened = receipts(&world, "opened");
    let of_bob = opened.iter().find(|one| one["access"] == "b-1").unwrap();
    assert_eq!(of_bob["key_fingerprint"], in_base64(&KEY), "{of_bob}");
}

#[test]
fn keys_that_are_none_give_nobody_access() {
    let world = World::start(&[]);
    let table: [(&str, Vec<u8>); 4] = [
        ("no key", vec![]),
        ("too short", vec![1; 31]),
        ("too long", vec![1; 33]),
        // What is sealed to a point of small order can be opened by anybody.
        ("a point of small order", vec![0; 32]),
    ];
    for (n, (name, key)) in table.into_iter().enumerate() {
        let id = format!("a-{n}");
        let before = refusals(&world, "order_malformed").len();
        world.plane.order([changed(ask(&id, &format!("eve-{n}")), |access| {
            access.grantee.as_mut().unwrap().public_key = key;
        })]);
        world.plane.until(name, || {
            let failed = match world.plane.state(&id) {
                Some(State::Failed(failed)) => failed.code == "order_malformed",
                _ => false,
            };
            (failed || refusals(&world, "order_malformed").len() > before).then_some(())
        });
    }
    assert!(world.logins().is_empty(), "{:?}", world.logins());
}
