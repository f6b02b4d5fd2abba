//! People: tokens, keys, roles, leaving.

use control::changes::{people, requests};
use control::rules::order::Order;
use control::rules::role::Role;
use control::rules::terms::{Approval, ApprovalMode};
use model::Span;
use seal::keys::SealingKey;

use super::{alarms, audit, deed, orders, request};
use crate::world::{Folder, StandingClock, ask, furnish, office, roles};

const AUTO: Approval = Approval { mode: ApprovalMode::Auto, self_approval: false };

#[tokio::test]
async fn who_is_disabled_loses_everything_at_once() {
    let folder = Folder::new();
    let clock = StandingClock::new();
    let office = office(&folder, &clock).await;
    let cast = furnish(&office, AUTO).await;
    let open = deed(&office, &cast.ann.who, |deed| {
        Box::pin(async move { requests::create(deed, "shop", ask(Span::from_mins(5))).await })
    })
    .await
    .unwrap();
    let ann = cast.ann.user.id.clone();
    let id = ann.to_string();
    deed(&office, &cast.admin.who, |deed| Box::pin(async move { people::disable(deed, &id).await }))
        .await
        .unwrap();
    let all = orders(&office, &cast.connector).await;
    let integration = open.integration.clone();
    let expected = [
        Order::EndAccess { access: open.id.clone() },
        Order::DeleteAccount { integration, grantee: ann.clone() },
    ];
    assert!(all.ends_with(&expected), "{all:?}");
    assert!(request(&office, &open.id).await.end_asked.is_some());
    let mut rows = office.read().await.unwrap();
    let held = people::holder(rows.as_mut(), &cast.ann.token, office.now()).await.unwrap();
    assert!(held.is_none(), "a disabled user's token is taken");
    drop(rows);
    let id = ann.to_string();
    deed(&office, &cast.admin.who, |deed| Box::pin(async move { people::enable(deed, &id).await }))
        .await
        .unwrap();
    let mut rows = office.read().await.unwrap();
    assert!(people::holder(rows.as_mut(), &cast.ann.token, office.now()).await.unwrap().is_some());
    assert!(rows.request(&open.id).await.unwrap().unwrap().end_asked.is_some(), "what was ended came back");
}

#[tokio::test]
async fn the_last_admin_stays() {
    let folder = Folder::new();
    let office = office(&folder, &StandingClock::new()).await;
    let cast = furnish(&office, AUTO).await;
    let id = cast.admin.user.id.to_string();
    let (one, two) = (id.clone(), id.clone());
    let disabled =
        deed(&office, &cast.admin.who, |deed| Box::pin(async move { people::disable(deed, &one).await }));
    assert_eq!(disabled.await.map_err(|refusal| refusal.code()).unwrap_err(), "last_admin");
    let demoted = deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { people::set_roles(deed, &two, roles(&[Role::Approver])).await })
    });
    assert_eq!(demoted.await.map_err(|refusal| refusal.code()).unwrap_err(), "last_admin");
    let user = office.read().await.unwrap().user(&cast.admin.user.id).await.unwrap().unwrap();
    assert_eq!(user, cast.admin.user, "a refused deed was kept");
}

#[tokio::test]
async fn a_token_is_kept_as_a_hash_and_ends() {
    let folder = Folder::new();
    let clock = StandingClock::new();
    let office = office(&folder, &clock).await;
    let cast = furnish(&office, AUTO).await;
    let id = cast.ann.user.id.to_string();
    let (token, clear) = deed(&office, &cast.ann.who, |deed| {
        Box::pin(
            async move { people::issue_token(deed, &id, "short".into(), Some(Span::from_mins(1))).await },
        )
    })
    .await
    .unwrap();
    let taken = || async {
        let mut rows = office.read().await.unwrap();
        people::holder(rows.as_mut(), clear.expose(), office.now()).await.unwrap().is_some()
    };
    assert!(taken().await);
    clock.pass(Span::from_mins(1));
    assert!(!taken().await, "a token outlived its end");
    let (owner, name) = (cast.ann.user.id.to_string(), token.id.clone());
    let by_other = deed(&office, &cast.bob.who, |deed| {
        Box::pin(async move { people::revoke_token(deed, &owner, &name).await })
    });
    assert_eq!(by_other.await.map_err(|refusal| refusal.code()).unwrap_err(), "denied");
    let everything = format!("{:?}", audit(&office).await);
    assert!(!everything.contains(clear.expose()), "a token is in the audit log");
    office.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let found = bytes.windows(clear.expose().len()).any(|window| window == clear.expose().as_bytes());
        assert!(!found, "a token is in the store in the clear");
    }
}

#[tokio::test]
async fn another_key_is_an_alarm_and_a_weak_one_is_refused() {
    let folder = Folder::new();
    let office = office(&folder, &StandingClock::new()).await;
    let cast = furnish(&office, AUTO).await;
    let register = |key: String| {
        let (office, who) = (office.clone(), cast.ann.who.clone());
        async move {
            deed(&office, &who, |deed| Box::pin(async move { people::register_key(deed, &key).await }))
                .await
                .map(|record| record.key.0)
                .map_err(|refusal| refusal.code())
        }
    };
    let same = cast.ann.key.public().to_base64();
    assert_eq!(register(same.clone()).await, Ok(same));
    assert!(alarms(&office).await.is_empty(), "the same key again is an alarm");
    let table = [
        ("not base64", "???".to_owned()),
        ("too short", "AAAA".to_owned()),
        ("the point zero", format!("{}=", "A".repeat(43))),
    ];
    for (name, key) in table {
        assert_eq!(register(key).await, Err("invalid"), "{name}");
    }
    register(SealingKey::generate().unwrap().public().to_base64()).await.unwrap();
    assert_eq!(alarms(&office).await, ["alarm.grantee_key_changed"]);
    let keys = office.read().await.unwrap().keys(&cast.ann.user.id).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.replaced_at.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn addresses_are_brought_to_one_form() {
    let table = [
        ("upper case", " Ann@Example.ORG ", Some("ann@example.org")),
        ("no at sign", "ann", None),
        ("two at signs", "a@b@c", None),
        ("a space within", "a b@c.d", None),
        ("nothing before the at sign", "@c.d", None),
    ];
    for (name, text, expected) in table {
        assert_eq!(people::email(text).ok().as_deref(), expected, "{name}");
    }
}
