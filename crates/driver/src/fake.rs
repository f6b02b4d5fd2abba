//! A made-up target in memory that can say everything that the port can say.
//!
//! A [`System`] is the target: accounts, permission roles, things, sessions, prepared transactions, owned
//! objects, marks, its own time and identity. A [`Fake`] is the driver for it. What the next calls come to
//! can be scripted ([`System::plan`]), connections can be torn, the system can be down, replaced by
//! another or restored from a backup, and a grantee can fight ([`System::fight`]). Hands that are not the
//! agent's, a grantee's or an administrator's, act through the methods of [`System`].
//!
//! It stands in for a target in tests of the agent, and it is what the contract suite is tried on: the
//! sound driver keeps the contract, and each [`Sabotage`] is found. It is no measure of any real product.

mod desk;
mod hands;
mod manifest;
mod sabotage;
mod script;
mod state;
mod target;
mod verbs;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use model::{Code, Failure, Secret, Timestamp, Verifier};
use secrets::binding::{Authorities, Endpoint, TlsFloor};

use self::desk::Pending;
use self::script::Script;
use self::state::{NO_VERIFIER, State};
use self::target::FakeTarget;
use self::wire::FakeWire;
use crate::contract::Wire;
use crate::credential::{ITERATIONS, ScramSha256};
use crate::{ConfigFault, Connect, Driver, Manifest, Settings, Target, TargetContext, TargetSecret};

pub use hands::{Backup, FakeSession, Used};
pub use manifest::{READ_ONLY, READ_WRITE, THING};
pub use sabotage::Sabotage;
pub use script::{Fate, Hold, Release, Verb, hold};

/// What a made-up system is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It has transactions, takes verifiers, shutting voids the credential, and a lost right is lost at once;
    /// opening is fused into one transaction.
    Transactions,
    /// Each statement stands for itself, credentials are clear text, and sessions go on with rights that
    /// were lost; opening is four verbs.
    Steps,
}

/// Everything behind one lock.
struct Core {
    state: State,
    script: Script,
    sabotage: BTreeSet<Sabotage>,
    log: Vec<String>,
    pending: Vec<Pending>,
    admin: Secret,
    is_down: bool,
}

/// A made-up system; clones are the same system.
#[derive(Clone)]
pub struct System {
    nature: Nature,
    core: Arc<Mutex<Core>>,
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "System({:?}, {})", self.nature, self.core().state.identity)
    }
}

impl System {
    /// Makes an empty system that nobody has an account on.
    pub fn new(nature: Nature, identity: impl Into<String>, admin: Secret, now: Timestamp) -> Self {
        let state = State {
            identity: identity.into(),
            now,
            next: 1000,
            rights_survive: nature == Nature::Steps,
            accounts: BTreeMap::new(),
            roles: BTreeMap::new(),
            things: BTreeSet::new(),
            sessions: BTreeMap::new(),
            prepared: BTreeMap::new(),
            objects: BTreeMap::new(),
            has_heir: false,
            fighters: BTreeMap::new(),
            blocks: BTreeMap::new(),
        };
        let core = Core {
            state,
            script: Script::default(),
            sabotage: BTreeSet::new(),
            log: vec![],
            pending: vec![],
            admin,
            is_down: false,
        };
        Self { nature, core: Arc::new(Mutex::new(core)) }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans what the next call of a verb comes to; plans of one verb queue up.
    pub fn plan(&self, verb: Verb, fate: Fate) {
        self.core().script.plan(verb, fate);
    }

    /// Returns how often a verb was called.
    pub fn calls(&self, verb: Verb) -> u32 {
        self.core().script.calls(verb)
    }

    /// Does everything whose answer was lost and that was to land later, oldest first; returns how many
    /// calls that were.
    pub fn land(&self) -> usize {
        let pending = std::mem::take(&mut self.core().pending);
        let landed = pending.len();
        for call in pending {
            call.land(&mut self.core(), self.nature);
        }
        landed
    }

    /// Breaks the driver of this system in one way.
    pub fn sabotage(&self, sabotage: Sabotage) {
        self.core().sabotage.insert(sabotage);
    }

    /// Takes the system down, or brings it back.
    pub fn set_down(&self, is_down: bool) {
        self.core().is_down = is_down;
    }

    /// Changes the admin password.
    pub fn set_admin(&self, admin: Secret) {
        self.core().admin = admin;
    }
}

/// Which system answers under which host name.
type Hosts = Arc<Mutex<BTreeMap<String, System>>>;

/// The driver for made-up systems.
#[derive(Clone)]
pub struct Fake {
    nature: Nature,
    hosts: Hosts,
}

impl Fake {
    /// Makes a driver for systems of one nature.
    pub fn new(nature: Nature) -> Self {
        Self { nature, hosts: Hosts::default() }
    }

    /// Lets a system answer under a host name, in place of the one that did so before.
    pub fn host(&self, name: &str, system: &System) {
        self.hosted().insert(name.to_owned(), system.clone());
    }

    fn hosted(&self) -> MutexGuard<'_, BTreeMap<String, System>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects to a system so that the connection can be torn.
    pub fn connect_by_wire(
        &self,
        host: &str,
        admin: Secret,
        context: TargetContext,
    ) -> (Box<dyn Target>, Box<dyn Wire>) {
        let wire = Arc::new(FakeWire::new());
        let target = FakeTarget::new(self, host, admin, context, Arc::clone(&wire));
        (Box::new(target), Box::new(wire))
    }
}

/// Checked settings of a made-up system.
struct FakeConnect {
    driver: Fake,
    host: String,
    port: u16,
}

impl Driver for Fake {
    fn manifest(&self) -> &'static Manifest {
        manifest::of(self.nature)
    }

    fn parse(&self, settings: &Settings) -> Result<Box<dyn Connect>, Vec<ConfigFault>> {
        let mut read = settings.reader(self.manifest());
        let host = read.host("hostname").to_string();
        let port = read.port("port");
        read.finish()?;
        Ok(Box::new(FakeConnect { driver: self.clone(), host, port }))
    }

    fn verifier(&self, clear: &Secret) -> Result<Option<Verifier>, Failure> {
        let is_broken = |system: &System| system.core().sabotage.contains(&Sabotage::SecretInTargetLog);
        match self.nature {
            Nature::Transactions if self.hosted().values().any(is_broken) => {
                Ok(Some(Verifier(format!("{NO_VERIFIER}{}", clear.expose()))))
            }
            Nature::Transactions => Ok(Some(ScramSha256::of(clear, ITERATIONS)?.in_postgres_form())),
            Nature::Steps => Ok(None),
        }
    }
}

#[async_trait]
impl Connect for FakeConnect {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            kind: "fake".into(),
            host: self.host.clone(),
            port: self.port,
            tls_floor: TlsFloor::VerifiedName,
            authorities: Some(Authorities::System),
        }
    }

    async fn connect(
        &self,
        secret: &TargetSecret,
        context: TargetContext,
    ) -> Result<Box<dyn Target>, Failure> {
        let admin = secret.value("password")?.duplicate();
        let wire = Arc::new(FakeWire::new());
        let target = FakeTarget::new(&self.driver, &self.host, admin, context, wire);
        target.greet().await?;
        Ok(Box::new(target))
    }
}

/// Returns the failure of a host that does not answer.
fn unreachable() -> Failure {
    Failure::not_done(Code::UNREACHABLE, "the system cannot be reached")
}
