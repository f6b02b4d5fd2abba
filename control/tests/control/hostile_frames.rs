//! Bytes that no agent sends: whoever sends them is told so or cut off, and the others go on.

use std::time::Duration;

use prost::Message as _;
use proto::v1::agent_message::Message as Say;
use proto::v1::control_message::Message as Heard;
use proto::v1::{self, AgentMessage, ControlMessage, GoodbyeReason};
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client};

use crate::agent::{Memory, active, changed};
use crate::stream::AUTO;
use crate::world::{Folder, House, PATIENCE, StandingClock};

const CONNECT: &str = "/tidegate.connector.v1.ConnectorService/Connect";

/// What came of it.
struct Outcome {
    status: u16,
    headers: HeaderMap,
    heard: Vec<Heard>,
}

impl Outcome {
    /// The status of the call itself, when it was refused before anything was said.
    fn refused(&self) -> Option<&str> {
        self.headers.get("grpc-status").and_then(|status| status.to_str().ok())
    }

    fn goodbye(&self) -> Option<GoodbyeReason> {
        match self.heard.last() {
            Some(Heard::Goodbye(goodbye)) => Some(goodbye.reason()),
            _ => None,
        }
    }
}

fn frame(flag: u8, length: usize, body: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(length).unwrap().to_be_bytes()[..], body].concat()
}

fn says(message: Say) -> Vec<u8> {
    let bytes = AgentMessage { message: Some(message) }.encode_to_vec();
    frame(0, bytes.len(), &bytes)
}

/// The messages in a body.
fn messages(mut body: &[u8]) -> Vec<Heard> {
    let mut heard = vec![];
    while let Some((&[_, a, b, c, d], rest)) = body.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        let (bytes, after) = rest.split_at(length.min(rest.len()));
        heard.extend(ControlMessage::decode(bytes).unwrap().message);
        body = after;
    }
    heard
}

struct Stranger {
    client: Client,
    base: String,
}

impl Stranger {
    fn of(house: &House) -> Self {
        let authority = Certificate::from_pem(&house.authority).unwrap();
        let client = Client::builder().tls_certs_only([authority]).timeout(PATIENCE * 2).build().unwrap();
        Self { client, base: house.grpc.clone() }
    }

    /// Calls with these headers; `None` when the line was cut.
    async fn calls(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Outcome> {
        let mut call = self.client.post(format!("{}{path}", self.base)).header("te", "trailers").body(body);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        let answer = call.send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.unwrap_or_default();
        Some(Outcome { status, headers, heard: messages(&body) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_agent_sends_are_refused_and_the_others_go_on() {
    let folder = Folder::new();
    let house = House::build(&folder, &StandingClock::new(), AUTO).await;
    let mut other = Memory::new(&house.cast.connector, &house.cast.connector_token);
    let stranger = Stranger::of(&house);
    let bearer = format!("Bearer {}", house.cast.connector_token);
    let usual = [("content-type", "application/grpc"), ("authorization", bearer.as_str())];

    // What is wrong before anything is said.
    let long = "x".repeat(12_000);
    let longer = format!("Bearer {long}");
    type Row<'r> = (&'r str, &'r str, Vec<(&'r str, &'r str)>, Option<&'r str>);
    let table: Vec<Row<'_>> = vec![
        ("no token", CONNECT, vec![usual[0]], Some("16")),
        ("another scheme", CONNECT, vec![usual[0], ("authorization", "Basic YTpi")], Some("16")),
        ("no word", CONNECT, vec![usual[0], ("authorization", "Bearer")], Some("16")),
        ("an endless token", CONNECT, vec![usual[0], ("authorization", &longer)], Some("16")),
        ("another method", "/tidegate.connector.v1.ConnectorService/Rule", usual.to_vec(), Some("12")),
        ("another service", "/evil.Service/Connect", usual.to_vec(), Some("12")),
        ("a page", "/", usual.to_vec(), Some("12")),
        ("a way out of the folder", "/../../etc/passwd", usual.to_vec(), Some("12")),
    ];
    for (name, path, headers, expected) in table {
        let outcome = stranger.calls(path, &headers, vec![]).await.unwrap_or_else(|| panic!("{name}: cut"));
        assert_eq!(outcome.refused(), expected, "{name}: {} {:?}", outcome.status, outcome.headers);
        assert!(outcome.heard.is_empty(), "{name}: it was told something");
    }
    let page = stranger
        .calls(CONNECT, &[("content-type", "text/html"), usual[1]], b"<html>".to_vec())
        .await
        .unwrap();
    assert!(page.heard.is_empty() || page.goodbye() == Some(GoodbyeReason::Malformed), "{:?}", page.heard);

    // What is wrong with what is said.
    let hello = || says(Say::Hello(other.hello()));
    let spoilt = |spoil: fn(&mut v1::Hello)| {
        let mut hello = other.hello();
        spoil(&mut hello);
        says(Say::Hello(hello))
    };
    let malformed = Some(GoodbyeReason::Malformed);
    let table: Vec<(&str, Vec<u8>, Option<GoodbyeReason>)> = vec![
        ("nothing", vec![], None),
        ("no message in a frame", frame(0, 5, b"hello"), None),
        ("half a frame", frame(0, 500, b"half"), None),
        ("a frame of 4 GiB", frame(0, u32::MAX as usize, b"x"), None),
        ("a frame of 17 MiB", frame(0, 17 << 20, &vec![b'x'; 17 << 20]), None),
        ("a compressed frame", frame(1, 5, b"hello"), None),
        ("an unknown flag", frame(9, 5, b"hello"), None),
        ("a message of no kind", frame(0, 0, b""), malformed),
        ("a heartbeat before any greeting", says(Say::Heartbeat(v1::AgentHeartbeat::default())), malformed),
        ("a greeting of somebody else", spoilt(|hello| hello.connector_id = "south".into()), malformed),
        ("a hostile name", spoilt(|hello| hello.connector_id = "a\n\u{1b}[31m".into()), malformed),
        ("an instance that is none", spoilt(|hello| hello.instance_id = "first".into()), malformed),
        (
            "10,000 kinds of targets",
            spoilt(|hello| hello.manifests = vec![hello.manifests[0].clone(); 10_000]),
            malformed,
        ),
        (
            "10,000 keys",
            spoilt(|hello| hello.public_keys = vec![hello.public_keys[0].clone(); 10_000]),
            malformed,
        ),
        ("two greetings", [hello(), hello()].concat(), malformed),
        (
            "a report of nobody's journal",
            [hello(), says(Say::Report(v1::Report { position: 1, ..Default::default() }))].concat(),
            malformed,
        ),
        ("a greeting, and then garbage", [hello(), vec![0xff; 64]].concat(), None),
    ];
    for (name, body, goodbye) in table {
        let outcome = tokio::time::timeout(PATIENCE, stranger.calls(CONNECT, &usual, body)).await;
        let outcome = outcome.unwrap_or_else(|_| panic!("{name}: it is waited for"));
        if let Some(expected) = goodbye {
            let outcome = outcome.unwrap_or_else(|| panic!("{name}: cut"));
            assert_eq!(outcome.goodbye(), Some(expected), "{name}: {:?}", outcome.heard);
        }
        // The session of whoever spoke so is over, and the next one is served.
        let connector = house.cast.connector.clone();
        crate::stream::until(name, async || !house.office.alive.is_connected(&connector)).await;
    }

    let (mut agent, _) = other.join(&house).await;
    let storm = (0..8).map(|_| stranger.calls(CONNECT, &usual[..1], vec![0xff; 1 << 20]));
    let storm = futures_util::future::join_all(storm);
    let report = Say::Report(other.report(changed("acc-x", active())));
    let ((), _) = tokio::join!(agent.say(report), storm);
    let acked = tokio::time::timeout(Duration::from_secs(30), agent.acked()).await;
    assert_eq!(acked.expect("its report is committed"), 1, "an agent that does no wrong is served");
    house.stop().await;
}
