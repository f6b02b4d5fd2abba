//! A scripted agent on the real wire: it says what the test tells it to, and shows what comes.
#![expect(clippy::wildcard_enum_match_arm, reason = "whatever else comes is the test's failure")]

use std::collections::BTreeMap;

use model::{ConnectorId, Timestamp};
use proto::v1::agent_message::Message as Say;
use proto::v1::connector_service_client::ConnectorServiceClient;
use proto::v1::control_message::Message as Heard;
use proto::v1::{self, AgentMessage, ControlMessage};
use seal::keys::ReceiptKey;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};
use uuid::Uuid;

use crate::world::{House, PATIENCE};

/// What an agent remembers between sessions.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) connector: String,
    pub(crate) token: String,
    pub(crate) instance: String,
    pub(crate) journal: String,
    pub(crate) taken: BTreeMap<String, u64>,
    pub(crate) last_report: u64,
    pub(crate) epoch: u64,
    pub(crate) protocols: (u32, u32),
    pub(crate) key: v1::PublicKey,
}

impl Memory {
    pub(crate) fn new(connector: &ConnectorId, token: &str) -> Self {
        let key = ReceiptKey::generate().unwrap();
        let key = v1::PublicKey {
            purpose: v1::KeyPurpose::Receipts.into(),
            key_id: key.id().0.clone(),
            key: key.public().as_bytes().to_vec(),
            current: true,
        };
        Self {
            connector: connector.to_string(),
            token: token.to_owned(),
            instance: Uuid::new_v4().to_string(),
            journal: Uuid::new_v4().to_string(),
            taken: BTreeMap::new(),
            last_report: 0,
            epoch: 0,
            protocols: (1, 1),
            key,
        }
    }

    pub(crate) fn hello(&self) -> v1::Hello {
        let permission = |name: &str| v1::PermissionType { name: name.into(), ..Default::default() };
        let manifest = v1::DriverManifest {
            kind: "postgres".into(),
            product: "PostgreSQL".into(),
            fields: vec![v1::SettingField { key: "host".into(), required: true, ..Default::default() }],
            resources: vec![v1::ResourceType {
                kind: "postgresql-table".into(),
                permissions: vec![permission("READ_ONLY"), permission("READ_WRITE")],
                ..Default::default()
            }],
            ..Default::default()
        };
        let taken = self.taken.iter();
        v1::Hello {
            connector_id: self.connector.clone(),
            instance_id: self.instance.clone(),
            agent_version: "0.1.0".into(),
            oldest_protocol: self.protocols.0,
            newest_protocol: self.protocols.1,
            journal_incarnation: self.journal.clone(),
            epoch: self.epoch,
            orders_taken: taken
                .map(|(incarnation, at)| v1::Cursor { incarnation: incarnation.clone(), position: *at })
                .collect(),
            last_report: self.last_report,
            manifests: vec![manifest],
            public_keys: vec![self.key.clone()],
            ..Default::default()
        }
    }

    /// Dials and says hello; nothing is awaited.
    pub(crate) async fn dial(&self, house: &House) -> Result<Agent, Status> {
        let agent = self.dial_silently(house).await?;
        agent.say(Say::Hello(self.hello())).await;
        Ok(agent)
    }

    /// Dials and says nothing.
    pub(crate) async fn dial_silently(&self, house: &House) -> Result<Agent, Status> {
        let authority = Certificate::from_pem(&house.authority);
        let tls = ClientTlsConfig::new().ca_certificate(authority);
        let endpoint = Endpoint::from_shared(house.grpc.clone()).unwrap().tls_config(tls).unwrap();
        let channel: Channel = endpoint.connect_timeout(PATIENCE).connect().await.unwrap();
        let (say, said) = mpsc::channel(1_024);
        let mut request = Request::new(ReceiverStream::new(said));
        let bearer = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut client = ConnectorServiceClient::new(channel)
            .max_decoding_message_size(proto::limits::MESSAGE_BYTES)
            .max_encoding_message_size(proto::limits::MESSAGE_BYTES);
        let answer = tokio::time::timeout(PATIENCE, client.connect(request)).await.unwrap()?;
        Ok(Agent { say, hear: answer.into_inner() })
    }

    /// Dials, says hello and is welcomed.
    pub(crate) async fn join(&self, house: &House) -> (Agent, v1::Welcome) {
        let mut agent = self.dial(house).await.unwrap();
        match agent.next().await {
            Heard::Welcome(welcome) => (agent, welcome),
            other => panic!("not a Welcome: {other:?}"),
        }
    }

    /// Remembers that an order was taken.
    pub(crate) fn take(&mut self, order: &v1::Order) {
        self.taken.insert(order.control_incarnation.clone(), order.position);
    }

    /// Makes the next report.
    pub(crate) fn report(&mut self, report: v1::report::Report) -> v1::Report {
        self.last_report += 1;
        v1::Report {
            journal_incarnation: self.journal.clone(),
            position: self.last_report,
            made_at: Some(wire_time(crate::world::START)),
            report: Some(report),
        }
    }
}

pub(crate) fn wire_time(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_secs(), nanos: 0 }
}

/// An access is in a state.
pub(crate) fn changed(access: &str, state: v1::access_state::State) -> v1::report::Report {
    v1::report::Report::AccessChanged(v1::AccessChanged {
        access_id: access.into(),
        integration_id: "shop".into(),
        account_id: Uuid::from_u128(7).to_string(),
        revision: 1,
        state: Some(v1::AccessState { state: Some(state) }),
        failure: None,
        until: None,
    })
}

pub(crate) fn active() -> v1::access_state::State {
    let since = Some(wire_time(crate::world::START));
    v1::access_state::State::Active(v1::access_state::Active { since })
}

/// One session of the scripted agent.
pub(crate) struct Agent {
    say: mpsc::Sender<AgentMessage>,
    hear: Streaming<ControlMessage>,
}

impl Agent {
    pub(crate) async fn say(&self, message: Say) {
        self.say.send(AgentMessage { message: Some(message) }).await.unwrap();
    }

    /// Returns what comes next, heartbeats apart; `None` when the stream ended.
    pub(crate) async fn hear(&mut self) -> Option<Heard> {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.hear.message()).await;
            match heard.expect("nothing came in time").ok().flatten()?.message.unwrap() {
                Heard::Heartbeat(_) => {}
                other => return Some(other),
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Heard {
        self.hear().await.expect("the stream ended")
    }

    /// Returns the next heartbeat.
    pub(crate) async fn beat(&mut self) -> v1::ControlHeartbeat {
        loop {
            let heard = tokio::time::timeout(PATIENCE, self.hear.message()).await;
            let heard = heard.expect("nothing came in time").unwrap().expect("the stream ended");
            if let Some(Heard::Heartbeat(beat)) = heard.message {
                return beat;
            }
        }
    }

    pub(crate) async fn order(&mut self) -> v1::Order {
        match self.next().await {
            Heard::Order(order) => order,
            other => panic!("not an order: {other:?}"),
        }
    }

    /// Returns the next order, whatever standing lists come before it.
    pub(crate) async fn order_past_standing(&mut self) -> v1::Order {
        loop {
            match self.next().await {
                Heard::Order(order) => return order,
                Heard::Standing(_) => {}
                other => panic!("not an order: {other:?}"),
            }
        }
    }

    pub(crate) async fn standing(&mut self) -> v1::Standing {
        match self.next().await {
            Heard::Standing(standing) => standing,
            other => panic!("not a standing list: {other:?}"),
        }
    }

    /// Returns how far reports are committed, by the next Ack.
    pub(crate) async fn acked(&mut self) -> u64 {
        loop {
            match self.next().await {
                Heard::Ack(ack) => return ack.through.unwrap().position,
                Heard::Order(_) | Heard::Standing(_) => {}
                other => panic!("not an Ack: {other:?}"),
            }
        }
    }

    /// Returns why the session ends.
    pub(crate) async fn goodbye(&mut self) -> (v1::GoodbyeReason, String) {
        loop {
            match self.next().await {
                Heard::Goodbye(goodbye) => return (goodbye.reason(), goodbye.detail),
                Heard::Order(_) | Heard::Standing(_) | Heard::Ack(_) => {}
                other => panic!("not a Goodbye: {other:?}"),
            }
        }
    }

    /// Acknowledges an order.
    pub(crate) async fn ack(&self, order: &v1::Order) {
        let through = v1::Cursor { incarnation: order.control_incarnation.clone(), position: order.position };
        self.say(Say::Ack(v1::Ack { through: Some(through) })).await;
    }
}
