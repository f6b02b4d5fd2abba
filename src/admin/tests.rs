use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::ask::{Answer, ask};
use super::door::{SEATS, STAY};
use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_000);

fn good() -> Readiness {
    Readiness { journal: Part::Good, identity: Part::Good, link: Link::Up { since: NOW }, mode: Mode::Open }
}

struct World {
    tell: watch::Sender<Readiness>,
    address: SocketAddr,
    recorder: PrometheusRecorder,
    stop: CancellationToken,
    crew: JoinSet<io::Result<()>>,
}

impl World {
    fn with(readiness: Readiness) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let (tell, watch) = watch::channel(readiness);
        let admin = Admin::bind("127.0.0.1:0".parse().unwrap(), watch, recorder.handle(), || {}).unwrap();
        let (address, stop) = (admin.address(), CancellationToken::new());
        let mut crew = JoinSet::new();
        crew.spawn(admin.serve(stop.clone()));
        Self { tell, address, recorder, stop, crew }
    }

    async fn ask(&self, path: &str) -> Answer {
        ask(self.address, path).await.unwrap()
    }
}

#[tokio::test]
async fn readiness_and_health_tell_the_truth() {
    let down = Link::Down { since: NOW, reason: "connection refused".into() };
    let bad = Part::Bad { reason: "no room".into() };
    let close_only = Mode::CloseOnly { reason: "the journal has no room".into() };
    let table = [
        ("all is well", good(), 200, 200),
        ("starting", Readiness::starting(NOW), 503, 503),
        ("the link is down", Readiness { link: down, ..good() }, 503, 200),
        ("the journal is bad", Readiness { journal: bad.clone(), ..good() }, 503, 200),
        ("the identity is bad", Readiness { identity: bad, ..good() }, 503, 200),
        ("close only", Readiness { mode: close_only, ..good() }, 503, 200),
        (
            "standstill",
            Readiness { mode: Mode::Standstill { reason: "no identity".into() }, ..good() },
            503,
            503,
        ),
        ("stopping", Readiness { mode: Mode::Stopping, ..good() }, 503, 503),
    ];
    let world = World::with(good());
    for (name, readiness, ready, health) in table {
        world.tell.send_replace(readiness.clone());
        let answer = world.ask("/readyz").await;
        assert_eq!(answer.status, ready, "{name}: {}", answer.text);
        assert_eq!(world.ask("/healthz").await, Answer { status: health, ..answer.clone() }, "{name}");
        assert_eq!(world.ask("/livez").await.status, 200, "{name}");
        let report: Report = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(report, Report::from(readiness), "{name}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_readiness_that_nobody_keeps_is_not_believed() {
    let World { tell, address, stop: _stop, crew: _crew, .. } = World::with(good());
    drop(tell);
    let answer = ask(address, "/readyz").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("has ended"), "{}", answer.text);
    assert_eq!(ask(address, "/healthz").await.unwrap().status, 503);
}

#[tokio::test]
async fn metrics_are_given_as_prometheus_reads_them() {
    let world = World::with(good());
    metrics::with_local_recorder(&world.recorder, || metrics::counter!("tidegate_test_total").increment(3));
    let answer = world.ask("/metrics").await;
    assert!(answer.text.contains("tidegate_test_total 3"), "{}", answer.text);
    assert_eq!(world.ask("/other").await.status, 404);
}

#[tokio::test]
async fn a_taken_address_is_refused_with_the_way_out() {
    let world = World::with(good());
    let (_tell, watch) = watch::channel(good());
    let fault = Admin::bind(world.address, watch, world.recorder.handle(), || {}).unwrap_err();
    assert!(fault.to_string().contains("free the port, or set `admin.listen`"), "{fault}");
}

#[tokio::test]
async fn stopping_ends_the_serving() {
    let mut world = World::with(good());
    world.ask("/livez").await;
    world.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(10), world.crew.join_next()).await;
    assert!(matches!(ended, Ok(Some(Ok(Ok(()))))), "{ended:?}");
    assert!(ask(world.address, "/livez").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn who_connects_and_says_nothing_does_not_keep_others_out() {
    let world = World::with(good());
    let mut silent = vec![];
    for _ in 0..SEATS {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").await.unwrap();
        silent.push(stream);
    }
    // The seats are taken until those who hold them have overstayed; then they are shown out…
    for mut stream in silent {
        let mut rest = vec![];
        let ended = tokio::time::timeout(STAY * 2, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "a connection outlived its stay");
    }
    // …and the next one is served.
    tokio::time::resume();
    assert_eq!(world.ask("/livez").await.status, 200);
}
