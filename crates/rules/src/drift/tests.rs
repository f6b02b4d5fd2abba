//! What a survey finds against what is remembered, kind by kind, and how much of it is named.

use std::collections::{BTreeMap, BTreeSet};

use model::mark::{Mark, MarkState};
use model::observed::Present;
use model::{
    AccessState, AccountName, ConnectorId, EntitlementSet, ImmutableId, IntegrationId, Login, Ownership,
    Phase, Revision, TargetIdentity,
};

use super::{Drift, DriftKind, EXAMPLES, Survey, Tally};
use crate::account::AccountRecord;
use crate::bench::{NOW, access, active, ending, granting, interrupted, record, rights};

use DriftKind::{Excess, Foreign, Ghost, Interrupted, Renamed, Tampered, Vanished, WiderRole};

/// A new kind has to be told here and proven below.
const fn is_proven_below(kind: DriftKind) -> bool {
    match kind {
        Excess | Ghost | Vanished | Tampered | Foreign | Interrupted | Renamed | WiderRole => true,
    }
}

const EVERY: [DriftKind; 8] = [Excess, Ghost, Vanished, Tampered, Foreign, Interrupted, Renamed, WiderRole];

/// The account on the target, as it is remembered.
fn as_remembered(record: &AccountRecord) -> Present {
    let draft = record.mark_draft(&ConnectorId::parse("bench").unwrap(), NOW);
    let immutable = ImmutableId("1".into());
    let mark: Mark = draft.complete(TargetIdentity("t".into()), immutable.clone());
    let mut entitlements = record.held.clone();
    entitlements.extend(&record.own.clone().unwrap_or_default());
    Present {
        name: record.account.name.clone(),
        immutable,
        login: if record.phase == Phase::Suspended { Login::Shut } else { Login::Open },
        entitlements,
        excess: vec![],
        sessions: 0,
        expires: None,
        mark: MarkState::Valid(Box::new(mark)),
        residual: vec![],
    }
}

fn revision(found: &mut Present, change: impl Fn(u64) -> u64) {
    let MarkState::Valid(mark) = &mut found.mark else { panic!("a mark to change") };
    mark.draft.revision = Revision(change(mark.draft.revision.0));
}

fn survey(tally: Tally) -> Survey {
    tally.finish(IntegrationId::parse("pg").unwrap(), NOW)
}

type Row = (&'static str, AccountRecord, fn(&mut Present), &'static [DriftKind]);

fn table() -> Vec<Row> {
    let of = |state: AccessState, phase| record(Ownership::Owned, phase, [access("a", state)]);
    let open = || of(active(), Phase::Open);
    let shut = || record(Ownership::Owned, Phase::Suspended, []);
    let lent = || {
        let mut record = record(Ownership::Borrowed, Phase::Open, [access("a", active())]);
        record.own = Some(rights(&["own"]));
        record
    };
    let more: fn(&mut Present) = |found| found.entitlements.extend(&rights(&["b"]));
    let less: fn(&mut Present) = |found| found.entitlements = EntitlementSet::nothing();
    let words: fn(&mut Present) = |found| found.excess.push("is a superuser".into());
    let opened: fn(&mut Present) = |found| found.login = Login::Open;
    let closed: fn(&mut Present) = |found| found.login = Login::Shut;
    vec![
        ("open as remembered", open(), |_| {}, &[]),
        ("shut as remembered", shut(), |_| {}, &[]),
        ("borrowed as remembered", lent(), |_| {}, &[]),
        ("the mark is gone", open(), |found| found.mark = MarkState::Missing, &[Tampered]),
        ("the mark was altered", open(), |found| found.mark = MarkState::Forged, &[Tampered]),
        ("another account's mark", open(), |found| found.mark = MarkState::Copied, &[Tampered]),
        ("a mark by a key of somebody else", shut(), |found| found.mark = MarkState::Foreign, &[Tampered]),
        ("an older mark put back", open(), |found| revision(found, |known| known - 1), &[Tampered]),
        ("a newer mark: the journal is old", open(), |found| revision(found, |known| known + 1), &[]),
        ("a right given by hand", open(), more, &[Excess]),
        ("a right that the driver has no word for", open(), words, &[Excess]),
        ("a right given to a shut one", shut(), more, &[Excess]),
        ("a shut one opened", shut(), opened, &[Excess]),
        ("more on a borrowed one is its own", lent(), more, &[]),
        ("a right taken away", open(), less, &[Interrupted]),
        ("an open one shut", open(), closed, &[Interrupted]),
        ("a right taken from a borrowed one", lent(), less, &[Interrupted]),
        ("a borrowed one shut: its own affair", lent(), closed, &[]),
        ("what nobody has any more cannot be taken away", of(interrupted(), Phase::Open), less, &[]),
        ("opening is under way", of(granting(), Phase::Opening), more, &[]),
        ("closing is under way", of(ending(), Phase::Closing), less, &[]),
        ("another name", open(), |found| found.name = AccountName("other".into()), &[Renamed]),
        (
            "all at once",
            open(),
            |found| {
                found.name = AccountName("other".into());
                found.entitlements = rights(&["b"]);
                found.mark = MarkState::Missing;
            },
            &[Excess, Tampered, Interrupted, Renamed],
        ),
        (
            "and while it is closed",
            of(ending(), Phase::Closing),
            |found| {
                found.name = AccountName("other".into());
                found.mark = MarkState::Missing;
            },
            &[Tampered, Renamed],
        ),
    ]
}

#[test]
fn what_is_found_of_an_account_against_what_is_remembered_of_it() {
    for (name, record, change, expected) in table() {
        let mut found = as_remembered(&record);
        change(&mut found);
        let mut tally = Tally::default();
        tally.look(&found, Some(&record));
        let survey = survey(tally);
        let once = Drift { count: 1, examples: vec![found.name], accounts: vec![record.account.id] };
        let expected: BTreeMap<_, _> = expected.iter().map(|kind| (*kind, once.clone())).collect();
        assert_eq!((survey.accounts, survey.drifts), (1, expected), "{name}");
    }
}

#[test]
fn what_is_found_and_not_remembered() {
    let known = record(Ownership::Owned, Phase::Open, [access("a", active())]);
    let valid = as_remembered(&known).mark;
    for (name, mark, kind) in [
        ("our mark", valid, Ghost),
        ("no mark", MarkState::Missing, Foreign),
        ("a copy", MarkState::Copied, Foreign),
        ("an altered one", MarkState::Forged, Foreign),
        ("another connector's", MarkState::Foreign, Foreign),
    ] {
        let found = Present { mark, ..as_remembered(&known) };
        let mut tally = Tally::default();
        tally.look(&found, None);
        let once = Drift { count: 1, examples: vec![found.name], accounts: vec![] };
        assert_eq!(survey(tally).drifts, BTreeMap::from([(kind, once)]), "{name}");
    }
}

#[test]
fn what_is_remembered_and_not_found_has_vanished() {
    let known = record(Ownership::Owned, Phase::Open, [access("a", active())]);
    let mut tally = Tally::default();
    tally.miss(&known);
    let survey = survey(tally);
    let once = Drift { count: 1, examples: vec![known.account.name], accounts: vec![known.account.id] };
    assert_eq!((survey.accounts, survey.drifts), (0, BTreeMap::from([(Vanished, once)])), "nothing was seen");
}

#[test]
fn a_widened_role_is_told_beside_what_accounts_show_and_none_is_not_told() {
    let mut told = survey(Tally::default());
    told.add_wider_roles(Drift::default());
    assert!(told.drifts.is_empty(), "{told:?}");
    let mut roles = Drift::default();
    roles.add(&AccountName("p".into()), None);
    told.add_wider_roles(roles.clone());
    assert_eq!(told.drifts, BTreeMap::from([(WiderRole, roles)]));
}

#[test]
fn every_kind_is_in_these_tables() {
    let of_accounts = table().into_iter().flat_map(|(_, _, _, kinds)| kinds.iter().copied());
    let proven: BTreeSet<_> = of_accounts.chain([Ghost, Foreign, Vanished, WiderRole]).collect();
    assert_eq!(proven, BTreeSet::from(EVERY));
    assert!(EVERY.into_iter().all(is_proven_below));
}

#[test]
fn the_first_are_named_and_all_are_counted() {
    let known = record(Ownership::Owned, Phase::Open, [access("a", active())]);
    let (mut tally, many) = (Tally::default(), EXAMPLES + 50);
    for n in 0..many {
        let mine = Present { name: AccountName(format!("account-{n}")), ..as_remembered(&known) };
        tally.look(&Present { excess: vec!["more".into()], ..mine.clone() }, Some(&known));
        tally.look(&mine, None);
    }
    let survey = survey(tally);
    assert_eq!(survey.accounts, 2 * u64::try_from(many).unwrap());
    let named: Vec<_> = (0..EXAMPLES).map(|n| AccountName(format!("account-{n}"))).collect();
    for (kind, known) in [(Excess, EXAMPLES), (Renamed, EXAMPLES), (Ghost, 0)] {
        let Drift { count, examples, accounts } = &survey.drifts[&kind];
        assert_eq!((*count, examples), (u64::try_from(many).unwrap(), &named), "{kind:?}");
        assert_eq!(accounts.len(), known, "{kind:?}");
    }
}
