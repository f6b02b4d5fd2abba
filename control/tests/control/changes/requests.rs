//! Requests and integrations: every transition with its order and audit entry.

use control::changes::{integrations, requests};
use control::office::Office;
use control::refusal::Refusal;
use control::rules::order::Order;
use control::rules::request::{Request, Stage};
use control::rules::terms::{Approval, ApprovalMode};
use model::{AccessState, EndReason, Revision, Span, Verdict};

use super::reports::{report, tell};
use super::{audit, deed, orders, request, traces};
use crate::world::{Cast, Folder, Person, START, StandingClock, ask, furnish, office, wish};

const BY_HAND: Approval = Approval { mode: ApprovalMode::Approve, self_approval: false };
const AUTO: Approval = Approval { mode: ApprovalMode::Auto, self_approval: false };

async fn asked(office: &Office, person: &Person) -> Request {
    let what = ask(Span::from_mins(90));
    deed(office, &person.who, |deed| Box::pin(async move { requests::create(deed, "shop", what).await }))
        .await
        .unwrap()
}

async fn approve(office: &Office, person: &Person, request: &Request) -> Result<Request, Refusal> {
    let id = request.id.to_string();
    deed(office, &person.who, |deed| Box::pin(async move { requests::approve(deed, &id, None).await })).await
}

async fn end(office: &Office, person: &Person, request: &Request) -> Result<Request, Refusal> {
    let id = request.id.to_string();
    deed(office, &person.who, |deed| Box::pin(async move { requests::end(deed, &id, None).await })).await
}

async fn house(approval: Approval) -> (Folder, std::sync::Arc<StandingClock>, Office, Cast) {
    let folder = Folder::new();
    let clock = StandingClock::new();
    let office = office(&folder, &clock).await;
    let cast = furnish(&office, approval).await;
    (folder, clock, office, cast)
}

#[tokio::test]
async fn an_approval_orders_the_access_with_the_time_counted_from_it() {
    let (_folder, clock, office, cast) = house(BY_HAND).await;
    let pending = asked(&office, &cast.ann).await;
    let before = orders(&office, &cast.connector).await.len();
    clock.pass(Span::from_mins(10));
    let accepted = approve(&office, &cast.approver, &pending).await.unwrap();
    let all = orders(&office, &cast.connector).await;
    assert_eq!(all.len(), before + 1, "an approval gives one order");
    let Some(Order::PutAccess(order)) = all.last() else { panic!("not a PutAccess: {all:?}") };
    assert_eq!(order.access, pending.id);
    assert_eq!(order.revision, Revision(1));
    assert_eq!(order.hint, "ann");
    assert_eq!(order.key.0, cast.ann.key.public().to_base64());
    assert_eq!(order.from, START.plus(Span::from_mins(10)));
    assert_eq!(order.until, START.plus(Span::from_mins(100)));
    assert_eq!(accepted.stage, Stage::Accepted);
    let entry = audit(&office).await.into_iter().find(|entry| entry.what == "request.approved").unwrap();
    assert_eq!(entry.who, "eve@example.org");
    assert_eq!(entry.subject, format!("request/{}", pending.id));
    assert_eq!(entry.origin.as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn what_is_refused_leaves_no_trace() {
    let (_folder, clock, office, cast) = house(BY_HAND).await;
    let pending = asked(&office, &cast.ann).await;
    let before = traces(&office, &cast.connector).await;
    let by_owner = approve(&office, &cast.ann, &pending).await;
    assert!(matches!(by_owner, Err(Refusal::Denied { .. })), "{by_owner:?}");
    let by_stranger = approve(&office, &cast.bob, &pending).await;
    assert!(matches!(by_stranger, Err(Refusal::NotFound { .. })), "a stranger learns that it exists");
    let ended = end(&office, &cast.bob, &pending).await;
    assert!(matches!(ended, Err(Refusal::NotFound { .. })), "{ended:?}");
    assert_eq!(traces(&office, &cast.connector).await, before, "a refused deed left something");
    assert_eq!(request(&office, &pending.id).await, pending);
    approve(&office, &cast.approver, &pending).await.unwrap();
    let after = traces(&office, &cast.connector).await;
    let twice = approve(&office, &cast.approver, &pending).await;
    assert_eq!(twice.map_err(|refusal| refusal.code()).unwrap_err(), "request_not_pending");
    assert_eq!(traces(&office, &cast.connector).await, after);
    clock.pass(Span::from_mins(1));
}

#[tokio::test]
async fn nobody_approves_their_own_unless_the_integration_allows_it() {
    let (_folder, _, office, cast) = house(BY_HAND).await;
    let by_admin = asked(&office, &cast.admin).await;
    let refused = approve(&office, &cast.admin, &by_admin).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()).unwrap_err(), "denied");
    let allowed = wish(&cast.connector, Approval { self_approval: true, ..BY_HAND });
    crate::world::apply(&office, &cast.admin.who, "shop", allowed).await;
    approve(&office, &cast.admin, &by_admin).await.unwrap();
}

#[tokio::test]
async fn an_integration_that_decides_by_itself_orders_at_once() {
    let (_folder, _, office, cast) = house(AUTO).await;
    let accepted = asked(&office, &cast.ann).await;
    assert_eq!(accepted.stage, Stage::Accepted);
    assert!(matches!(orders(&office, &cast.connector).await.last(), Some(Order::PutAccess(_))));
    let mut rows = office.read().await.unwrap();
    let events = rows.events(&accepted.id).await.unwrap();
    let words: Vec<_> = events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(words, ["requested", "auto_approved"]);
}

#[tokio::test]
async fn an_end_is_ordered_once_and_only_the_agent_makes_it_over() {
    let (_folder, clock, office, cast) = house(AUTO).await;
    let open = asked(&office, &cast.ann).await;
    let before = orders(&office, &cast.connector).await.len();
    let ending = end(&office, &cast.ann, &open).await.unwrap();
    assert!(!ending.is_over(), "the control plane itself ended an access");
    let again = end(&office, &cast.approver, &open).await.unwrap();
    assert_eq!(again, ending, "ending twice is not ending once");
    let all = orders(&office, &cast.connector).await;
    assert_eq!(all.len(), before + 1);
    assert_eq!(all.last(), Some(&Order::EndAccess { access: open.id.clone() }));
    clock.pass(Span::from_days(2));
    assert!(!request(&office, &open.id).await.is_over(), "time alone ended an access");
    let ended = AccessState::Ended {
        verdict: Verdict::Revoked,
        residual: vec![],
        at: START.plus(Span::from_secs(5)),
    };
    tell(&office, &cast.connector, 1, vec![report(&open, ended)]).await;
    assert!(request(&office, &open.id).await.is_over());
    let late = end(&office, &cast.ann, &open).await;
    assert_eq!(late.map_err(|refusal| refusal.code()).unwrap_err(), "request_over");
}

#[tokio::test]
async fn a_pending_request_is_taken_back_without_an_order() {
    let (_folder, _, office, cast) = house(BY_HAND).await;
    let pending = asked(&office, &cast.ann).await;
    let before = orders(&office, &cast.connector).await.len();
    let withdrawn = end(&office, &cast.ann, &pending).await.unwrap();
    assert_eq!((withdrawn.stage, withdrawn.is_over()), (Stage::Withdrawn, true));
    assert_eq!(orders(&office, &cast.connector).await.len(), before);
}

#[tokio::test]
async fn canceling_waits_for_the_agents_offer_and_word() {
    let (_folder, _, office, cast) = house(AUTO).await;
    let open = asked(&office, &cast.ann).await;
    end(&office, &cast.ann, &open).await.unwrap();
    let cancel = |person: &Person| {
        let (who, id) = (person.who.clone(), open.id.to_string());
        let office = office.clone();
        async move {
            deed(&office, &who, |deed| {
                Box::pin(async move { requests::cancel(deed, &id, "the server burnt".into()).await })
            })
            .await
            .map_err(|refusal| refusal.code())
        }
    };
    let ending = |attempts| AccessState::Ending {
        reason: EndReason::Revoked,
        contained: false,
        attempts,
        since: START,
    };
    tell(&office, &cast.connector, 1, vec![report(&open, ending(3))]).await;
    assert_eq!(cancel(&cast.admin).await.unwrap_err(), "cancel_not_possible");
    tell(&office, &cast.connector, 2, vec![report(&open, ending(10))]).await;
    assert_eq!(cancel(&cast.ann).await.unwrap_err(), "denied");
    cancel(&cast.admin).await.unwrap();
    let all = orders(&office, &cast.connector).await;
    assert_eq!(all.last(), Some(&Order::CancelEnding { access: open.id.clone() }));
    assert!(!request(&office, &open.id).await.is_over(), "canceled before the agent said so");
    tell(&office, &cast.connector, 3, vec![report(&open, AccessState::Canceled { at: START })]).await;
    assert_eq!(request(&office, &open.id).await.word(), "canceled");
}

#[tokio::test]
async fn an_integration_rises_in_revision_only_when_it_changes() {
    let (_folder, _, office, cast) = house(BY_HAND).await;
    let apply = |wish: integrations::Wish, provided| {
        let (office, who) = (office.clone(), cast.admin.who.clone());
        async move {
            deed(&office, &who, move |deed| {
                Box::pin(async move { integrations::apply(deed, "shop", wish, provided).await })
            })
            .await
            .map(|offer| offer.integration.revision.0)
            .map_err(|refusal| refusal.code())
        }
    };
    let always = integrations::Provided::Always;
    let at = |revision| integrations::Provided::At(Revision(revision));
    let before = traces(&office, &cast.connector).await;
    assert_eq!(apply(wish(&cast.connector, BY_HAND), always).await, Ok(1), "the same again is no change");
    assert_eq!(traces(&office, &cast.connector).await, before);
    let titled = integrations::Wish { title: Some("Shop".into()), ..wish(&cast.connector, BY_HAND) };
    assert_eq!(apply(titled.clone(), at(1)).await, Ok(2));
    let after = traces(&office, &cast.connector).await;
    assert_eq!(after.orders, before.orders, "the agent was told of a title");
    let mut moved = titled.clone();
    moved.settings.insert("port".into(), "6432".into());
    assert_eq!(apply(moved.clone(), at(1)).await, Err("stale_revision"));
    assert_eq!(apply(moved.clone(), integrations::Provided::Absent).await, Err("stale_revision"));
    assert_eq!(apply(moved.clone(), at(2)).await, Ok(3));
    let all = orders(&office, &cast.connector).await;
    let Some(Order::PutIntegration { integration }) = all.last() else { panic!("{all:?}") };
    assert_eq!((integration.revision, integration.settings.get("port")), (Revision(3), Some(&"6432".into())));
    let elsewhere = integrations::Wish { kind: "mysql".into(), ..moved };
    assert_eq!(apply(elsewhere, always).await, Err("kind_fixed"));
}

#[tokio::test]
async fn a_retired_integration_takes_no_requests_and_its_id_never_comes_back() {
    let (_folder, _, office, cast) = house(BY_HAND).await;
    let pending = asked(&office, &cast.ann).await;
    let retired = deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { integrations::retire(deed, "shop", integrations::Provided::Always).await })
    });
    let integration = retired.await.unwrap().integration.id;
    let all = orders(&office, &cast.connector).await;
    assert_eq!(all.last(), Some(&Order::RetireIntegration { integration: integration.clone() }));
    let late = approve(&office, &cast.approver, &pending).await;
    assert_eq!(late.map_err(|refusal| refusal.code()).unwrap_err(), "integration_retired");
    let new = deed(&office, &cast.ann.who, |deed| {
        Box::pin(async move { requests::create(deed, "shop", ask(Span::from_secs(9))).await })
    });
    assert_eq!(new.await.map_err(|refusal| refusal.code()).unwrap_err(), "invalid");
    let told = control::rules::report::Report::IntegrationRetired { integration: integration.clone() };
    tell(&office, &cast.connector, 1, vec![told]).await;
    let offer = office.read().await.unwrap().offer(&integration).await.unwrap().unwrap();
    assert!(offer.retired_at.is_some());
    let back = wish(&cast.connector, BY_HAND);
    let back = deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move { integrations::apply(deed, "shop", back, integrations::Provided::Always).await })
    });
    assert_eq!(back.await.map_err(|refusal| refusal.code()).unwrap_err(), "integration_retired");
}

#[tokio::test]
async fn who_has_no_key_cannot_ask() {
    let (_folder, _, office, cast) = house(AUTO).await;
    let dan = deed(&office, &cast.admin.who, |deed| {
        Box::pin(async move {
            let roles = [control::rules::role::Role::Requester].into();
            control::changes::people::create(deed, "dan@example.org", None, roles).await
        })
    })
    .await
    .unwrap();
    let dan = crate::world::person(&dan);
    let asked = deed(&office, &dan, |deed| {
        Box::pin(async move { requests::create(deed, "shop", ask(Span::from_secs(9))).await })
    });
    assert_eq!(asked.await.map_err(|refusal| refusal.code()).unwrap_err(), "key_missing");
}
