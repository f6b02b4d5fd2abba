//! Numbered chains: reports until they are committed, receipts for ever, no gaps.

use model::Position;
use model::durable::Table;

use super::{
    JournalWorld, batch, committed, incarnation, integration, keep, keys, numbers, positions, put, receipt,
    report,
};
use crate::{Chain, JournalFault};

pub(super) async fn reports_are_paged_and_dropped_when_committed(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    for position in 1..=25 {
        keep(journal.as_ref(), position, vec![report(position)]).await;
    }
    assert_eq!(positions(journal.as_ref(), 0, 10).await, (1..=10).collect::<Vec<_>>(), "the first page");
    assert_eq!(positions(journal.as_ref(), 20, 10).await, (21..=25).collect::<Vec<_>>(), "the last page");
    assert!(positions(journal.as_ref(), 25, 10).await.is_empty(), "after the last");
    assert!(positions(journal.as_ref(), u64::MAX, 10).await.is_empty(), "after all numbers");
    assert!(positions(journal.as_ref(), 0, 0).await.is_empty(), "a page of nothing");
    let bodies = journal.reports(Position(2), 1).await.unwrap();
    assert_eq!(bodies[0].body, "{\"report\":3}");

    keep(journal.as_ref(), 26, vec![committed(20)]).await;
    keep(journal.as_ref(), 27, vec![committed(3)]).await;
    assert_eq!(
        positions(journal.as_ref(), 0, 100).await,
        (21..=25).collect::<Vec<_>>(),
        "committed ones stay"
    );
    keep(journal.as_ref(), 28, vec![report(26), committed(26), report(27)]).await;

    let journal = storage.reopen(journal).await;
    assert_eq!(positions(journal.as_ref(), 0, 100).await, [27]);
    assert_eq!(journal.load().await.unwrap().last_report, Position(27));
    keep(journal.as_ref(), 29, vec![committed(27)]).await;
    let journal = storage.reopen(journal).await;
    assert!(positions(journal.as_ref(), 0, 100).await.is_empty());
    assert_eq!(journal.load().await.unwrap().last_report, Position(27), "numbers begin again after a commit");
    keep(journal.as_ref(), 30, vec![report(28)]).await;
}

pub(super) async fn receipts_are_kept_by_integration(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let (one, other) = (integration("one"), integration("other"));
    for number in 1..=12 {
        let writes =
            vec![receipt(&one, number), receipt(&other, 2 * number - 1), receipt(&other, 2 * number)];
        keep(journal.as_ref(), number, writes).await;
    }
    let journal = storage.reopen(journal).await;
    assert_eq!(journal.load().await.unwrap().receipts, 36);
    assert_eq!(numbers(journal.as_ref(), &one, 0, 100).await, (1..=12).collect::<Vec<_>>());
    assert_eq!(numbers(journal.as_ref(), &other, 10, 5).await, (11..=15).collect::<Vec<_>>());
    assert!(numbers(journal.as_ref(), &other, 24, 5).await.is_empty());
    assert!(numbers(journal.as_ref(), &other, u64::MAX, 5).await.is_empty());
    assert!(numbers(journal.as_ref(), &integration("none"), 0, 5).await.is_empty());
    keep(journal.as_ref(), 13, vec![receipt(&one, 13)]).await;
}

pub(super) async fn a_gap_is_refused_with_the_whole_batch(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let mut journal = storage.open().await;
    let chain = integration("chain");
    keep(journal.as_ref(), 1, vec![report(1), report(2), receipt(&chain, 1)]).await;
    let table = [
        ("a report again", vec![report(2)], Chain::Reports, 3, 2),
        ("a report too far", vec![report(4)], Chain::Reports, 3, 4),
        ("a commit of what is not there", vec![committed(3)], Chain::Committed, 2, 3),
        ("a receipt again", vec![receipt(&chain, 1)], Chain::Receipts(chain.clone()), 2, 1),
        ("a receipt too far", vec![receipt(&chain, 3)], Chain::Receipts(chain.clone()), 2, 3),
        (
            "a chain that begins late",
            vec![receipt(&integration("new"), 2)],
            Chain::Receipts(integration("new")),
            1,
            2,
        ),
    ];
    for (name, mut writes, chain, expected, found) in table {
        writes.insert(0, put(Table::Account, name, "{}"));
        let refused = journal.append(&batch(2, writes)).await;
        assert_eq!(refused, Err(JournalFault::OutOfOrder { chain, expected, found }), "{name}");
        journal = storage.reopen(journal).await;
        assert!(keys(journal.as_ref()).await.is_empty(), "{name}: half of it was kept");
    }
    keep(journal.as_ref(), 3, vec![report(3), receipt(&chain, 2), receipt(&integration("new"), 1)]).await;
}

pub(super) async fn a_new_incarnation_numbers_reports_anew(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let chain = integration("chain");
    for position in 1..=1200 {
        let mut writes = vec![report(position)];
        if position <= 3 {
            writes.push(receipt(&chain, position));
        }
        keep(journal.as_ref(), position, writes).await;
    }
    keep(journal.as_ref(), 1201, vec![committed(100), put(Table::Account, "a", "{}")]).await;
    let old = journal.load().await.unwrap();

    assert!(matches!(journal.begin_incarnation(old.incarnation).await, Err(JournalFault::Unfit { .. })));
    journal.begin_incarnation(incarnation(77)).await.unwrap();
    let journal = storage.reopen(journal).await;
    let new = journal.load().await.unwrap();
    assert_eq!(new.incarnation, incarnation(77));
    assert_eq!(new.last_report, Position(1100));
    assert_eq!((new.rows, new.receipts), (old.rows, old.receipts), "a new life changes numbers only");
    let reports = journal.reports(Position(0), 5000).await.unwrap();
    assert_eq!(reports.len(), 1100);
    for (position, report) in (1..).zip(&reports) {
        let body = format!("{{\"report\":{}}}", position + 100);
        assert_eq!((report.position, &report.body), (Position(position), &body), "out of order");
    }
    keep(journal.as_ref(), 1202, vec![report(1101), receipt(&chain, 4), committed(1101)]).await;
    journal.begin_incarnation(incarnation(78)).await.unwrap();
    assert_eq!(journal.load().await.unwrap().last_report, Position(0));
    keep(journal.as_ref(), 1203, vec![report(1)]).await;
}
