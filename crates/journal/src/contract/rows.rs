//! Rows: what was put is there, exactly, in order, after a kill too.

use std::sync::Arc;

use model::Position;
use model::durable::Table;
use tokio::task::JoinSet;

use super::{JournalWorld, batch, forget, keep, keys, put, row};
use crate::LARGEST_BODY;

pub(super) async fn a_new_journal_is_empty(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let loaded = journal.load().await.unwrap();
    assert_eq!((loaded.rows.len(), loaded.last_report, loaded.receipts), (0, Position(0), 0));
    let journal = storage.reopen(journal).await;
    assert_eq!(journal.load().await.unwrap().incarnation, loaded.incarnation, "a restart began a new life");

    let mut other = world.fresh().await;
    let other = other.open().await.load().await.unwrap();
    assert_ne!(other.incarnation, loaded.incarnation, "two journals share one incarnation");
}

pub(super) async fn what_was_appended_is_loaded_in_order(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let writes = [
        put(Table::Meta, "b", "1"),
        put(Table::Tombstone, "z", "2"),
        put(Table::Account, "b", "3"),
        put(Table::Integration, "a", "4"),
        put(Table::Account, "B", "5"),
        put(Table::Account, "a", "6"),
        put(Table::Account, "é", "7"),
    ];
    let wanted = vec![
        row(Table::Account, "B", "5"),
        row(Table::Account, "a", "6"),
        row(Table::Account, "b", "3"),
        row(Table::Account, "é", "7"),
        row(Table::Integration, "a", "4"),
        row(Table::Tombstone, "z", "2"),
        row(Table::Meta, "b", "1"),
    ];
    for (id, write) in (1..).zip(writes) {
        keep(journal.as_ref(), id, vec![write]).await;
    }
    assert_eq!(journal.load().await.unwrap().rows, wanted, "before a kill");
    let journal = storage.reopen(journal).await;
    assert_eq!(journal.load().await.unwrap().rows, wanted, "after a kill");
    assert_eq!(journal.load().await.unwrap(), journal.load().await.unwrap(), "two loads differ");
}

pub(super) async fn puts_replace_and_forgets_forget(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let first = vec![put(Table::Account, "a", "old"), put(Table::Account, "b", "old")];
    keep(journal.as_ref(), 1, first).await;
    let second = vec![
        put(Table::Account, "a", "new"),
        forget(Table::Account, "b"),
        // Another table's row of that key, and a row that never was.
        forget(Table::Meta, "a"),
        forget(Table::Account, "never"),
    ];
    keep(journal.as_ref(), 2, second).await;
    let journal = storage.reopen(journal).await;
    assert_eq!(journal.load().await.unwrap().rows, [row(Table::Account, "a", "new")]);
}

pub(super) async fn the_last_write_to_a_key_counts(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let writes = vec![
        put(Table::Account, "a", "1"),
        forget(Table::Account, "a"),
        put(Table::Account, "a", "2"),
        put(Table::Account, "b", "1"),
        forget(Table::Account, "b"),
    ];
    keep(journal.as_ref(), 1, writes).await;
    keep(journal.as_ref(), 2, vec![]).await;
    assert_eq!(journal.load().await.unwrap().rows, [row(Table::Account, "a", "2")]);
}

pub(super) async fn large_and_foreign_texts_come_back_as_they_were(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let large = "x".repeat(LARGEST_BODY);
    let texts = [
        ("quotes", "'\"`''\"\"", "'); DROP TABLE account; --"),
        ("lines", "a\nb\r\nc\td", "{\n}\r\n"),
        ("nothing", "", ""),
        ("wildcards", "%_?1:a@b$c", "%_?1:a@b$c\\"),
        ("scripts", "ключ-鍵-🔑-مفتاح-e\u{301}", "{\"имя\":\"名前 🗝\"}"),
        ("the last character", "\u{10ffff}\u{feff}\u{202e}", "\u{10ffff}\u{fffd}"),
        ("control characters", "\u{1}\u{7f}\u{85}", "\u{1}\u{1b}[31m"),
        ("size", "large", large.as_str()),
    ];
    let writes = texts.iter().map(|(_, key, body)| put(Table::Account, key, body)).collect();
    keep(journal.as_ref(), 1, writes).await;
    let journal = storage.reopen(journal).await;
    let rows = journal.load().await.unwrap().rows;
    assert_eq!(rows.len(), texts.len());
    for (name, key, body) in texts {
        let found = rows.iter().find(|row| row.key == key);
        assert!(found.is_some_and(|row| row.body == body), "{name} did not come back");
    }
    let forgets = texts.iter().map(|(_, key, _)| forget(Table::Account, key)).collect();
    keep(journal.as_ref(), 2, forgets).await;
    assert_eq!(keys(journal.as_ref()).await, Vec::<String>::new(), "not forgotten");
}

pub(super) async fn a_thousand_at_once_are_all_there(world: &dyn JournalWorld) {
    let mut storage = world.fresh().await;
    let journal = storage.open().await;
    let mut calls = JoinSet::new();
    for id in 1..=1000 {
        let journal = Arc::clone(&journal);
        let writes = vec![
            put(Table::Account, &format!("{id:04}"), &id.to_string()),
            put(Table::Meta, &format!("{id:04}"), &id.to_string()),
        ];
        calls.spawn(async move { journal.append(&batch(id, writes)).await.map(|durable| (id, durable)) });
    }
    while let Some(done) = calls.join_next().await {
        let (id, durable) = done.unwrap().unwrap();
        assert_eq!(durable.batch().0, id, "a call got another's proof");
    }
    let journal = storage.reopen(journal).await;
    let rows = journal.load().await.unwrap().rows;
    assert_eq!(rows.len(), 2000);
    for id in 1..=1000_u64 {
        for table in [Table::Account, Table::Meta] {
            let wanted = row(table, &format!("{id:04}"), &id.to_string());
            assert!(rows.binary_search(&wanted).is_ok(), "{wanted:?} is missing");
        }
    }
}
