//! The lease: one holder, rising epochs, and nothing written under an epoch that is over.

use std::sync::Arc;

use journal::lease::{LASTS, LeaseStore as _, Renewal, Taking};
use journal::{Journal as _, JournalFault};
use model::{Incarnation, InstanceId, Span};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::world::{Schema, batch, keys, put};

fn instance(number: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(number))
}

#[tokio::test]
async fn one_holds_it_and_the_next_has_a_later_epoch() {
    let schema = Schema::fresh().await;
    let (first, journal, epoch) = schema.hold(1).await;
    assert_eq!(epoch, 1);
    journal.append(&batch(1, vec![put("a")])).await.unwrap();
    let second = schema.open(2).await;
    match second.take().await.unwrap() {
        Taking::Held(holder) => {
            assert_eq!((holder.instance, holder.epoch), (instance(1), 1));
            assert!(holder.left > Span::ZERO && holder.left <= LASTS, "{holder:?}");
        }
        Taking::Taken { epoch } => panic!("two hold it, the second at epoch {epoch}"),
    }
    assert_eq!(first.renew(epoch).await.unwrap(), Renewal::Renewed);
    // A standby that looked has changed nothing.
    journal.append(&batch(2, vec![put("b")])).await.unwrap();
    assert_eq!(keys(&journal).await, ["a", "b"]);

    schema.lapse().await;
    assert_eq!(first.renew(epoch).await.unwrap(), Renewal::Renewed, "nobody took it meanwhile");
    first.release(epoch).await.unwrap();
    assert_eq!(second.take().await.unwrap(), Taking::Taken { epoch: 2 });
    match first.renew(epoch).await.unwrap() {
        Renewal::Superseded(holder) => assert_eq!((holder.instance, holder.epoch), (instance(2), 2)),
        Renewal::Renewed => panic!("an epoch that is over was prolonged"),
    }
    // Nor can it give back what is another's.
    first.release(epoch).await.unwrap();
    assert!(matches!(first.take().await.unwrap(), Taking::Held(_)));
    assert_eq!(second.take().await.unwrap(), Taking::Taken { epoch: 3 }, "the same instance, anew");
}

#[tokio::test]
async fn an_epoch_that_is_over_writes_nothing() {
    let schema = Schema::fresh().await;
    let (_, old, _) = schema.hold(1).await;
    old.append(&batch(1, vec![put("a")])).await.unwrap();
    schema.lapse().await;
    let (_, new, epoch) = schema.hold(2).await;
    assert_eq!(epoch, 2);
    let superseded = JournalFault::Superseded { held: 2, ours: 1 };
    assert_eq!(old.append(&batch(2, vec![put("b")])).await.unwrap_err(), superseded);
    let incarnation = Incarnation::from_uuid(Uuid::from_u128(9));
    assert_eq!(old.begin_incarnation(incarnation).await.unwrap_err(), superseded);
    assert_eq!(old.append(&batch(3, vec![])).await.unwrap_err(), superseded, "not even a probe");
    assert_eq!(keys(&new).await, ["a"]);
    new.append(&batch(1, vec![put("c")])).await.unwrap();
    assert_eq!(keys(&new).await, ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_has_seen_everything_that_its_predecessor_wrote() {
    let schema = Schema::fresh().await;
    let (_, old, _) = schema.hold(1).await;
    let old = Arc::new(old);
    let mut calls = JoinSet::new();
    for caller in 0..8_u64 {
        let old = Arc::clone(&old);
        calls.spawn(async move {
            let mut kept = 0_u64;
            for n in 1.. {
                match old.append(&batch(caller * 1_000_000 + n, vec![put(&format!("{caller}-{n:06}"))])).await
                {
                    Ok(_) => kept += 1,
                    Err(JournalFault::Superseded { .. }) => break,
                    // The lock that taking over holds for a moment may be waited for in vain.
                    Err(JournalFault::NotWritten { .. }) => {}
                    Err(fault) => panic!("{fault}"),
                }
            }
            kept
        });
    }
    while keys(old.as_ref()).await.len() < 50 {}
    schema.lapse().await;
    let (_, new, _) = schema.hold(2).await;
    let seen = keys(&new).await;
    let mut kept = 0;
    while let Some(done) = calls.join_next().await {
        kept += done.unwrap();
    }
    assert_eq!(keys(&new).await, seen, "something was written after the successor had read");
    assert_eq!(seen.len() as u64, kept, "what was promised and what is there differ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_want_it_one_gets_it() {
    let schema = Schema::fresh().await;
    let mut tries = JoinSet::new();
    for number in 1..=6 {
        let schema = schema.clone();
        // Each also finds an empty database, and wants to make the tables.
        tries.spawn(async move { schema.open(number).await.take().await });
    }
    let mut taken = 0;
    while let Some(tried) = tries.join_next().await {
        match tried.unwrap() {
            Ok(Taking::Taken { epoch }) => {
                assert_eq!(epoch, 1);
                taken += 1;
            }
            Ok(Taking::Held(_)) | Err(JournalFault::Lost { .. }) => {}
            Err(fault) => panic!("{fault}"),
        }
    }
    assert_eq!(taken, 1);
}
