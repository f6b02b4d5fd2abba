//! What is said in a session: orders out, reports in, heartbeats both ways.

use futures_util::FutureExt as _;
use model::{Incarnation, Position, Span};
use prost::Message as _;
use proto::v1::agent_message::Message as FromAgent;
use proto::v1::{AgentMessage, GoodbyeReason};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Streaming;

use super::{End, SENDING, Session};
use crate::bells::Listener;
use crate::changes::sessions::{self, Outcome, Standing};
use crate::changes::{glances, reports};
use crate::refusal::Refusal;
use crate::rules::pace::Pace;
use crate::rules::report::NumberedReport;
use crate::stream::alive::Place;
use crate::stream::convert::{self, Incoming};

/// Orders that are sent and not yet taken.
const WINDOW: u32 = 256;
/// Reports that share one commit, and their bytes.
const TOGETHER: usize = 256;
/// Bytes of reports that share one commit.
const TOGETHER_BYTES: usize = 8 * 1024 * 1024;
/// Heartbeats without a word from the agent that end a session.
const SILENT_BEATS: u32 = 3;
/// Standing lists that are sent again after they were misread.
const MISREADS: u32 = 3;

/// A session that was greeted.
pub(super) struct Talk<'s> {
    pub(super) session: &'s Session,
    pub(super) place: Place,
    pub(super) bell: Listener,
    pub(super) journal: Incarnation,
    /// The life of the log of orders.
    pub(super) log: Incarnation,
    pub(super) last_order: Position,
    /// The last order that was sent, and the last that the agent has.
    pub(super) sent: Position,
    pub(super) taken: Position,
    /// What is written of it: that goes with reports, or with a heartbeat.
    pub(super) noted: Position,
    pub(super) committed: Position,
    /// A standing list is wanted; true when it is confirmed.
    pub(super) standing_asked: Option<bool>,
    /// A list that was read and goes out once the orders before it have.
    pub(super) standing_ready: Option<(Standing, bool)>,
    pub(super) misreads: u32,
    /// Orders may have come, or the window may have room again.
    pub(super) look: bool,
    /// The time of the agent's last heartbeat, as it said.
    pub(super) heard: Option<prost_types::Timestamp>,
    pub(super) heard_at: Instant,
    pub(super) pace: Pace,
}

impl Talk<'_> {
    pub(super) async fn hold(&mut self, from: &mut Streaming<AgentMessage>) -> End {
        match self.talk(from).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn talk(&mut self, from: &mut Streaming<AgentMessage>) -> Result<End, End> {
        let office = &self.session.office;
        let interval = office.limits.heartbeat.as_std();
        let mut beat = tokio::time::interval(interval);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if std::mem::take(&mut self.look) {
                self.push().await?;
            }
            tokio::select! {
                () = office.stopping.cancelled() => {
                    return Ok(End::passing(GoodbyeReason::Stopping, "the control plane is stopping"));
                }
                () = self.place.replaced.cancelled() => {
                    let detail = "another session of this connector took its place";
                    return Ok(End::passing(GoodbyeReason::Duplicate, detail));
                }
                () = self.bell.rung() => {
                    self.not_revoked().await?;
                    self.look = true;
                }
                Ok(()) = self.place.standing.changed() => {
                    self.standing_asked = Some(self.place.standing.borrow_and_update().1);
                    self.look = true;
                }
                _ = beat.tick() => {
                    if self.heard_at.elapsed() >= interval * SILENT_BEATS {
                        return Ok(End::passing(GoodbyeReason::Silence, "nothing was heard for too long"));
                    }
                    if self.noted < self.taken {
                        self.commit(vec![]).await?;
                    }
                    self.beat().await?;
                }
                message = from.message() => {
                    let Some(message) = message? else { return Ok(End::gone("the agent left")) };
                    self.heard_at = Instant::now();
                    if let Some(end) = self.take(message, from).await? {
                        return Ok(end);
                    }
                    // What it took us is no silence of the agent's.
                    self.heard_at = Instant::now();
                }
            }
        }
    }

    async fn beat(&self) -> Result<(), End> {
        let now = self.session.office.now();
        let (orders, reports) = ((self.log, self.last_order), (self.journal, self.committed));
        self.session.send(convert::heartbeat(now, self.heard, orders, reports)).await
    }

    async fn not_revoked(&self) -> Result<(), End> {
        let mut rows = self.session.office.read().await.map_err(Refusal::from)?;
        let connector = rows.connector(&self.session.connector).await.map_err(Refusal::from)?;
        if connector.is_none_or(|connector| connector.revoked_at.is_some()) {
            let end = End::passing(GoodbyeReason::Revoked, "the connector is revoked");
            return Err(End { wait: None, ..end });
        }
        Ok(())
    }

    /// Sends the orders that the window has room for, and the standing list once it is their turn.
    async fn push(&mut self) -> Result<(), End> {
        let office = &self.session.office;
        let mut rows = office.read().await.map_err(Refusal::from)?;
        if let Some(confirmed) = self.standing_asked.take() {
            let list = sessions::standing(rows.as_mut(), &self.session.connector, office.now()).await?;
            self.standing_ready = Some((list, confirmed));
        }
        let under_way = self.sent.0.saturating_sub(self.taken.0);
        let room = u64::from(WINDOW).saturating_sub(under_way);
        let orders = match u32::try_from(room) {
            Ok(0) | Err(_) => vec![],
            Ok(room) => {
                let orders = rows.orders(&self.session.connector, self.sent, room).await;
                orders.map_err(Refusal::from)?
            }
        };
        drop(rows);
        for order in orders {
            let position = order.position;
            if position != self.sent.next() {
                let detail = format!("order {} is not kept any more: dial again", self.sent.next());
                return Err(End::passing(GoodbyeReason::Stopping, detail));
            }
            self.session.send(convert::order(self.log, order)).await?;
            self.sent = position;
            self.last_order = self.last_order.max(position);
        }
        let ready = self.standing_ready.take_if(|(list, _)| list.position <= self.sent);
        if let Some((list, confirmed)) = ready {
            for page in convert::standing(&list, confirmed) {
                self.session.send(page).await?;
            }
        }
        Ok(())
    }

    /// Takes one message; for a report, also those that have come with it.
    async fn take(
        &mut self,
        message: AgentMessage,
        from: &mut Streaming<AgentMessage>,
    ) -> Result<Option<End>, End> {
        let mut next = Some(message);
        let mut kept = vec![];
        let mut weight = 0_usize;
        let mut count = 0_i64;
        let mut end = None;
        // A glance has a commit of its own: what else is to be done comes between two of them.
        let mut glanced = false;
        while let Some(message) = next.take() {
            count += 1;
            weight = weight.saturating_add(message.encoded_len());
            match message.message {
                Some(FromAgent::Report(report)) => match self.report(report).await? {
                    Some(report) => kept.push(report),
                    None => glanced = true,
                },
                Some(other) => end = self.other(other).await?,
                None => {
                    tracing::info!(connector = %self.session.connector, "Skipped a message of an unknown kind")
                }
            }
            if end.is_none() && !glanced && kept.len() < TOGETHER && weight < TOGETHER_BYTES {
                next = match from.message().now_or_never() {
                    Some(Ok(more)) => more,
                    // A broken or quiet stream is seen again at the next look; what came is committed first.
                    Some(Err(_)) | None => None,
                };
            }
        }
        if !kept.is_empty() {
            self.commit(kept).await?;
        }
        let wait = self.pace.spend(count, self.session.office.now());
        if wait > Span::ZERO {
            tracing::info!(connector = %self.session.connector, %wait, "An agent is slowed down");
            tokio::time::sleep(wait.as_std().min(SENDING)).await;
        }
        Ok(end)
    }

    async fn report(&self, report: proto::v1::Report) -> Result<Option<NumberedReport>, End> {
        let office = &self.session.office;
        let read =
            convert::incoming(report, office.now()).map_err(|fault| End::malformed(fault.to_string()))?;
        match read {
            Incoming::Kept(journal, report) if journal == self.journal => Ok(Some(report)),
            Incoming::Kept(journal, _) => Err(End::malformed(format!(
                "a report of journal {journal} came in a session of {}",
                self.journal
            ))),
            Incoming::Told(glance) => {
                let connector = self.session.connector.clone();
                office
                    .write(self.session.who.clone(), move |deed| {
                        Box::pin(async move { glances::take(deed, &connector, glance).await })
                    })
                    .await?;
                Ok(None)
            }
            Incoming::Dropped(fault) => {
                tracing::warn!(connector = %self.session.connector, %fault, "A report was dropped unread");
                Ok(None)
            }
        }
    }

    /// Commits reports, and how far the agent has taken orders, in one transaction.
    async fn commit(&mut self, kept: Vec<NumberedReport>) -> Result<(), End> {
        let (connector, journal) = (self.session.connector.clone(), self.journal);
        let (told, taken) = (!kept.is_empty(), (self.noted < self.taken).then_some(self.taken));
        let committed = self
            .session
            .office
            .write(self.session.who.clone(), move |deed| {
                Box::pin(async move {
                    if let Some(taken) = taken {
                        sessions::orders_taken(deed, &connector, taken).await?;
                    }
                    reports::commit(deed, &connector, journal, kept).await
                })
            })
            .await?;
        self.noted = self.taken;
        if told {
            self.committed = committed.through;
            self.session.send(convert::ack(self.journal, self.committed)).await?;
        }
        match committed.gap {
            None => Ok(()),
            Some(expected) => Err(End::malformed(format!("report {expected} is missing"))),
        }
    }

    async fn other(&mut self, message: FromAgent) -> Result<Option<End>, End> {
        match message {
            FromAgent::Report(_) => Ok(None),
            FromAgent::Hello(_) => Err(End::malformed("Hello came twice")),
            FromAgent::Ack(ack) => self.acknowledged(ack).map(|()| None),
            FromAgent::Heartbeat(beat) => {
                self.heard = beat.time;
                let now = self.session.office.now();
                let pulse = convert::pulse(beat, now).map_err(|fault| End::malformed(fault.to_string()))?;
                self.place.heard(now, Some(pulse));
                Ok(None)
            }
            FromAgent::StandingVerdict(verdict) => {
                let read = convert::verdict(verdict).map_err(|fault| End::malformed(fault.to_string()))?;
                self.verdict(read).await.map(|()| None)
            }
            FromAgent::Goodbye(goodbye) => {
                Ok(Some(End::gone(format!("the agent said goodbye: {}", goodbye.detail))))
            }
        }
    }

    /// Notes how far the agent has taken orders.
    fn acknowledged(&mut self, ack: proto::v1::Ack) -> Result<(), End> {
        let Some(through) = ack.through else { return Err(End::malformed("an Ack has no place")) };
        if through.incarnation != self.log.to_string() || through.position > self.sent.0 {
            return Err(End::malformed("an Ack names orders that were not sent"));
        }
        self.taken = self.taken.max(Position(through.position));
        self.look = true;
        Ok(())
    }

    async fn verdict(&mut self, (outcome, detail): (Outcome, String)) -> Result<(), End> {
        let connector = self.session.connector.clone();
        self.session
            .office
            .write(self.session.who.clone(), move |deed| {
                Box::pin(async move { sessions::verdict(deed, &connector, outcome, detail).await })
            })
            .await?;
        if outcome == Outcome::Misread && self.misreads < MISREADS {
            self.misreads += 1;
            self.standing_asked = Some(false);
            self.look = true;
        }
        Ok(())
    }
}
