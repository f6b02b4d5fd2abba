//! Named cases of the rules, by hand: orders, closing, cancel, borrowed accounts, clocks, restarts.

use journal::memory::Fate;
use model::*;
use rules::{AccessOrder, Act, Action, Answer, Input, Order, Report, Source};

use crate::bench::{Bench, NEVER_GIVEN, START, account, done, id, present, rights, seen, target};

pub(crate) fn bench() -> Bench {
    Bench::new(Ownership::Owned, Policy::default())
}

pub(crate) fn cleanup(days: u32) -> Policy {
    Policy { credentials_cleanup_period_in_days: Some(days), credentials_rotation_period_in_days: None }
}

/// Two accesses of one grantee, both active.
pub(crate) fn overlap() -> Bench {
    let mut bench = bench();
    for (access, names, mins) in [("a", ["orders"], 30), ("b", ["stock"], 60)] {
        let actions = bench.put(access, "ann", &names, mins);
        bench.well(actions);
        assert_eq!(bench.state(access), "active");
    }
    bench
}

#[test]
fn opens_by_mint_and_open_and_joins_by_converge_alone() {
    let mut bench = bench();
    let actions = bench.put("a", "ann", &["orders"], 30);
    assert_eq!(actions.iter().map(|a| a.act.word()).collect::<Vec<_>>(), ["mint"]);
    let opening = bench.answer(&actions[0], done(&actions[0].act));
    assert_eq!(opening.iter().map(|a| a.act.word()).collect::<Vec<_>>(), ["open"]);
    bench.well(opening);
    let joining = bench.put("b", "ann", &["stock"], 60);
    assert_eq!(joining.iter().map(|a| a.act.word()).collect::<Vec<_>>(), ["converge"]);
    bench.well(joining);
    assert_eq!(bench.state("b"), "active");
}

#[test]
fn another_key_than_before_is_told_once_and_the_access_opens() {
    let mut bench = bench();
    let mint = bench.put("a", "ann", &["orders"], 30);
    let Answer::Minted { sealed, verifier, .. } = done(&mint[0].act) else { panic!("{mint:?}") };
    let key_before = Some(GranteeKey("an earlier key".into()));
    let open = bench.answer(&mint[0], Answer::Minted { sealed, verifier, key_before });
    bench.well(open);
    assert_eq!((bench.state("a"), bench.alarms(&Code::GRANTEE_KEY_CHANGED)), ("active", 1));
}

#[test]
fn a_commit_of_reports_is_written_with_what_comes_next_or_after_a_moment() {
    for (name, something_else) in [("with an order", true), ("alone", false)] {
        let mut bench = overlap();
        let kept = |bench: &Bench| bench.journal.reports_now(Position(0), 1_000).unwrap().len();
        let (before, writes) = (kept(&bench), bench.journal.writes());
        bench.input(Input::ReportsCommitted { through: Position(2) });
        assert_eq!((kept(&bench), bench.journal.writes()), (before, writes), "{name}: it waits");
        if something_else {
            bench.put("c", "bob", &["stock"], 60);
            assert_eq!(bench.journal.writes(), writes + 1, "{name}");
        } else {
            let due = bench.book.poll_timeout().unwrap();
            assert!(due <= bench.book.now().plus(Span::from_millis(500)), "{name}: it wakes for it");
            bench.pass(1);
        }
        assert!(bench.journal.reports_now(Position(0), 1).unwrap()[0].position > Position(2), "{name}");
    }
}

#[test]
fn late_other_and_repeated_answers_change_nothing() {
    let mut bench = bench();
    let mint = bench.put("a", "ann", &["orders"], 30);
    let open = bench.answer(&mint[0], done(&mint[0].act));
    let before = bench.book.account(account("ann")).unwrap().clone();
    assert!(bench.answer(&mint[0], done(&mint[0].act)).is_empty(), "repeated");
    let answer = done(&open[0].act);
    assert!(
        bench
            .input(Input::Answered { account: account("ann"), ticket: NEVER_GIVEN, answer, by: None })
            .is_empty()
    );
    assert_eq!(*bench.book.account(account("ann")).unwrap(), before);
    bench.well(open);
    assert_eq!(bench.state("a"), "active");
}

#[test]
fn orders_by_revision_and_id() {
    let mut bench = overlap();
    let table =
        [("older", "a", "ann", 0, 0), ("same", "a", "ann", 1, 0), ("another grantee", "a", "bob", 2, 1)];
    for (name, access, grantee, revision, refused) in table {
        let before = bench.refusals(&Code::ORDER_MALFORMED);
        assert!(bench.put_revision(access, grantee, &["orders"], 300, revision).is_empty(), "{name}");
        assert_eq!(bench.refusals(&Code::ORDER_MALFORMED) - before, refused, "{name}");
    }
    let renewed = bench.put_revision("a", "ann", &["orders"], 45, 2);
    assert_eq!(renewed[0].act.word(), "converge", "a later deadline is marked on the target");
    bench.well(renewed);
    let actions = bench.order(Order::EndAccess { access: id("never-known") });
    assert!(actions.is_empty());
    bench.put("never-known", "ann", &["orders"], 30);
    assert_eq!(bench.refusals(&Code::ID_ENDED), 1, "an id that was ended never opens");
}

#[test]
fn a_later_deadline_and_another_credential_have_their_receipts() {
    let mut bench = overlap();
    let deeds = |bench: &Bench| -> Vec<Deed> {
        let of = |report: &Report| match report {
            Report::Receipt { signed, .. } => Some(serde_json::from_str::<ReceiptBody>(signed).unwrap().deed),
            _ => None,
        };
        bench.reports.iter().filter_map(of).collect()
    };
    let known = deeds(&bench).len();
    let later = bench.put_revision("a", "ann", &["orders"], 45, 2);
    bench.well(later);
    let told = deeds(&bench);
    let [Deed::Extended { before, until }] = &told[known..] else { panic!("{told:?}") };
    assert_eq!(until.since(*before), Span::from_mins(15));
    let sooner = bench.put_revision("a", "ann", &["orders"], 40, 3);
    bench.well(sooner);
    assert_eq!(deeds(&bench).len(), known + 1, "a deadline that came nearer gives nobody more");
    let (integration, grantee) = (target(), GranteeId::parse("ann").unwrap());
    let key = Some(GranteeKey("another key".into()));
    let mint = bench.order(Order::RotateAccount { integration, grantee, key });
    let rotate = bench.answer(&mint[0], done(&mint[0].act));
    let Act::Rotate { account, .. } = &rotate[0].act else { panic!("{rotate:?}") };
    let observed = seen(present(account, Login::Open, &rights(&["orders", "stock"])));
    bench.answer(&rotate[0], Answer::Done { observed, lines: vec![], failure: None });
    let told = deeds(&bench);
    let [_, Deed::Rotated { key_fingerprint, .. }] = &told[known..] else { panic!("{told:?}") };
    assert_eq!(key_fingerprint.as_deref(), Some("another key"));
}

#[test]
fn the_end_of_one_leaves_the_other_and_the_end_of_the_last_closes() {
    let mut bench = overlap();
    let shrinking = bench.pass(30 * 60);
    let Act::Converge { wanted, shrinks, .. } = &shrinking[0].act else { panic!("{shrinking:?}") };
    assert_eq!((wanted, *shrinks), (&rights(&["stock"]), true));
    bench.well(shrinking);
    assert_eq!((bench.state("a"), bench.state("b")), ("ended", "active"));
    let closing = bench.pass(30 * 60);
    assert_eq!(closing[0].act.word(), "close");
    bench.well(closing);
    assert_eq!(bench.state("b"), "ended");
}

#[test]
fn a_shrinking_that_failed_in_part_ends_nothing_is_told_once_and_can_be_canceled_alone() {
    let mut bench = overlap();
    let mut actions = bench.order(Order::EndAccess { access: id("a") });
    for _ in 0..10 {
        bench.order(Order::CancelEnding { access: id("a") });
        assert_eq!(bench.state("a"), "ending");
        let action = actions[0].clone();
        let Act::Converge { account, wanted, .. } = &action.act else { panic!("{action:?}") };
        let failure = Some(Failure::not_done(Code::SESSIONS_REMAIN, "a session does not end"));
        let observed = seen(present(account, Login::Open, wanted));
        assert!(bench.answer(&action, Answer::Done { observed, lines: vec![], failure }).is_empty());
        actions = bench.pass(61);
    }
    assert_eq!(bench.alarms(&Code::SESSIONS_REMAIN), 1);
    bench.order(Order::CancelEnding { access: id("a") });
    assert_eq!((bench.state("a"), bench.state("b")), ("canceled", "active"));
    bench.well(actions);
    assert_eq!(bench.book.account(account("ann")).unwrap().phase, Phase::Open, "the other one lives on");
}

#[test]
fn cleanup_counts_from_the_last_revocation_under_the_policy_of_then() {
    for (name, policy, days, expected) in [
        ("at each close", cleanup(0), 0, "absent"),
        ("not yet", cleanup(7), 6, "shut"),
        ("after the period", cleanup(7), 7, "absent"),
        ("never", Policy::default(), 400, "shut"),
    ] {
        let mut bench = Bench::new(Ownership::Owned, policy);
        let actions = bench.put("a", "ann", &["orders"], 30);
        bench.well(actions);
        let actions = bench.order(Order::EndAccess { access: id("a") });
        bench.well(actions);
        // A policy that comes later holds from the next revocation on.
        bench.order(Order::SetPolicy { policy: cleanup(1_000) });
        for _ in 0..days * 24 {
            let actions = bench.pass(3_600);
            bench.well(actions);
        }
        let there = bench.book.account(account("ann")).is_some();
        assert_eq!(there, expected == "shut", "{name}");
    }
}

#[test]
fn a_deleted_account_is_remembered_while_what_was_sent_to_it_may_land() {
    let mut bench = Bench::new(Ownership::Owned, cleanup(0));
    let actions = bench.put("a", "ann", &["orders"], 30);
    bench.well(actions);
    let closing = bench.order(Order::EndAccess { access: id("a") });
    let Answer::Closed(climb) = done(&closing[0].act) else { panic!("{closing:?}") };
    let deleting = bench.answer(&closing[0], Answer::Closed(rules::Climb { in_doubt: true, ..climb }));
    assert_eq!((bench.state("a"), deleting[0].act.word()), ("ended", "delete"));
    assert!(bench.answer(&deleting[0], done(&deleting[0].act)).is_empty());
    assert!(bench.put("b", "ann", &["orders"], 30).is_empty(), "a late rung would hit the new account");
    bench.order(Order::EndAccess { access: id("b") });
    assert!(bench.pass(9).is_empty());
    assert!(bench.book.account(account("ann")).is_some());
    bench.pass(1);
    assert!(bench.book.account(account("ann")).is_none(), "forgotten by itself");
    assert_eq!(bench.put("c", "ann", &["orders"], 30)[0].act.word(), "mint");
}

#[test]
fn a_borrowed_account_is_read_first_and_only_stripped_of_what_was_added() {
    let mut bench = Bench::new(Ownership::Borrowed, cleanup(0));
    let reading = bench.put("a", "ann", &["orders", "own"], 30);
    let Act::Observe { account: lent } = &reading[0].act else { panic!("{reading:?}") };
    let answer = Answer::Observed(seen(present(lent, Login::Open, &rights(&["own"]))));
    let adding = bench.answer(&reading[0], answer);
    assert_eq!(adding[0].act.word(), "converge");
    bench.well(adding);
    assert_eq!(bench.state("a"), "active");
    bench.order(Order::RotateAccount {
        integration: target(),
        grantee: GranteeId::parse("ann").unwrap(),
        key: None,
    });
    assert_eq!(bench.refusals(&Code::PERMISSION_REFUSED), 1);
    let grantee = GranteeId::parse("ann").unwrap();
    let closing = bench.order(Order::DeleteAccount { integration: target(), grantee });
    let Act::Close { account: lent, .. } = &closing[0].act else { panic!("{closing:?}") };
    let observed = Ok(seen(present(lent, Login::Open, &rights(&["own"]))));
    let climb = rules::Climb { contained: false, in_doubt: false, failures: vec![], observed };
    assert!(bench.answer(&closing[0], Answer::Closed(climb)).is_empty(), "neither deleted nor shut");
    assert_eq!(bench.state("a"), "ended");
    assert!(bench.book.account(account("ann")).is_none());
}

#[test]
fn without_a_journal_only_closing_goes_out_and_memory_is_as_before() {
    let mut bench = overlap();
    let before = bench.book.account(account("ann")).unwrap().clone();
    bench.journal.break_writes(Fate::Full);
    assert!(bench.put("c", "cay", &["orders"], 30).is_empty());
    // What ends something does not wait behind the order that could not be written: it is one of two.
    let ending = bench.order(Order::EndAccess { access: id("a") });
    assert_eq!(ending.iter().map(|a| a.act.word()).collect::<Vec<_>>(), ["converge"], "towards less");
    bench.well(ending);
    let going = bench.pass(60 * 60);
    assert_eq!(going.iter().map(|a| a.act.word()).collect::<Vec<_>>(), ["close"], "the last deadline closes");
    assert_eq!(*bench.book.account(account("ann")).unwrap(), before);
    assert!(bench.book.account(account("cay")).is_none());
}

#[test]
fn a_retired_integration_is_told_of_once_what_was_shared_is_gone() {
    let mut bench = overlap();
    let closing = bench.order(Order::RetireIntegration { integration: target() });
    bench.well(closing);
    bench.input(Input::Surveyed { integration: target(), sightings: vec![], complete: true });
    let told = |bench: &Bench| {
        let retired = |report: &&Report| matches!(report, Report::IntegrationRetired { .. });
        bench.reports.iter().filter(retired).count()
    };
    let found = bench.book.integration(&target()).unwrap();
    assert!(found.retired && !found.cleared, "no account is left, and the roles are");
    assert_eq!(told(&bench), 0);
    bench.restart();
    let residual =
        Residual { kind: ResidualKind::OwnedObjects, detail: "the heir owns a table".into(), ends_at: None };
    let cleared = Input::Cleared {
        integration: target(),
        removed: vec!["role readers".into()],
        left: vec![residual.clone()],
    };
    bench.input(cleared.clone());
    bench.input(cleared);
    assert_eq!(told(&bench), 1);
    let receipts: Vec<ReceiptBody> = bench
        .reports
        .iter()
        .filter_map(|report| match report {
            Report::Receipt { signed, .. } => Some(serde_json::from_str(signed).unwrap()),
            _ => None,
        })
        .collect();
    let last = receipts.last().unwrap();
    let (removed, left) = (vec!["role readers".into()], vec![residual.detail.clone()]);
    assert_eq!(last.deed, Deed::Retired { removed, left });
    assert_eq!((last.account, &last.residual), (None, &vec![residual]));
}

#[test]
fn clocks_that_disagree_stop_opening_until_they_agree_and_no_wait_grows() {
    let mut bench = bench();
    bench.wall_off = 3_600;
    bench.pass(1);
    bench.wall_off = 0;
    bench.pass(1);
    assert_eq!(bench.alarms(&Code::CLOCK_UNTRUSTED), 1, "the high-water mark is ahead");
    assert!(bench.put("a", "ann", &["orders"], 120).is_empty());
    let said = Timestamp::from_secs(bench.secs);
    assert!(
        bench.input(Input::Heard { source: Source::Target, said }).is_empty(),
        "one source is not enough"
    );
    let opening = bench.input(Input::Heard { source: Source::ControlPlane, said });
    assert_eq!(opening[0].act.word(), "mint", "two sources bring it down, and what waited goes on");
    assert_eq!(bench.book.now(), Timestamp::from_secs(bench.secs));
    assert!(bench.secs > START);
}

/// Two clocks that agree bring the time down to what the bench says.
fn clocks_agree(bench: &mut Bench) -> Vec<Action> {
    bench.wall_off = 0;
    let said = Timestamp::from_secs(bench.secs);
    let mut actions = bench.input(Input::Heard { source: Source::Target, said });
    actions.extend(bench.input(Input::Heard { source: Source::ControlPlane, said }));
    assert_eq!(bench.book.now(), said);
    actions
}

#[test]
fn what_began_by_a_clock_that_was_ahead_lives_on_and_what_only_was_to_begin_waits_for_its_time() {
    for (name, in_time, after, ends, later) in [
        ("opened before anybody contradicted", true, "active", "converge", "active"),
        ("held up until somebody did", false, "accepted", "close", "active"),
    ] {
        let mut bench = bench();
        let actions = bench.put("a", "ann", &["orders", "stock"], 300);
        bench.well(actions);
        if !in_time {
            bench.order(Order::Pause { integration: None });
        }
        bench.wall_off = 3_600;
        bench.pass(1);
        let early = bench.access_order("b", "ann", &["stock"], 300);
        let from = early.from.plus(Span::from_mins(30));
        let actions = bench.order(Order::PutAccess(AccessOrder { from, ..early }));
        bench.well(actions);
        assert_eq!(bench.state("b"), if in_time { "active" } else { "granting" }, "{name}");
        let actions = clocks_agree(&mut bench);
        bench.well(actions);
        let actions = bench.order(Order::Resume { integration: None });
        bench.well(actions);
        assert_eq!(bench.state("b"), after, "{name}");
        let actions = bench.order(Order::EndAccess { access: id("a") });
        assert_eq!(actions.iter().map(|action| action.act.word()).collect::<Vec<_>>(), [ends], "{name}");
        bench.well(actions);
        assert_eq!((bench.state("a"), bench.state("b")), ("ended", after), "{name}");
        let actions = bench.pass(30 * 60);
        bench.well(actions);
        assert_eq!(bench.state("b"), later, "{name}");
    }
}

#[test]
fn what_was_closed_without_a_journal_is_not_active_by_a_later_order_before_it_is_opened_anew() {
    let mut bench = bench();
    let actions = bench.put("a", "ann", &["orders"], 30);
    bench.well(actions);
    bench.journal.break_writes(Fate::Full);
    bench.wall_off = 3_600;
    let closing = bench.pass(1);
    assert_eq!(closing[0].act.word(), "close");
    clocks_agree(&mut bench);
    bench.journal.mend();
    assert!(bench.input(Input::CloseOnly(None)).is_empty());
    assert_eq!(bench.state("a"), "active", "by a journal that does not know better");
    assert!(bench.put_revision("a", "ann", &["orders"], 60, 2).is_empty());
    assert_eq!(bench.state("a"), "accepted");
    let opening = bench.answer(&closing[0], done(&closing[0].act));
    assert_eq!(opening[0].act.word(), "mint");
    bench.well(opening);
    assert_eq!(bench.state("a"), "active");
}

#[test]
fn another_target_in_its_place_opens_nothing_and_proves_nothing() {
    let mut bench = bench();
    let identified =
        |name: &str| Input::Identified { integration: target(), identity: TargetIdentity(name.into()) };
    bench.input(identified("one"));
    let actions = bench.put("a", "ann", &["orders"], 30);
    bench.well(actions);
    bench.input(identified("two"));
    bench.input(identified("two"));
    assert_eq!(bench.alarms(&Code::TARGET_REPLACED), 1);
    assert!(bench.put("b", "bob", &["orders"], 30).is_empty());
    let closing = bench.order(Order::EndAccess { access: id("a") });
    bench.answer(&closing[0], done(&closing[0].act));
    assert_eq!(bench.state("a"), "ending", "what is missing on another target has not ended");
    bench.input(identified("one"));
    let closing = bench.pass(61);
    bench.well(closing);
    assert_eq!(bench.state("a"), "ended");
}

#[test]
fn a_restart_goes_on_where_it_was_and_overdue_closing_is_spread() {
    let mut bench = bench();
    for n in 0..40 {
        let actions = bench.put(&format!("a{n}"), &format!("p{n}"), &["orders"], 30);
        bench.well(actions);
    }
    bench.secs += 3_600;
    let at_once = bench.restart().len();
    assert!(at_once < 8, "{at_once} closings began at once");
    for _ in 0..60 {
        let actions = bench.pass(1);
        bench.well(actions);
    }
    assert_eq!(bench.book.counts().ending, 0);
    assert!(bench.book.accounts().all(|record| record.phase == Phase::Suspended));
}
