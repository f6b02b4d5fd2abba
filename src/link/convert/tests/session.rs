//! What the control plane says about the session.

use model::{Policy, Position, Revision, Span};
use prost_types::{Duration, Timestamp as WireTime};
use proto::v1;

use super::{at, incarnation};
use crate::link::convert::words::span;
use crate::link::convert::{
    Cursor, Fault, ack, control_heartbeat, cursor, goodbye, standing_page, time, welcome,
};

fn greeting() -> v1::Welcome {
    v1::Welcome {
        protocol: 1,
        server_time: Some(time(at(5))),
        control_incarnation: incarnation(9).to_string(),
        last_order: 12,
        reports_committed: vec![cursor(Cursor { incarnation: incarnation(1), position: Position(4) })],
        policy: Some(v1::Policy {
            credentials_cleanup_period_in_days: Some(0),
            credentials_rotation_period_in_days: None,
        }),
        heartbeat_interval: Some(span(Span::from_secs(10))),
        control_version: "0.1.0".into(),
    }
}

#[test]
fn a_greeting_is_read_whole() {
    let found = welcome(greeting()).unwrap();
    assert_eq!((found.protocol, found.server_time, found.last_order), (1, at(5), Position(12)));
    assert_eq!(found.incarnation, incarnation(9));
    let committed = Cursor { incarnation: incarnation(1), position: Position(4) };
    assert_eq!(found.reports_committed, vec![committed]);
    let policy = Policy { credentials_cleanup_period_in_days: Some(0), ..Policy::default() };
    assert_eq!(found.policy, policy);
    assert_eq!((found.heartbeat, found.version.as_str()), (Span::from_secs(10), "0.1.0"));
}

#[test]
fn the_heartbeat_stays_within_its_limits() {
    let table = [
        ("not said", None, 5_000),
        ("as said", Some(Duration { seconds: 2, nanos: 500_000_000 }), 2_500),
        ("too fast", Some(Duration { seconds: 0, nanos: 1 }), 1_000),
        ("too slow", Some(Duration { seconds: i64::MAX, nanos: 0 }), 60_000),
    ];
    for (name, heartbeat_interval, expected) in table {
        let found = welcome(v1::Welcome { heartbeat_interval, ..greeting() }).unwrap();
        assert_eq!(found.heartbeat.as_millis(), expected, "{name}");
    }
}

#[test]
fn a_greeting_that_does_not_fit_is_refused_by_name() {
    const COMMITTED: &str = "welcome.reports_committed";
    let table = [
        (
            "no protocol",
            v1::Welcome { protocol: 0, ..greeting() },
            Fault::Missing { field: "welcome.protocol" },
        ),
        (
            "no time",
            v1::Welcome { server_time: None, ..greeting() },
            Fault::Missing { field: "welcome.server_time" },
        ),
        (
            "no incarnation",
            v1::Welcome { control_incarnation: String::new(), ..greeting() },
            Fault::Missing { field: "welcome.control_incarnation" },
        ),
        (
            "cursor of nothing",
            v1::Welcome { reports_committed: vec![v1::Cursor::default()], ..greeting() },
            Fault::Missing { field: COMMITTED },
        ),
        (
            "many cursors",
            v1::Welcome { reports_committed: vec![v1::Cursor::default(); 65], ..greeting() },
            Fault::TooMany { field: COMMITTED, found: 65, most: 64 },
        ),
        (
            "heartbeat backwards",
            v1::Welcome { heartbeat_interval: Some(Duration { seconds: -1, nanos: 0 }), ..greeting() },
            Fault::Span { field: "welcome.heartbeat_interval" },
        ),
    ];
    for (name, wire, expected) in table {
        assert_eq!(welcome(wire), Err(expected), "{name}");
    }
}

fn page() -> v1::Standing {
    v1::Standing {
        control_incarnation: incarnation(9).to_string(),
        log_position: 12,
        count: 1,
        digest: vec![7; 32],
        page: 1,
        accesses: vec![v1::StandingAccess { access_id: "acc_1".into(), revision: 3 }],
        last: true,
        confirmed: true,
    }
}

#[test]
fn a_page_of_a_standing_list_is_read_whole_or_refused_by_name() {
    let found = standing_page(page()).unwrap();
    assert_eq!((found.incarnation, found.position, found.count), (incarnation(9), Position(12), 1));
    assert_eq!((found.digest, found.page, found.last, found.confirmed), ([7; 32], 1, true, true));
    assert_eq!(found.accesses, vec![("acc_1".parse().unwrap(), Revision(3))]);

    let table = [
        ("no page", v1::Standing { page: 0, ..page() }, Fault::Missing { field: "standing.page" }),
        (
            "short digest",
            v1::Standing { digest: vec![7; 31], ..page() },
            Fault::Length { field: "standing.digest", found: 31, needed: 32 },
        ),
        (
            "odd access",
            v1::Standing { accesses: vec![v1::StandingAccess::default()], ..page() },
            Fault::Id { field: "standing.accesses", fault: model::id::IdFault::Empty },
        ),
        (
            "long page",
            v1::Standing { accesses: vec![v1::StandingAccess::default(); 10_001], ..page() },
            Fault::TooMany { field: "standing.accesses", found: 10_001, most: 10_000 },
        ),
    ];
    for (name, wire, expected) in table {
        assert_eq!(standing_page(wire), Err(expected), "{name}");
    }
}

#[test]
fn an_acknowledgement_says_what_it_acknowledges() {
    let place = Cursor { incarnation: incarnation(3), position: Position(u64::MAX) };
    assert_eq!(ack(&v1::Ack { through: Some(cursor(place)) }), Ok(place));
    assert_eq!(ack(&v1::Ack { through: None }), Err(Fault::Missing { field: "ack.through" }));
}

#[test]
fn a_heartbeat_has_a_time() {
    let wire = v1::ControlHeartbeat { time: Some(time(at(1))), ..Default::default() };
    let found = control_heartbeat(&wire).unwrap();
    assert_eq!((found.time, found.heard, found.last_order), (at(1), None, None));
    let odd = v1::ControlHeartbeat { heard: Some(WireTime { seconds: 0, nanos: -1 }), ..wire };
    assert_eq!(control_heartbeat(&odd), Err(Fault::Time { field: "heartbeat.heard" }));
    let silent = v1::ControlHeartbeat::default();
    assert_eq!(control_heartbeat(&silent), Err(Fault::Missing { field: "heartbeat.time" }));
}

#[test]
fn a_farewell_that_is_odd_is_a_farewell_all_the_same() {
    let wire = v1::Goodbye {
        reason: 77,
        detail: "ä".repeat(4096),
        retry_after: Some(Duration { seconds: -5, nanos: 0 }),
    };
    let found = goodbye(&wire);
    assert_eq!((found.reason, found.retry_after), (v1::GoodbyeReason::Unspecified, None));
    assert!(found.detail.len() <= 4096 && found.detail.ends_with("ä…"), "{}", found.detail.len());
    let wire = v1::Goodbye { reason: 7, detail: String::new(), retry_after: Some(span(Span::from_mins(1))) };
    let found = goodbye(&wire);
    assert_eq!(found.reason, v1::GoodbyeReason::Overloaded);
    assert_eq!(found.retry_after, Some(Span::from_mins(1)));
}
