//! Whatever speaks in the control plane's place: its bytes are refused by their name, the agent dials again, and what
//! is to be closed is closed meanwhile.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use prost::Message as _;
use proto::v1::access_state::State;
use proto::v1::{self, control_message};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

use crate::plane::until;
use crate::world::World;

/// What it does with whoever dials.
#[derive(Clone)]
enum Trick {
    /// Says this instead of HTTP/2, and then nothing.
    Bytes(Vec<u8>),
    /// Hangs up.
    Nothing,
    /// Answers the call so.
    Answer {
        status: u16,
        kind: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
        ends: bool,
    },
}

fn answer(body: Vec<u8>) -> Trick {
    Trick::Answer { status: 200, kind: "application/grpc", headers: vec![], body, ends: true }
}

fn held_open(body: Vec<u8>) -> Trick {
    Trick::Answer { status: 200, kind: "application/grpc", headers: vec![], body, ends: false }
}

fn refusing(status: &str, message: String) -> Trick {
    let headers = vec![("grpc-status", status.to_owned()), ("grpc-message", message)];
    Trick::Answer { status: 200, kind: "application/grpc", headers, body: vec![], ends: true }
}

fn frame(flag: u8, length: usize, body: &[u8]) -> Vec<u8> {
    [&[flag], &u32::try_from(length).unwrap().to_be_bytes()[..], body].concat()
}

fn says(message: control_message::Message) -> Vec<u8> {
    let bytes = v1::ControlMessage { message: Some(message) }.encode_to_vec();
    frame(0, bytes.len(), &bytes)
}

fn welcome() -> v1::Welcome {
    v1::Welcome {
        protocol: 1,
        server_time: Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 }),
        control_incarnation: "6ba7b810-9dad-11d1-80b4-00c04fd430c8".into(),
        ..v1::Welcome::default()
    }
}

/// Somebody in the control plane's place.
struct Impostor {
    address: SocketAddr,
    dialled: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    runtime: Option<Runtime>,
    keeper: Option<JoinHandle<()>>,
}

impl Impostor {
    fn at(address: SocketAddr, trick: Trick) -> Self {
        let (dialled, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut impostor = Self {
            address,
            dialled: Arc::clone(&dialled),
            stopped: Arc::clone(&stopped),
            runtime: None,
            keeper: None,
        };
        let bare = match trick {
            Trick::Nothing => Some(vec![]),
            Trick::Bytes(bytes) => Some(bytes),
            Trick::Answer { status, kind, headers, body, ends } => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let listener = runtime.block_on(tokio::net::TcpListener::bind(address)).unwrap();
                let router = axum::Router::new().fallback(move || {
                    dialled.fetch_add(1, Ordering::SeqCst);
                    let bytes = tokio_stream::iter([Ok::<_, Infallible>(Bytes::from(body.clone()))]);
                    let body = if ends {
                        Body::from_stream(bytes)
                    } else {
                        Body::from_stream(bytes.chain(tokio_stream::pending()))
                    };
                    let mut response = Response::builder().status(status).header("content-type", kind);
                    for (name, value) in &headers {
                        response = response.header(*name, value);
                    }
                    std::future::ready(response.body(body).unwrap())
                });
                runtime.spawn(
                    tonic::transport::Server::builder()
                        .add_routes(Routes::from(router))
                        .serve_with_incoming(TcpListenerStream::new(listener)),
                );
                impostor.runtime = Some(runtime);
                None
            }
        };
        if let Some(bytes) = bare {
            let listener = until(|| TcpListener::bind(address).ok()).unwrap();
            let counted = Arc::clone(&impostor.dialled);
            impostor.keeper = Some(std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if stopped.load(Ordering::SeqCst) {
                        return;
                    }
                    counted.fetch_add(1, Ordering::SeqCst);
                    let Ok(mut stream) = stream else { continue };
                    if bytes.is_empty() {
                        continue;
                    }
                    stream.write_all(&bytes).ok();
                    stream.set_read_timeout(Some(Duration::from_millis(200))).ok();
                    std::io::copy(&mut stream, &mut std::io::sink()).ok();
                }
            }));
        }
        impostor
    }

    fn until_dialled(&self, name: &str, times: usize) {
        let dialled = until(|| (self.dialled.load(Ordering::SeqCst) >= times).then_some(()));
        dialled.unwrap_or_else(|| panic!("{name}: it was not dialled again"));
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
        if let Some(keeper) = self.keeper.take() {
            std::net::TcpStream::connect(self.address).ok();
            keeper.join().ok();
        }
    }
}

/// The name of the trick, the trick, and a part of the reason that is told; none where it depends on who is quicker.
fn tricks() -> Vec<(&'static str, Trick, &'static str)> {
    let order = v1::Order { position: 1, ..v1::Order::default() };
    let later = |spoil: fn(&mut v1::Welcome)| {
        let mut spoilt = welcome();
        spoil(&mut spoilt);
        answer(says(control_message::Message::Welcome(spoilt)))
    };
    vec![
        ("hangs up", Trick::Nothing, ""),
        ("another protocol", Trick::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), ""),
        ("garbage", Trick::Bytes(vec![0xff; 4096]), ""),
        (
            "a page for people",
            Trick::Answer {
                status: 200,
                kind: "text/html",
                headers: vec![],
                body: b"<html>".to_vec(),
                ends: true,
            },
            "is no control plane's service",
        ),
        (
            "not found",
            Trick::Answer { status: 404, kind: "text/plain", headers: vec![], body: vec![], ends: true },
            "is no control plane's service",
        ),
        (
            "an error of its own",
            Trick::Answer {
                status: 500,
                kind: "application/grpc",
                headers: vec![],
                body: vec![],
                ends: true,
            },
            "refused the session",
        ),
        ("no message", answer(vec![]), "refused the session"),
        ("no message in a frame", answer(frame(0, 5, b"hello")), "refused the session"),
        ("half a frame", answer(frame(0, 500, b"half")), "refused the session"),
        ("a frame of 4 GiB", answer(frame(0, u32::MAX as usize, b"x")), "refused the session"),
        ("a frame of 17 MiB", answer(frame(0, 17 << 20, &vec![b'x'; 17 << 20])), "refused the session"),
        ("a compressed frame that nobody asked for", answer(frame(1, 5, b"hello")), "refused the session"),
        ("an unknown flag", answer(frame(9, 5, b"hello")), "refused the session"),
        (
            "an order before any greeting",
            answer(says(control_message::Message::Order(order.clone()))),
            "no Welcome",
        ),
        ("a greeting without a time", later(|welcome| welcome.server_time = None), "welcome.server_time"),
        (
            "a greeting from beyond time",
            later(|welcome| {
                welcome.server_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })
            }),
            "welcome.server_time",
        ),
        (
            "a greeting of no log",
            later(|welcome| welcome.control_incarnation = "first\n\u{1b}[31m".into()),
            "welcome.control_incarnation",
        ),
        ("a protocol that was not offered", later(|welcome| welcome.protocol = 99), "protocol"),
        (
            "two greetings",
            answer(
                [
                    says(control_message::Message::Welcome(welcome())),
                    says(control_message::Message::Welcome(welcome())),
                ]
                .concat(),
            ),
            "second Welcome",
        ),
        (
            "an order without a place",
            answer(
                [
                    says(control_message::Message::Welcome(welcome())),
                    says(control_message::Message::Order(order)),
                ]
                .concat(),
            ),
            "order.control_incarnation",
        ),
        (
            "a greeting, and then garbage",
            answer([says(control_message::Message::Welcome(welcome())), vec![0xff; 64]].concat()),
            "refused the session",
        ),
        (
            "words without end",
            refusing("16", "%1B[31m%0Arun curl evil.example%E2%80%AE".repeat(300)),
            "refused the session",
        ),
        ("silence", held_open(vec![]), "did not answer"),
    ]
}

#[test]
fn whatever_speaks_in_the_control_planes_place_is_refused_and_closing_goes_on() {
    let mut world = World::start(&["control_plane.connect_deadline=2s"]);
    world.open("a-1", "ann", "orders");
    world.put("b-1", "bob", "orders", Duration::from_secs(8));
    world.wait("b-1", "active", |state| matches!(state, State::Active(_)));
    world.plane.leave();
    let mut wrong = vec![];
    for (name, trick, reason) in tricks() {
        let impostor = Impostor::at(world.plane.address(), trick);
        impostor.until_dialled(name, 2);
        let told = until(|| {
            let told = world.agent().said("Not connected to the control plane");
            told.into_iter()
                .rev()
                .take(3)
                .find(|line| line["fault"].as_str().is_some_and(|fault| fault.contains(reason)))
        });
        let Some(told) = told else {
            let said = world.agent().said("Not connected to the control plane");
            wrong.push(format!("{name}: {reason:?} is not in {:#?}", said.last()));
            continue;
        };
        let fault = told["fault"].as_str().unwrap();
        let odd = |c: char| c.is_control() || c == '\u{202e}';
        assert!(fault.len() < 5_000 && !fault.contains(odd), "{name}: {fault:?}");
        world.health(&["--closing"]).ended(0);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let impostor = Impostor::at(world.plane.address(), Trick::Bytes(vec![0xff; 4096]));
    // b-1 by its deadline, a-1 by an operator.
    world.run(&["close", "--access", "a-1", "--yes", "--reason", "a drill"]).ended(0);
    until(|| world.logins().is_empty().then_some(())).expect("everything is shut");
    drop(impostor);
    world.plane.come_back();
    world.wait_ended("a-1");
    world.wait_ended("b-1");
    world.open("a-2", "ann", "orders");
}
