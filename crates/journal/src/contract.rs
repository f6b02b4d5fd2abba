//! The suite that every journal must pass.
//!
//! Whoever writes a journal gives a [`JournalWorld`] and calls [`run`] from a test. The suite knows the port
//! only; what is particular to one journal (files, locks, power) is for that journal's own tests.
#![expect(clippy::unwrap_used, reason = "a suite for tests: a fault here is the test's failure")]

mod chains;
mod faults;
mod rows;

use std::sync::Arc;

use async_trait::async_trait;
use model::durable::{Batch, Table, Write};
use model::{BatchId, Incarnation, IntegrationId, Position};
use uuid::Uuid;

use crate::{Journal, Row};

/// Makes storages for one kind of journal.
#[async_trait]
pub trait JournalWorld: Send + Sync {
    /// Makes a storage on which there was no journal yet.
    async fn fresh(&self) -> Box<dyn Storage>;
}

/// Something that a journal is kept on, and that outlives it.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Opens the journal.
    async fn open(&mut self) -> Arc<dyn Journal>;

    /// Drops the journal as a killed process would, without closing it, and opens it again.
    async fn reopen(&mut self, killed: Arc<dyn Journal>) -> Arc<dyn Journal>;

    /// Lets every write be refused until [`Self::mend`]; reads go on.
    async fn break_writes(&mut self);

    /// Lets writes succeed again.
    async fn mend(&mut self);
}

/// Runs the whole suite.
///
/// # Panics
/// When a promise of the port is broken; the message says which.
pub async fn run(world: &dyn JournalWorld) {
    rows::a_new_journal_is_empty(world).await;
    rows::what_was_appended_is_loaded_in_order(world).await;
    rows::puts_replace_and_forgets_forget(world).await;
    rows::the_last_write_to_a_key_counts(world).await;
    rows::large_and_foreign_texts_come_back_as_they_were(world).await;
    rows::a_thousand_at_once_are_all_there(world).await;
    chains::reports_are_paged_and_dropped_when_committed(world).await;
    chains::receipts_are_kept_by_integration(world).await;
    chains::a_gap_is_refused_with_the_whole_batch(world).await;
    chains::a_new_incarnation_numbers_reports_anew(world).await;
    faults::the_first_batches_stand_when_a_later_one_fails(world).await;
    faults::what_cannot_be_kept_is_refused_whole(world).await;
    faults::a_refused_batch_does_not_hinder_its_neighbours(world).await;
    faults::a_closed_journal_refuses(world).await;
}

fn batch(id: u64, writes: Vec<Write>) -> Batch {
    Batch { id: BatchId(id), writes }
}

fn put(table: Table, key: &str, body: &str) -> Write {
    Write::Put { table, key: key.into(), body: body.into() }
}

fn forget(table: Table, key: &str) -> Write {
    Write::Forget { table, key: key.into() }
}

fn report(position: u64) -> Write {
    Write::Report { position: Position(position), body: format!("{{\"report\":{position}}}") }
}

fn committed(through: u64) -> Write {
    Write::ReportsCommitted { through: Position(through) }
}

fn receipt(integration: &IntegrationId, number: u64) -> Write {
    let body = format!("{{\"receipt\":{number}}}");
    Write::Receipt { integration: integration.clone(), number, body }
}

fn row(table: Table, key: &str, body: &str) -> Row {
    Row { table, key: key.into(), body: body.into() }
}

fn integration(name: &str) -> IntegrationId {
    IntegrationId::parse(name).unwrap()
}

fn incarnation(number: u128) -> Incarnation {
    Incarnation::from_uuid(Uuid::from_u128(number))
}

/// Appends a batch that must succeed, and checks that the proof is of this batch.
async fn keep(journal: &dyn Journal, id: u64, writes: Vec<Write>) {
    let durable = journal.append(&batch(id, writes)).await.unwrap();
    assert_eq!(durable.batch(), BatchId(id), "the proof is of another batch");
}

async fn keys(journal: &dyn Journal) -> Vec<String> {
    journal.load().await.unwrap().rows.into_iter().map(|row| row.key).collect()
}

async fn positions(journal: &dyn Journal, after: u64, limit: u32) -> Vec<u64> {
    let reports = journal.reports(Position(after), limit).await.unwrap();
    reports.into_iter().map(|report| report.position.0).collect()
}

async fn numbers(journal: &dyn Journal, integration: &IntegrationId, after: u64, limit: u32) -> Vec<u64> {
    let receipts = journal.receipts(integration, after, limit).await.unwrap();
    assert!(
        receipts.iter().all(|receipt| receipt.integration == *integration),
        "a foreign receipt came along"
    );
    receipts.into_iter().map(|receipt| receipt.number).collect()
}
