//! Many agents that lose the control plane at one moment, and all come back.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::clock::{self, Watch};
use e2e::command::text_at;
use e2e::random;
use e2e::world::World;
use proto::v1::connector_service_client::ConnectorServiceClient;
use proto::v1::{self, agent_message, control_message};
use reqwest::Client;
use serde_json::{Value, json};
use services::usage::Memory;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::{SOON, figure, options};
use crate::unwrapped;

/// How many.
const AGENTS: usize = 300;
const BACK: Duration = Duration::from_secs(150);
const BEAT: Duration = Duration::from_secs(3);
const A_CALL: Duration = Duration::from_secs(30);
/// What the control plane may need at the most, in MiB: a build with all its checks.
const MOST: u64 = 512;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_agents_come_back_when_the_control_plane_does() {
    let mut world = unwrapped(World::start(&options()).await);
    let played = play(&mut world).await;
    unwrapped(played.map_err(|fault| world.explained(fault)));
}

/// What one of them needs.
#[derive(Clone)]
struct Member {
    id: String,
    token: String,
    endpoint: Endpoint,
    /// Who is connected.
    connected: watch::Sender<usize>,
}

async fn play(world: &mut World) -> anyhow::Result<()> {
    let ca = std::fs::read(world.plane.authority()).context("read the authority")?;
    let tokens = connectors(world, &ca).await?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&ca)).domain_name("localhost");
    let url = format!("https://localhost:{}", world.plane.agents().port());
    let endpoint = Endpoint::from_shared(url)?.connect_timeout(Duration::from_secs(10)).tls_config(tls)?;
    let connected = watch::Sender::new(0);
    let mut herd = JoinSet::new();
    for (id, token) in tokens {
        let member = Member { id, token, endpoint: endpoint.clone(), connected: connected.clone() };
        herd.spawn(member.live());
    }
    let mut seen = connected.subscribe();
    let watch = Watch::start();
    all(&mut seen, "at first").await?;
    figure(&format!("{AGENTS} agents connected for the first time in {:?}", watch.elapsed()));
    for (name, is_killed) in [("stopped in order", false), ("killed", true)] {
        if is_killed {
            world.plane.kill9()?
        } else {
            world.plane.stop()?
        }
        // What a session is told takes a moment; nobody is connected to what is gone.
        tokio::time::timeout(SOON, seen.wait_for(|count| *count == 0)).await.context("all are gone")??;
        world.plane.start().await?;
        let watch = Watch::start();
        all(&mut seen, name).await?;
        world.wait_connected().await.context("the real agent, too")?;
        figure(&format!("{name} and started again: all {AGENTS} were back after {:?}", watch.elapsed()));
    }
    let pid = world.plane.pid().context("the control plane runs")?;
    let peak = Memory::of(pid)?.peak / 1024;
    figure(&format!("the control plane had {peak} MiB at the most"));
    ensure!(peak < MOST, "{peak} MiB");
    super::opens(world, e2e::shop::ORDERS).await?;
    herd.shutdown().await;
    Ok(())
}

async fn all(seen: &mut watch::Receiver<usize>, when: &str) -> anyhow::Result<()> {
    let is_back = tokio::time::timeout(BACK, seen.wait_for(|count| *count == AGENTS)).await.is_ok();
    ensure!(is_back, "{when}: only {} of {AGENTS} are connected", *seen.borrow());
    Ok(())
}

/// Makes connectors, and gives each with its token.
async fn connectors(world: &World, ca: &[u8]) -> anyhow::Result<Vec<(String, String)>> {
    let authority = reqwest::Certificate::from_pem(ca)?;
    let client = Client::builder().tls_certs_only([authority]).timeout(A_CALL).build()?;
    let admin = std::fs::read_to_string(world.tokens.first().context("the admin's token")?)?;
    let url = format!("{}/api/v1/connectors", world.plane.url());
    let mut made = vec![];
    for n in 0..AGENTS {
        let id = format!("herd-{n}");
        let call = client.post(&url).bearer_auth(admin.trim()).json(&json!({ "id": id }));
        let answer: Value = call.send().await?.error_for_status()?.json().await?;
        made.push((id, text_at(&answer, "/token")?));
    }
    Ok(made)
}

impl Member {
    /// Stays connected, and dials again as an agent does: full jitter under a ceiling that doubles up to 30 s.
    async fn live(self) {
        let mut tries = 0;
        loop {
            let mut stood = false;
            // Why a session ended does not matter here: there is another one.
            drop(self.session(&mut stood).await);
            if stood {
                self.connected.send_modify(|count| *count -= 1);
                tries = 0;
            }
            let ceiling = (250_u64 << u32::min(tries, 7)).min(30_000);
            tries += 1;
            let chance =
                random::password().bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
            tokio::time::sleep(Duration::from_millis(chance % ceiling + 1)).await;
        }
    }

    async fn session(&self, stood: &mut bool) -> anyhow::Result<()> {
        let channel = self.endpoint.connect().await?;
        let mut client = ConnectorServiceClient::new(channel);
        let (out, waiting) = mpsc::channel(8);
        let message = |message| v1::AgentMessage { message: Some(message) };
        let hello = v1::Hello {
            connector_id: self.id.clone(),
            instance_id: uuid::Uuid::new_v4().to_string(),
            agent_version: "0.0.0".into(),
            oldest_protocol: proto::PROTOCOL,
            newest_protocol: proto::PROTOCOL,
            journal_incarnation: uuid::Uuid::new_v4().to_string(),
            ..v1::Hello::default()
        };
        out.send(message(agent_message::Message::Hello(hello))).await?;
        let mut request = tonic::Request::new(ReceiverStream::new(waiting));
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token).parse()?);
        let mut inward = tokio::time::timeout(A_CALL, client.connect(request)).await??.into_inner();
        let first = tokio::time::timeout(A_CALL, inward.message()).await??.context("a first message")?;
        ensure!(matches!(first.message, Some(control_message::Message::Welcome(_))), "{first:?}");
        *stood = true;
        self.connected.send_modify(|count| *count += 1);
        let mut beats = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                heard = inward.message() => drop(heard?.context("the end")?),
                _ = beats.tick() => {
                    let now = clock::now();
                    let time = Some(prost_types::Timestamp { seconds: now.as_second(), nanos: 0 });
                    let beat = v1::AgentHeartbeat { time, ..v1::AgentHeartbeat::default() };
                    out.send(message(agent_message::Message::Heartbeat(beat))).await?;
                }
            }
        }
    }
}
