//! Lists, searches, and what is current.

use std::collections::BTreeMap;

use model::{
    AccessId, AccessState, AccountId, Code, ConnectorId, EndReason, Failure, GranteeId, GranteeKey,
    IntegrationId, Permission, Residual, ResidualKind, ResourceId, Retry, Revision, Span, Verdict,
};

use super::{StoreWorld, at, furnished, kept, request, user};
use crate::record::{KeyRecord, Remembered, Resource, Stray, Unlisted};
use crate::rules::request::{Asked, By, Stage, Told};
use crate::store::Rows;
use crate::store::rows::{RequestQuery, ResourceQuery};

pub(super) async fn lists_are_read_on_page_by_page(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    kept(&store, |rows| {
        Box::pin(async move {
            for n in 0..7 {
                rows.put_user(&user(&format!("u{n}"))).await?;
                rows.put_request(&request(&format!("acc-{n}"), at(10))).await?;
            }
            Ok(())
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    let (mut users, mut after) = (vec![], None);
    loop {
        let page = view.users(after.as_deref(), 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id.to_string());
        users.extend(page.into_iter().map(|user| user.id.to_string()));
    }
    assert_eq!(users, ["ann", "u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    let (mut requests, mut query) = (vec![], RequestQuery { limit: 3, ..RequestQuery::default() });
    loop {
        let page = view.requests(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.id.to_string());
        requests.extend(page.into_iter().map(|request| request.id.to_string()));
    }
    let newest_first = ["acc-6", "acc-5", "acc-4", "acc-3", "acc-2", "acc-1", "acc-0"];
    assert_eq!(requests, newest_first);
}

fn told(state: AccessState) -> Told {
    let failure = Failure::refused(Code::TIMED_OUT, "no answer");
    Told {
        revision: Revision(3),
        state,
        failure: Some(failure.with_retry(Retry::After(Span::from_secs(5)))),
        until: None,
        account: Some(AccountId::from_uuid(uuid::Uuid::nil())),
        cancel_possible: true,
        at: at(9),
    }
}

pub(super) async fn a_request_comes_back_in_every_state(world: &dyn StoreWorld) {
    let residual = Residual { kind: ResidualKind::Session, detail: "one".into(), ends_at: Some(at(8)) };
    let states = [
        AccessState::Accepted { since: at(2) },
        AccessState::Granting { since: at(2) },
        AccessState::Active { since: at(2) },
        AccessState::Interrupted { since: at(2) },
        AccessState::Ending {
            reason: EndReason::NotOpened(Code::BUSY),
            contained: true,
            attempts: 4,
            since: at(2),
        },
        AccessState::Ended { verdict: Verdict::Deleted, residual: vec![residual], at: at(2) },
        AccessState::Refused { code: Code::GUARDRAIL_REFUSED },
        AccessState::Failed { code: Code::other("some_new_code") },
        AccessState::Canceled { at: at(2) },
    ];
    let store = furnished(world).await;
    for state in states {
        let mut written = request("acc-1", at(100));
        written.told = Some(told(state.clone()));
        let stray = Stray {
            access: written.id.clone(),
            connector: written.connector.clone(),
            integration: written.integration.clone(),
            account: AccountId::from_uuid(uuid::Uuid::nil()),
            state,
            at: at(9),
        };
        let (row, lost) = (written.clone(), stray.clone());
        kept(&store, move |rows| {
            Box::pin(async move {
                rows.put_request(&row).await?;
                rows.put_stray(&lost).await
            })
        })
        .await;
        let mut view = store.read().await.unwrap();
        let read = view.request(&written.id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&written), "`{}` is not read back", written.word());
        assert_eq!(view.strays(&written.connector).await.unwrap(), [stray]);
    }
}

pub(super) async fn the_living_are_those_that_should_live(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    kept(&store, |rows| {
        Box::pin(async move {
            rows.put_request(&request("acc-b", at(100))).await?;
            let mut later = request("acc-a", at(100));
            later.revision = Revision(10);
            rows.put_request(&later).await?;
            rows.put_request(&request("acc-past", at(50))).await?;
            let mut pending = request("acc-pending", at(100));
            pending.stage = Stage::Pending;
            rows.put_request(&pending).await?;
            let mut ending = request("acc-ending", at(100));
            ending.end_asked = Some(Asked { by: By::System, at: at(2), reason: None });
            rows.put_request(&ending).await
        })
    })
    .await;
    let north = ConnectorId::parse("north").unwrap();
    let mut view = store.read().await.unwrap();
    let living: Vec<_> = view.living(&north, at(50)).await.unwrap().into_iter().collect();
    let expected = [("acc-a", 10), ("acc-b", 1)];
    let expected: Vec<_> =
        expected.map(|(id, revision)| (AccessId::parse(id).unwrap(), Revision(revision))).into();
    assert_eq!(living, expected);
    let ordered = view.ordered(&north).await.unwrap();
    let ordered: Vec<_> = ordered.iter().map(|request| request.id.as_str()).collect();
    assert_eq!(ordered, ["acc-a", "acc-b", "acc-ending", "acc-past"]);
}

fn table(name: &str) -> Resource {
    Resource {
        id: ResourceId::new("postgresql-table", ["shop", "public", name]),
        permissions: vec![Permission("READ_ONLY".into())],
        tags: BTreeMap::from([("owner".into(), "shop".into())]),
    }
}

fn shop() -> IntegrationId {
    IntegrationId::parse("shop").unwrap()
}

async fn names(view: &mut dyn Rows, words: &[&str]) -> Vec<String> {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let query = ResourceQuery { words, limit: 100, ..ResourceQuery::default() };
    let found = view.resources(&query).await.unwrap();
    found.into_iter().filter_map(|found| found.resource.id.path.last().cloned()).collect()
}

pub(super) async fn a_snapshot_is_swapped_in_whole(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    kept(&store, |rows| {
        Box::pin(async move {
            assert!(rows.add_page(&shop(), "one", 1, &[table("orders")]).await?);
            rows.complete_snapshot(&shop(), "one", Unlisted::default(), at(5)).await
        })
    })
    .await;
    kept(&store, |rows| {
        Box::pin(async move {
            assert!(rows.add_page(&shop(), "two", 1, &[table("items")]).await?);
            assert!(!rows.add_page(&shop(), "two", 3, &[table("late")]).await?, "a page was skipped");
            assert!(!rows.add_page(&shop(), "three", 2, &[]).await?, "a snapshot began in the middle");
            Ok(())
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    assert_eq!(names(view.as_mut(), &[]).await, ["orders"], "half a snapshot is seen");
    assert_eq!(view.pages_under_way(&shop()).await.unwrap(), Some(1));
    drop(view);
    kept(&store, |rows| {
        Box::pin(async move {
            assert!(rows.add_page(&shop(), "two", 2, &[table("wares")]).await?);
            rows.complete_snapshot(&shop(), "two", Unlisted::default(), at(6)).await
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    assert_eq!(names(view.as_mut(), &[]).await, ["items", "wares"]);
    let snapshot = view.snapshot(&shop()).await.unwrap().unwrap();
    assert_eq!((snapshot.id.as_str(), snapshot.resources), ("two", 2));
    assert_eq!(view.pages_under_way(&shop()).await.unwrap(), None);
    drop(view);
    kept(&store, |rows| {
        Box::pin(async move {
            assert!(rows.add_page(&shop(), "three", 1, &[table("next")]).await?);
            rows.clear_snapshots(&shop()).await
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    assert!(names(view.as_mut(), &[]).await.is_empty(), "something is left");
    assert_eq!(view.snapshot(&shop()).await.unwrap(), None);
    assert_eq!(view.pages_under_way(&shop()).await.unwrap(), None);
}

pub(super) async fn search_takes_words_literally(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    kept(&store, |rows| {
        Box::pin(async move {
            let tables = ["100%_sure", "100 sure", "Größe", "back\\slash"].map(table);
            rows.add_page(&shop(), "one", 1, &tables).await?;
            rows.complete_snapshot(&shop(), "one", Unlisted::default(), at(5)).await
        })
    })
    .await;
    let mut view = store.read().await.unwrap();
    let table: [(&str, &[&str], &[&str]); 5] = [
        ("per cent", &["100%"], &["100%_sure"]),
        ("underscore", &["%_"], &["100%_sure"]),
        ("backslash", &["back\\"], &["back\\slash"]),
        ("lower case beyond ASCII", &["größe"], &["Größe"]),
        ("all words", &["shop", "sure"], &["100 sure", "100%_sure"]),
    ];
    for (name, words, expected) in table {
        assert_eq!(names(view.as_mut(), words).await, expected, "{name}");
    }
}

pub(super) async fn one_key_of_a_user_is_current(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    let ann = GranteeId::parse("ann").unwrap();
    let key = |text: &str, secs| KeyRecord {
        key: GranteeKey(text.into()),
        fingerprint: text.into(),
        registered_at: at(secs),
        replaced_at: None,
    };
    for (text, secs) in [("one", 1), ("two", 2), ("three", 3)] {
        let (ann, key) = (ann.clone(), key(text, secs));
        kept(&store, move |rows| Box::pin(async move { rows.replace_key(&ann, &key).await })).await;
    }
    let mut view = store.read().await.unwrap();
    assert_eq!(view.key(&ann).await.unwrap().unwrap().key.0, "three");
    let all = view.keys(&ann).await.unwrap();
    let all: Vec<_> = all.iter().map(|key| (key.key.0.as_str(), key.replaced_at)).collect();
    assert_eq!(all, [("three", None), ("two", Some(at(3))), ("one", Some(at(2)))]);
}

pub(super) async fn an_answer_is_remembered_and_forgotten(world: &dyn StoreWorld) {
    let store = furnished(world).await;
    let ann = GranteeId::parse("ann").unwrap();
    let answer =
        Remembered { asked: "hash".into(), at: at(10), answer: Some(serde_json::json!({ "id": 1 })) };
    let (who, what) = (ann.clone(), answer.clone());
    kept(&store, move |rows| {
        Box::pin(async move {
            rows.remember(&who, "key", &what).await?;
            rows.forget(at(10)).await
        })
    })
    .await;
    let found = store.read().await.unwrap().remembered(&ann, "key").await.unwrap();
    assert_eq!(found, Some(answer), "what is not old was forgotten");
    kept(&store, move |rows| Box::pin(async move { rows.forget(at(11)).await })).await;
    let found = store.read().await.unwrap().remembered(&ann, "key").await.unwrap();
    assert_eq!(found, None, "what is old is remembered");
}
