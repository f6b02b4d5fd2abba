//! Live targets: each integration's connection, made when it is first needed and kept until it fails or the
//! configuration changes. Admin secrets are fetched here, at the last moment, and go only where their
//! reference is bound to. A former place of an integration has a connection of its own, for closing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use driver::{Caller, Predecessors, Settings, Target, TargetContext, TargetSecret};
use journal::identity::IdentityStore;
use model::{Code, ConnectorId, Failure, Integration, IntegrationId, Retry, Span, TargetIdentity, Timestamp};
use rules::Reading;
use seal::keys::SealingKey;
use seal::mark::MarkKeys;
use secrets::binding::{Endpoint, Mode};
use secrets::cache::Cache;
use secrets::{Fetched, Reference, Scheme};
use tokio::sync::Mutex;
use tokio::time::{sleep_until, timeout};

use crate::binding::Gate;
use crate::clock::Clock;
use crate::drivers;
use crate::leadership::Leadership;

/// What every connection needs from the agent.
pub(crate) struct Shop {
    pub(crate) connector: ConnectorId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) identity: Arc<IdentityStore>,
    pub(crate) marks: Arc<MarkKeys>,
    pub(crate) sealing: Arc<Vec<SealingKey>>,
    pub(crate) secrets: Arc<Cache>,
    pub(crate) bindings: Mode,
    pub(crate) caller: Caller,
    /// The lease under which it acts; `None` when there is no other instance.
    pub(crate) leadership: Option<Arc<Leadership>>,
    /// How long one connection may take to come about.
    pub(crate) connect_deadline: Duration,
    /// How long one call may take in all; drivers bound each statement themselves.
    pub(crate) call_deadline: Duration,
    /// How long discovery or a survey may take.
    pub(crate) listing_deadline: Duration,
}

/// Which of an integration's places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Where the present configuration leads.
    Present,
    /// Where the known target answered last, when that is not proven of the present one.
    Former,
}

/// Live targets by integration.
pub(crate) struct Targets {
    pub(crate) shop: Shop,
    slots: Mutex<BTreeMap<(IntegrationId, Place), Arc<Slot>>>,
    gate: Gate,
    /// Effective time, and the time since boot when it was that.
    effective: std::sync::Mutex<(Timestamp, Span)>,
}

/// One integration's place. The lock is held while connecting, so that one connection is made for all who
/// wait.
#[derive(Default)]
struct Slot {
    live: Mutex<Option<Live>>,
    /// The target's clock minus effective time, in milliseconds, as last heard.
    ahead_ms: AtomicI64,
}

impl Slot {
    fn in_target_time(&self, at: Timestamp) -> Timestamp {
        // An account that never expires does not begin to by somebody's clock.
        if at == Timestamp::NEVER {
            return at;
        }
        Timestamp::from_millis(at.as_millis().saturating_add(self.ahead_ms.load(Ordering::Relaxed)))
    }

    fn heard(&self, said: Timestamp, ours: Timestamp) {
        self.ahead_ms.store(said.as_millis().saturating_sub(ours.as_millis()), Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Live {
    integration: Arc<Integration>,
    target: Arc<dyn Target>,
    identity: TargetIdentity,
}

/// A target to work on.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) target: Arc<dyn Target>,
    pub(crate) identity: TargetIdentity,
    slot: Arc<Slot>,
}

impl Opened {
    /// Returns a time of ours as the target's clock will show it.
    pub(crate) fn in_target_time(&self, at: Timestamp) -> Timestamp {
        self.slot.in_target_time(at)
    }

    /// Notes what the target's clock said just now, where effective time is `ours`.
    pub(crate) fn heard(&self, said: Timestamp, ours: Timestamp) {
        self.slot.heard(said, ours);
    }
}

/// How a target is logged in to.
struct Way<'w> {
    driver: &'static dyn driver::Driver,
    connect: &'w dyn driver::Connect,
    reference: &'w Reference,
    endpoint: &'w Endpoint,
}

impl Targets {
    pub(crate) fn new(shop: Shop) -> Self {
        let gate = Gate::new(Arc::clone(&shop.identity), shop.bindings);
        let Reading { wall, monotonic } = shop.clock.read();
        let effective = std::sync::Mutex::new((wall, monotonic));
        Self { shop, slots: Mutex::default(), gate, effective }
    }

    /// Takes what the rules say what time it is.
    pub(crate) fn time_is(&self, effective: Timestamp) {
        let since_boot = self.shop.clock.read().monotonic;
        *self.effective.lock().unwrap_or_else(PoisonError::into_inner) = (effective, since_boot);
    }

    /// Returns effective time: deadlines are crossed by it, whatever somebody does to the machine's clock meanwhile.
    pub(crate) fn now(&self) -> Timestamp {
        let Reading { wall, monotonic } = self.shop.clock.read();
        let (then, since_boot) = *self.effective.lock().unwrap_or_else(PoisonError::into_inner);
        let ran = monotonic.as_millis().saturating_sub(since_boot.as_millis());
        then.plus(Span::from_millis(ran)).max(wall)
    }

    /// Returns the live target of an integration, connecting if need be.
    ///
    /// # Errors
    /// What keeps it from being connected; a missing deadline is [`Code::TIMED_OUT`], and surely nothing
    /// was done.
    pub(crate) async fn open(&self, integration: &Arc<Integration>) -> Result<Opened, Failure> {
        self.open_at(Place::Present, integration).await
    }

    /// Returns the live target of a former place of an integration, connecting if need be.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn open_former(&self, integration: &Arc<Integration>) -> Result<Opened, Failure> {
        self.open_at(Place::Former, integration).await
    }

    async fn open_at(&self, place: Place, integration: &Arc<Integration>) -> Result<Opened, Failure> {
        let key = (integration.id.clone(), place);
        let slot = Arc::clone(self.slots.lock().await.entry(key).or_default());
        let mut live = slot.live.lock().await;
        let fresh = live.as_ref().filter(|live| live.integration.leads_where(integration)).cloned();
        let found = match fresh {
            Some(found) => found,
            None => {
                if let Some(old) = live.take() {
                    old.target.close().await;
                }
                let made = self.connect(integration).await?;
                // Not needed to go on: what is observed tells it, too.
                if let Ok(Ok(Some(said))) = timeout(self.shop.connect_deadline, made.target.time()).await {
                    slot.heard(said, self.now());
                }
                *live = Some(made.clone());
                made
            }
        };
        drop(live);
        Ok(Opened { target: found.target, identity: found.identity, slot })
    }

    /// Drops the connection of an integration after a failure that it cannot outlive.
    pub(crate) async fn failed(&self, integration: &IntegrationId, failure: &Failure) {
        let lost = [
            Code::UNREACHABLE,
            Code::TIMED_OUT,
            Code::LOGIN_REFUSED,
            Code::TLS_REFUSED,
            Code::READ_ONLY,
            // Who answers there now is asked anew, and told.
            Code::TARGET_REPLACED,
        ];
        if lost.contains(&failure.code) {
            self.forget(integration).await;
        }
    }

    /// Closes the connections of an integration.
    pub(crate) async fn forget(&self, integration: &IntegrationId) {
        for place in [Place::Present, Place::Former] {
            let slot = self.slots.lock().await.get(&(integration.clone(), place)).cloned();
            close(slot).await;
        }
    }

    /// Closes the connections to former places of all integrations but these.
    pub(crate) async fn keep_former(&self, wanted: &BTreeSet<IntegrationId>) {
        let left: Vec<_> = {
            let mut slots = self.slots.lock().await;
            slots.extract_if(.., |(id, place), _| *place == Place::Former && !wanted.contains(id)).collect()
        };
        for (_, slot) in left {
            close(Some(slot)).await;
        }
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        let slots: Vec<_> = self.slots.lock().await.values().cloned().collect();
        for slot in slots {
            close(Some(slot)).await;
        }
    }

    async fn connect(&self, integration: &Arc<Integration>) -> Result<Live, Failure> {
        match timeout(self.shop.connect_deadline, self.connect_slowly(integration)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::not_done(
                Code::TIMED_OUT,
                format!(
                    "integration {} could not be connected in {:?}",
                    integration.id, self.shop.connect_deadline
                ),
            )),
        }
    }

    async fn connect_slowly(&self, integration: &Arc<Integration>) -> Result<Live, Failure> {
        let driver = drivers::find(&integration.kind).ok_or_else(|| {
            let detail = format!("this build has no driver `{}`: see `tidegate drivers`", integration.kind);
            Failure::refused(Code::CONFIG_REFUSED, detail).with_retry(Retry::NeedsHuman)
        })?;
        let connect = driver.parse(&Settings::new(integration.settings.clone())).map_err(|faults| {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            Failure::refused(Code::CONFIG_REFUSED, faults.join("; ")).with_retry(Retry::NeedsHuman)
        })?;
        let reference = Reference::parse(&integration.secret.0).map_err(|fault| {
            Failure::refused(Code::CONFIG_REFUSED, fault.to_string()).with_retry(Retry::NeedsHuman)
        })?;
        let endpoint = connect.endpoint();
        let fetched = self.fetch(integration, &reference, &endpoint).await?;
        let way = Way { driver, connect: &*connect, reference: &reference, endpoint: &endpoint };
        let mut outcome = self.log_in(integration, &way, &fetched).await;
        // What was refused may have been kept for a while: the store may have another one by now.
        if outcome.as_ref().is_err_and(|failure| failure.code == Code::LOGIN_REFUSED)
            && let Ok(newer) = self.fetch(integration, &reference, &endpoint).await
            && newer.version != fetched.version
        {
            outcome = self.log_in(integration, &way, &newer).await;
        }
        // A login that failed before anything was asked for has surely done nothing.
        let target: Arc<dyn Target> = Arc::from(outcome.map_err(not_done)?);
        let identity = target.identify().await.map_err(not_done)?;
        self.succeed(&*target, &integration.id).await;
        Ok(Live { integration: Arc::clone(integration), target, identity })
    }

    /// Logs in with one version of the secret, and notes what came of it.
    async fn log_in(
        &self,
        integration: &Integration,
        way: &Way<'_>,
        fetched: &Fetched,
    ) -> Result<Box<dyn Target>, Failure> {
        let (reference, endpoint) = (way.reference, way.endpoint);
        let secret = TargetSecret::new(fetched.duplicate_values(), fetched.version.as_str());
        if let Err(unfit) = secret.fits(way.driver.manifest()) {
            self.shop.secrets.unfit(reference, &fetched.version).await;
            return Err(unfit);
        }
        // Only now: what could not be read, or does not fit, is bound to nothing.
        let trial = self.gate.try_out(reference, endpoint, self.shop.clock.wall()).await?;
        let context = TargetContext {
            connector: self.shop.connector.clone(),
            integration: integration.id.clone(),
            marks: Arc::clone(&self.shop.marks),
            caller: self.shop.caller.clone(),
        };
        let outcome = way.connect.connect(&secret, context).await;
        // Nor is what was never sent. In doubt the pin stands.
        if let Some(trial) = trial {
            let sent = outcome.is_ok() || !secret.was_kept_back();
            self.gate.tried(reference, endpoint, trial, sent).await;
        }
        match &outcome {
            Ok(_) => self.shop.secrets.try_again(&integration.id).await,
            Err(failure) if failure.code == Code::LOGIN_REFUSED => {
                self.shop.secrets.login_refused(reference, &integration.id, &fetched.version).await;
            }
            Err(failure) if failure.code == Code::SECRET_MALFORMED => {
                self.shop.secrets.unfit(reference, &fetched.version).await;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Fetches the secret, if its reference may be sent there.
    async fn fetch(
        &self,
        integration: &Integration,
        reference: &Reference,
        endpoint: &Endpoint,
    ) -> Result<Arc<Fetched>, Failure> {
        if reference.scheme() == Scheme::Sealed {
            let opened = secrets::sealed::open(reference, &integration.id, endpoint, &self.shop.sealing)?;
            return Ok(Arc::new(opened));
        }
        let now = self.shop.clock.wall();
        self.gate.may_read(reference, endpoint, now).await?;
        self.shop.secrets.fetch_for_login(reference, &integration.id, now).await
    }

    /// Makes sure that nothing of an earlier instance lands on a target any more: ends its sessions, or waits.
    async fn succeed(&self, target: &dyn Target, integration: &IntegrationId) {
        let Some(leadership) = &self.shop.leadership else { return };
        match target.end_predecessors().await {
            Ok(Predecessors::Ended { sessions: 0 }) => return,
            Ok(Predecessors::Ended { sessions }) => {
                tracing::warn!(%integration, sessions, "Sessions of an earlier instance were ended");
                return;
            }
            Ok(Predecessors::Unknown) => {}
            Err(failure) => tracing::warn!(
                %integration,
                code = %failure.code,
                detail = %failure.detail,
                "Sessions of an earlier instance could not be ended; what they sent is waited for"
            ),
        }
        sleep_until(leadership.settled_at()).await;
    }
}

async fn close(slot: Option<Arc<Slot>>) {
    if let Some(slot) = slot
        && let Some(live) = slot.live.lock().await.take()
    {
        live.target.close().await;
    }
}

/// Nothing that matters was sent before the connection stood: doubt about it is no doubt about the target.
fn not_done(failure: Failure) -> Failure {
    Failure { certainty: failure.certainty.min(model::Certainty::NotDone), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_expiry_is_a_deadline_by_the_targets_own_clock() {
        const DEADLINE: i64 = 1_795_309_200;
        let at = Timestamp::from_secs;
        let table = [
            // name, seconds that the target is ahead of effective time, the deadline, the same there
            ("clocks agree", 0, at(DEADLINE), at(DEADLINE)),
            ("the target is an hour ahead", 3_600, at(DEADLINE), at(DEADLINE + 3_600)),
            ("the target is an hour behind", -3_600, at(DEADLINE), at(DEADLINE - 3_600)),
            ("the target is years behind", -378_000_000, at(DEADLINE), at(DEADLINE - 378_000_000)),
            ("past 2038", 60, at(i64::from(i32::MAX) - 30), at(i64::from(i32::MAX) + 30)),
            ("past 2106", 60, at(i64::from(u32::MAX) - 30), at(i64::from(u32::MAX) + 30)),
            ("the end of time stays it", -3_600, Timestamp::NEVER, Timestamp::NEVER),
            ("before 1970 there is no time", -3_600, at(60), Timestamp::ZERO),
        ];
        let ours = at(DEADLINE - 1_800);
        for (name, ahead, deadline, expected) in table {
            let slot = Slot::default();
            assert_eq!(slot.in_target_time(deadline), deadline, "{name}: before it was heard");
            slot.heard(at(ours.as_secs() + ahead), ours);
            assert_eq!(slot.in_target_time(deadline), expected, "{name}");
        }
    }
}
