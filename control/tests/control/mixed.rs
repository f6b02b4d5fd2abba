//! A control plane of today and an agent of the first release: its session, as it was on the wire, is played to the
//! server, which takes and commits all of it.
#![expect(clippy::wildcard_enum_match_arm, reason = "what else comes does not matter here")]

use std::path::Path;

use control::changes::connectors;
use control::changes::integrations::Wish;
use control::store::rows::ReceiptQuery;
use model::IntegrationId;
use prost::Message as _;
use proto::v1::agent_message::Message as Say;
use proto::v1::control_message::Message as Heard;
use proto::v1::report::Report;
use proto::v1::{self, AgentMessage, ControlMessage};

use crate::agent::Memory;
use crate::stream::AUTO;
use crate::world::{Folder, House, StandingClock, apply, wish};

/// What an agent of the first release said, and the integration that it was given, as `tests/e2e/src/session.rs` keeps
/// them.
fn recorded() -> (Vec<Say>, v1::PutIntegration) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/e2e/recorded/v0.1.0.session");
    let file = std::fs::read(path).unwrap();
    let mut rest = file.strip_prefix(b"tidegate session 1\n").unwrap();
    let (mut said, mut given) = (vec![], None);
    while let Some((&by, after)) = rest.split_first() {
        let (length, after) = after.split_first_chunk::<4>().unwrap();
        let (bytes, after) = after.split_at(u32::from_be_bytes(*length).try_into().unwrap());
        if by == b'A' {
            said.push(AgentMessage::decode(bytes).unwrap().message.unwrap());
        } else if let Some(Heard::Order(order)) = ControlMessage::decode(bytes).unwrap().message
            && let Some(v1::order::Order::PutIntegration(put)) = order.order
        {
            given = Some(put);
        }
        rest = after;
    }
    (said, given.unwrap())
}

fn report(said: &Say) -> Option<&v1::Report> {
    match said {
        Say::Report(report) => Some(report),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_of_today_takes_a_session_of_the_first_release() {
    let (said, given) = recorded();
    let Some(Say::Hello(hello)) = said.first().cloned() else { panic!("{:?}", said.first()) };
    assert_eq!(said.iter().filter(|said| matches!(said, Say::Hello(_))).count(), 1, "one session");
    let last = said.iter().filter_map(report).map(|report| report.position).max().unwrap();
    let receipts = said
        .iter()
        .filter_map(report)
        .filter(|report| matches!(report.report, Some(Report::Receipt(_))))
        .count();
    assert!(last > 10 && receipts >= 3, "{last} reports, {receipts} receipts");

    let folder = Folder::new();
    let house = House::build(&folder, &StandingClock::new(), AUTO).await;
    let id = hello.connector_id.clone();
    let (connector, token) = house
        .office
        .write(house.cast.admin.who.clone(), move |deed| {
            Box::pin(async move { connectors::create(deed, &id, None).await })
        })
        .await
        .unwrap();
    let memory = Memory::new(&connector.id, token.expose());
    let mut agent = memory.dial_silently(&house).await.unwrap();
    agent.say(Say::Hello(hello.clone())).await;
    match agent.next().await {
        Heard::Welcome(welcome) => assert_eq!(welcome.protocol, proto::PROTOCOL),
        other => panic!("not a Welcome: {other:?}"),
    }
    // What it needs to know of the integration it learnt from that Hello.
    let settings = given.settings.clone().into_iter().collect();
    let wished = Wish { settings, secret: given.secret_reference.clone(), ..wish(&connector.id, AUTO) };
    apply(&house.office, &house.cast.admin.who, &given.integration_id, wished).await;
    for said in said.into_iter().skip(1) {
        if matches!(&said, Say::Ack(_) | Say::Goodbye(_)) {
            // Of orders that this control plane has never given; and it is to stay.
            continue;
        }
        agent.say(said).await;
    }
    while agent.acked().await < last {}
    let integration = Some(IntegrationId::parse(&given.integration_id).unwrap());
    let query = ReceiptQuery { integration, access: None, after: 0, limit: 100 };
    let mut rows = house.office.read().await.unwrap();
    assert_eq!(rows.receipts(&query).await.unwrap().len(), receipts, "a receipt was dropped");
    drop(rows);
    // It goes on: nothing that was said broke the session.
    agent.beat().await;
    assert!(house.office.alive.is_connected(&connector.id));
    house.stop().await;
}
