//! The engine: one loop that takes what comes, asks the rules, writes, then acts.
//!
//! It owns the book, the journal's writing end and the calls on targets. What it promises: an action goes
//! out only after its intent is on disk, except closing while the journal cannot be written; what is not
//! written is undone in memory; a journal that did not answer is read again before it is believed.

pub(crate) mod asked;
mod perform;
pub(crate) mod published;
pub(crate) mod reads;
mod schedule;
mod showing;
pub(crate) mod surveys;
mod taking;
pub(crate) mod targets;
mod telling;
mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use driver::{RetireReport, crash};
use journal::identity::IdentityStore;
use journal::{Journal, JournalFault};
use model::{ConnectorId, Incarnation, Integration, IntegrationId, Position, Revision, Span, Timestamp};
use rules::book::RestoreFault;
use rules::{Action, Book, Guard, Input, Source};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::office::Office;
use crate::status::Health;
use asked::{Glass, Waiting};
use perform::{Flight, Performed, Performer, Places};
use published::{Message, Published};
use reads::{News, Read, Reading};
use surveys::Sightings;
use targets::Targets;
use telling::Told;

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
    /// The guardrails that hold.
    pub(crate) guard: Guard,
    /// Why the journal can only be read, as long as this process lives.
    pub(crate) close_only: Option<String>,
}

/// The engine, restored and not yet running.
pub(crate) struct Engine {
    parts: Parts,
    book: Book,
    incarnation: Incarnation,
    performer: Arc<Performer>,
    calls: JoinSet<Performed>,
    /// Whose the calls under way are, for those that break off.
    flights: BTreeMap<Id, Flight>,
    reads: JoinSet<Read>,
    reading: BTreeSet<(IntegrationId, Reading)>,
    /// Where pages of resources wait for the link.
    room: Arc<Semaphore>,
    messages: mpsc::Receiver<Message>,
    seen: (mpsc::Sender<Sightings>, mpsc::Receiver<Sightings>),
    shown: watch::Sender<Published>,
    journal_works: bool,
    /// The journal has no room but what was kept for closing.
    full: bool,
    /// A batch was lost and the journal could not be read since: memory is not the truth, but all there is.
    unread: bool,
    /// How often orders may have been lost on their way into the journal.
    lapses: u64,
    /// Why configurations could not be saved apart from the journal.
    identity_fault: Option<String>,
    /// Configurations as last saved apart from the journal.
    saved: BTreeMap<IntegrationId, Integration>,
    due: BTreeMap<(IntegrationId, Reading), Timestamp>,
    /// Of which revision the readings are planned.
    planned: BTreeMap<IntegrationId, Revision>,
    probes: u64,
    /// Which integrations there were when reads were planned last.
    signature: u64,
    /// When accesses were counted last.
    counted: Timestamp,
    /// Something may have changed since.
    uncounted: bool,
    /// The control plane has committed reports through here.
    committed: Position,
    /// How each target was when it was last looked at.
    health: BTreeMap<IntegrationId, Health>,
    /// Targets that nobody has looked over since the journal that knew them was lost.
    unlooked: BTreeSet<IntegrationId>,
    /// What was answered since something was written last.
    answered: Vec<&'static str>,
    told: Told,
    /// Questions of operators that wait for the next batch to be on disk.
    asked: Vec<Waiting>,
    /// What operators ended and the journal has not taken yet, and how many lapses there were when it was tried.
    glass: Vec<Glass>,
    glass_lapses: u64,
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
        let (saved, identity_fault) = remembered(&parts).await;
        let Restored { book, incarnation, committed, unheard_of } = load(&parts, &saved).await?;
        let journal_works = parts.close_only.is_none();
        let first = showing::first(&book, incarnation, journal_works);
        let (shown, published) = watch::channel(Published { looked: unheard_of.is_empty(), ..first });
        let told = Told::of(&book);
        let performer = Arc::new(Performer::new(Arc::clone(&parts.targets)));
        let engine = Self {
            book,
            incarnation,
            performer,
            calls: JoinSet::new(),
            flights: BTreeMap::new(),
            reads: JoinSet::new(),
            reading: BTreeSet::new(),
            room: Arc::new(Semaphore::new(reads::PAGES_WAITING)),
            messages,
            seen: mpsc::channel(64),
            shown,
            journal_works,
            full: false,
            unread: false,
            lapses: 0,
            identity_fault,
            saved,
            due: BTreeMap::new(),
            planned: BTreeMap::new(),
            probes: 0,
            signature: 0,
            counted: Timestamp::ZERO,
            uncounted: false,
            committed,
            health: BTreeMap::new(),
            unlooked: unheard_of,
            answered: vec![],
            told,
            asked: vec![],
            glass: vec![],
            glass_lapses: 0,
            parts,
        };
        Ok((engine, published))
    }

    /// Returns where surveys hand in what they saw.
    pub(crate) fn sightings(&self) -> mpsc::WeakSender<Sightings> {
        self.seen.0.downgrade()
    }

    /// Runs until told to stop; then finishes or times out the calls under way and writes their answers.
    ///
    /// # Errors
    /// When the journal can no longer be read.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), EngineFault> {
        self.settle().await?;
        let mut probe = tokio::time::interval(PROBE);
        while !stop.is_cancelled() {
            // The runtime's own clock, for sleeping only: no rule depends on it.
            let wake = Instant::now() + self.sleep();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(message) = self.messages.recv() => {
                    self.take(message).await?;
                    for _ in 1..TOGETHER {
                        let Ok(more) = self.messages.try_recv() else { break };
                        self.take(more).await?;
                    }
                }
                Some(done) = self.calls.join_next_with_id() => {
                    self.performed(done);
                    for _ in 1..TOGETHER {
                        let Some(more) = self.calls.try_join_next_with_id() else { break };
                        self.performed(more);
                    }
                    // Slots are free again.
                    self.break_glass(self.parts.clock.read());
                }
                Some(sightings) = self.seen.1.recv() => self.saw(sightings),
                Some(done) = self.reads.join_next() => {
                    if let Ok(read) = done {
                        self.read(read);
                    }
                }
                _ = probe.tick(), if !self.journal_works || self.identity_fault.is_some() => self.probe().await,
                () = sleep_until(wake) => {
                    let reading = self.parts.clock.read();
                    self.book.handle_timeout(reading);
                }
            }
            self.settle().await?;
            self.answer_asked().await?;
        }
        self.stop().await
    }

    /// How long nothing will happen by time alone.
    fn sleep(&self) -> Duration {
        let now = self.book.now();
        let of_book = self.book.poll_timeout();
        let of_reads = self.due.values().min().copied();
        let to_count = self.uncounted.then(|| self.counted.plus(COUNT_EVERY));
        let next = of_book.into_iter().chain(of_reads).chain(to_count).min();
        let wait = next.map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
        wait.max(Span::from_millis(1)).as_std()
    }

    fn performed(&mut self, done: Result<(Id, Performed), JoinError>) {
        let done = match done {
            Ok((id, mut done)) => {
                if let Some(flight) = self.flights.remove(&id) {
                    crash::place(flight.act, "answer");
                    self.answered.push(flight.act);
                    done.identity = done.identity.filter(|_| self.leads_there(&flight.integration));
                }
                done
            }
            Err(fault) => {
                let Some(flight) = self.flights.remove(&fault.id()) else { return };
                tracing::error!(%fault, account = %flight.account, "A call on a target broke off: this is a fault of the program, please report it");
                flight.broke_off()
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
        let Performed { account, ticket, answer, by, .. } = done;
        self.book.handle(Input::Answered { account, ticket, answer, by }, reading);
    }

    /// Whether a configuration still says where its integration leads.
    fn leads_there(&self, then: &Integration) -> bool {
        self.book.integration(&then.id).is_some_and(|record| record.integration.leads_where(then))
    }

    fn read(&mut self, read: Read) {
        let Read { integration, reading, health, retired, identity, said } = read;
        let failure = health.as_ref().and_then(|outcome| outcome.as_ref().err());
        self.tell_reading(&integration, reading, failure);
        let known = self.book.integration(&integration.id).and_then(|record| record.target.as_ref());
        // The clock of another target that answers in its place is no witness.
        if let Some(said) = said.filter(|_| known.is_some() && known == identity.as_ref()) {
            self.book.handle(Input::Heard { source: Source::Target, said }, self.parts.clock.read());
        }
        if let Some(identity) = identity.filter(|_| self.leads_there(&integration)) {
            let integration = integration.id.clone();
            self.book.handle(Input::Identified { integration, identity }, self.parts.clock.read());
        }
        let integration = integration.id.clone();
        if let Some(RetireReport { removed, left }) = retired {
            let integration = integration.clone();
            self.book.handle(Input::Cleared { integration, removed, left }, self.parts.clock.read());
        }
        if let Some(outcome) = health {
            if outcome.is_err() {
                self.read_again_soon(integration.clone(), reading);
                self.unlooked.remove(&integration);
            }
            let health = Health::of(&outcome, self.parts.clock.wall());
            self.tell_health(&integration, &health);
            self.health.insert(integration.clone(), health);
        }
        self.reading.remove(&(integration, reading));
    }

    fn dispatch(&mut self, actions: Vec<Action>) {
        if !actions.is_empty() {
            self.parts.targets.time_is(self.book.now());
        }
        for action in actions {
            let Some(record) = self.book.integration(&action.integration) else { continue };
            let present = Arc::new(record.integration.clone());
            let places = Places {
                present: Arc::clone(&present),
                former: record.former.clone().map(Arc::new),
                known: record.target.clone(),
            };
            let performer = Arc::clone(&self.performer);
            tracing::debug!(account = %action.account, integration = %action.integration, action = action.act.word(), "Action begins");
            crash::place(action.act.word(), "intent");
            let flight = Flight {
                act: action.act.word(),
                account: action.account,
                ticket: action.ticket,
                integration: present,
            };
            let call = self.calls.spawn(performer.perform(action, places));
            self.flights.insert(call.id(), flight);
        }
    }

    /// Takes no more orders; finishes or times out the calls under way, and writes what they came to.
    async fn stop(mut self) -> Result<(), EngineFault> {
        self.reads.shutdown().await;
        let reason = "the agent is stopping".to_string();
        self.book.handle(Input::CloseOnly(Some(reason)), self.parts.clock.read());
        while let Some(done) = self.calls.join_next_with_id().await {
            self.performed(done);
            while let Some(mut step) = self.book.poll_step() {
                let told = step.take_told();
                // Nothing new is begun: the next start finds what is due.
                match self.parts.journal.append(step.batch()).await {
                    Ok(proof) => {
                        self.kept();
                        drop(self.book.keep(step, &proof));
                        self.tell(told);
                    }
                    Err(_) => break,
                }
            }
        }
        self.parts.targets.close().await;
        self.parts.journal.close().await?;
        Ok(())
    }
}

/// Reads the integrations that are kept apart from the journal. One that cannot be read is told of, and made anew.
async fn remembered(parts: &Parts) -> (BTreeMap<IntegrationId, Integration>, Option<String>) {
    let identity = Arc::clone(&parts.identity);
    let fault = match tokio::task::spawn_blocking(move || identity.snapshot()).await {
        Ok(Ok(saved)) => return (saved, None),
        Ok(Err(fault)) => crate::exit::chain(&fault),
        Err(fault) => fault.to_string(),
    };
    tracing::error!(fault, "The integrations that the identity remembers could not be read");
    (BTreeMap::new(), Some(fault))
}

/// A book that was read from the journal.
struct Restored {
    book: Book,
    incarnation: Incarnation,
    committed: Position,
    /// Integrations that the identity remembers and the journal has never heard of.
    unheard_of: BTreeSet<IntegrationId>,
}

async fn load(
    parts: &Parts,
    remembered: &BTreeMap<IntegrationId, Integration>,
) -> Result<Restored, EngineFault> {
    let loaded = parts.journal.load().await?;
    let waiting = parts.journal.reports(Position(0), 1).await?;
    let committed = waiting.first().map_or(loaded.last_report, |first| Position(first.position.0 - 1));
    let rows = loaded.rows.iter().map(|row| (row.table, row.key.as_str(), row.body.as_str()));
    let reading = parts.clock.read();
    // Tickets of one life must not be those of another.
    let first_ticket = u64::from_be_bytes(Uuid::new_v4().into_bytes()[..8].try_into().unwrap_or_default());
    let mut book = Book::restore(
        parts.connector.clone(),
        // Not the journal's incarnation: an old copy of it has the same.
        Box::new(parts.office.of_memory(Incarnation::from_uuid(Uuid::new_v4()))),
        rows,
        loaded.last_report,
        first_ticket,
        reading,
    )?;
    // Before anything else is taken: what lives is held against those of today.
    book.guard(parts.guard.clone(), reading);
    let unheard_of: BTreeSet<_> =
        remembered.keys().filter(|id| book.integration(id).is_none()).cloned().collect();
    if !unheard_of.is_empty() {
        tracing::warn!(
            integrations = unheard_of.len(),
            "The identity remembers integrations that the journal has never heard of: accounts there that carry our mark are closed by their marks' deadlines"
        );
    }
    book.handle(Input::Remembered(remembered.values().cloned().collect()), reading);
    if let Some(reason) = &parts.close_only {
        book.handle(Input::CloseOnly(Some(reason.clone())), reading);
    }
    Ok(Restored { book, incarnation: loaded.incarnation, committed, unheard_of })
}
