//! The one writer: takes what waits, commits it together, and tells each its own outcome.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
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

/// The handle to the writer's task.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Writer {
    pub(super) fn start(connection: SqliteConnection) -> Self {
        let (jobs, queue) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_writing(connection, queue));
        Self { jobs: Mutex::new(Some(jobs)), tasks: Mutex::new(tasks) }
    }

    pub(super) async fn write(&self, work: Box<dyn Work>) -> Result<(), StoreFault> {
        let closed = || StoreFault::Unavailable { detail: "it is closed".into() };
        let jobs = self.jobs.lock().await.clone().ok_or_else(closed)?;
        let (answer, outcome) = oneshot::channel();
        match tokio::time::timeout(PATIENCE, jobs.send(Job { work, answer })).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(StoreFault::Unavailable { detail: "too much waits to be written".into() }),
        }
        match tokio::time::timeout(PATIENCE, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(StoreFault::Lost { detail: "the writer ended".into() }),
            Err(_) => Err(StoreFault::Lost { detail: format!("no answer within {PATIENCE:?}") }),
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

async fn keep_writing(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.recv().await {
        let mut jobs = vec![first];
        while jobs.len() < TOGETHER
            && let Ok(next) = queue.try_recv()
        {
            jobs.push(next);
        }
        commit_together(&mut connection, jobs).await;
    }
    if let Err(fault) = connection.close().await {
        tracing::warn!(error = %fault, "The store did not close cleanly");
    }
}

async fn commit_together(connection: &mut SqliteConnection, mut jobs: Vec<Job>) {
    if let Err(fault) = statement(connection, "BEGIN IMMEDIATE").await {
        return tell_all(jobs, &Err(fault));
    }
    let alone = jobs.len() == 1;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in &mut jobs {
        outcomes.push(in_savepoint(connection, job.work.as_mut(), alone).await);
    }
    let ending = if outcomes.iter().any(|outcome| matches!(outcome, Ok(Keep::Commit))) {
        // A commit that fails leaves the transaction open or not; what is on disk is not sure.
        match statement(connection, "COMMIT").await {
            Ok(()) => Ok(()),
            Err(fault) => {
                statement(connection, "ROLLBACK").await.ok();
                Err(StoreFault::Lost { detail: fault.to_string() })
            }
        }
    } else {
        statement(connection, "ROLLBACK").await
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
async fn in_savepoint(
    connection: &mut SqliteConnection,
    work: &mut dyn Work,
    alone: bool,
) -> Result<Keep, StoreFault> {
    if !alone {
        statement(connection, "SAVEPOINT piece").await?;
    }
    let mut rows = SqliteRows(&mut *connection);
    let outcome = match AssertUnwindSafe(work.run(&mut rows)).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(StoreFault::Unavailable { detail: "the work broke off".into() }),
    };
    if !alone {
        if !matches!(outcome, Ok(Keep::Commit)) {
            statement(connection, "ROLLBACK TO piece").await?;
        }
        statement(connection, "RELEASE piece").await?;
    }
    outcome
}

async fn statement(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreFault> {
    sqlx::query(sql).execute(&mut *connection).await.map(drop).map_err(super::fault)
}

fn tell_all(jobs: Vec<Job>, outcome: &Result<(), StoreFault>) {
    for job in jobs {
        job.answer.send(outcome.clone()).ok();
    }
}
