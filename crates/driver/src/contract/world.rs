//! The world that a driver's tests build around the suite: a target, its grantees and its administrator.
//!
//! The suite asks for deeds that the agent has no verb for: logging in as a grantee, adding a right by
//! hand, tearing a connection. Each hook acts on the *real* target by its own means, for example as
//! its superuser, never through the driver under test.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;

use async_trait::async_trait;
use model::{AccountName, Entitlement, Failure, ImmutableId, ResourceId, Secret, Timestamp};

use super::wire::Wire;
use crate::{Driver, Target, TargetContext};

/// What went wrong on the suite's own side: the case is broken, whatever the driver does.
pub struct WorldFault(pub String);

impl WorldFault {
    /// The answer of a hook that a world does not have; it shows only when [`Can`] claims otherwise.
    pub fn not_offered(hook: &str) -> Self {
        Self(format!("this world does not offer `{hook}`"))
    }
}

impl fmt::Debug for WorldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for WorldFault {
    /// Takes any error with its causes.
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        Self(text)
    }
}

/// What a world can do. A case that needs more has to be listed in [`World::not_applicable`]; each `false` has
/// to be true of the target, not of the patience of whoever wrote the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Can {
    /// A session goes on after its account was shut, and can be seen and ended.
    pub hold_sessions: bool,
    /// An administrator can give an account a right beyond the driver's vocabulary.
    pub add_rights_by_hand: bool,
    /// The text of a mark can be read and written by hand.
    pub write_marks: bool,
    /// An account can be renamed and keeps its immutable id.
    pub rename_accounts: bool,
    /// An account's login can be opened by hand, without a new credential.
    pub open_by_hand: bool,
    /// Permissions are given through shared roles, to which an administrator can add a right.
    pub widen_roles: bool,
    /// Accounts can own objects that outlive their sessions.
    pub own_objects: bool,
    /// A grantee can leave a transaction behind that needs no session.
    pub prepare_transactions: bool,
    /// A grantee can resist being closed: see [`World::resist`].
    pub resist: bool,
    /// Connections can be torn and muted: see [`World::connect_by_wire`].
    pub tear_wires: bool,
    /// The target can be brought back to an earlier state.
    pub restore_backups: bool,
    /// There is a second target of the same kind: see [`World::elsewhere`].
    pub have_elsewhere: bool,
    /// What the target itself logged can be read.
    pub read_target_log: bool,
}

/// An account that somebody else made.
#[derive(Debug)]
pub struct Planted {
    pub immutable: ImmutableId,
    /// With which the account can be logged in to.
    pub credential: Secret,
}

/// What became of a grantee's try to use an entitlement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Works,
    Denied,
    /// The session is no more.
    SessionGone,
}

/// What became of an object that an account owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Gone,
    /// Owned by an account that nobody can log in to and that has no right and no membership.
    OwnedByPowerless,
    OwnedBy(String),
}

/// One line that was logged while the suite ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub level: tracing::Level,
    /// Target, message and all fields, spans included.
    pub text: String,
}

/// A session that a grantee has opened with a clear credential, through the product's own way in.
#[async_trait]
pub trait GranteeSession: Send {
    /// Does what the entitlement is for, and only that: reads one row, writes one row.
    async fn try_use(&mut self, entitlement: &Entitlement) -> Result<Use, WorldFault>;

    /// Returns true when the target still answers this session.
    async fn is_alive(&mut self) -> bool;

    /// Leaves a transaction behind that goes on without this session.
    async fn prepare_transaction(&mut self) -> Result<(), WorldFault> {
        Err(WorldFault::not_offered("prepare_transaction"))
    }
}

/// A grantee that fights back in the background until it is told to stop.
#[async_trait]
pub trait Resistance: Send {
    /// Stops the fighting and lets go of all connections; what was left on the target stays.
    async fn stop(self: Box<Self>);
}

/// A target whose connections the suite can tear.
pub struct Wired {
    pub target: Box<dyn Target>,
    pub wire: Box<dyn Wire>,
}

/// A real or made-up target, with everything around it that the suite needs.
///
/// Hooks are called one after another except [`World::connect`] and [`World::login`], which the case of
/// many calls at once. Objects that hooks make may stay when the suite ends: the world is the owner of its
/// target.
#[async_trait]
pub trait World: Send + Sync {
    /// Returns the driver under test.
    fn driver(&self) -> &dyn Driver;

    /// Returns what this world can do.
    fn can(&self) -> Can;

    /// Returns the cases that are not applicable here, by name and with the reason: exactly those. One that
    /// cannot be played and is not in the list is broken, and so is a name in it that is no case's.
    fn not_applicable(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Connects to the target with the right admin secret, straight.
    async fn connect(&self, context: TargetContext) -> Result<Box<dyn Target>, Failure>;

    /// Connects with `wrong` in place of the admin's password or key.
    async fn connect_with_wrong_secret(
        &self,
        context: TargetContext,
        wrong: &Secret,
    ) -> Result<Box<dyn Target>, Failure>;

    /// Returns what of the admin secret may never be seen anywhere, at least 16 bytes each.
    fn admin_secrets(&self) -> Vec<Secret>;

    /// Returns the target's own time.
    async fn now(&self) -> Result<Timestamp, WorldFault>;

    /// Returns everything on the target that a driver could change, one fact a line: accounts with their
    /// attributes and verifiers, memberships, rights, defaults, marks, comments, in every place of the
    /// target. A line about an account holds its name. Rights are in it as the target means them, not as it
    /// stores them: a list that was spelled out and then means the default again is the default. Nothing
    /// that changes by itself is in it: no sessions, counters, times of last use.
    async fn inventory(&self) -> Result<BTreeSet<String>, WorldFault>;

    /// Returns what the process has logged so far, at every level; see [`super::Recorder`].
    fn log(&self) -> Vec<LogLine>;

    /// Returns at least three entitlements that always exist, each on a resource of its own, of the least
    /// permission, none containing another, in at least two places (databases) where the target has such.
    fn plain(&self) -> Vec<Entitlement>;

    /// Returns a narrow and a wide entitlement on one resource, for example READ_ONLY and READ_WRITE, which
    /// [`GranteeSession::try_use`] can tell apart. `None` where there is only one permission each.
    fn levels(&self) -> Option<(Entitlement, Entitlement)>;

    /// Makes a resource whose innermost name is exactly `name`, usable by [`GranteeSession::try_use`], and
    /// returns the least entitlement on it; the same again when it is there. `None` when the target itself
    /// refuses that name or changes it.
    async fn make_resource(&self, name: &str) -> Result<Option<Entitlement>, WorldFault>;

    /// Removes a resource that [`World::make_resource`] made.
    async fn drop_resource(&self, resource: &ResourceId) -> Result<(), WorldFault>;

    /// Logs in as the account, where the resource can be used. `None` when the target refuses the login.
    async fn login(
        &self,
        account: &AccountName,
        clear: &Secret,
        near: &ResourceId,
    ) -> Result<Option<Box<dyn GranteeSession>>, WorldFault>;

    /// Makes an account that can log in and has no mark, as an administrator would.
    async fn plant_account(&self, name: &AccountName) -> Result<Planted, WorldFault>;

    /// Removes an account with all that it owns and holds.
    async fn drop_account(&self, name: &AccountName) -> Result<(), WorldFault>;

    /// Reads the text of an account's mark.
    async fn mark(&self, name: &AccountName) -> Result<Option<String>, WorldFault> {
        let _ = name;
        Err(WorldFault::not_offered("mark"))
    }

    /// Writes or removes the text of an account's mark; everything else that makes it look like ours goes
    /// with the text (a bookkeeping role, a tag).
    async fn put_mark(&self, name: &AccountName, mark: Option<&str>) -> Result<(), WorldFault> {
        let _ = (name, mark);
        Err(WorldFault::not_offered("put_mark"))
    }

    /// Renames an account.
    async fn rename_account(&self, from: &AccountName, to: &AccountName) -> Result<(), WorldFault> {
        let _ = (from, to);
        Err(WorldFault::not_offered("rename_account"))
    }

    /// Opens the login of an account without touching its credential, native expiry removed.
    async fn open_by_hand(&self, name: &AccountName) -> Result<(), WorldFault> {
        let _ = name;
        Err(WorldFault::not_offered("open_by_hand"))
    }

    /// Gives an account rights that the driver's vocabulary does not have, each in another way that the
    /// target knows (a direct grant, a foreign membership, an attribute), and returns how many.
    async fn add_rights_by_hand(&self, name: &AccountName) -> Result<usize, WorldFault> {
        let _ = name;
        Err(WorldFault::not_offered("add_rights_by_hand"))
    }

    /// Adds a right to one of the shared roles through which the account has its permissions.
    async fn widen_role(&self, name: &AccountName) -> Result<(), WorldFault> {
        let _ = name;
        Err(WorldFault::not_offered("widen_role"))
    }

    /// Takes back what [`World::widen_role`] added to a role of this account.
    async fn narrow_role(&self, name: &AccountName) -> Result<(), WorldFault> {
        let _ = name;
        Err(WorldFault::not_offered("narrow_role"))
    }

    /// Makes objects that the account owns, in every place of the target where it could own some, and
    /// returns words by which [`World::fate`] finds them again.
    async fn plant_owned(&self, name: &AccountName) -> Result<Vec<String>, WorldFault> {
        let _ = name;
        Err(WorldFault::not_offered("plant_owned"))
    }

    /// Removes an object that [`World::plant_owned`] made, whoever owns it now.
    async fn remove_owned(&self, object: &str) -> Result<(), WorldFault> {
        let _ = object;
        Err(WorldFault::not_offered("remove_owned"))
    }

    /// Tells what became of an owned object.
    async fn fate(&self, object: &str) -> Result<Fate, WorldFault> {
        let _ = object;
        Err(WorldFault::not_offered("fate"))
    }

    /// Lets the grantee fight until it is stopped: it logs in again as often as it can, holds locks on its
    /// own account in an open transaction, leaves prepared transactions, changes its own settings, in as
    /// many sessions as it gets. Returns once the fight has begun.
    async fn resist(
        &self,
        account: &AccountName,
        clear: &Secret,
        near: &ResourceId,
    ) -> Result<Box<dyn Resistance>, WorldFault> {
        let _ = (account, clear, near);
        Err(WorldFault::not_offered("resist"))
    }

    /// Connects through something that can tear the connection; [`super::Proxy`] serves for TCP.
    async fn connect_by_wire(&self, context: TargetContext) -> Result<Wired, WorldFault> {
        drop(context);
        Err(WorldFault::not_offered("connect_by_wire"))
    }

    /// Keeps the target's state.
    async fn backup(&self) -> Result<Box<dyn Any + Send + Sync>, WorldFault> {
        Err(WorldFault::not_offered("backup"))
    }

    /// Brings the target back to a kept state, as its own restore would.
    async fn restore(&self, backup: &(dyn Any + Send + Sync)) -> Result<(), WorldFault> {
        let _ = backup;
        Err(WorldFault::not_offered("restore"))
    }

    /// Returns a second target of the same kind: another system with another identity.
    fn elsewhere(&self) -> Option<&dyn World> {
        None
    }

    /// Returns what the target itself has logged since it was started, statements included.
    async fn target_log(&self) -> Result<String, WorldFault> {
        Err(WorldFault::not_offered("target_log"))
    }
}
