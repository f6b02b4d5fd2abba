//! Everything is ended at once, page by page.

use control::changes::everything::{Scope, end_page};
use control::refusal::Refusal;
use control::rules::order::Order;
use control::rules::terms::{Approval, ApprovalMode};
use model::{AccessId, Span};

use super::{audit, deed, orders};
use crate::world::{Folder, StandingClock, ask, furnish, office};

/// More than three pages.
const MANY: usize = 1_600;

#[tokio::test]
async fn everything_is_ended_page_by_page_and_once() {
    let folder = Folder::new();
    let office = office(&folder, &StandingClock::new()).await;
    let cast = furnish(&office, Approval { mode: ApprovalMode::Auto, self_approval: false }).await;
    let first = deed(&office, &cast.ann.who, |deed| {
        Box::pin(async move {
            let what = ask(Span::from_mins(90));
            let first = control::changes::requests::create(deed, "shop", what).await?;
            for n in 1..MANY {
                let id = AccessId::parse(format!("acc-{n:06}")).unwrap();
                deed.rows.put_request(&control::rules::request::Request { id, ..first.clone() }).await?;
            }
            Ok(first)
        })
    })
    .await
    .unwrap();

    let by_ann = deed(&office, &cast.ann.who, |deed| {
        Box::pin(async move { end_page(deed, &Scope::default(), None, "for fun").await })
    });
    assert!(matches!(by_ann.await, Err(Refusal::Denied { .. })));
    let no_reason = deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { end_page(deed, &Scope::default(), None, " ").await })
    });
    assert!(matches!(no_reason.await, Err(Refusal::Invalid { .. })));

    for (round, expected) in [("the first time", (MANY as u64, 0, 1)), ("again", (0, MANY as u64, 0))] {
        let (mut after, mut pages, mut found) = (None, 0, (0, 0, 0));
        loop {
            let page = deed(&office, &cast.admin.who, |deed| {
                Box::pin(async move { end_page(deed, &Scope::default(), after, "a leak").await })
            });
            let page = page.await.unwrap();
            pages += 1;
            found = (found.0 + page.ended, found.1 + page.ending, found.2 + page.paused.len());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{round}");
        assert_eq!(pages, 4, "{round}");
    }
    let all = orders(&office, &cast.connector).await;
    let ends = all.iter().filter(|order| matches!(order, Order::EndAccess { .. })).count();
    assert_eq!(ends, MANY, "each is ordered to end once");
    assert_eq!(all.iter().filter(|order| matches!(order, Order::Pause)).count(), 1);
    assert!(all.iter().any(|order| matches!(order, Order::EndAccess { access } if *access == first.id)));
    let entries = audit(&office).await;
    assert_eq!(entries.iter().filter(|entry| entry.what == "everything.ended").count(), 2);
}
