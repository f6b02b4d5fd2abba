//! Deadlines and losses: what is not known is called so, and nothing goes on until it is known again.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use journal::sqlite::SqliteOptions;
use journal::{Journal as _, JournalFault};
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::{batch, foreign, keys, opened, options, put};

/// Options under which a foreign writer makes a call miss its deadline instead of being refused.
fn slow(base: &TempDir) -> SqliteOptions {
    SqliteOptions {
        deadline: Duration::from_secs(1),
        slow_deadline: Duration::from_secs(3),
        busy: Duration::from_secs(20),
        ..options(base.path())
    }
}

#[tokio::test]
async fn no_answer_in_time_is_a_loss_until_the_journal_is_loaded() {
    let base = TempDir::new().unwrap();
    let journal = opened(&slow(&base)).await.unwrap();
    journal.append(&batch(1, vec![put("a", "{}")])).await.unwrap();

    let hand = foreign(base.path());
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    let lost = journal.append(&batch(2, vec![put("b", "{}")])).await.unwrap_err();
    assert!(lost.is_lost(), "{lost}");
    let refused = journal.append(&batch(3, vec![put("c", "{}")])).await.unwrap_err();
    assert!(refused.is_lost(), "{refused}");
    // A load waits for what was handed in before it; it does not report what may still change.
    let unsure = journal.load().await.unwrap_err();
    assert!(unsure.is_lost(), "{unsure}");

    hand.execute_batch("ROLLBACK").unwrap();
    let refused = journal.append(&batch(4, vec![put("d", "{}")])).await.unwrap_err();
    assert!(refused.is_lost(), "an append went on without a load: {refused}");
    let found = keys(&journal).await;
    assert!(found == ["a"] || found == ["a", "b"], "{found:?}");
    journal.append(&batch(5, vec![put("e", "{}")])).await.unwrap();
    let later = keys(&journal).await;
    assert_eq!(later.len(), found.len() + 1, "what was lost came up after the load: {later:?}");
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_is_a_loss() {
    let base = TempDir::new().unwrap();
    let journal = opened(&options(base.path())).await.unwrap();
    {
        let dropped = batch(1, vec![put("a", "{}")]);
        let mut call = pin!(journal.append(&dropped));
        // One poll hands it in; the writer has had no turn yet.
        assert!(matches!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
    }
    assert!(journal.append(&batch(2, vec![put("b", "{}")])).await.unwrap_err().is_lost());
    keys(&journal).await;
    journal.append(&batch(3, vec![put("c", "{}")])).await.unwrap();
}

#[tokio::test]
async fn what_finds_no_place_in_the_queue_is_surely_absent() {
    let base = TempDir::new().unwrap();
    let journal = Arc::new(opened(&slow(&base)).await.unwrap());
    let hand = foreign(base.path());
    hand.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut calls = JoinSet::new();
    for id in 1..=900_u64 {
        let journal = Arc::clone(&journal);
        calls.spawn(async move { (id, journal.append(&batch(id, vec![put(&id.to_string(), "{}")])).await) });
    }
    let mut absent = vec![];
    while let Some(done) = calls.join_next().await {
        match done.unwrap() {
            (id, Err(JournalFault::NotWritten { .. })) => absent.push(id.to_string()),
            (_, Err(fault)) => assert!(fault.is_lost(), "{fault}"),
            (id, Ok(_)) => panic!("{id} was written though the file was locked"),
        }
    }
    assert!(absent.len() > 100, "the queue has no bound: only {} were refused", absent.len());
    hand.execute_batch("ROLLBACK").unwrap();
    let there = keys(journal.as_ref()).await;
    assert!(absent.iter().all(|id| !there.contains(id)), "a refused batch is there");
}
