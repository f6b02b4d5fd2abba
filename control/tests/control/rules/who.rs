//! Who may do what.

use control::rules::role::{Actor, Denied, Doing, Role, may};
use control::rules::throttle::{MOST_SOURCES, Throttle};
use model::{GranteeId, Span};

use super::later;
use crate::world::roles;

fn actor(id: &str, held: &[Role]) -> Actor {
    Actor { id: GranteeId::parse(id).unwrap(), email: format!("{id}@example.org"), roles: roles(held) }
}

#[test]
fn everybody_may_do_what_their_role_says() {
    let ann = GranteeId::parse("ann").unwrap();
    let admin = actor("root", &[Role::Admin]);
    let approver = actor("eve", &[Role::Approver]);
    let owner = actor("ann", &[Role::Requester]);
    let other = actor("bob", &[Role::Requester]);
    let judge = actor("ann", &[Role::Approver, Role::Requester]);
    let decide = Doing::Decide { grantee: &ann, self_approval: false };
    let decide_own = Doing::Decide { grantee: &ann, self_approval: true };
    let table = [
        // (what, doing, admin, approver, owner, other)
        ("manage users", Doing::ManageUsers, true, false, false, false),
        ("manage connectors", Doing::ManageConnectors, true, false, false, false),
        ("manage integrations", Doing::ManageIntegrations, true, false, false, false),
        ("read settings", Doing::ReadSettings, true, false, false, false),
        ("read the audit log", Doing::ReadAudit, true, false, false, false),
        ("own tokens", Doing::ManageOwn(&ann), true, false, true, false),
        ("end everything", Doing::EndEverything, true, false, false, false),
        ("browse", Doing::Browse, true, true, true, true),
        ("ask", Doing::Ask, false, false, true, true),
        ("see the request", Doing::SeeRequest(&ann), true, true, true, false),
        ("see all requests", Doing::SeeAllRequests, true, true, false, false),
        ("decide", decide, true, true, false, false),
        ("end", Doing::End(&ann), true, true, true, false),
        ("cancel the ending", Doing::CancelEnding, true, false, false, false),
        ("take the credential", Doing::TakeCredential(&ann), false, false, true, false),
    ];
    for (name, doing, by_admin, by_approver, by_owner, by_other) in table {
        let rows = [(&admin, by_admin), (&approver, by_approver), (&owner, by_owner), (&other, by_other)];
        for (who, allowed) in rows {
            assert_eq!(may(who, doing).is_ok(), allowed, "{name} by {}", who.email);
        }
    }
    assert_eq!(may(&judge, decide), Err(Denied::OwnRequest), "an approver decided on their own request");
    assert_eq!(may(&judge, decide_own), Ok(()), "the integration allows it");
    assert!(may(&owner, decide_own).is_err(), "self-approval makes nobody an approver");
}

#[test]
fn ten_wrong_tokens_are_free_then_each_costs_six_seconds() {
    let mut throttle = Throttle::default();
    let source = "192.0.2.7".parse().unwrap();
    for n in 0..10 {
        assert_eq!(throttle.wait(source, later(0)), None, "wrong token {n}");
        throttle.missed(source, later(0));
    }
    throttle.missed(source, later(0));
    assert_eq!(throttle.wait(source, later(0)), Some(Span::from_secs(6)));
    assert_eq!(throttle.wait(source, later(6)), None, "it passes with time");
    assert_eq!(throttle.wait("192.0.2.8".parse().unwrap(), later(0)), None, "a neighbour waits, too");
}

#[test]
fn a_whole_network_is_one_source_and_the_table_is_bounded() {
    let mut throttle = Throttle::default();
    for n in 0..12_u16 {
        throttle.missed(format!("2001:db8::{n:x}").parse().unwrap(), later(0));
    }
    assert!(throttle.wait("2001:db8::ffff".parse().unwrap(), later(0)).is_some(), "a /64 has many budgets");
    assert!(throttle.wait("2001:db8:0:1::1".parse().unwrap(), later(0)).is_none());
    for n in 0..u32::try_from(MOST_SOURCES).unwrap() {
        throttle.missed(std::net::Ipv4Addr::from_bits(n).into(), later(0));
    }
    assert!(
        throttle.wait("2001:db8::ffff".parse().unwrap(), later(0)).is_some(),
        "who owes most was forgotten first"
    );
}
