//! One session with the control plane: greet, resume, work, until something ends it.
//!
//! What it promises: an order is acknowledged only when the engine has it on disk; reports go out in order,
//! from where the control plane has committed; nothing heard for three heartbeats ends the session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal::Journal;
use model::{Incarnation, Position, Timestamp};
use proto::v1;
use rules::{NumberedOrder, Report, Source};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::convert::{self, Cursor};
use super::dial::{Line, LinkFault, ended_by};
use super::snapshots::Snapshots;
use super::standing::{Collector, Taken};
use crate::admin;
use crate::clock::Clock;
use crate::engine::published::{Desk, Message, Newsstand, Published};
use crate::engine::reads::News;
use crate::measures::{self, gauges};

/// Reports that are read from the journal at a time.
const TOGETHER: u32 = 256;

/// News wait until fewer messages than this are under way, so that reports do not wait behind them.
const NEWS_UNDER_WAY: usize = 4;

type Out = mpsc::Sender<v1::AgentMessage>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next news, once there is room for them.
async fn next_news(news: &mut mpsc::Receiver<News>, out: &Out) -> Option<News> {
    // A session that has ended is noticed by whoever sends next.
    drop(out.reserve_many(out.max_capacity().saturating_sub(NEWS_UNDER_WAY)).await);
    news.recv().await
}

/// What a session works with.
pub(crate) struct Session<'l> {
    pub(crate) desk: &'l Desk,
    pub(crate) news: &'l Newsstand,
    pub(crate) journal: &'l Arc<dyn Journal>,
    pub(crate) clock: &'l Arc<dyn Clock>,
    /// The journal has had its new life already: what the control plane remembers of others is no news.
    pub(crate) renewed: &'l mut bool,
    /// What pages of resources are on their way, over all sessions.
    pub(crate) snapshots: &'l Mutex<Snapshots>,
    /// Told once the session stands.
    pub(crate) stands: &'l watch::Sender<admin::Link>,
    /// We send at least this often, whatever the control plane asks for.
    pub(crate) heartbeat: Duration,
}

fn message(message: v1::agent_message::Message) -> v1::AgentMessage {
    v1::AgentMessage { message: Some(message) }
}

fn malformed(fault: impl std::fmt::Display) -> LinkFault {
    LinkFault::Malformed(fault.to_string())
}

impl Session<'_> {
    /// Runs the session to its end.
    ///
    /// # Errors
    /// Always: what ended it.
    pub(crate) async fn run(self, line: Line, patience: Duration) -> LinkFault {
        match self.run_through(line, patience).await {
            Ok(()) => LinkFault::Ended,
            Err(fault) => fault,
        }
    }

    async fn run_through(self, line: Line, patience: Duration) -> Result<(), LinkFault> {
        let Line { out, mut inward } = line;
        let first = timeout(patience, inward.message()).await.map_err(|_| LinkFault::NoAnswer(patience))?;
        let first = first.map_err(|status| ended_by(&status))?.ok_or(LinkFault::Ended)?;
        let welcome = match first.message {
            Some(v1::control_message::Message::Welcome(wire)) => convert::welcome(wire).map_err(malformed)?,
            Some(v1::control_message::Message::Goodbye(wire)) => return Err(goodbye(&wire)),
            _ => return Err(malformed("its first message is no Welcome")),
        };
        if welcome.protocol != proto::PROTOCOL {
            let offered = proto::PROTOCOL;
            return Err(malformed(format!(
                "it chose protocol {} and {offered} was offered",
                welcome.protocol
            )));
        }
        self.tell(Message::Heard { source: Source::ControlPlane, said: welcome.server_time }).await?;
        let journal = self.desk.published.borrow().journal;
        let committed = welcome
            .reports_committed
            .iter()
            .find(|cursor| cursor.incarnation == journal)
            .map_or(Position(0), |cursor| cursor.position);
        self.agree_on_journal(&welcome, committed).await?;
        tracing::info!(control_plane = %welcome.incarnation, version = %welcome.version, "Connected to the control plane");
        measures::session();
        self.stands.send_replace(admin::Link::Up { since: self.clock.wall() });
        let again = lock(self.snapshots).begin();
        for integration in again {
            tracing::info!(%integration, "Resources may not have arrived; they are discovered again");
            self.tell(Message::DiscoverAgain(integration)).await?;
        }
        let beat = welcome.heartbeat.as_std();
        let heard = Arc::new(Mutex::new(None));
        let writer = Writer {
            lapses: self.desk.published.borrow().lapses,
            out: out.clone(),
            control_plane: welcome.incarnation,
            journal,
            sent: committed,
            acked: self
                .desk
                .published
                .borrow()
                .cursors
                .get(&welcome.incarnation)
                .copied()
                .unwrap_or_default(),
            heard: Arc::clone(&heard),
        };
        let reading = self.read(inward, out, journal, beat, heard);
        let writing = self.write(writer, beat.min(self.heartbeat));
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    }

    async fn tell(&self, message: Message) -> Result<(), LinkFault> {
        self.desk.messages.send(message).await.map_err(|_| LinkFault::Stopping)
    }

    /// Finds out from the control plane's cursors whether this journal is an old copy.
    async fn agree_on_journal(
        &self,
        welcome: &convert::Welcome,
        committed: Position,
    ) -> Result<(), LinkFault> {
        let (last, knows_orders) = {
            let shown = self.desk.published.borrow();
            (shown.last_report, !shown.cursors.is_empty())
        };
        // Committed beyond what we ever wrote, or reports of a journal that is not here any more.
        let other_life = !welcome.reports_committed.is_empty() && committed == Position(0) && !knows_orders;
        if !*self.renewed && (committed > last || other_life) {
            let (done, renewed) = oneshot::channel();
            self.tell(Message::JournalIsOld(done)).await?;
            let refused =
                "the journal is an old copy and cannot be given a new life while it cannot be written";
            renewed.await.map_err(|_| LinkFault::Anew(refused))?;
            return Err(LinkFault::Anew("the journal has a new life"));
        }
        self.tell(Message::JournalIsCurrent { by: welcome.incarnation }).await
    }

    async fn read(
        &self,
        mut inward: tonic::Streaming<v1::ControlMessage>,
        out: Out,
        journal: Incarnation,
        beat: Duration,
        heard: Arc<Mutex<Option<Timestamp>>>,
    ) -> Result<(), LinkFault> {
        use v1::control_message::Message as Inward;
        let silence = beat.saturating_mul(3);
        let mut collector = Collector::default();
        loop {
            let next = timeout(silence, inward.message()).await.map_err(|_| LinkFault::Silence(silence))?;
            let next = next.map_err(|status| ended_by(&status))?;
            match next.ok_or(LinkFault::Ended)?.message {
                Some(Inward::Order(wire)) => self.take_order(wire).await?,
                Some(Inward::Ack(wire)) => {
                    let Cursor { incarnation, position } = convert::ack(&wire).map_err(malformed)?;
                    if incarnation == journal {
                        if position > self.desk.published.borrow().last_report {
                            return Err(malformed("it acknowledged reports that were never made"));
                        }
                        self.tell(Message::Committed { through: position }).await?;
                    }
                }
                Some(Inward::Heartbeat(wire)) => {
                    let beat = convert::control_heartbeat(&wire).map_err(malformed)?;
                    *lock(&heard) = Some(beat.time);
                    if let Some(through) = beat.heard {
                        lock(self.snapshots).heard(through);
                    }
                    self.tell(Message::Heard { source: Source::ControlPlane, said: beat.time }).await?;
                }
                Some(Inward::Standing(wire)) => {
                    let page = convert::standing_page(wire).map_err(malformed)?;
                    self.take_page(&mut collector, page, &out).await?;
                }
                Some(Inward::Goodbye(wire)) => return Err(goodbye(&wire)),
                Some(Inward::Welcome(_)) => return Err(malformed("a second Welcome")),
                None => tracing::debug!(
                    "The control plane sent a message of a kind that this build does not know"
                ),
            }
        }
    }

    async fn take_order(&self, wire: v1::Order) -> Result<(), LinkFault> {
        let received = convert::received(wire).map_err(malformed)?;
        let convert::Received { incarnation, position, order } = received;
        match order {
            Ok(order) => self.tell(Message::Order(NumberedOrder { incarnation, position, order })).await,
            Err(refusal) => {
                tracing::warn!(%position, fault = %refusal.fault, "An order cannot be read and is refused");
                let ordered = model::Ordered { incarnation, position };
                self.tell(Message::Unreadable { ordered, detail: refusal.fault.to_string() }).await
            }
        }
    }

    /// Tells news, unless they are a page of a snapshot that is torn already.
    async fn tell_news(&self, writer: &Writer, one: News) -> Result<(), LinkFault> {
        let now = self.clock.wall();
        if let News::Resources { integration, snapshot, end, .. } = &one
            && !lock(self.snapshots).page(integration, *snapshot, end.is_some(), now)
        {
            return Ok(());
        }
        writer.tell(one, now).await
    }

    async fn take_page(
        &self,
        collector: &mut Collector,
        page: convert::StandingPage,
        out: &Out,
    ) -> Result<(), LinkFault> {
        let (incarnation, position, outcome, detail) = match collector.take(page) {
            Taken::More => return Ok(()),
            Taken::Whole(standing) => {
                let place = (standing.incarnation, standing.position);
                self.tell(Message::Standing(standing)).await?;
                (place.0, place.1, v1::StandingOutcome::Taken, String::new())
            }
            Taken::Misread { incarnation, position, why } => {
                tracing::warn!(why, "A standing list was dropped");
                (incarnation, position, v1::StandingOutcome::Misread, why)
            }
        };
        let verdict = v1::StandingVerdict {
            control_incarnation: incarnation.to_string(),
            log_position: position.0,
            outcome: outcome.into(),
            detail,
        };
        let verdict = message(v1::agent_message::Message::StandingVerdict(verdict));
        out.send(verdict).await.map_err(|_| LinkFault::Ended)
    }

    async fn write(&self, mut writer: Writer, beat: Duration) -> Result<(), LinkFault> {
        let mut published = self.desk.published.clone();
        let mut news = self.news.lock().await;
        let mut beats = interval(beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let shown = published.borrow_and_update().clone();
            if shown.journal != writer.journal {
                return Err(LinkFault::Anew("the journal has a new life"));
            }
            if shown.lapses != writer.lapses {
                return Err(LinkFault::Anew("orders may have been lost on their way into the journal"));
            }
            writer.acknowledge(&shown).await?;
            writer.report(self.journal.as_ref(), &shown).await?;
            tokio::select! {
                changed = published.changed() => changed.map_err(|_| LinkFault::Stopping)?,
                Some(one) = next_news(&mut news, &writer.out) => self.tell_news(&writer, one).await?,
                _ = beats.tick() => {
                    let shown = published.borrow().clone();
                    writer.heartbeat(&shown, self.clock.wall()).await?;
                }
            }
        }
    }
}

/// The outward half.
struct Writer {
    out: Out,
    control_plane: Incarnation,
    journal: Incarnation,
    /// Reports are on the wire through here.
    sent: Position,
    acked: Position,
    lapses: u64,
    heard: Arc<Mutex<Option<Timestamp>>>,
}

impl Writer {
    async fn send(&self, one: v1::agent_message::Message) -> Result<(), LinkFault> {
        self.out.send(message(one)).await.map_err(|_| LinkFault::Ended)
    }

    async fn acknowledge(&mut self, shown: &Published) -> Result<(), LinkFault> {
        let taken = shown.cursors.get(&self.control_plane).copied().unwrap_or_default();
        if taken > self.acked {
            let through = convert::cursor(Cursor { incarnation: self.control_plane, position: taken });
            self.send(v1::agent_message::Message::Ack(v1::Ack { through: Some(through) })).await?;
            self.acked = taken;
        }
        Ok(())
    }

    async fn report(&mut self, journal: &dyn Journal, shown: &Published) -> Result<(), LinkFault> {
        while self.sent < shown.last_report {
            let found = journal.reports(self.sent, TOGETHER).await.map_err(malformed_journal)?;
            if found.is_empty() {
                // All that is left was committed before.
                self.sent = shown.last_report;
                break;
            }
            for stored in found {
                // Written since, and not shown yet. Acknowledged before it is shown, it would be taken for a report that
                // was never made.
                if stored.position > shown.last_report {
                    return Ok(());
                }
                let report: Report = serde_json::from_str(&stored.body).map_err(malformed_journal)?;
                let wire = convert::report(self.journal, stored.position, &report);
                self.send(v1::agent_message::Message::Report(wire)).await?;
                self.sent = stored.position;
            }
        }
        Ok(())
    }

    async fn tell(&self, one: News, now: Timestamp) -> Result<(), LinkFault> {
        let report = v1::Report {
            journal_incarnation: self.journal.to_string(),
            position: 0,
            made_at: Some(convert::time(now)),
            report: Some(convert::news(one, now)),
        };
        self.send(v1::agent_message::Message::Report(report)).await
    }

    async fn heartbeat(&self, shown: &Published, now: Timestamp) -> Result<(), LinkFault> {
        let cursor = |incarnation, position| Some(convert::cursor(Cursor { incarnation, position }));
        let taken = shown.cursors.get(&self.control_plane).copied().unwrap_or_default();
        let hindrances = shown.standstill.iter().map(|still| v1::Hindrance {
            kind: hindrance(&still.code).into(),
            code: still.code.to_string(),
            detail: still.detail.clone(),
            since: None,
        });
        gauges::wire(&self.out);
        let (counts, lane) = (shown.total.counts, shown.total.lane);
        let heard = *lock(&self.heard);
        let beat = v1::AgentHeartbeat {
            time: Some(convert::time(now)),
            effective_time: Some(convert::time(shown.effective)),
            heard: heard.map(convert::time),
            orders_taken: cursor(self.control_plane, taken),
            reports_written: cursor(shown.journal, shown.last_report),
            hindrances: hindrances.collect(),
            active: counts.active,
            opening: counts.opening,
            ending: counts.ending,
            overdue: counts.overdue,
            longest_overdue: shown.total.longest_overdue(now).map(convert::span),
            queue: lane.closing + lane.opening + lane.housekeeping,
        };
        self.send(v1::agent_message::Message::Heartbeat(beat)).await
    }
}

fn hindrance(code: &model::Code) -> v1::HindranceKind {
    let kinds = [
        (model::Code::CLOSE_ONLY, v1::HindranceKind::CloseOnly),
        (model::Code::PAUSED, v1::HindranceKind::Paused),
        (model::Code::CLOCK_UNTRUSTED, v1::HindranceKind::Clock),
        (model::Code::RECONCILING, v1::HindranceKind::Reconciling),
    ];
    let found = kinds.into_iter().find(|(known, _)| known == code);
    found.map_or(v1::HindranceKind::Unspecified, |(_, kind)| kind)
}

fn malformed_journal(fault: impl std::fmt::Display) -> LinkFault {
    LinkFault::Malformed(format!("a report cannot be read from the journal: {fault}"))
}

fn goodbye(wire: &v1::Goodbye) -> LinkFault {
    let goodbye = convert::goodbye(wire);
    LinkFault::Goodbye {
        reason: goodbye.reason.as_str_name().trim_start_matches("GOODBYE_REASON_").to_lowercase(),
        detail: goodbye.detail,
        retry_after: goodbye.retry_after.map(model::Span::as_std),
    }
}

#[cfg(test)]
mod tests;
