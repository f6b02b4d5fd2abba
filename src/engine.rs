//! The engine: one loop that takes what comes, asks the rules, writes, then acts.
//!
//! It owns the book, the journal's writing end and the calls on targets. What it promises: an action goes
//! out only after its intent is on disk, except closing while the journal cannot be written; what is not
//! written is undone in memory; a journal that did not answer is read again before it is believed.

mod perform;
pub(crate) mod published;
pub(crate) mod reads;
pub(crate) mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use journal::identity::IdentityStore;
use journal::{Journal, JournalFault};
use model::durable::Batch;
use model::{BatchId, CloseOnly, ConnectorId, Incarnation, Integration, IntegrationId, Span, Timestamp};
use rules::book::{Counts, RestoreFault, Step};
use rules::{Action, Book, Input, Order, Source};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::office::Office;
use perform::{Performed, Performer};
use published::{Message, Published};
use reads::{News, Reading, Sightings};
use targets::Targets;

/// At most this many messages go into one batch.
const TOGETHER: usize = 256;
/// A far timer is looked at again after this long, since the machine may have slept.
const LONGEST_SLEEP: Span = Span::from_secs(30);
/// How often a journal that refused is tried again.
const PROBE: Duration = Duration::from_secs(5);
/// How often accesses are counted for people.
const COUNT_EVERY: Span = Span::from_secs(1);
/// How often each target is asked for its health and its time.
const CHECK_EVERY: Span = Span::from_mins(5);

/// Why the engine cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineFault {
    #[error(transparent)]
    Journal(#[from] JournalFault),
    #[error(transparent)]
    Restore(#[from] RestoreFault),
    #[error(
        "the rules and the journal disagree about a batch: this is a fault of the program, please report it"
    )]
    ForeignProof,
}

/// What the engine is made of.
pub(crate) struct Parts {
    pub(crate) connector: ConnectorId,
    pub(crate) office: Office,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) identity: Arc<IdentityStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) targets: Arc<Targets>,
    pub(crate) survey_every: Span,
    pub(crate) news: mpsc::Sender<News>,
}

/// The engine, restored and not yet running.
pub(crate) struct Engine {
    parts: Parts,
    book: Book,
    incarnation: Incarnation,
    performer: Arc<Performer>,
    calls: JoinSet<Performed>,
    reads: JoinSet<(IntegrationId, Reading)>,
    reading: BTreeSet<(IntegrationId, Reading)>,
    messages: mpsc::Receiver<Message>,
    seen: (mpsc::Sender<Sightings>, mpsc::Receiver<Sightings>),
    shown: watch::Sender<Published>,
    journal_works: bool,
    /// Configurations as last saved apart from the journal.
    saved: BTreeMap<IntegrationId, Integration>,
    due: BTreeMap<(IntegrationId, Reading), Timestamp>,
    probes: u64,
    /// Retired integrations whose shared remains this process has removed, or tried to.
    cleared: BTreeSet<IntegrationId>,
    /// When accesses were counted last.
    counted: Timestamp,
}

impl Engine {
    /// Restores the book from the journal.
    ///
    /// # Errors
    /// When the journal cannot be read, or not understood.
    pub(crate) async fn restore(
        parts: Parts,
        messages: mpsc::Receiver<Message>,
    ) -> Result<(Self, watch::Receiver<Published>), EngineFault> {
        let (book, incarnation) = load(&parts).await?;
        let (shown, published) = watch::channel(show(&book, incarnation, true, None));
        let performer = Arc::new(Performer::new(Arc::clone(&parts.targets)));
        let engine = Self {
            book,
            incarnation,
            performer,
            calls: JoinSet::new(),
            reads: JoinSet::new(),
            reading: BTreeSet::new(),
            messages,
            seen: mpsc::channel(64),
            shown,
            journal_works: true,
            saved: BTreeMap::new(),
            due: BTreeMap::new(),
            probes: 0,
            cleared: BTreeSet::new(),
            counted: Timestamp::ZERO,
            parts,
        };
        Ok((engine, published))
    }

    /// Runs until told to stop; then finishes or times out the calls under way and writes their answers.
    ///
    /// # Errors
    /// When the journal can no longer be read.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), EngineFault> {
        self.settle().await?;
        let mut probe = tokio::time::interval(PROBE);
        while !stop.is_cancelled() {
            let wake = Instant::now_plus(self.sleep());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(message) = self.messages.recv() => {
                    self.take(message).await?;
                    for _ in 1..TOGETHER {
                        let Ok(more) = self.messages.try_recv() else { break };
                        self.take(more).await?;
                    }
                }
                Some(done) = self.calls.join_next() => {
                    self.performed(done);
                    for _ in 1..TOGETHER {
                        let Some(more) = self.calls.try_join_next() else { break };
                        self.performed(more);
                    }
                }
                Some(sightings) = self.seen.1.recv() => self.saw(sightings),
                Some(done) = self.reads.join_next() => {
                    if let Ok(key) = done {
                        self.reading.remove(&key);
                    }
                }
                _ = probe.tick(), if !self.journal_works => self.try_journal().await,
                () = sleep_until(wake) => {
                    let reading = self.parts.clock.read();
                    self.book.handle_timeout(reading);
                }
            }
            self.settle().await?;
        }
        self.stop().await
    }

    /// How long nothing will happen by time alone.
    fn sleep(&self) -> Duration {
        let now = self.book.now();
        let of_book = self.book.poll_timeout();
        let of_reads = self.due.values().min().copied();
        let next = of_book.into_iter().chain(of_reads).min();
        let wait = next.map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
        wait.max(Span::from_millis(1)).as_std()
    }

    async fn take(&mut self, message: Message) -> Result<(), EngineFault> {
        let reading = self.parts.clock.read();
        match message {
            Message::Order(order) => {
                let wanted = reading_of(&order.order);
                if let Some((integration, what)) = wanted {
                    if what == Reading::Check {
                        // A person asks: a login that was refused may be tried once more.
                        self.parts.targets.shop.secrets.try_again(&integration).await;
                    }
                    self.due.insert((integration, what), self.book.now());
                }
                self.book.handle(Input::Order(order), reading);
            }
            Message::Unreadable { ordered, detail } => {
                self.book.refuse_order(ordered, model::Code::ORDER_MALFORMED, detail, reading);
            }
            Message::Standing(standing) => self.book.handle(Input::Standing(standing), reading),
            Message::Committed { through } => self.book.handle(Input::ReportsCommitted { through }, reading),
            Message::Heard { source, said } => self.book.handle(Input::Heard { source, said }, reading),
            Message::JournalIsCurrent => self.book.handle(Input::JournalIsCurrent, reading),
            Message::JournalIsOld(done) => {
                self.begin_anew().await?;
                if done.send(()).is_err() {
                    tracing::debug!("Whoever asked for the new life is gone; it is published all the same");
                }
            }
            Message::CloseOnly(reason) => self.book.handle(Input::CloseOnly(Some(reason)), reading),
        }
        Ok(())
    }

    /// Gives an old copy of the journal a new life, and reads it again.
    async fn begin_anew(&mut self) -> Result<(), EngineFault> {
        tracing::warn!(
            "The journal is an old copy: nothing opens until the control plane and every target have been asked"
        );
        self.book.handle(Input::JournalIsOld, self.parts.clock.read());
        self.settle().await?;
        self.parts.journal.begin_incarnation(Incarnation::from_uuid(Uuid::new_v4())).await?;
        self.reload().await?;
        let now = self.book.now();
        let ids: Vec<_> = self.live().map(|integration| integration.id.clone()).collect();
        self.due.extend(ids.into_iter().map(|id| ((id, Reading::Survey), now)));
        Ok(())
    }

    async fn reload(&mut self) -> Result<(), EngineFault> {
        (self.book, self.incarnation) = load(&self.parts).await?;
        self.journal_works = true;
        Ok(())
    }

    fn live(&self) -> impl Iterator<Item = &Integration> {
        self.book.integrations().filter(|record| !record.retired).map(|record| &record.integration)
    }

    fn performed(&mut self, done: Result<Performed, tokio::task::JoinError>) {
        let done = match done {
            Ok(done) => done,
            Err(fault) => {
                // The action's flight stays open until its integration's next restart; say so loudly.
                tracing::error!(%fault, "A call on a target broke off: this is a fault of the program, please report it");
                return;
            }
        };
        let reading = self.parts.clock.read();
        if let Some(identity) = done.identity.clone() {
            let integration = done.integration.clone();
            self.book.handle(Input::Identified { integration, identity }, reading);
        }
        if let Some(said) = done.target_time() {
            self.book.handle(Input::Heard { source: Source::Target, said }, reading);
        }
        let Performed { account, ticket, answer, .. } = done;
        self.book.handle(Input::Answered { account, ticket, answer }, reading);
    }

    fn saw(&mut self, sightings: Sightings) {
        let reading = self.parts.clock.read();
        let Sightings { integration, identity, sightings, complete } = sightings;
        self.book.handle(Input::Identified { integration: integration.clone(), identity }, reading);
        self.book.handle(Input::Surveyed { integration, sightings, complete }, reading);
    }

    /// Writes what the rules want written and does what it allows, until they have nothing to say.
    async fn settle(&mut self) -> Result<(), EngineFault> {
        while let Some(step) = self.book.poll_step() {
            if !self.write(step).await? {
                break;
            }
        }
        self.save_snapshot().await;
        self.plan_reads();
        let counts = {
            // Counting walks every account: once a second is enough for people.
            let shown = self.shown.borrow();
            let stale = self.book.now().since(self.counted) >= COUNT_EVERY || self.book.now() < self.counted;
            (!stale).then(|| (shown.counts, shown.next_deadline))
        };
        if counts.is_none() {
            self.counted = self.book.now();
        }
        let now = show(&self.book, self.incarnation, self.journal_works, counts);
        self.shown.send_if_modified(|shown| {
            let changed = *shown != now;
            *shown = now;
            changed
        });
        Ok(())
    }

    /// Returns whether the loop may go on at once.
    async fn write(&mut self, step: Step) -> Result<bool, EngineFault> {
        match self.parts.journal.append(step.batch()).await {
            Ok(proof) => {
                let actions = self.book.keep(step, &proof).map_err(|_| EngineFault::ForeignProof)?;
                self.dispatch(actions);
                Ok(true)
            }
            Err(
                fault @ (JournalFault::NotWritten { .. }
                | JournalFault::Full { .. }
                | JournalFault::TooNew { .. }),
            ) => {
                if self.journal_works {
                    tracing::error!(%fault, "The journal cannot be written: only closing goes on");
                }
                self.journal_works = false;
                let proof = CloseOnly::because(fault.to_string());
                let now = self.book.now();
                let closing = self.book.drop_unwritten(step, &proof, now);
                self.dispatch(closing);
                Ok(false)
            }
            // Lost, or not continuing what is there: what is on disk is the truth.
            Err(fault) => {
                tracing::warn!(%fault, "The journal is read again");
                self.reload().await?;
                Ok(true)
            }
        }
    }

    /// Asks a journal that refused whether it takes an empty batch.
    async fn try_journal(&mut self) {
        self.probes += 1;
        let probe = Batch { id: BatchId(u64::MAX - self.probes), writes: vec![] };
        match self.parts.journal.append(&probe).await {
            Ok(_) => {
                tracing::info!("The journal can be written again");
                self.journal_works = true;
                self.book.handle(Input::CloseOnly(None), self.parts.clock.read());
            }
            Err(fault) => tracing::debug!(%fault, "The journal still cannot be written"),
        }
    }

    fn dispatch(&mut self, actions: Vec<Action>) {
        for action in actions {
            let Some(record) = self.book.integration(&action.integration) else { continue };
            let integration = Arc::new(record.integration.clone());
            let performer = Arc::clone(&self.performer);
            tracing::debug!(account = %action.account, integration = %action.integration, action = action.act.word(), "Action begins");
            self.calls.spawn(performer.perform(action, integration));
        }
    }

    /// Keeps the configurations apart from the journal, so that an agent without one can still close.
    async fn save_snapshot(&mut self) {
        let live: BTreeMap<_, _> =
            self.live().map(|integration| (integration.id.clone(), integration.clone())).collect();
        if live == self.saved {
            return;
        }
        let (identity, snapshot) = (Arc::clone(&self.parts.identity), live.clone());
        let saved = tokio::task::spawn_blocking(move || identity.save_snapshot(&snapshot)).await;
        match saved {
            Ok(Ok(())) => self.saved = live,
            Ok(Err(fault)) => {
                tracing::warn!(%fault, "The integrations' configurations could not be saved in the identity")
            }
            Err(fault) => {
                tracing::warn!(%fault, "The integrations' configurations could not be saved in the identity")
            }
        }
    }

    /// Lists what is to be read and when: at once for what is new or changed, then on a schedule.
    fn plan_reads(&mut self) {
        let now = self.book.now();
        let live: Vec<Arc<Integration>> = self.live().map(|found| Arc::new(found.clone())).collect();
        let known: BTreeSet<_> = live.iter().map(|found| found.id.clone()).collect();
        self.due.retain(|(id, _), _| known.contains(id));
        for integration in live {
            let schedule = [
                (Reading::Check, CHECK_EVERY),
                (Reading::Survey, self.parts.survey_every),
                (Reading::Discover, self.parts.survey_every),
            ];
            for (what, every) in schedule {
                let key = (integration.id.clone(), what);
                let due = *self.due.entry(key.clone()).or_insert(now);
                if due > now || self.reading.contains(&key) {
                    continue;
                }
                self.due.insert(key, now.plus(every));
                self.begin_reading(&integration, what);
            }
        }
        // What is ours and shared goes once the last account is gone; once more after each start, to be sure.
        let retired: Vec<_> = self
            .book
            .integrations()
            .filter(|record| record.retired && !self.cleared.contains(&record.integration.id))
            .map(|record| Arc::new(record.integration.clone()))
            .collect();
        for integration in retired {
            self.cleared.insert(integration.id.clone());
            self.begin_reading(&integration, Reading::Retire);
        }
    }

    fn begin_reading(&mut self, integration: &Arc<Integration>, what: Reading) {
        let key = (integration.id.clone(), what);
        self.reading.insert(key.clone());
        let (targets, news) = (Arc::clone(&self.parts.targets), self.parts.news.clone());
        let (one, seen) = (Arc::clone(integration), self.seen.0.clone());
        self.reads.spawn(async move {
            reads::read(targets, one, what, news, seen).await;
            key
        });
    }

    /// Takes no more orders; finishes or times out the calls under way, and writes what they came to.
    async fn stop(mut self) -> Result<(), EngineFault> {
        self.reads.shutdown().await;
        let reason = "the agent is stopping".to_string();
        self.book.handle(Input::CloseOnly(Some(reason)), self.parts.clock.read());
        while let Some(done) = self.calls.join_next().await {
            self.performed(done);
            while let Some(step) = self.book.poll_step() {
                // Nothing new is begun: the next start finds what is due.
                match self.parts.journal.append(step.batch()).await {
                    Ok(proof) => drop(self.book.keep(step, &proof)),
                    Err(_) => break,
                }
            }
        }
        self.parts.targets.close().await;
        self.parts.journal.close().await?;
        Ok(())
    }
}

/// What an order asks to be read: the rules have nothing to remember of it.
fn reading_of(order: &Order) -> Option<(IntegrationId, Reading)> {
    match order {
        Order::CheckNow { integration } => Some((integration.clone(), Reading::Check)),
        Order::DiscoverNow { integration } => Some((integration.clone(), Reading::Discover)),
        Order::SurveyNow { integration } => Some((integration.clone(), Reading::Survey)),
        Order::PutIntegration(_)
        | Order::RetireIntegration { .. }
        | Order::PutAccess(_)
        | Order::EndAccess { .. }
        | Order::RotateAccount { .. }
        | Order::DeleteAccount { .. }
        | Order::CancelEnding { .. }
        | Order::Pause { .. }
        | Order::Resume { .. }
        | Order::SetPolicy { .. } => None,
    }
}

async fn load(parts: &Parts) -> Result<(Book, Incarnation), EngineFault> {
    let loaded = parts.journal.load().await?;
    let rows = loaded.rows.iter().map(|row| (row.table, row.key.as_str(), row.body.as_str()));
    let reading = parts.clock.read();
    // Tickets of one life must not be those of another.
    let first_ticket = u64::from_be_bytes(Uuid::new_v4().into_bytes()[..8].try_into().unwrap_or_default());
    let book = Book::restore(
        parts.connector.clone(),
        Box::new(parts.office.clone()),
        rows,
        loaded.last_report,
        first_ticket,
        reading,
    )?;
    Ok((book, loaded.incarnation))
}

fn show(
    book: &Book,
    journal: Incarnation,
    journal_works: bool,
    counted: Option<(Counts, Option<Timestamp>)>,
) -> Published {
    let (counts, next_deadline) = counted.unwrap_or_else(|| (book.counts(), book.next_deadline()));
    Published {
        journal,
        last_report: book.last_report(),
        cursors: Arc::new(book.meta().cursors.clone()),
        counts,
        queue: book.integrations().map(|record| book.queued(&record.integration.id)).sum(),
        effective: book.now(),
        next_deadline,
        standstill: book.standstill(),
        journal_works,
    }
}

/// The runtime's own clock, for sleeping only: no rule depends on it.
trait NowPlus {
    fn now_plus(wait: Duration) -> Self;
}

impl NowPlus for Instant {
    fn now_plus(wait: Duration) -> Self {
        Self::now() + wait
    }
}
