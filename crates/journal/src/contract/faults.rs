//! Faults: what is refused is absent, what was kept before it stands, and the next call is not hindered.

use std::sync::Arc;

use model::durable::Table;
use tokio::task::JoinSet;

use super::{JournalWorld, batch, incarnation, keep, keys, positions, put, report};
use crate::{JournalFault, LARGEST_BODY, LONGEST_KEY};

pub(super) async fn the_first_batches_stand_when_a_later_one_fails(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let mut journal = storage.open().await;
    for broken in 1..=5_u64 {
        let name = format!("{broken}a");
        keep(journal.as_ref(), broken, vec![put(Table::Account, &name, "{}"), report(broken)]).await;
        let before = journal.load().await.unwrap();

        storage.break_writes().await;
        let refused = vec![put(Table::Account, &format!("{broken}b"), "{}"), report(broken + 1)];
        let refused = journal.append(&batch(100 + broken, refused)).await;
        assert!(matches!(refused, Err(JournalFault::NotWritten { .. })), "write {broken}: {refused:?}");
        let renamed = journal.begin_incarnation(incarnation(9)).await;
        assert!(matches!(renamed, Err(JournalFault::NotWritten { .. })), "write {broken}: {renamed:?}");
        assert_eq!(journal.load().await.unwrap(), before, "what was refused can be seen");
        assert_eq!(positions(journal.as_ref(), 0, 100).await, (1..=broken).collect::<Vec<_>>());

        storage.mend().await;
        if broken % 2 == 0 {
            journal = storage.reopen(journal).await;
        }
        assert_eq!(journal.load().await.unwrap(), before, "what was refused came up later");
    }
    keep(journal.as_ref(), 6, vec![report(6)]).await;
}

pub(super) async fn what_cannot_be_kept_is_refused_whole(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let table = [
        ("a NUL in a key", put(Table::Account, "a\0b", "{}")),
        ("a NUL in a body", put(Table::Account, "a", "{\0}")),
        ("a key without end", put(Table::Account, &"k".repeat(LONGEST_KEY + 1), "{}")),
        ("a body without end", put(Table::Account, "a", &"b".repeat(LARGEST_BODY + 1))),
    ];
    for (name, write) in table {
        let refused = journal.append(&batch(1, vec![put(Table::Meta, "neighbour", "{}"), write])).await;
        assert!(matches!(refused, Err(JournalFault::Unfit { .. })), "{name}: {refused:?}");
        assert!(keys(journal.as_ref()).await.is_empty(), "{name}: half of it was kept");
    }
    keep(journal.as_ref(), 2, vec![put(Table::Meta, "neighbour", "{}")]).await;
}

pub(super) async fn a_refused_batch_does_not_hinder_its_neighbours(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let mut calls = JoinSet::new();
    for id in 0..300 {
        let journal = Arc::clone(&journal);
        let mut writes = vec![put(Table::Account, &format!("{id:03}"), "{}")];
        if id % 3 == 0 {
            writes.push(report(1_000_000));
        }
        calls.spawn(async move { (id, journal.append(&batch(id, writes)).await) });
    }
    while let Some(done) = calls.join_next().await {
        let (id, kept) = done.unwrap();
        assert_eq!(kept.is_ok(), id % 3 != 0, "batch {id}: {kept:?}");
    }
    let journal = storage.reopen(journal).await;
    let wanted: Vec<String> = (0..300).filter(|id| id % 3 != 0).map(|id| format!("{id:03}")).collect();
    assert_eq!(keys(journal.as_ref()).await, wanted);
}

pub(super) async fn a_closed_journal_refuses(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    keep(journal.as_ref(), 1, vec![put(Table::Account, "a", "{}")]).await;
    journal.close().await.unwrap();
    journal.close().await.unwrap();
    let closed = Err(JournalFault::Closed);
    assert_eq!(journal.append(&batch(2, vec![])).await.map(|_| ()), closed);
    assert_eq!(journal.load().await.map(|_| ()), closed);
    assert_eq!(journal.reports(model::Position(0), 1).await.map(|_| ()), closed);
    assert_eq!(journal.begin_incarnation(incarnation(5)).await, closed);
    let journal = storage.open().await;
    assert_eq!(keys(journal.as_ref()).await, ["a"]);
}
