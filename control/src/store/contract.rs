//! The suite that every store must pass.
//!
//! Whoever writes a store gives a [`StoreWorld`] and calls [`run`] from a test. The suite knows the port
//! only; what is particular to one store (files, locks, triggers) is for that store's own tests.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a fault here is the test's failure")]

mod lists;
mod logs;
mod writing;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use model::{
    AccessId, ConnectorId, DriverKind, EntitlementSet, GranteeId, Integration, IntegrationId, Lifecycle,
    Policy, Revision, SecretReference, Span, Timestamp,
};

use super::{Keep, Rows, Store, StoreFault, Work};
use crate::record::{Connector, User};
use crate::rules::request::{Request, Stage, Window};
use crate::rules::role::Role;
use crate::rules::terms::{Approval, Offer};
use crate::token::{TokenHash, new_incarnation};

/// Makes stores of one kind.
#[async_trait]
pub trait StoreWorld: Send + Sync {
    /// Makes a store in which there was nothing yet.
    async fn fresh(&self) -> Arc<dyn Store>;

    /// Drops the store as a killed process would, without closing it, and opens it again.
    async fn killed(&self, store: Arc<dyn Store>) -> Arc<dyn Store>;
}

/// Runs the whole suite.
///
/// # Panics
/// When a promise of the port is broken; the message says which.
pub async fn run(world: &dyn StoreWorld) {
    writing::what_is_committed_is_there_after_a_kill(world).await;
    writing::what_is_rolled_back_leaves_nothing(world).await;
    writing::work_that_fails_takes_nothing_of_its_neighbours_with_it(world).await;
    writing::work_that_breaks_off_leaves_nothing(world).await;
    writing::work_is_done_when_nobody_waits(world).await;
    writing::a_view_is_consistent_and_cannot_write(world).await;
    writing::a_closed_store_refuses(world).await;
    logs::orders_are_numbered_without_gaps_for_each_connector(world).await;
    logs::a_log_that_begins_anew_counts_from_one(world).await;
    logs::taken_orders_are_dropped_through_a_place(world).await;
    logs::cursors_of_reports_never_go_back(world).await;
    lists::lists_are_read_on_page_by_page(world).await;
    lists::a_request_comes_back_in_every_state(world).await;
    lists::the_living_are_those_that_should_live(world).await;
    lists::a_snapshot_is_swapped_in_whole(world).await;
    lists::search_takes_words_literally(world).await;
    lists::one_key_of_a_user_is_current(world).await;
    lists::an_answer_is_remembered_and_forgotten(world).await;
}

/// Runs a closure as work.
pub(super) struct Doing<F>(Option<F>);

#[async_trait]
impl<F> Work for Doing<F>
where
    F: for<'a> FnOnce(&'a mut dyn Rows) -> BoxFuture<'a, Result<Keep, StoreFault>> + Send,
{
    async fn run(&mut self, rows: &mut dyn Rows) -> Result<Keep, StoreFault> {
        self.0.take().unwrap()(rows).await
    }
}

fn work<F>(work: F) -> Box<Doing<F>>
where
    F: for<'a> FnOnce(&'a mut dyn Rows) -> BoxFuture<'a, Result<Keep, StoreFault>> + Send,
{
    Box::new(Doing(Some(work)))
}

/// Writes and keeps; gives what the work returned.
async fn kept<T, F>(store: &Arc<dyn Store>, work: F) -> T
where
    T: Send + 'static,
    F: for<'a> FnOnce(&'a mut dyn Rows) -> BoxFuture<'a, Result<T, StoreFault>> + Send + 'static,
{
    let outcome = Arc::new(Mutex::new(None));
    let told = outcome.clone();
    let piece = self::work(move |rows| {
        Box::pin(async move {
            let answer = work(rows).await?;
            *told.lock().unwrap() = Some(answer);
            Ok(Keep::Commit)
        })
    });
    store.write(piece).await.unwrap();
    outcome.lock().unwrap().take().unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn user(id: &str) -> User {
    User {
        id: GranteeId::parse(id).unwrap(),
        email: format!("{id}@example.org"),
        name: None,
        roles: BTreeSet::from([Role::Requester]),
        disabled: false,
        created_at: at(1),
    }
}

fn connector(id: &str) -> Connector {
    Connector {
        id: ConnectorId::parse(id).unwrap(),
        description: None,
        created_at: at(1),
        revoked_at: None,
        token: TokenHash(format!("hash-of-{id}")),
        previous: None,
        paused: false,
        pins: BTreeSet::new(),
        offered: BTreeSet::new(),
        seen: None,
        standing: None,
    }
}

fn offer(id: &str, connector: &str) -> Offer {
    Offer {
        connector: ConnectorId::parse(connector).unwrap(),
        integration: Integration {
            id: IntegrationId::parse(id).unwrap(),
            revision: Revision(1),
            kind: DriverKind("postgres".into()),
            settings: Default::default(),
            secret: SecretReference("env://TIDEGATE_SECRET_X".into()),
            policy: Policy::default(),
            lifecycle: Lifecycle::Live,
        },
        title: None,
        approval: Approval::default(),
        access_details: None,
        longest: None,
        created_at: at(1),
        updated_at: at(1),
        retired_at: None,
    }
}

fn request(id: &str, until: Timestamp) -> Request {
    Request {
        id: AccessId::parse(id).unwrap(),
        grantee: GranteeId::parse("ann").unwrap(),
        integration: IntegrationId::parse("shop").unwrap(),
        connector: ConnectorId::parse("north").unwrap(),
        entitlements: EntitlementSet::nothing(),
        justification: "because".into(),
        requested_at: at(1),
        from: None,
        duration: Span::from_secs(10),
        window: Some(Window { from: at(1), until }),
        revision: Revision(1),
        stage: Stage::Accepted,
        decision: None,
        end_asked: None,
        cancel_asked: None,
        told: None,
        changes: 0,
    }
}

/// A store with a user, a connector and an integration.
async fn furnished(world: &dyn StoreWorld) -> Arc<dyn Store> {
    let store = world.fresh().await;
    kept(&store, |rows| {
        Box::pin(async move {
            rows.put_user(&user("ann")).await?;
            rows.put_connector(&connector("north"), new_incarnation()).await?;
            rows.put_offer(&offer("shop", "north")).await
        })
    })
    .await;
    store
}
