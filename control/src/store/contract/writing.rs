//! Transactions: whole or not at all, each on its own, on disk when they say so.

use std::sync::Arc;

use model::{ConnectorId, GranteeId};

use super::{StoreWorld, connector, kept, user, work};
use crate::store::{Keep, Store, StoreFault};
use crate::token::new_incarnation;

async fn has_user(store: &Arc<dyn Store>, id: &str) -> bool {
    let mut rows = store.read().await.unwrap();
    rows.user(&GranteeId::parse(id).unwrap()).await.unwrap().is_some()
}

pub(super) async fn what_is_committed_is_there_after_a_kill(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    kept(&store, |rows| Box::pin(async move { rows.put_user(&user("ann")).await })).await;
    let life = store.read().await.unwrap().incarnation().await.unwrap();
    let again = world.killed(store).await;
    assert!(has_user(&again, "ann").await, "a committed user is gone after a kill");
    let same = again.read().await.unwrap().incarnation().await.unwrap();
    assert_eq!(same, life, "a store that is opened again keeps its life");
}

pub(super) async fn what_is_rolled_back_leaves_nothing(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    let piece = work(|rows| {
        Box::pin(async move {
            rows.put_user(&user("ann")).await?;
            rows.put_connector(&connector("north"), new_incarnation()).await?;
            Ok(Keep::Rollback)
        })
    });
    store.write(piece).await.unwrap();
    assert!(!has_user(&store, "ann").await, "what was rolled back is there");
}

pub(super) async fn work_that_fails_takes_nothing_of_its_neighbours_with_it(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..40 {
        let store = store.clone();
        waiting.spawn(async move {
            let piece = work(move |rows| {
                Box::pin(async move {
                    rows.put_user(&user(&format!("u{n}"))).await?;
                    if n % 4 == 0 {
                        return Err(StoreFault::Unavailable { detail: "on purpose".into() });
                    }
                    Ok(Keep::Commit)
                })
            });
            (n, store.write(piece).await)
        });
    }
    while let Some(done) = waiting.join_next().await {
        let (n, outcome) = done.unwrap();
        let kept = has_user(&store, &format!("u{n}")).await;
        assert_eq!(outcome.is_ok(), n % 4 != 0, "piece {n} was told wrongly");
        assert_eq!(kept, n % 4 != 0, "piece {n} was kept wrongly");
    }
}

pub(super) async fn work_that_breaks_off_leaves_nothing(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    let piece = work(|rows| {
        Box::pin(async move {
            rows.put_user(&user("ann")).await?;
            assert!(rows.admins().await? > 0, "on purpose");
            Ok(Keep::Commit)
        })
    });
    assert!(store.write(piece).await.is_err(), "work that broke off was told as done");
    assert!(!has_user(&store, "ann").await, "what broke off is there");
    kept(&store, |rows| Box::pin(async move { rows.put_user(&user("bob")).await })).await;
    assert!(has_user(&store, "bob").await, "the store does not go on after work that broke off");
}

pub(super) async fn work_is_done_when_nobody_waits(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    let (begun, wait) = tokio::sync::oneshot::channel::<()>();
    let mut callers = tokio::task::JoinSet::new();
    let other = store.clone();
    callers.spawn(async move {
        let piece = work(move |rows| {
            Box::pin(async move {
                begun.send(()).unwrap();
                rows.put_user(&user("ann")).await?;
                Ok(Keep::Commit)
            })
        });
        other.write(piece).await.ok();
    });
    wait.await.unwrap();
    callers.shutdown().await;
    // Work is serial: when the next is done, the one before is, too.
    kept(&store, |rows| Box::pin(async move { rows.put_user(&user("bob")).await })).await;
    assert!(has_user(&store, "ann").await, "work was left undone because its caller went away");
}

pub(super) async fn a_view_is_consistent_and_cannot_write(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    let mut view = store.read().await.unwrap();
    let id = GranteeId::parse("ann").unwrap();
    assert!(view.user(&id).await.unwrap().is_none());
    kept(&store, |rows| Box::pin(async move { rows.put_user(&user("ann")).await })).await;
    assert!(view.user(&id).await.unwrap().is_none(), "a view changed under its reader");
    assert!(view.put_user(&user("bob")).await.is_err(), "a view took a write");
    drop(view);
    assert!(has_user(&store, "ann").await);
}

pub(super) async fn a_closed_store_refuses(world: &dyn StoreWorld) {
    let store = world.fresh().await;
    kept(&store, |rows| {
        Box::pin(async move { rows.put_connector(&connector("north"), new_incarnation()).await })
    })
    .await;
    store.close().await;
    let id = ConnectorId::parse("north").unwrap();
    let piece = work(move |rows| {
        Box::pin(async move {
            rows.connector(&id).await?;
            Ok(Keep::Commit)
        })
    });
    assert!(store.write(piece).await.is_err(), "a closed store took a write");
    assert!(store.read().await.is_err(), "a closed store gave a view");
}
