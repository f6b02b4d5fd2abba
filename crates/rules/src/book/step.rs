//! Write, then act: what one or more inputs changed, to be written in one batch, and the actions that the
//! batch allows. What is staged can be undone as long as it is not written.

use std::collections::BTreeMap;

use model::durable::{Batch, Table, Write};
use model::{
    AccessId, AccountId, BatchId, CloseOnly, Durable, IntegrationId, Position, ReceiptBody, Span, Timestamp,
};

use super::{Book, ChainHead, IntegrationRecord, Meta, Tombstone};
use crate::account::AccountRecord;
use crate::action::{Act, Action};
use crate::effects::{Effects, Tale};
use crate::report::Report;

/// At most this many actions come out of one step, so that one batch stays small.
const ACTIONS: usize = 512;

/// Debug builds check a book of up to this many accounts before each step; a larger one would be slow.
const CHECKED: usize = 256;

/// How long a commit of reports waits for something else that is to be written.
const COMMIT_WAITS: Span = Span::from_millis(500);

/// What was changed and not yet written, with what it was before.
#[derive(Debug, Default)]
pub(super) struct Staged {
    accounts: BTreeMap<AccountId, Option<AccountRecord>>,
    integrations: BTreeMap<IntegrationId, Option<IntegrationRecord>>,
    tombstones: BTreeMap<AccessId, Option<Tombstone>>,
    meta: Option<Meta>,
    tales: Vec<Tale>,
    committed: Option<Position>,
    committed_since: Option<Timestamp>,
    last_report: Option<Position>,
    /// The standing that was judged.
    pub(super) judged: Option<crate::order::Standing>,
    /// Accounts whose close, begun without a journal, is written down with this.
    recorded: Vec<AccountId>,
    /// Something happened that must be written even if no row changed.
    dirty: bool,
}

impl Staged {
    pub(super) fn tell(&mut self, effects: Effects) {
        self.dirty |= !effects.tales.is_empty();
        self.tales.extend(effects.tales);
    }

    pub(super) fn report(&mut self, report: Report) {
        self.dirty = true;
        self.tales.push(Tale::Report(report));
    }

    pub(super) fn recorded(&mut self, account: AccountId) {
        self.recorded.push(account);
    }

    /// Notes that reports are committed. That is written with what else is to be written, or after a
    /// while: until then they are kept, and after a crash sent again.
    pub(super) fn commit_reports(&mut self, through: Position, now: Timestamp) {
        self.committed = self.committed.max(Some(through));
        self.committed_since.get_or_insert(now);
    }

    /// When a commit of reports that waits is to be written.
    pub(super) fn commit_due(&self) -> Option<Timestamp> {
        self.committed_since.map(|since| since.plus(COMMIT_WAITS))
    }

    pub(super) fn pass(&mut self, now: Timestamp) {
        // A clock that went back does not hold it up for longer.
        let due = |since: Timestamp| now < since || now.since(since) >= COMMIT_WAITS;
        self.dirty |= self.committed_since.is_some_and(due);
    }
}

/// What is to be written, and what may be done once it is.
#[derive(Debug)]
pub struct Step {
    batch: Batch,
    pending: Pending,
    staged: Staged,
    told: Vec<Report>,
}

/// Actions under lock: they come out against the proof that their batch is on disk.
#[derive(Debug)]
pub struct Pending {
    batch: BatchId,
    actions: Vec<Action>,
}

impl Step {
    /// Returns what is to be written.
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Returns the reports that the batch writes, in their order, once; for those beside the agent, who may be
    /// told when it is on disk.
    pub fn take_told(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.told)
    }
}

impl Book {
    /// Changes an account's record, remembering what it was.
    pub(super) fn edit(&mut self, id: AccountId) -> Option<&mut AccountRecord> {
        let record = self.accounts.get_mut(&id)?;
        self.staged.accounts.entry(id).or_insert_with(|| Some(record.clone()));
        self.staged.dirty = true;
        Some(record)
    }

    pub(super) fn add_account(&mut self, record: AccountRecord) {
        let id = record.account.id;
        let before = self.accounts.insert(id, record);
        self.staged.accounts.entry(id).or_insert(before);
        self.staged.dirty = true;
    }

    pub(super) fn forget_account(&mut self, id: AccountId) {
        if let Some(before) = self.accounts.remove(&id) {
            self.staged.accounts.entry(id).or_insert(Some(before));
            self.staged.dirty = true;
        }
        self.lanes.unlist(id);
        self.lanes.tries.remove(&id);
        self.lanes.clear_at_hand.remove(&id);
        self.lanes.doubted.remove(&id);
        self.tampered.remove(&id);
    }

    pub(super) fn edit_integration(&mut self, id: &IntegrationId) -> Option<&mut IntegrationRecord> {
        let record = self.integrations.get_mut(id)?;
        self.staged.integrations.entry(id.clone()).or_insert_with(|| Some(record.clone()));
        self.staged.dirty = true;
        Some(record)
    }

    pub(super) fn put_integration(&mut self, record: IntegrationRecord) {
        let id = record.integration.id.clone();
        let before = self.integrations.insert(id.clone(), record);
        self.staged.integrations.entry(id).or_insert(before);
        self.staged.dirty = true;
    }

    pub(super) fn bury(&mut self, id: &AccessId, tombstone: Tombstone) {
        let before = self.tombstones.insert(id.clone(), tombstone);
        self.staged.tombstones.entry(id.clone()).or_insert(before);
        self.staged.dirty = true;
    }

    pub(super) fn unbury(&mut self, id: &AccessId) {
        if let Some(before) = self.tombstones.remove(id) {
            self.staged.tombstones.entry(id.clone()).or_insert(Some(before));
            self.staged.dirty = true;
        }
    }

    pub(super) fn edit_meta(&mut self) -> &mut Meta {
        if self.staged.meta.is_none() {
            self.staged.meta = Some(self.meta.clone());
        }
        self.staged.dirty = true;
        &mut self.meta
    }

    /// Returns what the inputs since the last step came to; `None` when nothing.
    ///
    /// At most one step may be under way: keep or drop it before the next.
    pub fn poll_step(&mut self) -> Option<Step> {
        let now = self.now();
        if cfg!(debug_assertions) && self.accounts.len() <= CHECKED {
            debug_assert_eq!(crate::invariant::check(self), Ok(()), "an invariant of the book is broken");
        }
        let actions = self.start_ready(ACTIONS, now);
        if !self.staged.dirty && actions.is_empty() {
            return None;
        }
        let mut staged = std::mem::take(&mut self.staged);
        let (mut writes, mut told) = (vec![], vec![]);
        staged.last_report = Some(self.last_report);
        for tale in std::mem::take(&mut staged.tales) {
            self.write_tale(tale, &mut staged, &mut writes, &mut told);
        }
        if let Some(through) = staged.committed {
            writes.push(Write::ReportsCommitted { through });
        }
        for id in staged.accounts.keys() {
            writes.extend(row(Table::Account, id.to_string(), self.accounts.get(id)));
        }
        for id in staged.integrations.keys() {
            writes.extend(row(Table::Integration, id.to_string(), self.integrations.get(id)));
        }
        for id in staged.tombstones.keys() {
            writes.extend(row(Table::Tombstone, id.to_string(), self.tombstones.get(id)));
        }
        if staged.meta.is_none() {
            staged.meta = Some(self.meta.clone());
        }
        self.meta.clock = self.clock.persisted();
        writes.extend(row(Table::Meta, "connector".into(), Some(&self.meta)));
        let id = BatchId(self.next_batch);
        self.next_batch += 1;
        Some(Step { batch: Batch { id, writes }, pending: Pending { batch: id, actions }, staged, told })
    }

    fn write_tale(
        &mut self,
        tale: Tale,
        staged: &mut Staged,
        writes: &mut Vec<Write>,
        told: &mut Vec<Report>,
    ) {
        let report = match tale {
            Tale::Report(report) => report,
            Tale::Receipt(body) => {
                let integration = body.integration.clone();
                let Some(record) = self.integrations.get_mut(&integration) else { return };
                staged.integrations.entry(integration.clone()).or_insert_with(|| Some(record.clone()));
                let life = self.office.life();
                let begins = record.chain.life != Some(life);
                let body = ReceiptBody { life: begins.then_some(life), ..body };
                match self.office.sign(&integration, &record.chain, &body) {
                    Ok((signed, head)) => {
                        record.chain = ChainHead { life: Some(life), ..head };
                        let number = record.chain.number;
                        writes.push(Write::Receipt {
                            integration: integration.clone(),
                            number,
                            body: signed.clone(),
                        });
                        Report::Receipt { integration, number, signed }
                    }
                    Err(code) => Report::Alarm {
                        integration: Some(integration),
                        code,
                        detail: "a receipt could not be signed: look at the identity's receipt key".into(),
                        at: body.at,
                    },
                }
            }
        };
        // A report that cannot be written as text does not exist: all its parts are plain data.
        if let Ok(body) = serde_json::to_string(&report) {
            self.last_report = self.last_report.next();
            writes.push(Write::Report { position: self.last_report, body });
            told.push(report);
        }
    }

    /// Takes a step as written, and returns what may be done now.
    ///
    /// # Errors
    /// The step, when the proof is of another batch.
    pub fn keep(&mut self, step: Step, proof: &Durable) -> Result<Vec<Action>, Box<Step>> {
        if proof.batch() != step.pending.batch {
            return Err(Box::new(step));
        }
        Ok(step.pending.actions)
    }

    /// Undoes a step that was surely not written, and returns the closing that may go on all the same.
    /// Orders of the step count as never taken: ask again for those after [`Self::cursor`].
    pub fn drop_unwritten(&mut self, step: Step, proof: &CloseOnly, now: Timestamp) -> Vec<Action> {
        let Step { pending, staged, .. } = step;
        self.close_only = Some(proof.reason().into());
        for (id, before) in staged.integrations {
            put_back(&mut self.integrations, id, before);
        }
        for (id, before) in staged.tombstones {
            put_back(&mut self.tombstones, id, before);
        }
        if let Some(before) = staged.meta {
            self.meta = before;
        }
        if let Some(before) = staged.last_report {
            self.last_report = before;
        }
        // What was learnt from surveys and standings may have been in what is undone: it is asked again.
        self.surveyed.clear();
        self.stood = false;
        self.standing = self.standing.take().or(staged.judged);
        let touched: Vec<AccountId> = staged.accounts.keys().copied().collect();
        for (id, before) in staged.accounts {
            self.restore_account(id, before);
        }
        let (going, other): (Vec<_>, Vec<_>) =
            pending.actions.into_iter().partition(|action| self.only_takes_away(action));
        self.lanes.unrecorded.extend(staged.recorded);
        let closing = going.iter().filter(|action| action.act.closes());
        self.lanes.unrecorded.extend(closing.map(|action| action.account));
        for action in other {
            self.lanes.never_sent(action.account, action.ticket);
        }
        for id in touched {
            // The clear text belongs to a generation that is forgotten again.
            self.lanes.clear_at_hand.remove(&id);
            // What was answered and could not be written down is asked again, without haste.
            self.slow_down(id, now);
            self.consider(id, now);
        }
        going
    }

    /// Whether an action may go out without a journal: the ladder, or converging to less than is remembered
    /// to be held, where others live on in the account.
    fn only_takes_away(&self, action: &Action) -> bool {
        match &action.act {
            Act::Close { .. } => true,
            Act::Converge { wanted, shrinks: true, .. } => {
                self.accounts.get(&action.account).is_some_and(|record| wanted.within(&record.held))
            }
            Act::Converge { .. }
            | Act::Mint { .. }
            | Act::Open { .. }
            | Act::Rotate { .. }
            | Act::Delete { .. }
            | Act::Observe { .. } => false,
        }
    }

    fn restore_account(&mut self, id: AccountId, before: Option<AccountRecord>) {
        let now_there =
            self.accounts.get(&id).map(|record| record.accesses.keys().cloned().collect::<Vec<_>>());
        for access in now_there.into_iter().flatten() {
            self.by_access.remove(&access);
        }
        match before {
            Some(record) => {
                for access in record.accesses.keys() {
                    self.by_access.insert(access.clone(), id);
                }
                self.accounts.insert(id, record);
            }
            None => {
                self.accounts.remove(&id);
                self.lanes.unlist(id);
            }
        }
    }
}

fn put_back<K: Ord, V>(rows: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => rows.insert(key, value),
        None => rows.remove(&key),
    };
}

/// A row that is there is put, one that is not is forgotten. Rows are plain data: writing them cannot fail.
fn row<T: serde::Serialize>(table: Table, key: String, value: Option<&T>) -> Option<Write> {
    match value {
        Some(value) => serde_json::to_string(value).ok().map(|body| Write::Put { table, key, body }),
        None => Some(Write::Forget { table, key }),
    }
}
