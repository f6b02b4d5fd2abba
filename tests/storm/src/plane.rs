//! A control plane of the storm's own: it gives numbered orders, commits reports, and keeps of them only how each access
//! stands. In this process, not in the agent's: what it holds is not measured.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use proto::v1::access_state::State;
use proto::v1::connector_service_server::{ConnectorService, ConnectorServiceServer};
use proto::v1::report::Report as Told;
use proto::v1::{self, agent_message, control_message};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::clock;

/// The connector's token.
pub const TOKEN: &str = "tgc_storm-token";
/// The one life of its log.
const INCARNATION: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
/// How often each side says that it is there, in seconds.
const BEAT: i64 = 1;
/// Messages that wait for the agent.
const WAITING: usize = 256;
/// Reports are committed in pieces of so many, and with each heartbeat.
const TOGETHER: u64 = 64;

/// How an access stands, as the agent told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It was not open yet.
    Coming,
    Open,
    /// It is being closed.
    Ending,
    /// It ended by its deadline, and was read back at this time, in milliseconds since 1970.
    Ended {
        at: i64,
    },
    /// What should not be, in words.
    Otherwise(String),
}

/// How all stand.
#[derive(Clone, Debug, Default)]
pub struct Count {
    pub open: usize,
    pub ended: usize,
    /// The first that stands as it should not.
    pub otherwise: Option<String>,
    /// Receipts that came.
    pub receipts: u64,
    /// Orders that were refused, alarms that were raised.
    pub refused: u64,
    pub alarms: u64,
    /// Sessions that there were.
    pub sessions: u64,
    /// Accesses that the agent holds open, as its last heartbeat of this session says.
    pub held: Option<u64>,
}

#[derive(Default)]
struct Book {
    /// Committed reports, by the journal's life.
    committed: BTreeMap<String, u64>,
    accesses: BTreeMap<String, Stands>,
    count: Count,
}

impl Book {
    /// Takes a report, unless it was committed before.
    fn take(&mut self, report: v1::Report) -> u64 {
        let committed = self.committed.entry(report.journal_incarnation).or_default();
        if report.position != *committed + 1 {
            return *committed;
        }
        *committed += 1;
        let committed = *committed;
        match report.report {
            Some(Told::AccessChanged(told)) => {
                let state = told.state.and_then(|state| state.state);
                self.stands(told.access_id, stands(state));
            }
            Some(Told::Receipt(_)) => self.count.receipts += 1,
            Some(Told::OrderRefused(told)) => {
                self.count.refused += 1;
                let said = format!("order {} was refused: {}", told.position, told.code);
                self.count.otherwise.get_or_insert(said);
            }
            Some(Told::Alarm(_)) => self.count.alarms += 1,
            Some(
                Told::CredentialSealed(_)
                | Told::AccountChanged(_)
                | Told::IntegrationHealth(_)
                | Told::ResourcePage(_)
                | Told::DriftFound(_)
                | Told::IntegrationRetired(_),
            )
            | None => {}
        }
        committed
    }

    fn stands(&mut self, access: String, now: Stands) {
        let count = &mut self.count;
        match &now {
            Stands::Open => count.open += 1,
            Stands::Ended { .. } => count.ended += 1,
            Stands::Otherwise(said) => {
                count.otherwise.get_or_insert_with(|| format!("{access}: {said}"));
            }
            Stands::Coming | Stands::Ending => {}
        }
        match self.accesses.insert(access, now) {
            Some(Stands::Open) => count.open -= 1,
            Some(Stands::Ended { .. }) => count.ended -= 1,
            Some(Stands::Coming | Stands::Ending | Stands::Otherwise(_)) | None => {}
        }
    }
}

fn stands(state: Option<State>) -> Stands {
    match state {
        Some(State::Accepted(_) | State::Granting(_)) => Stands::Coming,
        Some(State::Active(_)) => Stands::Open,
        Some(State::Ending(_)) => Stands::Ending,
        Some(State::Ended(told)) => match (told.verdict(), told.at) {
            (v1::Verdict::Expired, Some(at)) => Stands::Ended { at: millis(&at) },
            (verdict, _) => Stands::Otherwise(format!("it ended, and not by its deadline: {verdict:?}")),
        },
        Some(State::Interrupted(_)) => Stands::Otherwise("it was interrupted".into()),
        Some(State::Refused(told)) => Stands::Otherwise(format!("it was refused: {}", told.code)),
        Some(State::Failed(told)) => Stands::Otherwise(format!("it failed: {}", told.code)),
        Some(State::Canceled(_)) => Stands::Otherwise("it was canceled".into()),
        None => Stands::Otherwise("nobody said how it stands".into()),
    }
}

fn millis(time: &prost_types::Timestamp) -> i64 {
    time.seconds.saturating_mul(1000).saturating_add(i64::from(time.nanos) / 1_000_000)
}

/// A time in milliseconds since 1970, for the wire.
pub fn time(ms: i64) -> prost_types::Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or(0);
    prost_types::Timestamp { seconds: ms.div_euclid(1000), nanos }
}

#[derive(Clone)]
struct Office {
    book: Arc<Mutex<Book>>,
    orders: watch::Sender<Vec<v1::order::Order>>,
    sessions: Arc<Mutex<JoinSet<()>>>,
}

/// A control plane on the loopback, without TLS. Dropped, it is gone.
pub struct Plane {
    address: SocketAddr,
    office: Office,
    _serving: JoinSet<()>,
}

impl Plane {
    /// Begins to listen.
    pub async fn start() -> anyhow::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any).await.context("listen on the loopback")?;
        let address = listener.local_addr().context("find the address")?;
        let (orders, _) = watch::channel(vec![]);
        let office = Office { book: Arc::default(), orders, sessions: Arc::default() };
        let server = tonic::transport::Server::builder()
            .add_service(ConnectorServiceServer::new(office.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(server.await) });
        Ok(Self { address, office, _serving: serving })
    }

    /// Where agents dial.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Gives orders, in their order.
    pub fn order(&self, orders: impl IntoIterator<Item = v1::order::Order>) {
        self.office.orders.send_modify(|all| all.extend(orders));
    }

    /// Counts how all accesses stand.
    pub fn count(&self) -> Count {
        self.office.book().count.clone()
    }

    /// How each access stands.
    pub fn accesses(&self) -> BTreeMap<String, Stands> {
        self.office.book().accesses.clone()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // They hold what would end them.
        self.office.sessions.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

#[async_trait]
impl ConnectorService for Office {
    type ConnectStream = ReceiverStream<Result<v1::ControlMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let bearer = request.metadata().get("authorization");
        if bearer.is_none_or(|bearer| bearer != &format!("Bearer {TOKEN}")) {
            return Err(Status::unauthenticated("the token is missing or not taken"));
        }
        let (out, answers) = mpsc::channel(WAITING);
        let (office, inward) = (self.clone(), request.into_inner());
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            office.talk(inward, out).await;
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

type Line = mpsc::Sender<Result<v1::ControlMessage, Status>>;

fn message(message: control_message::Message) -> Result<v1::ControlMessage, Status> {
    Ok(v1::ControlMessage { message: Some(message) })
}

fn cursor(incarnation: &str, position: u64) -> v1::Cursor {
    v1::Cursor { incarnation: incarnation.into(), position }
}

impl Office {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Talks until one side hangs up.
    async fn talk(&self, mut inward: Streaming<v1::AgentMessage>, out: Line) -> Option<()> {
        let first = inward.message().await.ok()??;
        let Some(agent_message::Message::Hello(hello)) = first.message else { return None };
        let journal = hello.journal_incarnation;
        let taken = hello.orders_taken.iter().find(|cursor| cursor.incarnation == INCARNATION);
        let mut sent = taken.map_or(0, |cursor| cursor.position);
        let mut orders = self.orders.subscribe();
        let last_order = orders.borrow_and_update().len() as u64;
        let known = {
            let mut book = self.book();
            book.count.sessions += 1;
            book.count.held = None;
            // A journal of which nothing is committed is not known here.
            book.committed.get(&journal).map(|position| cursor(&journal, *position))
        };
        let welcome = v1::Welcome {
            protocol: proto::PROTOCOL,
            server_time: Some(time(clock::now_ms())),
            control_incarnation: INCARNATION.into(),
            last_order,
            reports_committed: known.into_iter().collect(),
            heartbeat_interval: Some(prost_types::Duration { seconds: BEAT, nanos: 0 }),
            ..v1::Welcome::default()
        };
        out.send(message(control_message::Message::Welcome(welcome))).await.ok()?;
        let (mut committed, mut told) = (0, 0);
        loop {
            let given = orders.borrow_and_update().len() as u64;
            tokio::select! {
                place = out.reserve(), if sent < given => {
                    let order = orders.borrow().get(usize::try_from(sent).ok()?).cloned();
                    sent += 1;
                    place.ok()?.send(message(control_message::Message::Order(v1::Order {
                        control_incarnation: INCARNATION.into(),
                        position: sent,
                        issued_at: Some(time(clock::now_ms())),
                        order,
                    })));
                }
                changed = orders.changed() => changed.ok()?,
                said = inward.message() => match said.ok()??.message? {
                    agent_message::Message::Report(report) if report.position > 0 => {
                        committed = self.book().take(report);
                        if committed >= told + TOGETHER {
                            told = committed;
                            self.acknowledge(&out, &journal, committed).await?;
                        }
                    }
                    agent_message::Message::Heartbeat(beat) => {
                        self.book().count.held = Some(beat.active);
                        if committed > told {
                            told = committed;
                            self.acknowledge(&out, &journal, committed).await?;
                        }
                        let now = Some(time(clock::now_ms()));
                        let answer = v1::ControlHeartbeat { time: now, ..v1::ControlHeartbeat::default() };
                        out.send(message(control_message::Message::Heartbeat(answer))).await.ok()?;
                    }
                    agent_message::Message::Hello(_)
                    | agent_message::Message::Report(_)
                    | agent_message::Message::Ack(_)
                    | agent_message::Message::StandingVerdict(_)
                    | agent_message::Message::Goodbye(_) => {}
                },
            }
        }
    }

    async fn acknowledge(&self, out: &Line, journal: &str, through: u64) -> Option<()> {
        let ack = v1::Ack { through: Some(cursor(journal, through)) };
        out.send(message(control_message::Message::Ack(ack))).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(position: u64, access: &str, state: State) -> v1::Report {
        v1::Report {
            journal_incarnation: "j".into(),
            position,
            report: Some(Told::AccessChanged(v1::AccessChanged {
                access_id: access.into(),
                state: Some(v1::AccessState { state: Some(state) }),
                ..v1::AccessChanged::default()
            })),
            ..v1::Report::default()
        }
    }

    #[test]
    fn each_access_is_counted_once_and_where_it_stands_last() {
        let active = || State::Active(v1::access_state::Active::default());
        let ended = |verdict: v1::Verdict| {
            State::Ended(v1::access_state::Ended {
                verdict: verdict.into(),
                at: Some(time(1_800_000_000_123)),
                ..v1::access_state::Ended::default()
            })
        };
        let mut book = Book::default();
        assert_eq!(book.take(changed(1, "a", active())), 1);
        assert_eq!(book.take(changed(1, "a", active())), 1, "it came again");
        assert_eq!(book.take(changed(3, "a", active())), 1, "one is missing");
        book.take(changed(2, "b", active()));
        assert_eq!((book.count.open, book.count.ended), (2, 0));
        book.take(changed(3, "a", ended(v1::Verdict::Expired)));
        assert_eq!((book.count.open, book.count.ended), (1, 1));
        assert_eq!(book.accesses["a"], Stands::Ended { at: 1_800_000_000_123 });
        assert_eq!(book.count.otherwise, None);
        book.take(changed(4, "b", ended(v1::Verdict::Revoked)));
        assert_eq!((book.count.open, book.count.ended), (0, 1));
        assert!(book.count.otherwise.is_some_and(|said| said.starts_with("b: it ended, and not")));
    }
}
