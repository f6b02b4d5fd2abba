//! Numbered logs: orders out, reports in.

use model::{AccessId, ConnectorId, Position};

use super::{StoreWorld, at, connector, furnished, kept, work};
use crate::rules::order::Order;
use crate::store::StoreFault;
use crate::token::new_incarnation;

fn north() -> ConnectorId {
    ConnectorId::parse("north").unwrap()
}

fn end(n: u64) -> Order {
    Order::EndAccess { access: AccessId::parse(format!("acc-{n}")).unwrap() }
}

pub(super) async fn orders_are_numbered_without_gaps_for_each_connector(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    kept(&store, |rows| {
        Box::pin(async move { rows.put_connector(&connector("south"), new_incarnation()).await })
    })
    .await;
    let south = ConnectorId::parse("south").unwrap();
    for n in 1..=5 {
        let piece = work(move |rows| {
            Box::pin(async move {
                rows.append_order(&north(), &end(99), at(n)).await?;
                Err(StoreFault::Unavailable { detail: "on purpose".into() })
            })
        });
        assert!(store.write(piece).await.is_err());
        let place = kept(&store, move |rows| {
            Box::pin(async move { rows.append_order(&north(), &end(n.unsigned_abs()), at(n)).await })
        })
        .await;
        assert_eq!(place, Position(n.unsigned_abs()), "a place was skipped or used twice");
    }
    let other = south.clone();
    let place =
        kept(&store, move |rows| Box::pin(async move { rows.append_order(&other, &end(1), at(1)).await }))
            .await;
    assert_eq!(place, Position(1), "connectors share a log");
    let mut view = store.read().await.unwrap();
    let orders = view.orders(&north(), Position(2), 2).await.unwrap();
    let places: Vec<_> = orders.iter().map(|order| order.position.0).collect();
    assert_eq!(places, [3, 4], "orders after a place are not those");
    assert_eq!(orders.first().map(|order| &order.order), Some(&end(3)));
    assert_eq!(view.log(&north()).await.unwrap().unwrap().last, Position(5));
}

pub(super) async fn a_log_that_begins_anew_counts_from_one(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    let before = store.read().await.unwrap().log(&north()).await.unwrap().unwrap();
    assert!(!before.may_skip, "a fresh log lets reports be skipped");
    let place = kept(&store, |rows| {
        Box::pin(async move {
            rows.append_order(&north(), &end(1), at(1)).await?;
            rows.begin_log(&north(), new_incarnation()).await?;
            rows.append_order(&north(), &end(2), at(2)).await
        })
    })
    .await;
    assert_eq!(place, Position(1));
    let mut view = store.read().await.unwrap();
    let log = view.log(&north()).await.unwrap().unwrap();
    assert_ne!(log.incarnation, before.incarnation, "a log that began anew kept its life");
    assert!(log.may_skip, "after a log began anew, reports that were forgotten cannot be skipped");
    assert_eq!(view.orders(&north(), Position(0), 10).await.unwrap().len(), 1, "old orders are there");
}

pub(super) async fn taken_orders_are_dropped_through_a_place(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    kept(&store, |rows| {
        Box::pin(async move {
            for n in 1..=5 {
                rows.append_order(&north(), &end(n), at(1)).await?;
            }
            rows.orders_taken(&north(), Position(4), Position(2)).await?;
            rows.orders_taken(&north(), Position(3), Position(0)).await
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    let log = view.log(&north()).await.unwrap().unwrap();
    assert_eq!((log.last, log.taken), (Position(5), Position(4)), "what was taken went back");
    assert_eq!(view.first_order(&north()).await.unwrap(), Some(Position(3)));
}

pub(super) async fn cursors_of_reports_never_go_back(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    let (one, two) = (new_incarnation(), new_incarnation());
    kept(&store, move |rows| {
        Box::pin(async move {
            rows.begin_log(&north(), new_incarnation()).await?;
            rows.commit_reports(&north(), one, Position(7)).await?;
            rows.commit_reports(&north(), one, Position(5)).await?;
            rows.commit_reports(&north(), two, Position(1)).await
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    let cursors = view.report_cursors(&north()).await.unwrap();
    assert_eq!(cursors.get(&one), Some(&Position(7)), "a cursor went back");
    assert_eq!(cursors.get(&two), Some(&Position(1)), "journals share a cursor");
    assert!(!view.log(&north()).await.unwrap().unwrap().may_skip, "a commit does not end skipping");
}
