//! Agents on the real wire: greeting, resuming, order and acknowledgement, and every way out.

use control::changes::{Who, connectors, requests};
use control::office::{Limits, Office};
use control::rules::request::Request;
use control::rules::terms::{Approval, ApprovalMode};
use model::Span;
use proto::v1::agent_message::Message as Say;
use proto::v1::order::Order as Wire;
use proto::v1::{self, GoodbyeReason};
use tonic::Code;
use uuid::Uuid;

use crate::agent::{Memory, active, changed};
use crate::world::{Folder, House, PATIENCE, START, StandingClock, app, ask, furnish};

pub(crate) const AUTO: Approval = Approval { mode: ApprovalMode::Auto, self_approval: false };

pub(crate) async fn ask_for(office: &Office, who: &Who) -> Request {
    office
        .write(who.clone(), |deed| {
            Box::pin(async move { requests::create(deed, "shop", ask(Span::from_hours(1))).await })
        })
        .await
        .unwrap()
}

async fn house() -> (Folder, House, Memory) {
    let folder = Folder::new();
    let house = House::build(&folder, &StandingClock::new(), AUTO).await;
    let memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    (folder, house, memory)
}

/// Waits until the office says so.
pub(crate) async fn until<F: AsyncFn() -> bool>(what: &str, so: F) {
    let waited = async {
        while !so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("it never came about: {what}"));
}

async fn word(office: &Office, request: &Request) -> &'static str {
    office.read().await.unwrap().request(&request.id).await.unwrap().unwrap().word()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_given_its_orders_and_then_the_standing_list() {
    let (_folder, house, mut memory) = house().await;
    let open = ask_for(&house.office, &house.cast.ann.who).await;
    let (mut agent, welcome) = memory.join(&house).await;
    assert_eq!(welcome.protocol, proto::PROTOCOL);
    assert_eq!(welcome.server_time.map(|at| at.seconds), Some(START.as_secs()));
    assert_eq!(welcome.last_order, 2);
    let first = agent.order().await;
    assert_eq!((first.position, &first.control_incarnation), (1, &welcome.control_incarnation));
    assert!(matches!(first.order, Some(Wire::PutIntegration(ref put)) if put.integration_id == "shop"));
    let second = agent.order().await;
    let Some(Wire::PutAccess(put)) = &second.order else { panic!("{second:?}") };
    assert_eq!((put.access_id.as_str(), put.revision), (open.id.as_str(), 1));
    let grantee = put.grantee.clone().unwrap();
    assert_eq!(grantee.public_key, house.cast.ann.key.public().as_bytes());
    assert_eq!((grantee.id.as_str(), grantee.hint.as_str()), (house.cast.ann.user.id.as_str(), "ann"));
    assert_eq!(put.until.map(|at| at.seconds), Some(START.plus(Span::from_hours(1)).as_secs()));
    let standing = agent.standing().await;
    assert_eq!((standing.log_position, standing.count, standing.page, standing.last), (2, 1, 1, true));
    let text = format!("{}\n1\n", open.id);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    assert_eq!(standing.digest, digest.as_ref());
    agent.ack(&second).await;
    let next = ask_for(&house.office, &house.cast.bob.who).await;
    let third = agent.order().await;
    assert!(matches!(&third.order, Some(Wire::PutAccess(put)) if put.access_id == next.id.as_str()));
    memory.take(&third);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_is_sent_again() {
    let (_folder, house, mut memory) = house().await;
    ask_for(&house.office, &house.cast.ann.who).await;
    let (mut agent, _) = memory.join(&house).await;
    let (first, second) = (agent.order().await, agent.order().await);
    agent.ack(&first).await;
    memory.take(&first);
    drop(agent);
    let connector = house.cast.connector.clone();
    until("the broken session is over", async || !house.office.alive.is_connected(&connector)).await;
    let (mut agent, welcome) = memory.join(&house).await;
    assert_eq!(welcome.last_order, 2);
    let again = agent.order().await;
    assert_eq!(again, second, "an order that was not acknowledged came back changed, or not");
    agent.ack(&again).await;
    memory.take(&again);
    let taken = async || {
        let mut rows = house.office.read().await.unwrap();
        rows.log(&connector).await.unwrap().unwrap().taken.0 == 2
    };
    until("the acknowledgement is kept", taken).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_while_the_window_is_full() {
    let (_folder, house, memory) = house().await;
    for _ in 0..300 {
        house
            .office
            .write(house.cast.admin.who.clone(), |deed| {
                Box::pin(async move { connectors::pause(deed, "north", true).await })
            })
            .await
            .unwrap();
    }
    let (mut agent, welcome) = memory.join(&house).await;
    assert_eq!(welcome.last_order, 301);
    let mut last = agent.order().await;
    for expected in 2..=256 {
        last = agent.order().await;
        assert_eq!(last.position, expected);
    }
    let more = tokio::time::timeout(std::time::Duration::from_millis(300), agent.order()).await;
    assert!(more.is_err(), "more orders came than the window has room for");
    agent.ack(&last).await;
    for expected in 257..=301 {
        assert_eq!(agent.order().await.position, expected);
    }
    assert_eq!(agent.standing().await.log_position, 301, "the standing list came before its orders");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ack_means_committed_and_a_repeat_is_harmless() {
    let (_folder, house, mut memory) = house().await;
    let open = ask_for(&house.office, &house.cast.ann.who).await;
    let (mut agent, _) = memory.join(&house).await;
    let report = memory.report(changed(open.id.as_str(), active()));
    agent.say(Say::Report(report.clone())).await;
    assert_eq!(agent.acked().await, 1);
    assert_eq!(word(&house.office, &open).await, "active", "acknowledged before it was committed");
    agent.say(Say::Report(report.clone())).await;
    assert_eq!(agent.acked().await, 1, "a repeat is acknowledged again");
    drop(agent);
    let connector = house.cast.connector.clone();
    until("the session is over", async || !house.office.alive.is_connected(&connector)).await;
    let (mut agent, welcome) = memory.join(&house).await;
    let committed: Vec<_> =
        welcome.reports_committed.iter().map(|at| (at.incarnation.as_str(), at.position)).collect();
    assert!(committed.contains(&(memory.journal.as_str(), 1)), "{committed:?}");
    let two = [memory.report(changed("acc-x", active())), memory.report(changed("acc-y", active()))];
    for report in two {
        agent.say(Say::Report(report)).await;
    }
    let mut through = agent.acked().await;
    while through < 3 {
        through = agent.acked().await;
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_report_ends_the_session_with_what_was_expected() {
    let (_folder, house, mut memory) = house().await;
    let (mut agent, _) = memory.join(&house).await;
    memory.last_report = 6;
    agent.say(Say::Report(memory.report(changed("acc-x", active())))).await;
    let (reason, detail) = agent.goodbye().await;
    assert_eq!(reason, GoodbyeReason::Malformed);
    assert!(detail.contains("report 1 is missing"), "{detail}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_committed_unread_and_shown() {
    let (_folder, house, mut memory) = house().await;
    let (mut agent, _) = memory.join(&house).await;
    let bad_id = memory.report(changed("not an id", active()));
    let mut no_kind = memory.report(changed("acc-1", active()));
    no_kind.report = None;
    for report in [bad_id, no_kind] {
        agent.say(Say::Report(report)).await;
    }
    let mut through = agent.acked().await;
    while through < 2 {
        through = agent.acked().await;
    }
    let alarms = crate::changes::alarms(&house.office).await;
    assert_eq!(alarms.iter().filter(|what| *what == "alarm.report_unread").count(), 2, "{alarms:?}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_instance_of_a_connector_is_connected() {
    let (_folder, house, memory) = house().await;
    let (mut first, _) = memory.join(&house).await;
    let clone = Memory { instance: Uuid::new_v4().to_string(), ..memory.clone() };
    let mut second = clone.dial(&house).await.unwrap();
    let (reason, detail) = second.goodbye().await;
    assert_eq!(reason, GoodbyeReason::Duplicate);
    assert!(detail.contains(&memory.instance), "it does not say who is there: {detail}");
    let other_journal = Memory { journal: Uuid::new_v4().to_string(), ..clone.clone() };
    let (reason, _) = other_journal.dial(&house).await.unwrap().goodbye().await;
    assert_eq!(reason, GoodbyeReason::Duplicate, "two journals of one connector are served");
    let (_redialled, _) = memory.join(&house).await;
    assert_eq!(first.goodbye().await.0, GoodbyeReason::Duplicate, "the session before goes on");
    let leader = Memory { epoch: 1, ..clone.clone() };
    let (mut leading, _) = leader.join(&house).await;
    // Neither the same epoch nor an earlier one takes its place back.
    for epoch in [0, 1] {
        let late = Memory { epoch, ..memory.clone() };
        let (reason, _) = late.dial(&house).await.unwrap().goodbye().await;
        assert_eq!(reason, GoodbyeReason::Duplicate, "epoch {epoch}");
    }
    // An epoch is believed only from who has the connector's token.
    let admin = house.cast.admin.who.clone();
    let made = house
        .office
        .write(admin, |deed| Box::pin(async move { connectors::create(deed, "south", None).await }))
        .await;
    let (south, token) = made.unwrap();
    let thief = Memory { token: token.expose().to_owned(), epoch: u64::MAX, ..clone };
    let (reason, detail) = thief.dial(&house).await.unwrap().goodbye().await;
    assert_eq!(reason, GoodbyeReason::Malformed, "{detail}");
    let own = Memory { connector: south.id.to_string(), ..thief };
    let (_own, _) = own.join(&house).await;
    let later = Memory { epoch: 2, ..memory };
    let (_later, _) = later.join(&house).await;
    assert_eq!(leading.goodbye().await.0, GoodbyeReason::Duplicate, "the leader was gone before");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_admitted_learns_nothing() {
    let (_folder, house, memory) = house().await;
    let wrong = Memory { token: "tgc_wrong".into(), ..memory.clone() };
    let refused = wrong.dial_silently(&house).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let people_are_no_agents = Memory { token: house.cast.admin.token.clone(), ..memory.clone() };
    let refused = people_are_no_agents.dial_silently(&house).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unauthenticated);
    for _ in 0..20 {
        wrong.dial_silently(&house).await.err().unwrap();
    }
    let refused = wrong.dial_silently(&house).await.err().unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted, "guessing is not slowed");
    let (_agent, _) = memory.join(&house).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_must_fit() {
    let (_folder, house, memory) = house().await;
    let table = [
        (
            "another connector's id",
            Memory { connector: "south".into(), ..memory.clone() },
            GoodbyeReason::Malformed,
        ),
        ("a later protocol", Memory { protocols: (7, 9), ..memory.clone() }, GoodbyeReason::Protocol),
        (
            "a journal without a life",
            Memory { journal: String::new(), ..memory.clone() },
            GoodbyeReason::Malformed,
        ),
    ];
    for (name, memory, expected) in table {
        let mut agent = memory.dial(&house).await.unwrap();
        assert_eq!(agent.goodbye().await.0, expected, "{name}");
        assert!(agent.hear().await.is_none(), "{name}: the stream goes on");
    }
    let mut agent = memory.dial_silently(&house).await.unwrap();
    agent.say(Say::Heartbeat(v1::AgentHeartbeat::default())).await;
    assert_eq!(agent.goodbye().await.0, GoodbyeReason::Malformed, "something came before Hello");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_connector_is_sent_away_at_once_and_later() {
    let (_folder, house, memory) = house().await;
    let (mut agent, _) = memory.join(&house).await;
    house
        .office
        .write(house.cast.admin.who.clone(), |deed| {
            Box::pin(async move { connectors::revoke(deed, "north").await })
        })
        .await
        .unwrap();
    assert_eq!(agent.goodbye().await.0, GoodbyeReason::Revoked);
    let mut again = memory.dial_silently(&house).await.unwrap();
    assert_eq!(again.goodbye().await.0, GoodbyeReason::Revoked);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_token_is_taken_for_its_grace_only() {
    let folder = Folder::new();
    let clock = StandingClock::new();
    let house = House::build(&folder, &clock, AUTO).await;
    let memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let (_, fresh, _) = house
        .office
        .write(house.cast.admin.who.clone(), |deed| {
            Box::pin(async move { connectors::rotate_token(deed, "north", Some(Span::from_mins(10))).await })
        })
        .await
        .unwrap();
    memory.dial_silently(&house).await.map(drop).unwrap();
    clock.pass(Span::from_mins(10));
    assert_eq!(memory.dial_silently(&house).await.err().unwrap().code(), Code::Unauthenticated);
    let memory = Memory { token: fresh.expose().to_owned(), ..memory };
    memory.join(&house).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_go_both_ways_and_silence_ends_a_session() {
    let folder = Folder::new();
    let clock = StandingClock::new();
    let limits = Limits { heartbeat: Span::from_millis(100), ..Limits::default() };
    let app = app(&folder, &clock, limits).await;
    let cast = furnish(&app.office(), AUTO).await;
    let house = House::open(app, cast);
    let memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let (mut agent, welcome) = memory.join(&house).await;
    assert_eq!(welcome.heartbeat_interval.map(|every| every.nanos), Some(100_000_000));
    let time = crate::agent::wire_time(START.plus(Span::from_secs(31)));
    let hindrance = v1::Hindrance {
        kind: v1::HindranceKind::CloseOnly.into(),
        code: "close_only".into(),
        ..Default::default()
    };
    let said = v1::AgentHeartbeat {
        time: Some(time),
        active: 3,
        overdue: 1,
        hindrances: vec![hindrance],
        ..Default::default()
    };
    agent.say(Say::Heartbeat(said)).await;
    let mut beat = agent.beat().await;
    while beat.heard.is_none() {
        beat = agent.beat().await;
    }
    assert_eq!(beat.heard, Some(time), "the agent's own time does not come back");
    assert_eq!(beat.time.map(|at| at.seconds), Some(START.as_secs()));
    let session = house.office.alive.session(&house.cast.connector).unwrap();
    let pulse = session.pulse.unwrap();
    assert_eq!((pulse.active, pulse.overdue, pulse.clock_skew_milliseconds), (3, 1, 31_000));
    assert_eq!(pulse.hindrances.first().map(|found| found.kind.as_str()), Some("close_only"));
    assert_eq!(agent.goodbye().await.0, GoodbyeReason::Silence, "a silent agent is thought alive");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resources_keeps_no_heartbeat_back() {
    const PAGES: u32 = 200;
    let folder = Folder::new();
    let clock = StandingClock::new();
    let limits = Limits { heartbeat: Span::from_millis(200), ..Limits::default() };
    let app = app(&folder, &clock, limits).await;
    let cast = furnish(&app.office(), AUTO).await;
    let house = House::open(app, cast);
    let memory = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let (mut agent, _) = memory.join(&house).await;
    let table = |page: u32, n: u32| v1::Resource {
        id: Some(v1::ResourceId {
            kind: "postgresql-table".into(),
            path: vec![format!("shop-{page}"), n.to_string()],
        }),
        ..Default::default()
    };
    for page in 1..=PAGES {
        let told = v1::report::Report::ResourcePage(v1::ResourcePage {
            integration_id: "shop".into(),
            snapshot_id: "one".into(),
            page,
            resources: (0..500).map(|n| table(page, n)).collect(),
            complete: page == PAGES,
            ..Default::default()
        });
        let unnumbered = v1::Report {
            journal_incarnation: memory.journal.clone(),
            position: 0,
            made_at: None,
            report: Some(told),
        };
        agent.say(Say::Report(unnumbered)).await;
    }
    let time = Some(crate::agent::wire_time(START));
    agent.say(Say::Heartbeat(v1::AgentHeartbeat { time, ..Default::default() })).await;
    let mut beats = 0;
    while agent.beat().await.heard.is_none() {
        beats += 1;
    }
    assert!(beats >= 4, "only {beats} heartbeats came while resources did");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standing_list_is_sent_on_demand_and_again_when_it_was_misread() {
    let (_folder, house, memory) = house().await;
    let (mut agent, _) = memory.join(&house).await;
    agent.order().await;
    let first = agent.standing().await;
    assert!(!first.confirmed);
    let misread = v1::StandingVerdict {
        control_incarnation: first.control_incarnation.clone(),
        log_position: first.log_position,
        outcome: v1::StandingOutcome::Misread.into(),
        detail: "page 2 is missing".into(),
    };
    agent.say(Say::StandingVerdict(misread)).await;
    assert_eq!(agent.standing().await, first);
    assert!(house.office.alive.ask_standing(&house.cast.connector, true));
    assert!(agent.standing().await.confirmed);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_told_when_the_control_plane_stops() {
    let (_folder, house, memory) = house().await;
    let (mut agent, _) = memory.join(&house).await;
    let (cast, (reason, _)) = tokio::join!(house.stop(), agent.goodbye());
    assert_eq!(reason, GoodbyeReason::Stopping);
    assert_eq!(cast.connector.as_str(), "north");
}
