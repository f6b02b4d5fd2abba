//! What a whole survey tells of what is not as it should be: once, for all of its pieces together.

use model::mark::MarkDraft;
use model::*;
use rules::Input;
use rules::drift::{DriftKind, EXAMPLES, Survey};

use crate::bench::{Bench, account, marked, present, rights, target};

const MANY: usize = EXAMPLES + 50;

/// An account with our mark that the book has never heard of.
fn ghost(n: usize) -> Sighting {
    let account = Account {
        id: account(&format!("ghost-{n:03}")),
        integration: target(),
        grantee: GranteeId::parse("nobody").unwrap(),
        name: AccountName(format!("tg_ghost_{n:03}")),
        ownership: Ownership::Owned,
        immutable: Some(ImmutableId(format!("ghost-{n}"))),
    };
    let draft = MarkDraft {
        connector: ConnectorId::parse("bench").unwrap(),
        integration: target(),
        account: account.id,
        revision: Revision(1),
        deadlines: vec![],
        until: None,
        last_revoked: None,
    };
    Sighting { found: marked(present(&account, Login::Open, &rights(&["orders"])), draft) }
}

fn surveyed(bench: &mut Bench, sightings: Vec<Sighting>, complete: bool) -> Option<Survey> {
    bench.input(Input::Surveyed { integration: target(), sightings, complete });
    let told = bench.book.poll_drift(&target());
    assert!(bench.book.poll_drift(&target()).is_none(), "told once");
    told
}

#[test]
fn a_survey_in_pieces_is_told_as_one_with_the_first_names_and_all_counted() {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    bench.book.poll_drift(&target());
    for grantee in ["ann", "bob"] {
        let actions = bench.put(grantee, grantee, &["orders"], 60);
        bench.well(actions);
    }
    let ann = bench.book.account(account("ann")).unwrap().clone();
    let draft = ann.mark_draft(&ConnectorId::parse("bench").unwrap(), bench.book.now());
    let mut widened = marked(present(&ann.account, Login::Open, &rights(&["orders", "stock"])), draft);
    widened.name = AccountName("other".into());

    let mut ghosts: Vec<_> = (0..MANY).map(ghost).collect();
    let rest = ghosts.split_off(EXAMPLES - 10);
    assert_eq!(surveyed(&mut bench, ghosts, false), None, "a part is not told");
    assert_eq!(surveyed(&mut bench, vec![Sighting { found: widened.clone() }], false), None);
    let told = surveyed(&mut bench, rest, true).unwrap();
    let many = u64::try_from(MANY).unwrap();
    assert_eq!((told.integration, told.accounts, told.at), (target(), many + 1, bench.book.now()));
    let counted: Vec<_> = told.drifts.iter().map(|(kind, found)| (*kind, found.count)).collect();
    let expected =
        [(DriftKind::Excess, 1), (DriftKind::Ghost, many), (DriftKind::Vanished, 1), (DriftKind::Renamed, 1)];
    assert_eq!(counted, expected);
    let named: Vec<_> = (0..EXAMPLES).map(|n| ghost(n).found.name).collect();
    assert_eq!(told.drifts[&DriftKind::Ghost].examples, named);
    assert_eq!(told.drifts[&DriftKind::Vanished].accounts, [account("bob")]);
    assert_eq!(told.drifts[&DriftKind::Excess].accounts, [account("ann")]);

    // Nothing is remembered of a drift: the next survey tells what it finds itself.
    let again = surveyed(&mut bench, vec![Sighting { found: widened }, ghost(0)], true).unwrap();
    let kinds: Vec<_> = again.drifts.keys().copied().collect();
    assert_eq!(kinds, [DriftKind::Excess, DriftKind::Vanished, DriftKind::Renamed], "a ghost is known since");
}

#[test]
fn another_target_in_its_place_tells_nothing_about_the_known_one() {
    let mut bench = Bench::new(Ownership::Owned, Policy::default());
    bench.book.poll_drift(&target());
    bench.identified("first");
    bench.identified("second");
    assert_eq!(surveyed(&mut bench, vec![ghost(1)], true), None);
}
