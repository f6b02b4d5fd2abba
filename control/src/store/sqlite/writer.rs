//! The one writer: takes what waits, commits it together, and tells each its own outcome.
//!
//! It has a thread of its own, on which the work itself runs: a statement is a call, not a walk to another
//! thread and back.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::{PATIENCE, SqliteRows};
use crate::store::{Keep, StoreFault, Work};

/// Pieces of work that may wait.
const WAITING: usize = 1_024;
/// Pieces of work that share one commit.
const TOGETHER: usize = 64;
/// How long the last commit may take when the store is closed.
const LAST_WORK: Duration = Duration::from_secs(10);

struct Job {
    work: Box<dyn Work>,
    answer: oneshot::Sender<Result<(), StoreFault>>,
}

/// The handle to the writer's thread.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Self {
        let (jobs, queue) = mpsc::channel(WAITING);
        let runtime = Handle::current();
        let mut tasks = JoinSet::new();
        tasks.spawn_blocking(move || keep_writing(connection, queue, &runtime));
        Self { jobs: Mutex::new(Some(jobs)), tasks: Mutex::new(tasks) }
    }

    pub(super) async fn write(&self, work: Box<dyn Work>) -> Result<(), StoreFault> {
        let outcome = self.hand_in(work).await?;
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreFault::Lost { detail: "the writer ended".into() }),
            Err(_) => Err(StoreFault::Lost { detail: format!("no answer within {PATIENCE:?}") }),
        }
    }

    /// Hands work in; what is returned tells how it went.
    pub(super) async fn hand_in(
        &self,
        work: Box<dyn Work>,
    ) -> Result<oneshot::Receiver<Result<(), StoreFault>>, StoreFault> {
        let closed = || StoreFault::Unavailable { detail: "it is closed".into() };
        let jobs = self.jobs.lock().await.clone().ok_or_else(closed)?;
        let (answer, outcome) = oneshot::channel();
        match tokio::time::timeout(PATIENCE, jobs.send(Job { work, answer })).await {
            Ok(Ok(())) => Ok(outcome),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(StoreFault::Unavailable { detail: "too much waits to be written".into() }),
        }
    }

    pub(super) async fn close(&self) {
        self.jobs.lock().await.take();
        let mut tasks = self.tasks.lock().await;
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_WORK, ended).await.is_err() {
            tracing::error!("The store did not finish its last commit in time");
        }
    }
}

fn keep_writing(mut connection: Connection, mut queue: mpsc::Receiver<Job>, runtime: &Handle) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < TOGETHER
            && let Ok(next) = queue.try_recv()
        {
            jobs.push(next);
        }
        commit_together(&mut connection, jobs, runtime);
    }
    if let Err((_, fault)) = connection.close() {
        tracing::warn!(error = %fault, "The store did not close cleanly");
    }
}

fn commit_together(connection: &mut Connection, mut jobs: Vec<Job>, runtime: &Handle) {
    if let Err(fault) = statement(connection, "BEGIN IMMEDIATE") {
        return tell_all(jobs, &Err(fault));
    }
    let alone = jobs.len() == 1;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in &mut jobs {
        outcomes.push(in_savepoint(connection, job.work.as_mut(), alone, runtime));
    }
    let ending = if outcomes.iter().any(|outcome| matches!(outcome, Ok(Keep::Commit))) {
        // A commit that fails leaves the transaction open or not; what is on disk is not sure.
        match statement(connection, "COMMIT") {
            Ok(()) => Ok(()),
            Err(fault) => {
                statement(connection, "ROLLBACK").ok();
                Err(StoreFault::Lost { detail: fault.to_string() })
            }
        }
    } else {
        statement(connection, "ROLLBACK")
    };
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        let told = match outcome {
            Ok(Keep::Commit) => ending.clone(),
            Ok(Keep::Rollback) => Ok(()),
            Err(fault) => Err(fault),
        };
        // Who does not wait any more does not need the answer.
        job.answer.send(told).ok();
    }
}

/// Runs one piece; when it alone is in the transaction, the transaction is its savepoint.
fn in_savepoint(
    connection: &mut Connection,
    work: &mut dyn Work,
    alone: bool,
    runtime: &Handle,
) -> Result<Keep, StoreFault> {
    if !alone {
        statement(connection, "SAVEPOINT piece")?;
    }
    let mut rows = SqliteRows(&mut *connection);
    let outcome = match runtime.block_on(AssertUnwindSafe(work.run(&mut rows)).catch_unwind()) {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreFault::Unavailable { detail: "the work broke off".into() }),
    };
    if !alone {
        if !matches!(outcome, Ok(Keep::Commit)) {
            statement(connection, "ROLLBACK TO piece")?;
        }
        statement(connection, "RELEASE piece")?;
    }
    outcome
}

fn statement(connection: &Connection, sql: &'static str) -> Result<(), StoreFault> {
    connection.prepare_cached(sql).and_then(|mut run| run.execute([])).map(drop).map_err(super::fault)
}

fn tell_all(jobs: Vec<Job>, outcome: &Result<(), StoreFault>) {
    for job in jobs {
        job.answer.send(outcome.clone()).ok();
    }
}
