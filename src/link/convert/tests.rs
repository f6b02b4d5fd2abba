//! Nothing is lost on the way through the wire, and what does not fit is refused by name.

mod hammered;
mod incoming;
mod inverse;
mod manifest;
mod outgoing;
mod session;

use model::{Entitlement, EntitlementSet, Incarnation, Position, ResourceId, Timestamp};

fn incarnation(n: u128) -> Incarnation {
    Incarnation::from_uuid(uuid::Uuid::from_u128(n))
}

const PLACE: Position = Position(7);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000 + millis)
}

fn entitlements(count: usize) -> EntitlementSet {
    let one = |n| {
        Entitlement::new(
            ResourceId::new("postgresql-table", ["db", "ünïcode \"x'", &format!("t{n}")]),
            "READ_ONLY",
        )
    };
    (0..count).map(one).collect()
}
