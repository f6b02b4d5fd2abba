//! The book: everything the rules know, and the only way to change it.
//!
//! Inputs go in with [`Book::handle`]; [`Book::poll_step`] gives a [`Step`]: what to write, with the
//! actions locked inside. [`Book::keep`] opens the lock against the journal's proof; a step that could
//! not be written is undone with [`Book::drop_unwritten`], which lets closing, and nothing else, go on.
//! Memory never runs ahead of disk. [`Book::poll_timeout`] says when to call again without an input.

mod begin;
mod glass;
mod guard;
mod integrations;
mod land;
mod lanes;
mod orders;
mod restore;
mod standing;
mod start;
mod step;
mod survey;
mod tally;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AccessId, AccountId, AccountName, Code, ConnectorId, Incarnation, Integration, IntegrationId, Ownership,
    Policy, Position, ReceiptBody, Residual, TargetIdentity, Timestamp, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::account::{AccountRecord, Unsure};
use crate::action::{Answer, Ticket};
use crate::answer::LANDS_WITHIN;
use crate::box_map::BoxMap;
use crate::clock::{Clock, Persisted, Reading, Source};
use crate::drift;
use crate::effects::Effects;
use crate::guard::{Guard, Stretch};
use crate::order::{Grantee, NumberedOrder, Standing};

pub use glass::Which;
pub use lanes::{Lanes, SLOTS};
pub use restore::RestoreFault;
pub use step::{Pending, Step};
pub use tally::{Counts, LaneView, Tally};
pub use views::Standstill;

/// What the rules ask of the office: names and signatures. Both are pure: the same question gets the same
/// answer.
pub trait Office: Send {
    /// Derives the account of a grantee on an integration.
    ///
    /// # Errors
    /// A code when the integration's driver is not known or no name can be made.
    fn account(
        &self,
        integration: &Integration,
        grantee: &Grantee,
    ) -> Result<(AccountId, AccountName, Ownership), Code>;

    /// Names this memory: no other has the name, not even one that was restored from the same rows.
    fn life(&self) -> Incarnation;

    /// Signs a receipt onto the end of its integration's chain.
    ///
    /// # Errors
    /// A code when the body cannot be signed.
    fn sign(
        &self,
        integration: &IntegrationId,
        head: &ChainHead,
        body: &ReceiptBody,
    ) -> Result<(String, ChainHead), Code>;
}

/// The end of an integration's chain of receipts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChainHead {
    pub number: u64,
    /// Hash of the last signed receipt; empty before the first.
    pub hash: String,
    /// The memory that signed the last receipt. The first one of the next memory says that it is another:
    /// this one may be an old copy, and the chain may go on elsewhere.
    pub life: Option<Incarnation>,
}

/// One integration as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationRecord {
    pub integration: Integration,
    #[serde(default)]
    pub paused: bool,
    /// An operator on the spot stopped opening; only an operator on the spot allows it again.
    #[serde(default)]
    pub paused_here: bool,
    /// The target's identity when it was first seen.
    #[serde(default)]
    pub target: Option<TargetIdentity>,
    /// Another target answers in its place, until an operator has looked: nothing opens there, and nothing
    /// that is not there proves anything.
    #[serde(default)]
    pub replaced: Option<TargetIdentity>,
    /// The configuration with which the known target answered last, while it is not proven that the present
    /// one leads there: what was opened there is closed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<Integration>,
    /// This journal has seen a whole survey of it: what it does not know of is not there.
    #[serde(default)]
    pub surveyed: bool,
    /// The chain of receipts outlives a retired integration.
    #[serde(default)]
    pub chain: ChainHead,
    /// A guardrail forbids its use: nothing opens there. What it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forbidden: Option<String>,
    /// Retired and without an account: what is ours and shared is removed next.
    #[serde(default)]
    pub retired: bool,
    /// That was removed, too, and it was told: kept for its chain only.
    #[serde(default)]
    pub cleared: bool,
}

/// An access id that has ended and never opens again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// How it ended; `None` when it was ended before it was ever known here.
    pub verdict: Option<Verdict>,
    /// May be forgotten from then on: orders are not repeated for that long.
    pub until: Timestamp,
    /// Whose it was and when it lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lived: Option<Lived>,
}

/// When an access that has ended lived, in which account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lived {
    pub account: AccountId,
    #[serde(flatten)]
    pub stretch: Stretch,
}

/// The connector's single rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// How far the orders of each of the control plane's incarnations are taken.
    pub cursors: BTreeMap<Incarnation, Position>,
    /// The incarnation that spoke last.
    pub control_plane: Option<Incarnation>,
    pub policy: Policy,
    pub paused: bool,
    /// An operator on the spot stopped opening; only an operator on the spot allows it again.
    pub paused_here: bool,
    /// This journal is an old copy: nothing opens until the control plane's standing and a survey agree.
    pub reconciling: bool,
    /// The guardrails that everything was held against last.
    pub guardrails: Option<String>,
    pub clock: Persisted,
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Order(NumberedOrder),
    /// What an action came to.
    Answered {
        account: AccountId,
        ticket: Ticket,
        answer: Answer,
        /// Who answered; `None` when nobody did, or nobody knows.
        by: Option<TargetIdentity>,
    },
    Standing(Standing),
    /// Accounts that carry our mark, as a survey found them.
    Surveyed {
        integration: IntegrationId,
        sightings: Vec<model::Sighting>,
        complete: bool,
    },
    /// What is ours and shared was removed from the target of a retired integration, as far as it can be.
    Cleared {
        integration: IntegrationId,
        removed: Vec<String>,
        left: Vec<Residual>,
    },
    /// The target's fingerprint, seen at a connection of the present configuration.
    Identified {
        integration: IntegrationId,
        identity: TargetIdentity,
    },
    /// Another clock, heard just now.
    Heard {
        source: Source,
        said: Timestamp,
    },
    /// The control plane has committed reports through here.
    ReportsCommitted {
        through: Position,
    },
    /// The control plane's cursors agree with this journal: it is not an old copy. Said at each dial.
    JournalIsCurrent {
        /// The control plane's incarnation.
        by: Incarnation,
    },
    /// The journal turned out to be an old copy.
    JournalIsOld,
    /// The integrations that the identity remembers. Those that this journal has never heard of are taken on:
    /// what our marks say there is closed, with or without a control plane.
    Remembered(Vec<Integration>),
    /// An operator ends accesses on the spot.
    BreakGlass {
        which: Which,
        /// Who ends them and why, for reports and receipts.
        note: String,
    },
    /// An operator on the spot stops opening, or allows it again, on one integration or on all.
    PausedHere {
        integration: Option<IntegrationId>,
        paused: bool,
    },
    /// Only closing from now on (`Some`), or everything again (`None`).
    CloseOnly(Option<String>),
}

/// Everything the rules know.
pub struct Book {
    connector: ConnectorId,
    office: Box<dyn Office>,
    accounts: BoxMap<AccountId, AccountRecord>,
    by_access: BTreeMap<AccessId, AccountId>,
    tombstones: BTreeMap<AccessId, Tombstone>,
    integrations: BTreeMap<IntegrationId, IntegrationRecord>,
    meta: Meta,
    clock: Clock,
    last_report: Position,
    lanes: Lanes,
    staged: step::Staged,
    next_batch: u64,
    close_only: Option<String>,
    guard: Guard,
    /// Accounts whose mark was found removed or altered, so that it is told once.
    tampered: BTreeSet<AccountId>,
    /// A standing that waits until the orders before it are taken.
    standing: Option<Standing>,
    /// Integrations surveyed since the journal was found to be old.
    surveyed: BTreeSet<IntegrationId>,
    /// Accounts that the pieces of a survey under way have met. What one that broke off has met counts as met
    /// by the next: what is missed because of that is missed by the one after it.
    met: BTreeMap<IntegrationId, BTreeSet<AccountId>>,
    /// What the pieces of a survey under way have found that is not as it should be.
    drifting: BTreeMap<IntegrationId, drift::Tally>,
    /// What whole surveys came to and nobody was told yet; the last of each integration.
    drifted: BTreeMap<IntegrationId, drift::Survey>,
    stood: bool,
    /// Targets that were not surveyed since a control plane agreed that this journal had never met before.
    strange: BTreeSet<IntegrationId>,
    /// The control plane has agreed with this journal since the book was restored. Before that nothing
    /// opens, and what was never begun by this memory may have been begun by a later one.
    current: bool,
    /// Calls that a later memory had under way, if this one is an old copy.
    lost: Unsure,
    tombs_purged: Timestamp,
}

impl Book {
    /// Takes an input at a moment.
    pub fn handle(&mut self, input: Input, reading: Reading) {
        let now = self.read_clock(reading);
        match input {
            Input::Order(order) => self.take_order(order, now),
            Input::Answered { account, ticket, answer, by } => {
                self.take_answer(account, ticket, answer, by.as_ref(), now);
            }
            Input::Standing(standing) => self.take_standing(standing, now),
            Input::Surveyed { integration, sightings, complete } => {
                self.take_survey(&integration, sightings, complete, now);
            }
            Input::Cleared { integration, removed, left } => {
                self.take_cleared(&integration, removed, left, now);
            }
            Input::Identified { integration, identity } => self.take_identity(&integration, identity, now),
            Input::Heard { source, said } => {
                let before = self.trust();
                self.clock.hear(source, said);
                self.clock_changed(before);
            }
            Input::ReportsCommitted { through } => {
                self.staged.commit_reports(through.min(self.last_report), now);
            }
            Input::JournalIsCurrent { by } => self.agree(by, now),
            Input::JournalIsOld => self.reconcile(now),
            Input::Remembered(integrations) => self.take_remembered(integrations, now),
            Input::BreakGlass { which, note } => self.break_glass(&which, &note, now),
            Input::PausedHere { integration, paused } => self.pause_here(integration, paused, now),
            Input::CloseOnly(reason) => {
                self.close_only = reason;
                self.reconsider_all(now);
            }
        }
        self.wake(self.now());
    }

    /// Takes the passing of time.
    pub fn handle_timeout(&mut self, reading: Reading) {
        let now = self.read_clock(reading);
        self.wake(now);
    }

    /// Returns when [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let reconciled = self.lost_calls(self.now()).filter(|_| self.was_asked_all());
        self.lanes.wakes_at().into_iter().chain(self.staged.commit_due()).chain(reconciled).min()
    }

    /// Returns what the last whole survey of a target found that is not as it should be, once.
    pub fn poll_drift(&mut self, of: &IntegrationId) -> Option<drift::Survey> {
        self.drifted.remove(of)
    }

    /// Returns the rules' time as of the last input.
    pub const fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn read_clock(&mut self, reading: Reading) -> Timestamp {
        let before = self.trust();
        let now = self.clock.read(reading);
        self.clock_leapt(before.0);
        self.clock_changed(before);
        now
    }

    /// Calls that may still land are on their way through the world, not through our clock.
    fn clock_leapt(&mut self, then: Timestamp) {
        let leapt = self.clock.leapt();
        // Clocks that are being slewed drift by less, and the promise has that much room.
        if leapt < model::Span::from_secs(1) {
            return;
        }
        self.lost.time_leapt(leapt, then);
        let unsure: Vec<_> = self
            .accounts
            .values()
            .filter(|record| record.unsure.clone().time_leapt(leapt, then))
            .map(|record| record.account.id)
            .collect();
        for id in unsure {
            if let Some(record) = self.edit(id) {
                record.unsure.time_leapt(leapt, then);
            }
        }
    }

    fn trust(&self) -> (Timestamp, bool, bool) {
        (self.clock.now(), self.clock.may_open().is_ok(), self.clock.may_delete())
    }

    /// What the clocks allow may have changed, and time may be earlier than it was thought to be.
    fn clock_changed(&mut self, before: (Timestamp, bool, bool)) {
        let (now, may_open, may_delete) = self.trust();
        if now < before.0 {
            self.lanes.time_went_back(now);
            self.lost.time_went_back(now.plus(LANDS_WITHIN));
            let ahead: Vec<_> = self
                .accounts
                .values()
                .filter(|record| record.is_ahead_of(LANDS_WITHIN, now))
                .map(|record| record.account.id)
                .collect();
            for id in ahead {
                let waiting = self.edit(id).map(|record| record.time_went_back(LANDS_WITHIN, now));
                waiting.iter().flatten().for_each(|access| self.tell_access(id, access, now));
            }
        }
        if before.1 && !may_open {
            let mut effects = Effects::default();
            let detail = "the clock of this machine and another one disagree: nothing opens until they agree; \
                          look at time synchronisation, or run `tidegate journal reset-clock`";
            effects.alarm(None, Code::CLOCK_UNTRUSTED, detail, now);
            self.staged.tell(effects);
        }
        if now < before.0 || (before.1, before.2) != (may_open, may_delete) {
            self.reconsider_all(now);
        }
    }
}
