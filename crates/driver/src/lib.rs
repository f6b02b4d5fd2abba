//! The driver port: what the agent asks of a target, and what every driver promises.
//!
//! One [`Driver`] per kind, without state; [`Driver::parse`] checks settings without a network and tells
//! all faults at once; [`Connect::connect`] opens a live [`Target`]. No verb takes *one access*:
//! [`Target::grant`] converges an account to its full wanted set, [`Target::revoke`] runs one rung of the
//! closing ladder. Every verb may be repeated: twice is once.
//!
//! # The written contract
//! A driver MUST
//! - act on an account only by its immutable id, or, where the journal has none, by a mark that verifies
//!   and names that account, connector, integration and target. Anything else under the name is not ours:
//!   opening verbs answer [`Code::ACCOUNT_FOREIGN`](model::Code), `observe` answers *absent*, rungs and
//!   `delete` leave it alone and succeed, or answer `account_foreign`. One thing is not called absent: what is
//!   under the name of an account that the journal has no immutable id of, and [claims](seal::mark::MarkKeys::claims)
//!   to be it by a mark that does not verify. `observe` answers `account_foreign` for it, since the keys may be
//!   lost and the account alive;
//! - leave an account shut until [`Target::enable`], whatever crashed before;
//! - treat what is absent as already closed, and answer `account_missing` where it was to be opened;
//! - take away before it refuses: [`Target::grant`] refuses a set with an unknown permission or a vanished
//!   resource, [`Target::revoke`] never refuses because of one;
//! - put a deadline on every statement or request, on the server's side where it can;
//! - ask its caller's [`Licence`] before each exchange that changes the target, also in the middle of a verb, and send
//!   nothing more once the verb's own deadline has passed: the process may have been stopped for a while;
//! - name its sessions by [`naming::session_name`] where a target lets it, and end those of earlier epochs in
//!   [`Target::end_predecessors`];
//! - quote every name and literal through its one quoting function;
//! - say [`Certainty::Unknown`](model::Certainty) whenever it is not sure: *refused* and *not done* promise
//!   that the account is as it was before the call;
//! - keep secrets out of failures and logs at every level, statements and account names out of logs above
//!   DEBUG;
//! - need no right in `check` that the verbs do not need, and leave nothing behind in `check`, `discover`,
//!   `observe`, `survey` and `wider_roles`;
//! - connect again by itself after its connections were lost;
//! - call [`crash::exchange`] after each exchange with the target, and [`crash::sent`] where [`crash`] says, so
//!   that tests can kill the agent there.
//!
//! [`contract::run`] holds every driver to it; `drivers/README.md` tells how to write one.

pub mod contract;
pub mod crash;
pub mod credential;
pub mod fake;
pub mod manifest;
pub mod naming;
pub mod settings;
pub mod setup;
pub mod sink;

use std::sync::Arc;

use async_trait::async_trait;
use model::account::Account;
use model::mark::MarkDraft;
use model::{
    AccountRef, EntitlementSet, Failure, InstanceId, NewCredential, Observed, Residual, Rung, Secret, Span,
    TargetIdentity, Timestamp, Towards, Verifier,
};
use seal::mark::MarkKeys;

pub use manifest::Manifest;
pub use settings::{ConfigFault, Settings};
pub use setup::{SetupFault, SetupWish};
pub use sink::{Resource, ResourceSink, SightingSink, Unlisted};

/// The admin credential of a target, by key (`username`, `password`, …), as the secret store gave it.
#[derive(Debug)]
pub struct TargetSecret {
    values: std::collections::BTreeMap<String, Secret>,
    /// Which version of the secret this is; a refused login is tried once per version.
    pub version: String,
    kept_back: std::sync::atomic::AtomicBool,
}

impl TargetSecret {
    /// Takes the keys of a secret.
    pub fn new(values: std::collections::BTreeMap<String, Secret>, version: impl Into<String>) -> Self {
        Self { values, version: version.into(), kept_back: false.into() }
    }

    /// Notes that connecting failed before anything of it was sent. A driver that is not sure does not say so.
    pub fn keep_back(&self) {
        self.kept_back.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Returns true when the driver was sure that nothing of it was sent.
    pub fn was_kept_back(&self) -> bool {
        self.kept_back.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Returns one key of the secret.
    ///
    /// # Errors
    /// [`Code::SECRET_MALFORMED`](model::Code), naming the key that is missing.
    pub fn value(&self, key: &str) -> Result<&Secret, Failure> {
        self.optional(key)
            .ok_or_else(|| Self::malformed(&format!("the secret has no `{key}`: add it in the secret store")))
    }

    /// Returns one key of the secret, if it has it.
    pub fn optional(&self, key: &str) -> Option<&Secret> {
        self.values.get(key)
    }

    /// Looks whether every key is there that this kind of target always needs.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub fn fits(&self, manifest: &Manifest) -> Result<(), Failure> {
        let mut needed = manifest.secret_keys.iter().filter(|key| key.required);
        needed.try_for_each(|key| self.value(key.key).map(drop))
    }

    /// Refuses a secret that is not as this kind of target needs it.
    pub fn malformed(detail: &str) -> Failure {
        Failure::refused(model::Code::SECRET_MALFORMED, detail).with_retry(model::Retry::AfterNewSecret)
    }
}

/// Who is calling: goes into the application name, so that a later instance can end our sessions.
#[derive(Debug, Clone)]
pub struct Caller {
    pub instance: InstanceId,
    /// Of the lease under which it acts; 0 when it is the only instance there is.
    pub epoch: u64,
    pub licence: Arc<dyn Licence>,
}

impl Caller {
    /// Takes an instance that needs nobody's leave.
    pub fn new(instance: InstanceId, epoch: u64) -> Self {
        Self { instance, epoch, licence: Arc::new(Always) }
    }
}

/// Says whether an exchange that changes a target may begin now. Of several instances of a connector only the holder
/// of the lease may; one that was stopped for a while learns by asking that it no longer is.
///
/// A driver asks before each exchange that changes the target, and bounds it on the target's side to
/// [`CHANGE_LASTS`] where the target can.
pub trait Licence: std::fmt::Debug + Send + Sync {
    /// Asks.
    ///
    /// # Errors
    /// [`Code::LEASE_NOT_HELD`](model::Code); nothing may be sent then.
    fn admits(&self, towards: Towards) -> Result<(), Failure>;
}

/// How long an exchange that changes a target may go on there.
pub const CHANGE_LASTS: Span = Span::from_secs(5);

/// The licence of the only instance.
#[derive(Debug, Clone, Copy, Default)]
pub struct Always;

impl Licence for Always {
    fn admits(&self, _: Towards) -> Result<(), Failure> {
        Ok(())
    }
}

/// What became of earlier instances' sessions on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessors {
    /// All are ended, so many of them just now: nothing of them lands any more.
    Ended { sessions: u32 },
    /// Nobody can tell: what they sent may land until [`CHANGE_LASTS`] has passed.
    Unknown,
}

/// What a live target needs from the agent besides its own settings.
#[derive(Clone)]
pub struct TargetContext {
    pub connector: model::ConnectorId,
    pub integration: model::IntegrationId,
    pub marks: Arc<MarkKeys>,
    pub caller: Caller,
}

/// An account to be made: shut, marked, with native expiry.
#[derive(Debug, Clone)]
pub struct AccountSpec {
    pub account: Account,
    pub mark: MarkDraft,
    /// When the target itself shall stop new logins: deadline + grace, in target time.
    pub expires: Option<Timestamp>,
}

/// A whole opening in one order, so that a driver may fuse it into one transaction.
#[derive(Debug)]
pub struct OpenOrder {
    pub spec: AccountSpec,
    pub wanted: EntitlementSet,
    pub credential: NewCredential,
}

/// What to do with what an account owns when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeirPolicy {
    /// Hand everything to the powerless heir.
    HandOver,
    /// Delete only an account that owns nothing; else refuse with `owned_objects`.
    KeepShut,
}

/// What `check` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub probes: Vec<Probe>,
    /// The product and version as the target tells it.
    pub product: String,
    pub version: String,
}

/// One thing that `check` looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub name: String,
    pub grade: Grade,
    /// What was found, and the way out when it is not good.
    pub detail: String,
}

/// How a probe came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Good,
    /// Works; worth knowing.
    Warning,
    /// Opening cannot work.
    Bad,
}

/// What retiring removed and what it had to leave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetireReport {
    pub removed: Vec<String>,
    pub left: Vec<Residual>,
}

/// How a grantee connects: shown with the credential, never with it inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLine {
    /// For example `psql` or `uri`.
    pub label: String,
    pub text: String,
}

/// One kind of target; stateless.
pub trait Driver: Send + Sync {
    /// Returns the single source of what this kind needs, offers and promises.
    fn manifest(&self) -> &'static Manifest;

    /// Checks settings without a network.
    ///
    /// # Errors
    /// All faults at once, each naming the field, the reason and the way out.
    fn parse(&self, settings: &Settings) -> Result<Box<dyn Connect>, Vec<ConfigFault>>;

    /// Computes what the target checks a login against. `None` when this kind needs the clear text.
    ///
    /// # Errors
    /// When the system has no randomness for a salt.
    fn verifier(&self, clear: &Secret) -> Result<Option<Verifier>, Failure>;

    /// Writes the script that prepares a target for the agent, or takes that back. Pure text: nothing is asked
    /// of a target. Drivers whose targets differ by mode or version override it; the first mode's script for a
    /// wish of nothing is the manifest's own.
    ///
    /// # Errors
    /// When the wish does not fit this kind, naming what does.
    fn setup_script(&self, wish: &SetupWish) -> Result<String, SetupFault> {
        wish.of_one_kind(self.manifest())
    }
}

/// Checked settings, not yet opened.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Returns host, port, TLS floor and authorities, to which the secret's reference is bound.
    fn endpoint(&self) -> secrets::binding::Endpoint;

    /// Opens the target. When it fails before anything of the secret was sent, [`TargetSecret::keep_back`] is told.
    ///
    /// # Errors
    /// Sorted by the driver's one table of faults.
    async fn connect(
        &self,
        secret: &TargetSecret,
        context: TargetContext,
    ) -> Result<Box<dyn Target>, Failure>;
}

/// One live integration; owns its sessions.
#[async_trait]
pub trait Target: Send + Sync {
    /// Returns the fingerprint of the system itself.
    async fn identify(&self) -> Result<TargetIdentity, Failure>;

    /// Returns what the target's clock says now; `None` when it cannot be asked for that alone.
    async fn time(&self) -> Result<Option<Timestamp>, Failure> {
        Ok(None)
    }

    /// Does the least that proves the verbs can work; leaves nothing behind.
    async fn check(&self) -> Result<CheckReport, Failure>;

    /// Tells every resource to `out`, in bounded memory, and every part that it could not look into.
    async fn discover(&self, out: &mut dyn ResourceSink) -> Result<(), Failure>;

    /// Makes the account: shut, marked, with native expiry. An account of ours that is there already is
    /// brought to the same state, except that an open one stays open.
    async fn create(&self, spec: &AccountSpec) -> Result<AccountRef, Failure>;

    /// Converges the account to exactly `wanted`.
    async fn grant(&self, account: &AccountRef, wanted: &EntitlementSet) -> Result<(), Failure>;

    /// Sets the credential; only it opens new sessions afterwards. Never opens a shut account.
    async fn rotate(&self, account: &AccountRef, credential: &NewCredential) -> Result<(), Failure>;

    /// Opens the login.
    async fn enable(&self, account: &AccountRef) -> Result<(), Failure>;

    /// Brings mark and native expiry to new deadlines.
    async fn renew(
        &self,
        account: &AccountRef,
        mark: &MarkDraft,
        expires: Option<Timestamp>,
    ) -> Result<(), Failure>;

    /// Makes, grants, sets the credential and opens, in that order. Override it to fuse the four into one
    /// transaction where the target has them.
    async fn open(&self, order: &OpenOrder) -> Result<AccountRef, Failure> {
        open_by_steps(self, order).await
    }

    /// Runs one rung of the closing ladder. Succeeds when there is no such account.
    async fn revoke(&self, account: &AccountRef, rung: Rung) -> Result<(), Failure>;

    /// Deletes the account. Succeeds when there is none.
    async fn delete(&self, account: &AccountRef, heir: HeirPolicy) -> Result<(), Failure>;

    /// Reads the account: login, entitlements, excess, sessions, mark, residual.
    async fn observe(&self, account: &AccountRef) -> Result<Observed, Failure>;

    /// Tells every account with our mark, or what looks like one, to `out`.
    async fn survey(&self, out: &mut dyn SightingSink) -> Result<(), Failure>;

    /// Adds each permission role of ours that was widened by hand to `found`, whoever is in it. It may take longer
    /// than a survey, which does not wait for it: its caller drops it when that is too long, and after a failure as
    /// after that, what is in `found` counts. A target whose permissions are no shared roles has none.
    async fn wider_roles(&self, _found: &mut Vec<String>) -> Result<(), Failure> {
        Ok(())
    }

    /// Removes all that is ours and shared: roles, defaults, comments.
    async fn retire(&self) -> Result<RetireReport, Failure>;

    /// Ends the sessions on this target that instances of this connector with an earlier epoch still have, and waits
    /// until they are gone. Never touches a session of the same or a later epoch, or of another connector. Called after
    /// each connecting under a lease.
    async fn end_predecessors(&self) -> Result<Predecessors, Failure> {
        Ok(Predecessors::Unknown)
    }

    /// Returns how a grantee connects to these entitlements with this account.
    fn connection_lines(&self, account: &AccountRef, entitlements: &EntitlementSet) -> Vec<ConnectionLine>;

    /// Ends the target's sessions in good order.
    async fn close(&self);
}

/// Opens an account verb by verb: the login comes last, so that an opening that breaks leaves it shut.
///
/// # Errors
/// The first verb's that fails; what was done before it stays.
pub async fn open_by_steps<T: Target + ?Sized>(target: &T, order: &OpenOrder) -> Result<AccountRef, Failure> {
    let account = target.create(&order.spec).await?;
    target.grant(&account, &order.wanted).await?;
    target.rotate(&account, &order.credential).await?;
    target.enable(&account).await?;
    Ok(account)
}
