//! An agent of today and a control plane of the first release: its session, as it was on the wire, is played to the
//! running agent, which takes all of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use prost::Message as _;
use proto::v1::connector_service_server::{ConnectorService, ConnectorServiceServer};
use proto::v1::{self, agent_message, control_message};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::agent::Running;
use crate::bench::Bench;
use crate::plane::until;

const BEAT: Duration = Duration::from_secs(1);

/// What a control plane of the first release said in one session, as `tests/e2e/src/session.rs` keeps it.
fn recorded() -> Vec<v1::ControlMessage> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/recorded/v0.1.0.session");
    let file = std::fs::read(path).unwrap();
    let mut rest = file.strip_prefix(b"tidegate session 1\n").unwrap();
    let mut said = vec![];
    while let Some((&by, after)) = rest.split_first() {
        let (length, after) = after.split_first_chunk::<4>().unwrap();
        let (bytes, after) = after.split_at(u32::from_be_bytes(*length).try_into().unwrap());
        if by == b'C' {
            said.push(v1::ControlMessage::decode(bytes).unwrap());
        }
        rest = after;
    }
    said
}

#[derive(Default)]
struct Heard {
    sessions: usize,
    /// Orders are acknowledged through here.
    acked: u64,
    refused: Vec<v1::OrderRefused>,
    changed: Vec<String>,
    beats: usize,
}

/// Says what was recorded, each part once, and goes on with heartbeats.
#[derive(Clone)]
struct Player {
    said: Arc<Vec<v1::ControlMessage>>,
    heard: Arc<Mutex<Heard>>,
    sessions: Arc<Mutex<JoinSet<()>>>,
}

#[async_trait]
impl ConnectorService for Player {
    type ConnectStream = ReceiverStream<Result<v1::ControlMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let (out, answers) = mpsc::channel(64);
        let (player, mut inward) = (self.clone(), request.into_inner());
        self.heard.lock().unwrap().sessions += 1;
        self.sessions.lock().unwrap().spawn(async move {
            let saying = player.say(out);
            let hearing = async {
                while let Ok(Some(message)) = inward.message().await {
                    player.hear(message);
                }
            };
            tokio::join!(saying, hearing);
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl Player {
    async fn say(&self, out: mpsc::Sender<Result<v1::ControlMessage, Status>>) {
        for message in self.said.iter() {
            if out.send(Ok(message.clone())).await.is_err() {
                return;
            }
        }
        let mut beats = tokio::time::interval(BEAT);
        loop {
            beats.tick().await;
            let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
            let seconds = since.as_secs().try_into().unwrap();
            let time = Some(prost_types::Timestamp { seconds, nanos: 0 });
            let beat = v1::ControlHeartbeat { time, ..v1::ControlHeartbeat::default() };
            let message = Some(control_message::Message::Heartbeat(beat));
            if out.send(Ok(v1::ControlMessage { message })).await.is_err() {
                return;
            }
        }
    }

    fn hear(&self, message: v1::AgentMessage) {
        let mut heard = self.heard.lock().unwrap();
        match message.message {
            Some(agent_message::Message::Ack(ack)) => {
                heard.acked = heard.acked.max(ack.through.map_or(0, |through| through.position));
            }
            Some(agent_message::Message::Heartbeat(_)) => heard.beats += 1,
            Some(agent_message::Message::Report(report)) => match report.report {
                Some(v1::report::Report::OrderRefused(told)) => heard.refused.push(told),
                Some(v1::report::Report::AccessChanged(told)) => heard.changed.push(told.access_id),
                _ => {}
            },
            _ => {}
        }
    }

    fn serve(&self) -> (SocketAddr, Runtime) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = ConnectorServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        let served = server.serve_with_incoming(TcpListenerStream::new(listener));
        let _guard = runtime.enter();
        self.sessions.lock().unwrap().spawn(async move { drop(served.await) });
        (address, runtime)
    }
}

#[test]
fn an_agent_of_today_takes_a_session_of_the_first_release() {
    let said = recorded();
    let orders: Vec<v1::Order> = said
        .iter()
        .filter_map(|message| match &message.message {
            Some(control_message::Message::Order(order)) => Some(order.clone()),
            _ => None,
        })
        .collect();
    let last = orders.last().unwrap().position;
    let puts: Vec<String> = orders
        .iter()
        .filter_map(|order| match &order.order {
            Some(v1::order::Order::PutAccess(put)) => Some(put.access_id.clone()),
            _ => None,
        })
        .collect();
    assert!(puts.len() >= 3 && last >= 5, "{orders:#?}");
    let player = Player { said: Arc::new(said), heard: Arc::default(), sessions: Arc::default() };
    let (address, runtime) = player.serve();

    let bench = Bench::ready();
    let mut agent = Running::with(&bench, &["--set", &format!("control_plane.url=http://{address}")]);
    agent.until("Connected to the control plane");
    until(|| (player.heard.lock().unwrap().acked == last).then_some(())).expect("every order is taken");
    // Each access of then is answered for: nothing of it can be opened any more.
    until(|| {
        let heard = player.heard.lock().unwrap();
        let told = |id: &String| {
            heard.changed.contains(id) || heard.refused.iter().any(|told| told.access_id == *id)
        };
        puts.iter().all(told).then_some(())
    })
    .expect("every access is told of");
    // It goes on in the same session: whatever was said, it was understood.
    let beats = player.heard.lock().unwrap().beats;
    until(|| (player.heard.lock().unwrap().beats > beats + 1).then_some(())).expect("the session goes on");
    assert_eq!(player.heard.lock().unwrap().sessions, 1, "the session was broken off");
    let malformed = |told: &&v1::OrderRefused| told.code == "order_malformed";
    let heard = player.heard.lock().unwrap();
    assert_eq!(heard.refused.iter().find(malformed), None);
    drop(heard);
    let status = bench.run(&["status", "--json"]).ended(0).json();
    assert_eq!(status["work"]["integrations"][0]["id"], "shop-db", "{status}");
    assert_eq!(status["work"]["integrations"][0]["kind"], Value::from("postgres"), "{status}");
    drop(agent);
    runtime.shutdown_timeout(Duration::from_secs(5));
}
