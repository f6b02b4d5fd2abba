//! It wants everything to end: by empty lists, a past that it claims to have gone back to, policies and retirement; and to
//! have what is not ours touched on the way.

use std::time::Duration;

use proto::v1;
use proto::v1::control_message::Message;
use proto::v1::order::Order;
use proto::v1::report::Report as Told;

use super::{ANOTHER, List, alarms, end, ordered, receipts, settled, stand, truthful, wait_active};
use crate::plane::{INCARNATION, Lies};
use crate::world::{INTEGRATION, World, put};

const MANY: usize = 8;

/// A world in which several people have access.
fn peopled(settings: &[&str]) -> (World, Vec<String>) {
    let world = World::start(settings);
    let ids: Vec<_> = (0..MANY).map(|n| format!("a-{n}")).collect();
    let orders = ids.iter().map(|id| put(id, &format!("of-{id}"), "orders", Duration::from_secs(3600)));
    world.plane.order(orders.collect::<Vec<_>>());
    for id in &ids {
        wait_active(&world, id);
    }
    (world, ids)
}

#[test]
fn what_is_left_out_of_a_list_does_not_end_by_the_share_before_somebody_confirms_it() {
    let (world, ids) = peopled(&[]);
    let given = world.plane.given();
    let here = |position, accesses| List { incarnation: INCARNATION, position, accesses, confirmed: false };
    let table: [(&str, List<'_>); 4] = [
        ("an empty list", here(given, &[])),
        ("a list of others", here(given, &["eve-1", "eve-2"])),
        ("a list of before", here(4, &[])),
        (
            "a list of another life",
            List { incarnation: ANOTHER, position: 0, accesses: &["a-0", "a-1", "a-2"], confirmed: false },
        ),
    ];
    for (n, (name, list)) in table.into_iter().enumerate() {
        stand(&world, &list);
        world.plane.until(name, || (alarms(&world, "reconciling").len() > n).then_some(()));
        settled(&world);
        assert_eq!(world.logins().len(), MANY, "{name}");
    }
    // What it says itself ends as it says: an order, and a list that claims that a person confirmed it.
    ordered(&world, end("a-0"));
    world.wait_ended("a-0");
    let kept: Vec<&str> = ids[1..3].iter().map(String::as_str).collect();
    let confirmed =
        List { incarnation: INCARNATION, position: world.plane.given(), accesses: &kept, confirmed: true };
    stand(&world, &confirmed);
    for id in &ids[3..] {
        world.wait_ended(id);
    }
    assert_eq!(world.logins().len(), kept.len());
    assert_eq!(receipts(&world, "ended").len(), MANY - kept.len(), "each end has its receipt");
}

#[test]
fn a_list_that_does_not_fit_ends_nothing() {
    let world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let good = truthful(world.plane.given(), &[]).page();
    type Spoil = fn(&mut v1::Standing);
    let table: [(&str, Spoil); 4] = [
        ("another digest", |page| page.digest[0] ^= 1),
        ("another count", |page| page.count = 1),
        ("no first page", |page| page.page = 2),
        ("a count that nobody could send", |page| page.count = u64::MAX),
    ];
    for (n, (name, spoil)) in table.into_iter().enumerate() {
        let mut page = good.clone();
        spoil(&mut page);
        assert!(world.plane.say(Message::Standing(page)));
        let verdict = world.plane.until(name, || world.plane.verdicts().get(n).cloned());
        assert_eq!(verdict.outcome(), v1::StandingOutcome::Misread, "{name}");
    }
    settled(&world);
    assert_eq!(world.logins().len(), 1, "{:?}", world.logins());
}

#[test]
fn a_control_plane_that_claims_to_know_more_than_was_told_stops_opening_and_ends_nothing() {
    let world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    world.plane.order([put("b-1", "bob", "orders", Duration::from_secs(20))]);
    wait_active(&world, "b-1");
    let life = world.plane.hello().journal_incarnation;
    // In the greeting: as if this journal were an old copy. It gets another life, once.
    world.plane.lie(Lies { committed: Some(u64::MAX), ..Lies::default() });
    world.plane.hang_up();
    world.plane.until("the journal has another life", || {
        (world.plane.hello().journal_incarnation != life).then_some(())
    });
    // What it claims to have is not sent to it; the truth has it sent.
    world.plane.lie(Lies::default());
    world.plane.hang_up();
    world.plane.until("an alarm says so", || alarms(&world, "reconciling").first().cloned());
    assert!(world.logins().iter().any(|name| name.contains("ann")), "{:?}", world.logins());
    world.wait_ended("b-1");
    // With the list and the surveys it opens again.
    let list = truthful(world.plane.given(), &["a-1"]);
    stand(&world, &list);
    world.put("c-1", "cy", "orders", Duration::from_secs(600));
    wait_active(&world, "c-1");
}

#[test]
fn reports_that_were_never_made_cannot_be_acknowledged_away() {
    let world = World::start(&[]);
    world.open("a-1", "ann", "orders");
    let hello = world.plane.hello();
    let through = |incarnation: &str, position| {
        let through = Some(v1::Cursor { incarnation: incarnation.into(), position });
        Message::Ack(v1::Ack { through })
    };
    for (n, position) in [u64::MAX, 1_000_000].into_iter().enumerate() {
        assert!(world.plane.say(through(&hello.journal_incarnation, position)));
        world.plane.until("the session ends", || (world.plane.sessions() == n + 2).then_some(()));
    }
    // Another journal's are nobody's here.
    assert!(world.plane.say(through(ANOTHER, u64::MAX)));
    ordered(&world, end("a-1"));
    world.wait_ended("a-1");
    assert_eq!(world.plane.sessions(), 3);
    assert_eq!(world.plane.hello().journal_incarnation, hello.journal_incarnation, "the same life");
    assert_eq!((receipts(&world, "opened").len(), receipts(&world, "ended").len()), (1, 1));
}

#[test]
fn retirement_and_policies_delete_what_is_ours_and_touch_nothing_else() {
    let (world, _) = peopled(&[]);
    // Somebody else's, one of them under a name as ours have it; and what a grantee made.
    world
        .server
        .psql(
            "postgres",
            "create role bystander login; create role tidegate_eve_00000000 login; \
             create table public.theirs (id int); alter table public.theirs owner to bystander",
        )
        .unwrap();
    let grantee = world.logins().into_iter().find(|name| name.contains("of-a-0") || name.contains("of_a_0"));
    let grantee = grantee.unwrap_or_else(|| panic!("{:?}", world.logins()));
    let made = format!(
        "create table public.made (id int); alter table public.made owner to \"{grantee}\"; \
         create function public.planted() returns int language sql as 'select 1'; \
         alter function public.planted() owner to \"{grantee}\""
    );
    world.server.psql("postgres", &made).unwrap();
    world.plane.order([
        Order::SetPolicy(v1::SetPolicy {
            policy: Some(v1::Policy {
                credentials_rotation_period_in_days: Some(0),
                credentials_cleanup_period_in_days: Some(0),
            }),
        }),
        // Whose account it is not: nothing comes of it.
        Order::DeleteAccount(v1::DeleteAccount {
            integration_id: INTEGRATION.into(),
            grantee_id: "bystander".into(),
        }),
        Order::RetireIntegration(v1::RetireIntegration { integration_id: INTEGRATION.into() }),
    ]);
    world.plane.until("the integration is retired", || {
        let retired = |report: &Told| matches!(report, Told::IntegrationRetired(_));
        world.plane.reports().iter().any(retired).then_some(())
    });
    let mut left = world.logins();
    left.sort();
    assert_eq!(left, ["bystander", "tidegate_eve_00000000"]);
    let owner = |query: &str| world.server.psql("postgres", query).unwrap().trim().to_owned();
    assert_eq!(owner("select tableowner from pg_tables where tablename = 'theirs'"), "bystander");
    // What it made goes to nobody who has any power.
    let heir = owner("select tableowner from pg_tables where tablename = 'made'");
    let power = format!(
        "select rolsuper or rolcanlogin or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls \
         or exists (select from pg_auth_members where member = r.oid) from pg_roles r where rolname = '{heir}'"
    );
    assert_eq!(owner(&power), "f", "{heir}");
    let planted = owner("select pg_get_userbyid(proowner) from pg_proc where proname = 'planted'");
    assert_eq!(planted, heir);
}
