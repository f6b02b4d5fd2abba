//! Rotation on a schedule: a shut account gets another credential, which is nobody's, each period.

use model::mark::MarkDraft;
use model::*;
use rules::{Act, Action, Answer, Input, Order, Report};

use crate::bench::{Bench, account, done, id, marked, present, rights, seen, target};

const DAY: i64 = 24 * 3_600;

fn rotation(days: u32) -> Policy {
    Policy { credentials_rotation_period_in_days: Some(days), credentials_cleanup_period_in_days: None }
}

fn words(actions: &[Action]) -> Vec<&'static str> {
    actions.iter().map(|action| action.act.word()).collect()
}

/// Opens an account, and closes it.
fn shut(policy: Policy) -> Bench {
    let mut bench = Bench::new(Ownership::Owned, policy);
    let actions = bench.put("a", "ann", &["orders"], 30);
    bench.well(actions);
    let actions = bench.order(Order::EndAccess { access: id("a") });
    bench.well(actions);
    assert_eq!(phase(&bench), Phase::Suspended);
    bench
}

fn record(bench: &Bench) -> &rules::AccountRecord {
    bench.book.account(account("ann")).unwrap()
}

fn phase(bench: &Bench) -> Phase {
    record(bench).phase
}

fn due_in_days(bench: &Bench) -> Option<i64> {
    record(bench).rotate_due.map(|due| due.since(bench.book.now()).as_millis() / (DAY * 1_000))
}

/// Does a rotation that has begun as a good target would.
fn rotates(bench: &mut Bench, minting: &[Action], name: &str) {
    assert_eq!(words(minting), ["mint"], "{name}");
    let Act::Mint { access, .. } = &minting[0].act else { panic!("{minting:?}") };
    assert_eq!(*access, None, "{name}: it is sealed to nobody");
    let setting = bench.answer(&minting[0], done(&minting[0].act));
    assert_eq!(words(&setting), ["rotate"], "{name}");
    assert!(bench.answer(&setting[0], done(&setting[0].act)).is_empty(), "{name}");
    let kept = record(bench);
    assert_eq!((kept.phase, &kept.credential), (Phase::Suspended, &None), "{name}: nothing of it is kept");
}

/// The shut account, as a survey sees it.
fn sighted(bench: &Bench, login: Login) -> Input {
    let draft = record(bench).mark_draft(&ConnectorId::parse("bench").unwrap(), bench.book.now());
    let found = marked(present(&record(bench).account, login, &EntitlementSet::nothing()), draft);
    Input::Surveyed { integration: target(), sightings: vec![Sighting { found }], complete: true }
}

#[test]
fn a_shut_account_gets_another_credential_each_period() {
    let none = Policy::default();
    for (name, own, global, days) in [
        ("its own period", rotation(7), none, Some(7)),
        ("the stricter of both", rotation(7), rotation(2), Some(2)),
        ("the global one where it has none", none, rotation(3), Some(3)),
        ("not more often than each day", rotation(0), none, Some(1)),
        ("never", none, none, None),
    ] {
        let mut bench = Bench::new(Ownership::Owned, own);
        bench.order(Order::SetPolicy { policy: global });
        let actions = bench.put("a", "ann", &["orders"], 30);
        bench.well(actions);
        let actions = bench.order(Order::EndAccess { access: id("a") });
        bench.well(actions);
        assert_eq!(due_in_days(&bench), days, "{name}");
        let released = |bench: &Bench| {
            bench.reports.iter().filter(|told| matches!(told, Report::CredentialSealed { .. })).count()
        };
        let before = released(&bench);
        let Some(days) = days else {
            assert!(bench.pass(400 * DAY).is_empty(), "{name}");
            continue;
        };
        for _ in 0..3 {
            assert!(bench.pass(days * DAY - 1).is_empty(), "{name}: a second too early");
            let minting = bench.pass(1);
            rotates(&mut bench, &minting, name);
            assert_eq!(due_in_days(&bench), Some(days), "{name}: counted anew");
        }
        assert_eq!(released(&bench), before, "{name}: nobody is given it");
    }
}

#[test]
fn a_changed_period_holds_from_the_next_close_or_rotation_on() {
    let mut bench = shut(rotation(7));
    bench.order(Order::SetPolicy { policy: rotation(2) });
    assert!(bench.pass(7 * DAY - 1).is_empty());
    let minting = bench.pass(1);
    rotates(&mut bench, &minting, "the old period");
    assert_eq!(due_in_days(&bench), Some(2));
}

#[test]
fn an_open_account_keeps_its_credential_and_the_period_runs_from_its_close() {
    let mut bench = shut(rotation(1));
    let actions = bench.put("b", "ann", &["orders"], 3 * 24 * 60);
    bench.well(actions);
    let generation = record(&bench).generation;
    for _ in 0..2 {
        assert!(bench.pass(DAY).is_empty(), "its grantee uses it");
    }
    assert_eq!((bench.state("b"), record(&bench).generation), ("active", generation));
    let closing = bench.pass(DAY);
    assert_eq!(words(&closing), ["close"]);
    bench.well(closing);
    assert_eq!(due_in_days(&bench), Some(1));
}

#[test]
fn what_is_rotated_is_cleaned_up_all_the_same() {
    let mut bench = shut(Policy { credentials_cleanup_period_in_days: Some(2), ..rotation(1) });
    let minting = bench.pass(DAY);
    rotates(&mut bench, &minting, "the first day");
    let deleting = bench.pass(DAY);
    assert_eq!(words(&deleting), ["delete"]);
    bench.well(deleting);
    assert!(bench.book.account(account("ann")).is_none());
}

#[test]
fn after_a_restart_without_a_control_plane_a_survey_suffices() {
    for (name, first, login, pauses, expected) in [
        ("seen shut", 3_600, Login::Shut, false, vec!["mint"]),
        ("what a later memory sent may still land", 1, Login::Shut, false, vec![]),
        ("a later memory has opened it", 3_600, Login::Open, false, vec!["observe"]),
        ("an operator has stopped everything but closing", 3_600, Login::Shut, true, vec![]),
    ] {
        let mut bench = shut(rotation(1));
        bench.secs += 2 * DAY;
        assert!(bench.come_back_with(bench.journal.snapshot()).is_empty(), "{name}");
        assert!(bench.pass(first).is_empty(), "{name}: nobody has looked");
        if pauses {
            bench.input(Input::PausedHere { integration: None, paused: true });
        }
        let survey = sighted(&bench, login);
        let begun = bench.input(survey);
        assert_eq!(words(&begun), expected, "{name}");
        if expected == ["mint"] {
            rotates(&mut bench, &begun, name);
            assert_eq!(due_in_days(&bench), Some(1), "{name}");
        }
        if first == 1 {
            assert!(bench.pass(60).is_empty(), "{name}");
            let again = sighted(&bench, login);
            let minting = bench.input(again);
            rotates(&mut bench, &minting, name);
        }
        assert!(bench.put("c", "ann", &["orders"], 30).is_empty(), "{name}: nothing opens");
    }
}

#[test]
fn an_account_that_is_found_open_by_its_rotation_is_closed() {
    let mut bench = shut(rotation(1));
    let minting = bench.pass(DAY);
    let setting = bench.answer(&minting[0], done(&minting[0].act));
    let Act::Rotate { account, .. } = &setting[0].act else { panic!("{setting:?}") };
    let observed = seen(present(account, Login::Open, &EntitlementSet::nothing()));
    let closing = bench.answer(&setting[0], Answer::Done { observed, lines: vec![], failure: None });
    assert_eq!((words(&closing), bench.alarms(&Code::ACCOUNT_TAMPERED)), (vec!["close"], 1));
    bench.well(closing);
    assert_eq!((phase(&bench), due_in_days(&bench)), (Phase::Suspended, Some(1)));
}

#[test]
fn what_was_closed_before_its_policies_were_known_is_held_to_them() {
    let mut bench = Bench::without_control_plane();
    bench.agrees();
    let known = Account {
        id: account("ann"),
        integration: target(),
        grantee: GranteeId::parse("ann").unwrap(),
        name: AccountName("tg_ann".into()),
        ownership: Ownership::Owned,
        immutable: Some(ImmutableId("1".into())),
    };
    let draft = MarkDraft {
        connector: ConnectorId::parse("bench").unwrap(),
        integration: target(),
        account: known.id,
        revision: Revision(1),
        deadlines: vec![],
        until: None,
        last_revoked: None,
    };
    let found = marked(present(&known, Login::Open, &rights(&["orders"])), draft);
    let sightings = vec![Sighting { found }];
    let closing = bench.input(Input::Surveyed { integration: target(), sightings, complete: true });
    assert_eq!(words(&closing), ["close"]);
    bench.well(closing);
    assert_eq!((phase(&bench), due_in_days(&bench)), (Phase::Suspended, None));
    bench.pass(3_600);
    bench.put_integration(target(), rotation(1));
    assert_eq!(record(&bench).rotate_due, record(&bench).last_revoked.map(|at| at.plus(Span::from_days(1))));
}
