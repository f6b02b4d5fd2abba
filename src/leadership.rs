//! Leadership: whether this instance may act, and the worker that keeps its lease.
//!
//! The rules of it are `journal::lease`'s; here they meet the clock and the store. Whoever changes a target asks
//! [`Leadership`] first. Another instance's taking over ends this process: it begins anew as a standby. A store that
//! does not answer does not: closing goes on, after looking.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use driver::{CHANGE_LASTS, Licence};
use journal::lease::{CHANGE_LASTS as LEASE_ASSUMES, LeaseStore, May, Renewal, Tenure};
use model::{Code, Failure, Span, Towards};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::crew::Ended;
use crate::measures;

/// How long a renewal may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

// What the lease takes for granted is what drivers promise.
const _: () = assert!(CHANGE_LASTS.as_millis() <= LEASE_ASSUMES.as_millis());

/// This instance's lease as it knows it.
pub(crate) struct Leadership {
    tenure: Mutex<Tenure>,
    clock: Arc<dyn Clock>,
    /// When it became this instance's, for waiting only.
    took_over: Instant,
    /// The engine has stopped and its calls have ended.
    idle: AtomicBool,
}

impl std::fmt::Debug for Leadership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership").field("tenure", &*self.tenure()).finish_non_exhaustive()
    }
}

impl Leadership {
    /// Begins with a lease that was asked for at this time since boot.
    pub(crate) fn taken(epoch: u64, asked: Span, clock: Arc<dyn Clock>) -> Self {
        Self {
            tenure: Mutex::new(Tenure::taken(epoch, asked)),
            clock,
            took_over: Instant::now(),
            idle: AtomicBool::new(false),
        }
    }

    fn tenure(&self) -> MutexGuard<'_, Tenure> {
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Span {
        self.clock.read().monotonic
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.tenure().epoch()
    }

    /// Returns when what earlier instances sent has surely landed.
    pub(crate) fn settled_at(&self) -> Instant {
        self.took_over + CHANGE_LASTS.as_std()
    }

    /// Returns true once another instance is known to have taken over.
    pub(crate) fn is_lost(&self) -> bool {
        self.tenure().is_superseded()
    }

    /// Notes that another instance has taken over.
    pub(crate) fn lost(&self) {
        self.tenure().superseded();
    }

    /// Returns true when closing goes on without a lease: then an account is read before it is closed.
    pub(crate) fn must_look(&self) -> bool {
        self.tenure().may(Towards::Less, self.now()) == May::BeginAfterLooking
    }

    /// Notes that the engine has stopped and its calls have ended, so that the lease may be given back.
    pub(crate) fn is_idle(&self) {
        self.idle.store(true, Ordering::SeqCst);
    }

    /// Keeps the lease until told to stop, and gives it back then.
    pub(crate) async fn keep(self: Arc<Self>, store: Arc<dyn LeaseStore>, stop: CancellationToken) -> Ended {
        let epoch = self.epoch();
        let mut asked = self.now();
        loop {
            let due = self.tenure().renew_at(asked);
            let wait = Span::from_millis(due.as_millis().saturating_sub(self.now().as_millis()).max(0));
            if stop.run_until_cancelled(sleep(wait.as_std())).await.is_none() {
                break;
            }
            asked = self.now();
            match timeout(ANSWERS_WITHIN, store.renew(epoch)).await {
                Ok(Ok(Renewal::Renewed)) => {
                    let was_alone = self.tenure().is_alone();
                    self.tenure().renewed(asked);
                    if was_alone {
                        tracing::info!(epoch, "The lease is held again");
                    }
                }
                Ok(Ok(Renewal::Superseded(holder))) => {
                    self.lost();
                    return Err(format!(
                        "instance {} took over at epoch {}, this one was of epoch {epoch}",
                        holder.instance, holder.epoch
                    )
                    .into());
                }
                Ok(Err(fault)) => self.unanswered(asked, &fault.to_string()),
                Err(_) => self.unanswered(asked, &format!("no answer within {ANSWERS_WITHIN:?}")),
            }
        }
        if !self.idle.load(Ordering::SeqCst) || self.is_lost() {
            // A call may still be under way: the lease ends by itself, after it.
            return Ok(());
        }
        match timeout(ANSWERS_WITHIN, store.release(epoch)).await {
            Ok(Ok(())) => tracing::info!(epoch, "The lease is given back: a standby may take over"),
            Ok(Err(fault)) => tracing::warn!(%fault, "The lease could not be given back; it ends by itself"),
            Err(_) => tracing::warn!("The lease could not be given back in time; it ends by itself"),
        }
        Ok(())
    }

    fn unanswered(&self, asked: Span, fault: &str) {
        measures::lease_failed();
        let mut tenure = self.tenure();
        if !tenure.is_alone() {
            tracing::error!(
                fault,
                "The lease could not be prolonged: when it ends nothing is opened, and closing goes on after looking"
            );
        }
        tenure.unanswered(asked);
    }
}

impl Licence for Leadership {
    fn admits(&self, towards: Towards) -> Result<(), Failure> {
        let why = match self.tenure().may(towards, self.now()) {
            May::Begin | May::BeginAfterLooking => return Ok(()),
            May::Wait => "the lease has ended or ends too soon, and is being prolonged",
            May::Never => "another instance of this connector took over",
        };
        Err(Failure::not_done(Code::LEASE_NOT_HELD, why))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use journal::JournalFault;
    use journal::lease::{Holder, Taking};
    use model::{InstanceId, Timestamp};
    use rules::Reading;
    use uuid::Uuid;

    use super::*;

    /// Runs with the runtime's own time, which the tests have stopped and which jumps from timer to timer.
    struct RuntimeClock(Instant);

    impl Clock for RuntimeClock {
        fn read(&self) -> Reading {
            let run = i64::try_from(self.0.elapsed().as_millis()).unwrap();
            Reading {
                wall: Timestamp::from_millis(1_000_000 + run),
                monotonic: Span::from_millis(86_400_000 + run),
            }
        }
    }

    /// Answers as scripted, and then no more.
    struct Script {
        answers: Mutex<VecDeque<Result<Renewal, JournalFault>>>,
        released: AtomicBool,
    }

    #[async_trait]
    impl LeaseStore for Script {
        async fn take(&self) -> Result<Taking, JournalFault> {
            Ok(Taking::Taken { epoch: 7 })
        }

        async fn renew(&self, epoch: u64) -> Result<Renewal, JournalFault> {
            assert_eq!(epoch, 7);
            let next = self.answers.lock().unwrap().pop_front();
            match next {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }

        async fn release(&self, _: u64) -> Result<(), JournalFault> {
            self.released.store(true, Ordering::SeqCst);
            Ok(())
        }
    }

    fn world(answers: Vec<Result<Renewal, JournalFault>>) -> (Arc<Script>, Arc<Leadership>) {
        let clock = Arc::new(RuntimeClock(Instant::now()));
        let asked = clock.read().monotonic;
        let leadership = Leadership::taken(7, asked, clock);
        let script = Script { answers: Mutex::new(answers.into()), released: AtomicBool::new(false) };
        (Arc::new(script), Arc::new(leadership))
    }

    fn silent() -> Result<Renewal, JournalFault> {
        Err(JournalFault::Lost { detail: "no server".into() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_successor_ends_it_and_nothing_begins_any_more() {
        let holder = Holder {
            instance: InstanceId::from_uuid(Uuid::from_u128(2)),
            epoch: 8,
            left: Span::from_secs(9),
        };
        let (script, leadership) = world(vec![Ok(Renewal::Renewed), Ok(Renewal::Superseded(holder))]);
        assert!(leadership.admits(Towards::More).is_ok());
        let stop = CancellationToken::new();
        let ended = Arc::clone(&leadership).keep(Arc::clone(&script) as Arc<dyn LeaseStore>, stop).await;
        assert!(ended.unwrap_err().to_string().contains("epoch 8"));
        assert!(leadership.is_lost());
        for towards in [Towards::More, Towards::Less] {
            assert_eq!(leadership.admits(towards).unwrap_err().code, Code::LEASE_NOT_HELD);
        }
        assert!(!script.released.load(Ordering::SeqCst), "gave back what is another's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_store_leaves_closing_after_looking_and_an_answer_heals_it() {
        let mut answers = vec![silent(); 8];
        answers.push(Ok(Renewal::Renewed));
        let (script, leadership) = world(answers);
        let stop = CancellationToken::new();
        let keeping = Arc::clone(&leadership).keep(Arc::clone(&script) as Arc<dyn LeaseStore>, stop);
        let mut keeping = std::pin::pin!(keeping);
        let mut alone = false;
        let healed = timeout(Duration::from_secs(600), async {
            loop {
                tokio::select! {
                    _ = &mut keeping => panic!("the worker ended"),
                    () = sleep(Duration::from_millis(100)) => {}
                }
                if leadership.must_look() {
                    alone = true;
                    assert!(leadership.admits(Towards::More).is_err(), "opened without a lease");
                    assert!(leadership.admits(Towards::Less).is_ok(), "closing stopped");
                } else if alone {
                    return;
                }
            }
        });
        healed.await.expect("it is healed");
        assert!(leadership.admits(Towards::More).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_back_only_when_all_calls_have_ended() {
        for idle in [true, false] {
            let (script, leadership) = world(vec![]);
            if idle {
                leadership.is_idle();
            }
            let stop = CancellationToken::new();
            stop.cancel();
            leadership.keep(Arc::clone(&script) as Arc<dyn LeaseStore>, stop).await.unwrap();
            assert_eq!(script.released.load(Ordering::SeqCst), idle);
        }
    }
}
