//! A control plane of the tests' own: it gives numbered orders, takes reports, and can go away.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use proto::v1::connector_service_server::{ConnectorService, ConnectorServiceServer};
use proto::v1::report::Report as Told;
use proto::v1::{self, agent_message, control_message};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::bench::TOKEN;

/// This life of its log, unless it lies.
pub(crate) const INCARNATION: &str = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
const PATIENCE: Duration = Duration::from_secs(60);
const BEAT: i64 = 1;

type Orders = Vec<v1::order::Order>;

/// What a hostile one says in place of the truth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lies {
    /// Another life of its log.
    pub(crate) incarnation: Option<String>,
    /// How far its clock is off, in seconds.
    pub(crate) skew: i64,
    /// How much it claims to have committed of whatever journal asks.
    pub(crate) committed: Option<u64>,
    /// Its release.
    pub(crate) version: String,
}

/// What an agent is told out of turn.
type Line = mpsc::Sender<Result<v1::ControlMessage, Status>>;

/// What it knows, as long as the test lives.
#[derive(Default)]
struct Book {
    hellos: Vec<v1::Hello>,
    /// By the journal's life: reports in their order, those that are not numbered apart.
    reports: BTreeMap<String, Vec<v1::Report>>,
    /// The journal's lives as they came: their names say nothing of which was first.
    lives: Vec<String>,
    told: Vec<v1::Report>,
    beats: Vec<v1::AgentHeartbeat>,
    verdicts: Vec<v1::StandingVerdict>,
    /// Messages since the agent's last greeting.
    messages: usize,
}

impl Book {
    /// The numbered reports of every life, the last one's last.
    fn in_order(&self) -> impl DoubleEndedIterator<Item = &v1::Report> {
        self.lives.iter().filter_map(|life| self.reports.get(life)).flatten()
    }
}

#[derive(Clone)]
struct Office {
    book: Arc<Mutex<Book>>,
    orders: watch::Sender<Orders>,
    /// What is said of the accesses that should live, after the greeting and whenever it changes.
    standing: watch::Sender<Option<v1::Standing>>,
    sessions: Arc<Mutex<JoinSet<()>>>,
    is_here: bool,
    lies: Arc<Mutex<Lies>>,
    /// To whom it speaks.
    line: Arc<Mutex<Option<Line>>>,
}

/// A control plane on the loopback, without TLS.
pub(crate) struct Plane {
    address: SocketAddr,
    office: Office,
    // Dropped, it ends every session.
    runtime: Option<Runtime>,
}

impl Plane {
    pub(crate) fn start() -> Self {
        let (orders, _) = watch::channel(vec![]);
        let (standing, _) = watch::channel(None);
        let office = Office {
            book: Arc::default(),
            orders,
            standing,
            sessions: Arc::default(),
            lies: Arc::default(),
            line: Arc::default(),
            is_here: true,
        };
        let mut plane = Self { address: "127.0.0.1:0".parse().unwrap(), office, runtime: None };
        plane.come_back();
        plane
    }

    /// Something that speaks HTTP/2 and is no control plane.
    pub(crate) fn of_something_else() -> Self {
        let mut plane = Self::start();
        plane.leave();
        plane.office.is_here = false;
        plane.come_back();
        plane
    }

    /// Where agents dial.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes away in the middle of everything.
    pub(crate) fn leave(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            self.office.sessions.lock().unwrap().abort_all();
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Listens where it did before.
    pub(crate) fn come_back(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(self.address)).unwrap();
        self.address = listener.local_addr().unwrap();
        let routes = if self.office.is_here {
            tonic::service::Routes::new(ConnectorServiceServer::new(self.office.clone()))
        } else {
            let page = async || ([("content-type", "application/json")], "{}");
            axum::Router::new().fallback(page).into()
        };
        let server = tonic::transport::Server::builder()
            .add_routes(routes)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let served = async move { drop(server.await) };
        let _guard = runtime.enter();
        self.office.sessions.lock().unwrap().spawn(served);
        self.runtime = Some(runtime);
    }

    /// Gives orders, in their order.
    pub(crate) fn order(&self, orders: impl IntoIterator<Item = v1::order::Order>) {
        self.office.orders.send_modify(|all| all.extend(orders));
    }

    /// Says which accesses should live, each as of its first revision.
    pub(crate) fn stand(&self, accesses: impl IntoIterator<Item = String>) {
        let sorted: BTreeSet<String> = accesses.into_iter().collect();
        let text: String = sorted.iter().map(|access| format!("{access}\n1\n")).collect();
        self.office.standing.send_replace(Some(v1::Standing {
            control_incarnation: INCARNATION.into(),
            log_position: self.office.orders.borrow().len() as u64,
            count: sorted.len() as u64,
            digest: digest(&SHA256, text.as_bytes()).as_ref().to_vec(),
            page: 1,
            accesses: sorted
                .into_iter()
                .map(|access_id| v1::StandingAccess { access_id, revision: 1 })
                .collect(),
            last: true,
            confirmed: false,
        }));
    }

    /// What became of the last of those lists.
    pub(crate) fn verdict(&self) -> Option<v1::StandingVerdict> {
        self.book().verdicts.last().cloned()
    }

    /// How many messages have come since the agent's last greeting, with that.
    pub(crate) fn messages(&self) -> usize {
        self.book().messages
    }

    /// How many orders it gave: the place of the last one in its log.
    pub(crate) fn given(&self) -> u64 {
        self.office.orders.borrow().len() as u64
    }

    /// Lies from now on; what is said only in a greeting, from the next session on.
    pub(crate) fn lie(&self, lies: Lies) {
        *self.office.lies.lock().unwrap() = lies;
    }

    /// Puts its clock ahead of this machine's, by seconds.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.office.lies.lock().unwrap().skew = ahead;
    }

    /// Says something out of turn, and says whether there was somebody to say it to.
    pub(crate) fn say(&self, message: control_message::Message) -> bool {
        let line = self.office.line.lock().unwrap().clone();
        let message = v1::ControlMessage { message: Some(message) };
        line.is_some_and(|line| line.blocking_send(Ok(message)).is_ok())
    }

    /// Ends the session and waits for the next one.
    pub(crate) fn hang_up(&self) {
        let before = self.sessions();
        self.say(control_message::Message::Goodbye(v1::Goodbye::default()));
        self.until("the agent dials again", || (self.sessions() > before).then_some(()));
    }

    /// How many sessions there were.
    pub(crate) fn sessions(&self) -> usize {
        self.book().hellos.len()
    }

    /// The last greeting.
    pub(crate) fn hello(&self) -> v1::Hello {
        self.book().hellos.last().cloned().unwrap()
    }

    /// What became of standing lists.
    pub(crate) fn verdicts(&self) -> Vec<v1::StandingVerdict> {
        self.book().verdicts.clone()
    }

    /// Every numbered report so far.
    pub(crate) fn reports(&self) -> Vec<v1::report::Report> {
        let book = self.book();
        book.in_order().filter_map(|report| report.report.clone()).collect()
    }

    /// What was told without a number: health and resources.
    pub(crate) fn told(&self) -> Vec<v1::report::Report> {
        self.book().told.iter().filter_map(|report| report.report.clone()).collect()
    }

    /// The last heartbeat.
    pub(crate) fn beat(&self) -> Option<v1::AgentHeartbeat> {
        self.book().beats.last().cloned()
    }

    /// Where an access stands, as the agent told last.
    pub(crate) fn state(&self, access: &str) -> Option<v1::access_state::State> {
        self.book().in_order().rev().find_map(|report| match &report.report {
            Some(Told::AccessChanged(told)) if told.access_id == access => told.state.clone()?.state,
            _ => None,
        })
    }

    /// Waits until something was told.
    pub(crate) fn until<T>(&self, what: &str, seen: impl FnMut() -> Option<T>) -> T {
        until(seen).unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}; {:#?}", self.reports()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.office.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Looks again and again until something is so, for a while.
pub(crate) fn until<T>(seen: impl FnMut() -> Option<T>) -> Option<T> {
    until_within(PATIENCE, seen)
}

/// The same for as long as it may take.
pub(crate) fn until_within<T>(limit: Duration, mut seen: impl FnMut() -> Option<T>) -> Option<T> {
    const LOOK: Duration = Duration::from_millis(20);
    for _ in 0..limit.as_millis() / LOOK.as_millis() {
        if let Some(found) = seen() {
            return Some(found);
        }
        std::thread::sleep(LOOK);
    }
    None
}

/// The time so many seconds from now.
pub(crate) fn in_seconds(seconds: i64) -> Option<prost_types::Timestamp> {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Some(prost_types::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap() + seconds,
        nanos: since.subsec_nanos().try_into().unwrap(),
    })
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
        let (out, answers) = mpsc::channel(64);
        let (office, inward) = (self.clone(), request.into_inner());
        self.sessions.lock().unwrap().spawn(async move {
            office.talk(inward, out).await;
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl Office {
    fn counted(&self, message: v1::AgentMessage) -> v1::AgentMessage {
        self.book.lock().unwrap().messages += 1;
        message
    }

    async fn talk(&self, mut inward: Streaming<v1::AgentMessage>, out: Line) -> Option<()> {
        let say = async |message| {
            let message = v1::ControlMessage { message: Some(message) };
            out.send(Ok(message)).await.ok()
        };
        let first = inward.message().await.ok()??;
        let Some(agent_message::Message::Hello(hello)) = first.message else { return None };
        self.book.lock().unwrap().hellos.push(hello.clone());
        *self.line.lock().unwrap() = Some(out.clone());
        let now = || in_seconds(self.lies.lock().unwrap().skew);
        let lies = self.lies.lock().unwrap().clone();
        let incarnation = lies.incarnation.as_deref().unwrap_or(INCARNATION);
        let mut orders = self.orders.subscribe();
        let mut standing = self.standing.subscribe();
        standing.mark_changed();
        self.book.lock().unwrap().messages = 1;
        let cursor =
            |incarnation: &str, position| Some(v1::Cursor { incarnation: incarnation.into(), position });
        let committed =
            |journal: &str| self.book.lock().unwrap().reports.get(journal).map_or(0, Vec::len) as u64;
        let journal = hello.journal_incarnation;
        let taken = hello.orders_taken.iter().find(|cursor| cursor.incarnation == incarnation);
        let mut sent = taken.map_or(0, |cursor| cursor.position);
        let last_order = orders.borrow().len() as u64;
        // A journal of which nothing is committed is not known here.
        let known = lies.committed.or(Some(committed(&journal)).filter(|position| *position > 0));
        let known = known.and_then(|position| cursor(&journal, position));
        say(control_message::Message::Welcome(v1::Welcome {
            protocol: 1,
            server_time: now(),
            control_incarnation: incarnation.into(),
            last_order,
            control_version: lies.version,
            reports_committed: known.into_iter().collect(),
            heartbeat_interval: Some(prost_types::Duration { seconds: BEAT, nanos: 0 }),
            ..v1::Welcome::default()
        }))
        .await?;
        loop {
            let fresh: Orders = orders.borrow_and_update().iter().skip(sent as usize).cloned().collect();
            for order in fresh {
                sent += 1;
                say(control_message::Message::Order(v1::Order {
                    control_incarnation: incarnation.into(),
                    position: sent,
                    issued_at: now(),
                    order: Some(order),
                }))
                .await?;
            }
            tokio::select! {
                changed = orders.changed() => changed.ok()?,
                changed = standing.changed() => {
                    changed.ok()?;
                    let list = standing.borrow_and_update().clone();
                    if let Some(list) = list {
                        say(control_message::Message::Standing(list)).await?;
                    }
                }
                message = inward.message() => match self.counted(message.ok()??).message? {
                    agent_message::Message::Report(report) if report.position > 0 => {
                        let through = {
                            let mut book = self.book.lock().unwrap();
                            if !book.lives.contains(&report.journal_incarnation) {
                                book.lives.push(report.journal_incarnation.clone());
                            }
                            let all = book.reports.entry(report.journal_incarnation.clone()).or_default();
                            if report.position == all.len() as u64 + 1 {
                                all.push(report);
                            }
                            all.len() as u64
                        };
                        let through = cursor(&journal, through);
                        say(control_message::Message::Ack(v1::Ack { through })).await?;
                    }
                    agent_message::Message::Report(report) => self.book.lock().unwrap().told.push(report),
                    agent_message::Message::Heartbeat(beat) => {
                        self.book.lock().unwrap().beats.push(beat);
                        let time = now();
                        let answer = v1::ControlHeartbeat { time, ..v1::ControlHeartbeat::default() };
                        say(control_message::Message::Heartbeat(answer)).await?;
                    }
                    agent_message::Message::StandingVerdict(verdict) => {
                        self.book.lock().unwrap().verdicts.push(verdict);
                    }
                    _ => {}
                },
            }
        }
    }
}
