//! A control plane that is the enemy: what it tries against the real agent and a real target, and what comes of it. The
//! table in `docs/threat-model.md` says the same in words; what a row there says is shown by a test here.

#[path = "enemy/clocks.rs"]
mod clocks;
#[path = "enemy/ending.rs"]
mod ending;
#[cfg(target_os = "linux")]
#[path = "enemy/floods.rs"]
mod floods;
#[path = "enemy/keys.rs"]
mod keys;
#[path = "enemy/lasting.rs"]
mod lasting;
#[path = "enemy/secrets.rs"]
mod secrets;
#[path = "enemy/words.rs"]
mod words;

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use proto::v1;
use proto::v1::access_state::State;
use proto::v1::control_message::Message;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;
use serde_json::Value;

use crate::plane::INCARNATION;
use crate::world::{World, put};

/// A later life of the control plane's log, as it claims.
const ANOTHER: &str = "11111111-2222-4333-8444-555555555555";
const AN_HOUR: Duration = Duration::from_secs(3600);

/// A standing list on one page.
struct List<'l> {
    incarnation: &'l str,
    position: u64,
    accesses: &'l [&'l str],
    confirmed: bool,
}

impl List<'_> {
    fn page(&self) -> v1::Standing {
        let mut ids = self.accesses.to_vec();
        ids.sort_unstable();
        let text: String = ids.iter().map(|id| format!("{id}\n1\n")).collect();
        let accesses = ids.iter().map(|id| v1::StandingAccess { access_id: (*id).into(), revision: 1 });
        v1::Standing {
            control_incarnation: self.incarnation.into(),
            log_position: self.position,
            count: ids.len() as u64,
            digest: digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
            page: 1,
            accesses: accesses.collect(),
            last: true,
            confirmed: self.confirmed,
        }
    }
}

/// Says which accesses should live, and waits until the list was taken.
fn stand(world: &World, list: &List<'_>) {
    let before = world.plane.verdicts().len();
    assert!(world.plane.say(Message::Standing(list.page())), "nobody is connected");
    let verdict = world.plane.until("the list is judged", || world.plane.verdicts().get(before).cloned());
    assert_eq!(verdict.outcome(), v1::StandingOutcome::Taken, "{verdict:?}");
}

/// An order out of turn, at a place of the enemy's choice.
fn order_at(incarnation: &str, position: u64, order: Order) -> Message {
    Message::Order(v1::Order {
        control_incarnation: incarnation.into(),
        position,
        issued_at: None,
        order: Some(order),
    })
}

/// The same access with something in it changed.
fn changed(order: Order, change: impl FnOnce(&mut v1::PutAccess)) -> Order {
    let Order::PutAccess(mut access) = order else { panic!("{order:?}") };
    change(&mut access);
    Order::PutAccess(access)
}

/// An order for an access of an hour.
fn ask(access: &str, grantee: &str) -> Order {
    put(access, grantee, "orders", AN_HOUR)
}

fn end(access: &str) -> Order {
    Order::EndAccess(v1::EndAccess { access_id: access.into() })
}

/// Gives an order and waits until it is taken, by asking for something that is always refused after it.
fn ordered(world: &World, order: Order) {
    world.plane.order([order]);
    settled(world);
}

/// Waits until everything that was said so far was taken.
fn settled(world: &World) {
    let nowhere = format!("nowhere-{}", world.plane.given());
    world.plane.order([Order::RetireIntegration(v1::RetireIntegration { integration_id: nowhere.clone() })]);
    let named = format!("`{nowhere}`");
    world.plane.until("the order after it is refused", || {
        let missing = refusals(world, "integration_missing");
        missing.iter().any(|refused| refused.detail.contains(&named)).then_some(())
    });
}

/// Orders that were refused with a code.
fn refusals(world: &World, code: &str) -> Vec<v1::OrderRefused> {
    let refused = |told| match told {
        Told::OrderRefused(refused) if refused.code == code => Some(refused),
        _ => None,
    };
    world.plane.reports().into_iter().filter_map(refused).collect()
}

/// Alarms with a code.
fn alarms(world: &World, code: &str) -> Vec<v1::Alarm> {
    let alarm = |told| match told {
        Told::Alarm(alarm) if alarm.code == code => Some(alarm),
        _ => None,
    };
    world.plane.reports().into_iter().filter_map(alarm).collect()
}

/// What receipts of a deed state.
fn receipts(world: &World, deed: &str) -> Vec<Value> {
    let of = |told| match told {
        Told::Receipt(receipt) => Some(serde_json::from_str::<Value>(&receipt.body).unwrap()),
        _ => None,
    };
    let all = world.plane.reports().into_iter().filter_map(of);
    all.filter(|body| body["deed"] == deed).collect()
}

fn wait_active(world: &World, access: &str) {
    world.wait(access, "active", |state| matches!(state, State::Active(_)));
}

/// What an access failed or was refused with.
fn wait_failed(world: &World, access: &str) -> String {
    let state = world
        .wait(access, "failed or refused", |state| matches!(state, State::Failed(_) | State::Refused(_)));
    match state {
        State::Failed(failed) => failed.code,
        State::Refused(refused) => refused.code,
        other => panic!("{other:?}"),
    }
}

/// The whole list as the truthful one would say it at this place.
fn truthful<'l>(position: u64, accesses: &'l [&'l str]) -> List<'l> {
    List { incarnation: INCARNATION, position, accesses, confirmed: false }
}
