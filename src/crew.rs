//! The crew: the agent's long-running workers, each with a name, what its end means, and when it stops.
//!
//! Every worker runs as a task that the crew owns; one that panics is noticed like one that fails. A worker
//! ends when its token is cancelled; [`Crew::stop`] cancels them in order, producers before what they feed,
//! all under one grace period. What close-only mode means, and what a worker does, is left to others.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// What each stage has for its end at least, also when those before used up the grace period.
const LEAST: Duration = Duration::from_millis(250);

/// How a worker ended.
pub type Ended = Result<(), Box<dyn Error + Send + Sync>>;

type Work = Pin<Box<dyn Future<Output = Ended> + Send>>;
type Job = Box<dyn FnMut(CancellationToken) -> Work + Send>;

/// When a worker stops: those of an earlier stage have ended, or used up their time, before the next begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// What takes in orders.
    Orders,
    /// What does them: calls are finished or timed out, and their answers written.
    Engine,
    /// What carries reports away.
    Link,
    /// What tells operators how it stands; last, so that it tells of the stopping, too.
    Admin,
}

impl Stage {
    /// Every stage, in the order of stopping.
    pub const ALL: [Self; 4] = [Self::Orders, Self::Engine, Self::Link, Self::Admin];
}

/// What it means when a worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExit {
    /// It is begun again after a pause; nobody else needs to know.
    Restart { pause: Duration },
    /// It is begun again after a pause, and until a person has looked nothing is opened any more.
    CloseOnly { pause: Duration },
    /// The agent cannot go on without it: it stops in good order, for its supervisor to begin anew.
    Stop,
}

/// A worker as declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    pub name: &'static str,
    pub stage: Stage,
    pub on_exit: OnExit,
}

/// What the agent has to do because a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Open nothing any more, for this reason.
    CloseOnly { worker: &'static str, reason: String },
    /// Stop in good order, for this reason.
    Stop { worker: &'static str, reason: String },
}

struct Post {
    worker: Worker,
    stop: CancellationToken,
    task: AbortHandle,
    job: Job,
}

/// The workers of one agent. Dropping it ends them at once.
#[derive(Default)]
pub struct Crew {
    tasks: JoinSet<Ended>,
    posts: BTreeMap<Id, Post>,
}

impl Crew {
    /// Begins with no worker.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a worker. `job` makes its work, once for each time that it is begun.
    pub fn hire<F>(&mut self, worker: Worker, mut job: impl FnMut(CancellationToken) -> F + Send + 'static)
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        self.begin(worker, Box::new(move |stop| Box::pin(job(stop))), Duration::ZERO);
    }

    fn begin(&mut self, worker: Worker, mut job: Job, pause: Duration) {
        let stop = CancellationToken::new();
        let (work, cancelled) = (job(stop.clone()), stop.clone());
        let task = self.tasks.spawn(async move {
            if !pause.is_zero() && cancelled.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(());
            }
            work.await
        });
        self.posts.insert(task.id(), Post { worker, stop, task, job });
    }

    /// Waits until a worker's end concerns the agent; others are begun again meanwhile. Waits for ever when
    /// there is none. May be dropped and called again.
    pub async fn watch(&mut self) -> Notice {
        loop {
            let Some(ended) = self.tasks.join_next_with_id().await else {
                std::future::pending::<()>().await;
                continue;
            };
            let (id, reason) = told(ended);
            let Some(Post { worker, job, .. }) = self.posts.remove(&id) else { continue };
            let name = worker.name;
            match worker.on_exit {
                OnExit::Restart { pause } => {
                    tracing::error!(worker = name, reason, ?pause, "Worker ended and is begun again");
                    self.begin(worker, job, pause);
                }
                OnExit::CloseOnly { pause } => {
                    tracing::error!(
                        worker = name,
                        reason,
                        ?pause,
                        "Worker ended: nothing is opened any more"
                    );
                    self.begin(worker, job, pause);
                    return Notice::CloseOnly { worker: name, reason };
                }
                OnExit::Stop => {
                    tracing::error!(worker = name, reason, "Worker ended: the agent stops");
                    return Notice::Stop { worker: name, reason };
                }
            }
        }
    }

    /// Stops stage by stage and returns the names of the workers that were cut off because they had not
    /// ended when `grace` was over. Each stage has a moment of its own even then.
    pub async fn stop(mut self, grace: Duration) -> Vec<&'static str> {
        let until = Instant::now() + grace;
        let mut cut_off = vec![];
        for stage in Stage::ALL {
            for post in self.posts.values().filter(|post| post.worker.stage == stage) {
                post.stop.cancel();
            }
            let until = until.max(Instant::now() + LEAST);
            while self.posts.values().any(|post| post.worker.stage == stage) {
                match timeout_at(until, self.tasks.join_next_with_id()).await {
                    Ok(Some(ended)) => self.note_last(ended),
                    Ok(None) => break,
                    Err(_) => {
                        cut_off.extend(self.cut_off(stage));
                        break;
                    }
                }
            }
        }
        self.tasks.shutdown().await;
        cut_off
    }

    fn note_last(&mut self, ended: Result<(Id, Ended), JoinError>) {
        let failed = !matches!(ended, Ok((_, Ok(()))));
        let (id, reason) = told(ended);
        if let Some(post) = self.posts.remove(&id)
            && failed
        {
            tracing::warn!(worker = post.worker.name, reason, "Worker did not end in good order");
        }
    }

    fn cut_off(&mut self, stage: Stage) -> Vec<&'static str> {
        let late: Vec<_> =
            self.posts.extract_if(.., |_, post| post.worker.stage == stage).map(|(_, post)| post).collect();
        for post in &late {
            post.task.abort();
            tracing::warn!(worker = post.worker.name, "Worker did not end in time and was cut off");
        }
        late.iter().map(|post| post.worker.name).collect()
    }
}

/// Returns which task ended and why, in words.
fn told(ended: Result<(Id, Ended), JoinError>) -> (Id, String) {
    match ended {
        Ok((id, Ok(()))) => (id, "it returned".into()),
        Ok((id, Err(fault))) => (id, crate::exit::chain(&*fault)),
        Err(fault) => (fault.id(), fault.to_string()),
    }
}

#[cfg(test)]
mod tests;
