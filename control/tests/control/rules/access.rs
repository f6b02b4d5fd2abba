//! An access from the asking to the end: decisions, reports, labels.

use control::rules::approval::{NotNow, approve, cancel, end, reject, reopen, window};
use control::rules::label::{Label, WAITING, shown};
use control::rules::live::should_live;
use control::rules::request::{Asked, By, Request, Stage, Tell, Window};
use control::rules::told::{self as telling, Untaken};
use model::{AccessState, Code, Failure, GranteeId, Revision, Verdict};

use super::{accepted, active, ended, ended_with_residual, ending, interrupted, later, pending, said, told};
use crate::world::START;

fn eve() -> By {
    By::Person(GranteeId::parse("eve").unwrap())
}

fn end_asked(request: Request) -> Request {
    Request { end_asked: Some(Asked { by: eve(), at: later(1), reason: None }), ..request }
}

fn rejected() -> Request {
    Request { stage: Stage::Rejected, ..pending() }
}

#[test]
fn time_counts_from_approval_or_from_the_fixed_start() {
    let fixed = Request { from: Some(later(50)), ..pending() };
    let table = [
        ("at once", pending(), later(10), Window { from: later(10), until: later(110) }),
        ("a start ahead", fixed.clone(), later(10), Window { from: later(50), until: later(150) }),
        (
            "a start that is past keeps its end",
            fixed,
            later(60),
            Window { from: later(50), until: later(150) },
        ),
    ];
    for (name, request, now, expected) in table {
        assert_eq!(window(&request, now), expected, "{name}");
    }
}

#[test]
fn only_a_pending_request_is_decided() {
    let past = Request { from: Some(START), ..pending() };
    let table = [
        ("pending", pending(), later(10), Ok(())),
        ("its time is over", past, later(100), Err("request_too_late")),
        ("approved before", accepted(), later(10), Err("request_not_pending")),
        ("rejected before", rejected(), later(10), Err("request_not_pending")),
    ];
    for (name, request, now, expected) in table {
        let got = approve(&request, eve(), None, now);
        assert_eq!(got.as_ref().map(|_| ()).map_err(NotNow::code), expected, "{name}");
        if let Ok(moved) = got {
            assert_eq!(moved.tell, Some(Tell::Put), "{name}");
            assert_eq!(moved.request.revision, Revision(1), "{name}");
            assert_eq!(moved.request.stage, Stage::Accepted, "{name}");
            assert_eq!(moved.request.changes, request.changes + 1, "{name}");
        }
    }
    let moved = reject(&pending(), eve(), "no ticket".into(), later(1)).unwrap();
    assert_eq!((moved.request.stage, moved.tell), (Stage::Rejected, None));
    assert!(reject(&accepted(), eve(), "late".into(), later(1)).is_err());
}

#[test]
fn ending_is_possible_until_it_is_over_and_once() {
    let table = [
        ("pending", pending(), Ok(Some((Stage::Withdrawn, None)))),
        ("ordered", accepted(), Ok(Some((Stage::Accepted, Some(Tell::End))))),
        ("active", told(active()), Ok(Some((Stage::Accepted, Some(Tell::End))))),
        ("asked before", end_asked(told(active())), Ok(None)),
        ("ended", told(ended(Verdict::Expired)), Err("request_over")),
        ("rejected", rejected(), Err("request_over")),
    ];
    for (name, request, expected) in table {
        let got = end(&request, eve(), None, later(2));
        let got = got.map(|moved| moved.map(|moved| (moved.request.stage, moved.tell)));
        assert_eq!(got.map_err(|fault| fault.code()), expected, "{name}");
    }
}

#[test]
fn an_ending_is_canceled_only_when_the_agent_offers_it() {
    let offered = |state| {
        let mut request = told(state);
        if let Some(told) = &mut request.told {
            told.cancel_possible = telling::cancel_possible(&told.state);
        }
        request
    };
    let table = [
        ("active", offered(active()), Err("cancel_not_possible")),
        ("the first tries", offered(ending(9, false)), Err("cancel_not_possible")),
        ("after many tries", offered(ending(10, true)), Ok(Some(Tell::CancelEnding))),
        ("ended", offered(ended(Verdict::Revoked)), Err("request_over")),
    ];
    for (name, request, expected) in table {
        let got = cancel(&request, eve(), "gone for good".into(), later(2));
        let got = got.map(|moved| moved.and_then(|moved| moved.tell));
        assert_eq!(got.map_err(|fault| fault.code()), expected, "{name}");
    }
}

#[test]
fn only_an_interrupted_access_is_opened_again() {
    let table = [
        ("interrupted", told(interrupted()), later(50), Ok(Revision(2))),
        ("active", told(active()), later(50), Err("request_not_interrupted")),
        ("its time is over", told(interrupted()), later(100), Err("request_too_late")),
        ("its end was asked for", end_asked(told(interrupted())), later(50), Err("request_ending")),
    ];
    for (name, request, now, expected) in table {
        let got = reopen(&request, eve(), now).map(|moved| moved.request.revision);
        assert_eq!(got.map_err(|fault| fault.code()), expected, "{name}");
    }
}

#[test]
fn the_agents_word_changes_what_is_not_over() {
    let table = [
        ("the first word", accepted(), active(), Some(("active", None, false))),
        ("the same again", told(active()), active(), None),
        ("over stays over", told(ended(Verdict::Expired)), active(), None),
        (
            "canceled stays canceled",
            told(AccessState::Canceled { at: later(2) }),
            ended(Verdict::Revoked),
            None,
        ),
        (
            "an end asked for does not hide the word",
            end_asked(told(active())),
            ending(1, false),
            Some(("ending", None, false)),
        ),
        ("one that waits for a decision here", pending(), active(), Some(("active", None, true))),
        ("one that was refused here", rejected(), active(), Some(("active", Some(Tell::End), true))),
        ("one that was refused here and is over", rejected(), ended(Verdict::Revoked), None),
    ];
    for (name, before, state, expected) in table {
        let got = telling::told(&before, said(state));
        let got = got.map(|moved| (moved.request.word(), moved.tell, moved.alarm.is_some()));
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn an_order_that_was_not_taken_is_told() {
    let refusal = Failure::refused(Code::INTEGRATION_MISSING, "there is none");
    let ended_id = Failure::refused(Code::ID_ENDED, "it has ended");
    let asked = Request {
        cancel_asked: Some(Asked { by: eve(), at: later(1), reason: None }),
        ..told(ending(10, false))
    };
    let table = [
        ("the first order", accepted(), Untaken::Put, &refusal, Some("refused")),
        ("a later order on an open access", told(active()), Untaken::Put, &refusal, Some("active")),
        ("an id that has ended there", told(active()), Untaken::Put, &ended_id, Some("refused")),
        ("a cancel", asked, Untaken::Cancel, &refusal, Some("ending")),
        ("over already", told(ended(Verdict::Expired)), Untaken::Put, &refusal, None),
    ];
    for (name, before, order, failure, expected) in table {
        let moved = telling::untaken(&before, order, failure, later(3));
        assert_eq!(moved.as_ref().map(|moved| moved.request.word()), expected, "{name}");
        assert!(moved.is_none_or(|moved| moved.request.cancel_asked.is_none()), "{name}: cancel still asked");
    }
}

#[test]
fn labels_follow_decisions_and_the_agents_word() {
    let code = || Code::TIMED_OUT;
    let withdrawn = Request { stage: Stage::Withdrawn, ..pending() };
    let granting = || told(AccessState::Granting { since: later(1) });
    // (name, request, at, label, warning, note, deadline passed)
    let table = [
        ("waiting for a decision", pending(), 5, Label::PendingApproval, false, None, false),
        ("rejected", rejected(), 5, Label::Rejected, false, None, false),
        ("withdrawn", withdrawn, 5, Label::Revoked, false, Some("withdrawn before a decision"), false),
        ("ordered", accepted(), 5, Label::Granting, false, None, false),
        ("granting", granting(), 5, Label::Granting, false, None, false),
        ("active", told(active()), 5, Label::Active, false, None, false),
        ("active a moment before its end", told(active()), 99, Label::Active, false, None, false),
        ("its time is over", told(active()), 100, Label::Revoking, false, Some(WAITING), true),
        ("never opened, its time is over", granting(), 100, Label::Revoking, false, Some(WAITING), true),
        ("interrupted", told(interrupted()), 5, Label::Active, true, None, false),
        (
            "its end was asked for",
            end_asked(told(active())),
            5,
            Label::Revoking,
            false,
            Some("end asked for, waiting for the agent"),
            false,
        ),
        ("ending", told(ending(1, false)), 5, Label::Revoking, false, None, false),
        (
            "contained",
            told(ending(1, true)),
            5,
            Label::Revoking,
            false,
            Some("contained: the login is shut"),
            false,
        ),
        ("ending after its time", told(ending(1, false)), 200, Label::Revoking, false, None, true),
        ("expired", told(ended(Verdict::Expired)), 200, Label::Expired, false, None, false),
        ("revoked", told(ended(Verdict::Revoked)), 5, Label::Revoked, false, None, false),
        ("deleted", told(ended(Verdict::Deleted)), 5, Label::Revoked, false, None, false),
        ("with a residual", told(ended_with_residual()), 5, Label::Expired, true, None, false),
        ("refused", told(AccessState::Refused { code: code() }), 5, Label::Failed, false, None, false),
        ("failed", told(AccessState::Failed { code: code() }), 5, Label::Failed, false, None, false),
        (
            "canceled",
            told(AccessState::Canceled { at: later(3) }),
            5,
            Label::RevokeCanceled,
            true,
            None,
            false,
        ),
    ];
    for (name, request, secs, label, warning, note, passed) in table {
        let got = shown(&request, later(secs));
        assert_eq!(got.label, label, "{name}");
        assert_eq!(got.warning.is_some(), warning, "{name}: warning");
        assert_eq!(got.note, note, "{name}");
        assert_eq!(got.deadline_passed, passed, "{name}: deadline");
        assert!(label.words().contains(&request.word()), "{name}: a filter by label misses it");
    }
}

#[test]
fn nothing_is_shown_as_ended_before_the_agent_said_so() {
    for request in [accepted(), told(active()), told(interrupted()), told(ending(3, false))] {
        for secs in [0, 99, 100, 1_000_000] {
            let label = shown(&request, later(secs)).label;
            let over = [Label::Expired, Label::Revoked, Label::Failed, Label::RevokeCanceled];
            assert!(!over.contains(&label), "`{}` is shown as {} at {secs}", request.word(), label.text());
        }
    }
}

#[test]
fn what_should_live_is_ordered_wanted_and_in_time() {
    let table = [
        ("ordered", accepted(), 5, true),
        ("active", told(active()), 99, true),
        ("at its deadline", told(active()), 100, false),
        ("interrupted", told(interrupted()), 5, true),
        ("its end was asked for", end_asked(told(active())), 5, false),
        ("pending", pending(), 5, false),
        ("ended", told(ended(Verdict::Revoked)), 5, false),
    ];
    for (name, request, secs, expected) in table {
        assert_eq!(should_live(&request, later(secs)), expected, "{name}");
    }
}
