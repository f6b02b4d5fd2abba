//! What survives what: a killed control plane, a store that refuses or does not answer, a restored backup, an
//! agent with an empty journal.
#![expect(clippy::wildcard_enum_match_arm, reason = "what else comes does not matter here")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use control::app::App;
use control::changes::{logs, people};
use control::office::Limits;
use control::rules::request::Request;
use control::store::{Rows, Store, StoreFault, Work};
use model::Position;
use proto::v1::agent_message::Message as Say;
use proto::v1::order::Order as Wire;
use proto::v1::{self, GoodbyeReason};
use uuid::Uuid;

use crate::agent::{Agent, Memory, active, changed};
use crate::changes::alarms;
use crate::stream::{AUTO, ask_for, until};
use crate::world::{Cast, Folder, House, StandingClock, app, app_over, furnish, open};

/// A store that can be told to refuse, or to do what it is asked and not say so.
struct Breakable {
    inner: Arc<dyn Store>,
    mode: AtomicU8,
}

const REFUSE: u8 = 1;
const SILENT: u8 = 2;

#[async_trait]
impl Store for Breakable {
    async fn write(&self, work: Box<dyn Work>) -> Result<(), StoreFault> {
        match self.mode.load(Ordering::SeqCst) {
            REFUSE => Err(StoreFault::Unavailable { detail: "disk full".into() }),
            SILENT => {
                self.inner.write(work).await?;
                Err(StoreFault::Lost { detail: "gone".into() })
            }
            _ => self.inner.write(work).await,
        }
    }

    async fn hand_in(&self, work: Box<dyn Work>) -> Result<(), StoreFault> {
        self.inner.hand_in(work).await
    }

    async fn read(&self) -> Result<Box<dyn Rows>, StoreFault> {
        self.inner.read().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

async fn reopened(folder: &Folder, clock: &Arc<StandingClock>, cast: Cast) -> House {
    let app: App = app(folder, clock, Limits::default()).await;
    House::open(app, cast)
}

async fn changes_of(house: &House, request: &Request) -> u64 {
    house.office.read().await.unwrap().request(&request.id).await.unwrap().unwrap().changes
}

async fn all_acked(agent: &mut Agent, last: u64) {
    while agent.acked().await < last {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_was_not_acknowledged_counts_once_whatever_broke() {
    for (name, mode, kept) in [("refused", REFUSE, false), ("kept and not told", SILENT, true)] {
        let (folder, clock) = (Folder::new(), StandingClock::new());
        let inner: Arc<dyn Store> = Arc::new(open(folder.path()).await);
        let store = Arc::new(Breakable { inner, mode: AtomicU8::new(0) });
        let app = app_over(store.clone(), &folder, &clock, Limits::default());
        let cast = furnish(&app.office(), AUTO).await;
        let house = House::open(app, cast);
        let mut memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
        let access = ask_for(&house.office, &house.cast.ann.who).await;
        let (mut agent, _) = memory.join(&house).await;
        let before = changes_of(&house, &access).await;
        store.mode.store(mode, Ordering::SeqCst);
        let report = memory.report(changed(access.id.as_str(), active()));
        agent.say(Say::Report(report.clone())).await;
        let mut acked = false;
        let reason = loop {
            match agent.next().await {
                proto::v1::control_message::Message::Goodbye(goodbye) => break goodbye.reason(),
                proto::v1::control_message::Message::Ack(_) => acked = true,
                _ => {}
            }
        };
        assert_eq!(reason, GoodbyeReason::Overloaded, "{name}");
        assert!(!acked, "{name}: acknowledged what may not be committed");
        let cast = house.kill().await;
        drop(store);
        let house = reopened(&folder, &clock, cast).await;
        let (mut agent, welcome) = memory.join(&house).await;
        let committed = welcome.reports_committed.iter().find(|at| at.incarnation == memory.journal);
        assert_eq!(committed.map_or(0, |at| at.position), u64::from(kept), "{name}");
        agent.say(Say::Report(report)).await;
        all_acked(&mut agent, 1).await;
        assert_eq!(changes_of(&house, &access).await, before + 1, "{name}: it counted twice, or not at all");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_control_plane_has_lost_nothing_that_it_said() {
    let (folder, clock) = (Folder::new(), StandingClock::new());
    let house = House::build(&folder, &clock, AUTO).await;
    let mut memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let access = ask_for(&house.office, &house.cast.ann.who).await;
    let (mut agent, welcome) = memory.join(&house).await;
    let order = agent.order().await;
    agent.say(Say::Report(memory.report(changed(access.id.as_str(), active())))).await;
    all_acked(&mut agent, 1).await;
    agent.ack(&order).await;
    memory.take(&order);
    drop(agent);
    let cast = house.kill().await;
    let house = reopened(&folder, &clock, cast).await;
    let (mut agent, again) = memory.join(&house).await;
    assert_eq!(again.control_incarnation, welcome.control_incarnation, "a kill is no restore");
    assert_eq!(again.reports_committed.iter().map(|at| at.position).max(), Some(1));
    assert_eq!(agent.order().await.position, 2);
    let word = house.office.read().await.unwrap().request(&access.id).await.unwrap().unwrap().word();
    assert_eq!(word, "active");
    assert!(alarms(&house.office).await.is_empty());
    house.stop().await;
}

fn copy(from: &Path, to: &Path) {
    for name in ["control.db", "control.db-wal", "control.db-shm"] {
        std::fs::remove_file(to.join(name)).ok();
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

/// Takes every order through a place.
async fn take_through(memory: &mut Memory, agent: &mut Agent, last: u64) -> Vec<v1::Order> {
    let mut orders = vec![];
    while orders.last().is_none_or(|order: &v1::Order| order.position < last) {
        let order = agent.order_past_standing().await;
        agent.ack(&order).await;
        memory.take(&order);
        orders.push(order);
    }
    orders
}

/// A house that lived on after its backup: `lost` was asked for and reports 2 and 3 were committed since.
async fn restored(explicitly: bool) -> (Folder, Arc<StandingClock>, House, Memory, Request, Request) {
    let (folder, clock) = (Folder::new(), StandingClock::new());
    let house = House::build(&folder, &clock, AUTO).await;
    let mut memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let kept = ask_for(&house.office, &house.cast.ann.who).await;
    let (mut agent, _) = memory.join(&house).await;
    take_through(&mut memory, &mut agent, 2).await;
    agent.say(Say::Report(memory.report(changed(kept.id.as_str(), active())))).await;
    all_acked(&mut agent, 1).await;
    drop(agent);
    let cast = house.stop().await;
    let backup = Folder::new();
    copy(folder.path(), backup.path());
    let house = reopened(&folder, &clock, cast).await;
    let lost = ask_for(&house.office, &house.cast.bob.who).await;
    let (mut agent, _) = memory.join(&house).await;
    take_through(&mut memory, &mut agent, 3).await;
    for _ in 0..2 {
        agent.say(Say::Report(memory.report(changed(lost.id.as_str(), active())))).await;
    }
    all_acked(&mut agent, 3).await;
    drop(agent);
    let cast = house.stop().await;
    copy(backup.path(), folder.path());
    if explicitly {
        let office = crate::world::office(&folder, &clock).await;
        office
            .write(people::operator(), |deed| Box::pin(async move { logs::new_incarnation(deed).await }))
            .await
            .unwrap();
        office.close().await;
    }
    let house = reopened(&folder, &clock, cast).await;
    (folder, clock, house, memory, kept, lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_control_plane_begins_another_life_and_loses_no_access() {
    for explicitly in [false, true] {
        let (_folder, _clock, house, mut memory, kept, lost) = restored(explicitly).await;
        let (mut agent, welcome) = memory.join(&house).await;
        assert!(!memory.taken.contains_key(&welcome.control_incarnation), "it goes on in the old life");
        let orders = take_through(&mut memory, &mut agent, welcome.last_order).await;
        let kinds: Vec<_> = orders.iter().filter_map(|order| order.order.clone()).collect();
        assert!(matches!(kinds.first(), Some(Wire::PutIntegration(_))), "{kinds:?}");
        let put = kinds.iter().any(|order| {
            matches!(order, Wire::PutAccess(put) if put.access_id == kept.id.as_str() && put.revision == 1)
        });
        assert!(put, "what should live is not said again: {kinds:?}");
        let standing = agent.standing().await;
        assert_eq!(
            (standing.count, standing.confirmed),
            (1, false),
            "a restored list is confirmed by nobody"
        );
        // The agent has forgotten its reports through 3: the next is 4, and 2 and 3 are lost here.
        let report = memory.report(changed(lost.id.as_str(), active()));
        assert_eq!(report.position, 4);
        agent.say(Say::Report(report)).await;
        all_acked(&mut agent, 4).await;
        let mut expected = vec!["alarm.unknown_access", "alarm.reports_lost"];
        if !explicitly {
            expected.push("alarm.control_plane_went_back");
        }
        assert_eq!(alarms(&house.office).await, expected, "explicitly: {explicitly}");
        let strays = house.office.read().await.unwrap().strays(&house.cast.connector).await.unwrap();
        assert_eq!(strays.iter().map(|stray| &stray.access).collect::<Vec<_>>(), [&lost.id]);
        let mut beyond = memory.report(changed(lost.id.as_str(), active()));
        beyond.position += 1;
        agent.say(Say::Report(beyond)).await;
        assert_eq!(agent.goodbye().await.0, GoodbyeReason::Malformed, "reports may be skipped for ever");
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_an_empty_journal_is_told_everything_again() {
    let (folder, clock) = (Folder::new(), StandingClock::new());
    let house = House::build(&folder, &clock, AUTO).await;
    let mut memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let access = ask_for(&house.office, &house.cast.ann.who).await;
    let (mut agent, _) = memory.join(&house).await;
    take_through(&mut memory, &mut agent, 2).await;
    drop(agent);
    let connector = house.cast.connector.clone();
    until("the session is over", async || !house.office.alive.is_connected(&connector)).await;
    let mut empty = Memory {
        journal: Uuid::new_v4().to_string(),
        instance: Uuid::new_v4().to_string(),
        taken: Default::default(),
        last_report: 0,
        ..memory.clone()
    };
    let (mut agent, welcome) = empty.join(&house).await;
    let orders = take_through(&mut empty, &mut agent, welcome.last_order).await;
    let put = |order: &v1::Order| matches!(&order.order, Some(Wire::PutAccess(put)) if put.access_id == access.id.as_str());
    assert!(orders.iter().any(put), "{orders:?}");
    assert_eq!(agent.standing().await.count, 1);
    drop(agent);
    until("the session is over", async || !house.office.alive.is_connected(&connector)).await;
    // Once orders are no longer kept, an empty journal needs another life of the log.
    let id = connector.clone();
    house
        .office
        .write(people::operator(), move |deed| {
            Box::pin(async move { Ok(deed.rows.orders_taken(&id, Position(2), Position(1)).await?) })
        })
        .await
        .unwrap();
    let mut again =
        Memory { journal: Uuid::new_v4().to_string(), taken: Default::default(), ..empty.clone() };
    let (mut agent, anew) = again.join(&house).await;
    assert_ne!(anew.control_incarnation, welcome.control_incarnation);
    let orders = take_through(&mut again, &mut agent, anew.last_order).await;
    assert!(orders.iter().any(put), "{orders:?}");
    assert_eq!(orders.first().map(|order| order.position), Some(1), "a life that begins in the middle");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_a_journal_is_noticed() {
    let (folder, clock) = (Folder::new(), StandingClock::new());
    let house = House::build(&folder, &clock, AUTO).await;
    let mut memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let access = ask_for(&house.office, &house.cast.ann.who).await;
    let old = memory.clone();
    let (mut agent, _) = memory.join(&house).await;
    agent.say(Say::Report(memory.report(changed(access.id.as_str(), active())))).await;
    all_acked(&mut agent, 1).await;
    let (_agent, welcome) = old.join(&house).await;
    let committed = welcome.reports_committed.iter().find(|at| at.incarnation == old.journal);
    assert_eq!(committed.map(|at| at.position), Some(1), "the agent cannot learn that its journal is old");
    assert_eq!(alarms(&house.office).await, ["alarm.journal_went_back"]);
    house.stop().await;
}
