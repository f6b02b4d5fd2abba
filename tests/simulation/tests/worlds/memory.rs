//! Named cases of what a memory may believe: journals that are new, old or lost, surveys, marks that nobody remembers.

use journal::memory::Fate;
use model::*;
use rules::{AccessOrder, Act, Action, Answer, Input, NumberedOrder, Order, Report, Standing};

use crate::bench::{Bench, START, account, control_plane, done, id, marked, present, rights, target};
use crate::book::{bench, cleanup, overlap};

#[test]
fn nothing_opens_on_a_target_that_was_never_surveyed() {
    let mut bench = bench();
    let other = IntegrationId::parse("other").unwrap();
    bench.put_integration(other.clone(), Policy::default());
    let order = bench.access_order("a", "ann", &["orders"], 30);
    let order = AccessOrder { integration: other.clone(), ..order };
    assert!(bench.order(Order::PutAccess(order)).is_empty(), "an account of it may stand there already");
    let survey = |complete| Input::Surveyed { integration: other.clone(), sightings: vec![], complete };
    assert!(bench.input(survey(false)).is_empty(), "a part of a survey says nothing");
    assert_eq!(bench.input(survey(true))[0].act.word(), "mint");
    assert_eq!(bench.put("b", "bob", &["orders"], 30)[0].act.word(), "mint", "one target is not another");
}

#[test]
fn a_control_plane_never_met_before_agrees_with_a_journal_and_each_target_is_surveyed_all_the_same() {
    let another = Incarnation::from_uuid(uuid::Uuid::from_u128(10));
    for (name, by, position, refused, opens) in [
        ("the one of before, which counts reports", control_plane(), Position(2), false, true),
        ("one restored from a backup, which may have lost count", another, Position(1), false, false),
        ("and that could not be written down", another, Position(1), true, false),
    ] {
        let mut bench = bench();
        let copy = bench.journal.snapshot();
        let actions = bench.put("a", "ann", &["orders"], 30);
        bench.well(actions);
        // The journal is put back, the access is known on the target alone, and its grantee renamed the account.
        let known = bench.book.account(account("ann")).unwrap().clone();
        let draft = known.mark_draft(&ConnectorId::parse("bench").unwrap(), bench.book.now());
        let renamed = Account { name: AccountName("renamed".into()), ..known.account };
        let found = marked(present(&renamed, Login::Open, &known.held), draft);
        let order = Order::PutAccess(bench.access_order("a", "ann", &["orders"], 30));
        bench.come_back_with(copy);
        if refused {
            bench.journal.break_writes(Fate::Full);
        }
        assert!(bench.input(Input::JournalIsCurrent { by }).is_empty(), "{name}");
        if refused {
            bench.journal.mend();
            bench.input(Input::CloseOnly(None));
        }
        let ordered = NumberedOrder { incarnation: by, position, order };
        let words = |actions: &[Action]| actions.iter().map(|action| action.act.word()).collect::<Vec<_>>();
        let opening = bench.input(Input::Order(ordered));
        assert_eq!(words(&opening), if opens { vec!["mint"] } else { vec![] }, "{name}");
        if opens {
            continue;
        }
        if !refused {
            let again = bench.restart();
            assert!(again.is_empty(), "{name}: a restart forgets nothing: {again:?}");
        }
        let sightings = vec![Sighting { found }];
        bench.input(Input::Surveyed { integration: target(), sightings, complete: true });
        let record = bench.book.account(account("ann")).unwrap();
        assert_eq!((&record.account.name, record.phase), (&renamed.name, Phase::Open), "{name}: one account");
    }
}

#[test]
fn a_survey_is_doubted_before_it_is_believed() {
    let mut bench = overlap();
    let missed = Input::Surveyed { integration: target(), sightings: vec![], complete: true };
    let looking = bench.input(missed);
    assert_eq!(looking[0].act.word(), "observe");
    assert_eq!(bench.state("a"), "active", "a sighting alone interrupts nothing");
    bench.answer(&looking[0], Answer::Observed(Observed::absent(None)));
    assert_eq!((bench.state("a"), bench.state("b")), ("interrupted", "interrupted"));
}

#[test]
fn a_survey_that_comes_in_pieces_misses_nobody_whom_a_piece_has_met() {
    let mut bench = overlap();
    let actions = bench.put("c", "cay", &["orders"], 60);
    bench.well(actions);
    let connector = ConnectorId::parse("bench").unwrap();
    let piece = |bench: &Bench, grantees: &[&str], complete| {
        let sighting = |grantee: &&str| {
            let record = bench.book.account(account(grantee)).unwrap();
            let draft = record.mark_draft(&connector, bench.book.now());
            Sighting { found: marked(present(&record.account, Login::Open, &record.held), draft) }
        };
        let sightings = grantees.iter().map(sighting).collect();
        Input::Surveyed { integration: target(), sightings, complete }
    };
    for pieces in
        [vec![vec!["ann"], vec!["cay"], vec![]], vec![vec!["ann", "cay"]], vec![vec!["cay"], vec!["ann"]]]
    {
        let last = pieces.len() - 1;
        for (n, met) in pieces.iter().enumerate() {
            let input = piece(&bench, met, n == last);
            assert_eq!(bench.input(input), [], "{pieces:?}");
        }
    }
    bench.input(piece(&bench, &["ann"], false));
    let looking = bench.input(piece(&bench, &[], true));
    assert_eq!(looking.iter().map(|action| action.account).collect::<Vec<_>>(), [account("cay")]);
}

#[test]
fn an_unremembered_account_is_held_to_each_deadline_of_its_mark() {
    let bench = overlap();
    let record = bench.book.account(account("ann")).unwrap().clone();
    let connector = ConnectorId::parse("bench").unwrap();
    let draft = record.mark_draft(&connector, bench.book.now());
    let found = marked(present(&record.account, Login::Open, &record.held), draft);
    let mut fresh = Bench::without_survey(Policy::default());
    fresh.input(Input::Surveyed {
        integration: target(),
        sightings: vec![Sighting { found }],
        complete: true,
    });
    assert_eq!(fresh.alarms(&Code::ACCOUNT_UNREMEMBERED), 1);
    let shrinking = fresh.pass(30 * 60);
    let Act::Converge { wanted, .. } = &shrinking[0].act else { panic!("{shrinking:?}") };
    assert_eq!(*wanted, rights(&["stock"]), "the earlier deadline takes away what it was for");
    fresh.well(shrinking);
    let closing = fresh.pass(30 * 60);
    assert_eq!(closing[0].act.word(), "close");
}

#[test]
fn without_journal_and_control_plane_marks_close_what_the_identity_remembers() {
    let known = overlap();
    let record = known.book.account(account("ann")).unwrap().clone();
    let remembered =
        |bench: &Bench| bench.book.integrations().map(|found| found.integration.clone()).collect();
    let integrations: Vec<Integration> = remembered(&known);
    let draft = record.mark_draft(&ConnectorId::parse("bench").unwrap(), known.book.now());
    let found = marked(present(&record.account, Login::Open, &record.held), draft);

    let mut lost = Bench::without_control_plane();
    assert!(lost.input(Input::Remembered(integrations.clone())).is_empty());
    assert_eq!(remembered(&lost), integrations, "its targets are known again");
    let sightings = vec![Sighting { found }];
    let held = lost.input(Input::Surveyed { integration: target(), sightings, complete: true });
    assert!(held.is_empty(), "until its deadlines: {held:?}");
    let shrinking = lost.pass(30 * 60);
    assert_eq!(shrinking[0].act.word(), "converge", "the earlier deadline");
    lost.well(shrinking);
    let closing = lost.pass(30 * 60);
    assert_eq!(closing[0].act.word(), "close", "the later one");
    lost.well(closing);
    assert!(lost.book.account(account("ann")).is_none_or(|record| record.accesses.is_empty()));

    // What the journal has retired, it knows better than an identity that was not written in time.
    let mut retired = bench();
    retired.order(Order::RetireIntegration { integration: target() });
    let before: Vec<_> = retired.book.integrations().cloned().collect();
    retired.input(Input::Remembered(integrations));
    assert_eq!(retired.book.integrations().cloned().collect::<Vec<_>>(), before);
}

#[test]
fn an_unremembered_account_that_has_ended_is_not_held_by_the_same_mark_again() {
    let known = overlap();
    let record = known.book.account(account("ann")).unwrap().clone();
    let mut draft = record.mark_draft(&ConnectorId::parse("bench").unwrap(), known.book.now());
    let sighted = |draft: &mark::MarkDraft| {
        let found = marked(present(&record.account, Login::Open, &record.held), draft.clone());
        Input::Surveyed { integration: target(), sightings: vec![Sighting { found }], complete: true }
    };
    let mut fresh = Bench::without_survey(cleanup(0));
    let held = fresh.input(sighted(&draft));
    assert!(held.is_empty(), "until its deadlines: {held:?}");
    let (incarnation, position) = (Incarnation::from_uuid(uuid::Uuid::from_u128(9)), Position(0));
    let nothing = Standing { incarnation, position, accesses: vec![], confirmed: true };
    let closing = fresh.input(Input::Standing(nothing));
    assert_eq!(closing[0].act.word(), "close");
    fresh.well(closing);
    assert!(fresh.book.account(account("ann")).is_none(), "closed and deleted");
    // A survey that began before that comes in, or a backup of the target brings the account back.
    let again = fresh.input(sighted(&draft));
    assert_eq!(again[0].act.word(), "close", "what has ended never lives again");
    fresh.well(again);
    // Nor does another life of it: who has seen the whole target knows of all that lives there.
    draft.revision = draft.revision.next();
    let again = fresh.input(sighted(&draft));
    assert_eq!(again[0].act.word(), "close");
}

#[test]
fn what_a_backup_of_the_target_brings_back_is_closed_though_it_was_deleted_and_forgotten() {
    let mut bench = Bench::new(Ownership::Owned, cleanup(0));
    let actions = bench.put("a", "ann", &["orders"], 30);
    bench.well(actions);
    let record = bench.book.account(account("ann")).unwrap().clone();
    let draft = record.mark_draft(&ConnectorId::parse("bench").unwrap(), bench.book.now());
    let ending = bench.order(Order::EndAccess { access: id("a") });
    bench.well(ending);
    assert!(bench.book.account(account("ann")).is_none(), "closed and deleted");
    let found = marked(present(&record.account, Login::Open, &record.held), draft);
    let sightings = vec![Sighting { found }];
    let closing = bench.input(Input::Surveyed { integration: target(), sightings, complete: true });
    assert_eq!(closing[0].act.word(), "close", "its mark says that it may live, and it was ended");
    assert_eq!(bench.alarms(&Code::ACCOUNT_UNREMEMBERED), 1);
    bench.well(closing);
    assert!(bench.book.account(account("ann")).is_none());
}

#[test]
fn an_unremembered_account_may_live_when_journal_and_control_plane_were_put_back_together() {
    let another = Incarnation::from_uuid(uuid::Uuid::from_u128(10));
    for (name, by, refused, held) in [
        ("one that has met this journal would have told", control_plane(), false, false),
        ("one that was restored may have lost count", another, false, true),
        ("and that could not be written down", another, true, true),
    ] {
        let mut bench = bench();
        let copy = bench.journal.snapshot();
        let actions = bench.put("a", "ann", &["orders"], 30);
        bench.well(actions);
        let record = bench.book.account(account("ann")).unwrap().clone();
        let draft = record.mark_draft(&ConnectorId::parse("bench").unwrap(), bench.book.now());
        let found = marked(present(&record.account, Login::Open, &record.held), draft);
        bench.come_back_with(copy);
        if refused {
            bench.journal.break_writes(Fate::Full);
        }
        bench.input(Input::JournalIsCurrent { by });
        if refused {
            bench.journal.mend();
            bench.input(Input::CloseOnly(None));
        }
        let sightings = vec![Sighting { found }];
        let actions = bench.input(Input::Surveyed { integration: target(), sightings, complete: true });
        let words: Vec<_> = actions.iter().map(|action| action.act.word()).collect();
        assert_eq!(words, if held { vec![] } else { vec!["close"] }, "{name}");
        let accesses = bench.book.account(account("ann")).unwrap().accesses.len();
        assert_eq!(accesses, usize::from(held), "{name}");
    }
}

/// What a close comes to that finds nothing where it looks.
fn absent() -> Answer {
    let observed = Ok(Observed::absent(None));
    Answer::Closed(rules::Climb { contained: true, in_doubt: false, failures: vec![], observed })
}

#[test]
fn what_is_absent_has_ended_only_if_memory_is_current_or_the_target_was_surveyed() {
    let survey = || Input::Surveyed { integration: target(), sightings: vec![], complete: true };
    let table = [
        ("agreed with", vec![Input::JournalIsCurrent { by: control_plane() }], 0, "ended"),
        ("nobody has agreed yet", vec![], 11, "ending"),
        ("nobody has agreed, a survey did not come across it", vec![survey()], 11, "ended"),
        ("an old copy", vec![Input::JournalIsOld], 11, "ending"),
        ("surveyed, and then found to be old", vec![survey(), Input::JournalIsOld], 11, "ending"),
        ("an old copy, surveyed since", vec![Input::JournalIsOld, survey()], 11, "ended"),
        ("what the lost one sent may still land", vec![Input::JournalIsOld, survey()], 9, "ending"),
        ("what one that may be lost sent may still land", vec![survey()], 9, "ending"),
    ];
    for (name, inputs, secs, state) in table {
        let mut bench = bench();
        let actions = bench.put("a", "ann", &["orders"], 30);
        bench.well(actions);
        bench.secs += 3_600;
        let closing = bench.come_back_with(bench.journal.snapshot());
        assert!(closing[0].act.closes(), "{name}: {closing:?}");
        for input in inputs {
            bench.input(input);
        }
        bench.pass(secs);
        bench.answer(&closing[0], absent());
        assert_eq!(bench.state("a"), state, "{name}");
        let contained = bench.reports.iter().any(|report| {
            let contains = |state: &AccessState| matches!(state, AccessState::Ending { contained: true, .. });
            matches!(report, Report::AccessChanged { state, .. } if contains(state))
        });
        assert!(!contained, "{name}: what is not found is not shut");
    }
}

#[test]
fn nothing_opens_and_nothing_is_surely_unbegun_while_calls_of_a_lost_journal_may_land() {
    let mut bench = bench();
    let copy = bench.journal.snapshot();
    bench.come_back_with(copy);
    let nobody = Input::Surveyed { integration: target(), sightings: vec![], complete: true };
    let ordered = bench.put("a", "ann", &["orders"], 30);
    assert!(ordered.is_empty(), "{ordered:?}");
    bench.input(Input::JournalIsOld);
    bench.agrees();
    bench.input(nobody.clone());
    let (incarnation, position) = (Incarnation::from_uuid(uuid::Uuid::from_u128(9)), Position(2));
    let accesses = vec![(id("a"), Revision(1))];
    let opening =
        bench.input(Input::Standing(Standing { incarnation, position, accesses, confirmed: false }));
    assert!(opening.is_empty() && bench.book.meta().reconciling, "all were asked, and it is too early");
    assert!(bench.pass(9).is_empty());
    assert_eq!(bench.book.poll_timeout(), Some(Timestamp::from_secs(START + 10)), "it wakes up by itself");
    let opening = bench.pass(1);
    assert_eq!(opening[0].act.word(), "mint");
    assert!(!bench.book.meta().reconciling);
    // The survey was too early to know of an account that the lost one was making.
    bench.order(Order::Pause { integration: None });
    bench.put("b", "bob", &["orders"], 30);
    let closing = bench.order(Order::EndAccess { access: id("b") });
    assert_eq!((bench.state("b"), closing[0].act.word()), ("ending", "close"));
    bench.input(nobody);
    bench.put("c", "cay", &["orders"], 30);
    bench.order(Order::EndAccess { access: id("c") });
    assert_eq!(bench.state("c"), "ended", "a later one tells");
}

#[test]
fn a_deletion_that_an_old_journal_does_not_find_is_not_believed_before_a_survey() {
    let mut bench = bench();
    let actions = bench.put("a", "ann", &["orders"], 30);
    bench.well(actions);
    let closing = bench.pass(30 * 60);
    bench.well(closing);
    let grantee = GranteeId::parse("ann").unwrap();
    let deleting = bench.order(Order::DeleteAccount { integration: target(), grantee });
    assert_eq!(deleting[0].act.word(), "delete");
    bench.input(Input::JournalIsOld);
    bench.answer(&deleting[0], done(&deleting[0].act));
    assert!(bench.book.account(account("ann")).is_some(), "it may be there under another name");
    let survey = Input::Surveyed { integration: target(), sightings: vec![], complete: true };
    let looking = bench.input(survey);
    assert_eq!(looking[0].act.word(), "observe", "the survey did not come across it, either");
    bench.answer(&looking[0], Answer::Observed(Observed::absent(None)));
    assert!(bench.book.account(account("ann")).is_none());
}

#[test]
fn an_old_journal_closes_its_account_where_a_survey_finds_it() {
    for (name, lag) in [("seen after the close", false), ("seen while it was under way", true)] {
        let mut bench = bench();
        let actions = bench.put("a", "ann", &["orders"], 30);
        bench.well(actions);
        let copy = bench.journal.snapshot();
        let record = bench.book.account(account("ann")).unwrap().clone();
        // A later memory has made it anew, and its grantee has renamed it.
        let mut draft = record.mark_draft(&ConnectorId::parse("bench").unwrap(), bench.book.now());
        draft.revision = Revision(draft.revision.0 + 3);
        let anew = Account {
            immutable: Some(ImmutableId("2".into())),
            name: AccountName("renamed".into()),
            ..record.account.clone()
        };
        let found = marked(present(&anew, Login::Open, &record.held), draft);
        let sightings = vec![Sighting { found }];
        let survey = Input::Surveyed { integration: target(), sightings, complete: true };

        bench.secs += 3_600;
        let closing = bench.come_back_with(copy);
        bench.input(Input::JournalIsOld);
        if lag {
            bench.input(survey);
            bench.answer(&closing[0], absent());
        } else {
            bench.answer(&closing[0], absent());
            bench.input(survey);
        }
        assert_eq!(bench.state("a"), "ending", "{name}");
        let closing = bench.pass(61);
        let Act::Close { account: looked_for, .. } = &closing[0].act else { panic!("{name}: {closing:?}") };
        assert_eq!((&looked_for.name, &looked_for.immutable), (&anew.name, &anew.immutable), "{name}");
        bench.well(closing);
        assert_eq!(bench.state("a"), "ended", "{name}");
    }
}
