//! The world around a made-up system.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use driver::contract::{
    Can, Fate, GranteeSession, LogLine, Planted, Recorder, Resistance, Use, Wired, World, WorldFault,
};
use driver::fake::{Backup, Fake, FakeSession, Nature, READ_ONLY, READ_WRITE, Sabotage, System, Used};
use driver::{Driver, Settings, Target, TargetContext, TargetSecret, credential};
use model::{AccountName, Entitlement, Failure, ResourceId, Rung, Secret, Timestamp};

const HOST: &str = "fake.example";
const SHELF: &str = "second";

pub(crate) struct FakeWorld {
    system: System,
    driver: Fake,
    admin: Secret,
    elsewhere: Option<Box<FakeWorld>>,
    not_applicable: &'static [(&'static str, &'static str)],
}

impl FakeWorld {
    pub(crate) fn new(nature: Nature) -> Self {
        let elsewhere = Self::alone(nature, "system-2");
        Self { elsewhere: Some(Box::new(elsewhere)), ..Self::alone(nature, "system-1") }
    }

    fn alone(nature: Nature, identity: &str) -> Self {
        Recorder::of_process();
        let admin = credential::generate().unwrap();
        let now: Timestamp = "2026-01-31T10:00:00Z".parse().unwrap();
        let system = System::new(nature, identity, admin.duplicate(), now);
        for (shelf, thing) in [("first", "a"), (SHELF, "b"), ("first", "c")] {
            assert!(system.add_thing(shelf, thing));
        }
        let driver = Fake::new(nature);
        driver.host(HOST, &system);
        let not_applicable: &[_] = match nature {
            Nature::Transactions => &[],
            Nature::Steps => {
                &[("secrecy::nothing_secret_is_in_the_targets_log", "credentials are sent in clear text")]
            }
        };
        Self { system, driver, admin, elsewhere: None, not_applicable }
    }

    /// Lists other cases as not applicable.
    pub(crate) fn listing(self, not_applicable: &'static [(&'static str, &'static str)]) -> Self {
        Self { not_applicable, ..self }
    }

    /// Breaks the driver, here and elsewhere.
    pub(crate) fn broken(nature: Nature, sabotage: Sabotage) -> Self {
        let world = Self::new(nature);
        world.system.sabotage(sabotage);
        if let Some(elsewhere) = &world.elsewhere {
            elsewhere.system.sabotage(sabotage);
        }
        world
    }

    async fn connect_with(&self, context: TargetContext, admin: Secret) -> Result<Box<dyn Target>, Failure> {
        let settings = Settings::default().with("hostname", HOST);
        let connect = self.driver.parse(&settings).unwrap();
        let values = BTreeMap::from([("password".to_owned(), admin)]);
        connect.connect(&TargetSecret::new(values, "1"), context).await
    }
}

fn done(happened: bool, what: &str) -> Result<(), WorldFault> {
    if happened { Ok(()) } else { Err(WorldFault(format!("{what}: there is no such account"))) }
}

struct Session(FakeSession);

#[async_trait]
impl GranteeSession for Session {
    async fn try_use(&mut self, entitlement: &Entitlement) -> Result<Use, WorldFault> {
        Ok(match self.0.try_use(entitlement) {
            Used::Works => Use::Works,
            Used::Denied => Use::Denied,
            Used::SessionGone => Use::SessionGone,
        })
    }

    async fn is_alive(&mut self) -> bool {
        self.0.is_alive()
    }

    async fn prepare_transaction(&mut self) -> Result<(), WorldFault> {
        done(self.0.prepare_transaction(), "prepare_transaction")
    }
}

struct Fight(System);

#[async_trait]
impl Resistance for Fight {
    async fn stop(self: Box<Self>) {
        self.0.make_peace();
    }
}

#[async_trait]
impl World for FakeWorld {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn can(&self) -> Can {
        Can {
            hold_sessions: true,
            add_rights_by_hand: true,
            write_marks: true,
            rename_accounts: true,
            open_by_hand: true,
            widen_roles: true,
            own_objects: true,
            prepare_transactions: true,
            resist: true,
            tear_wires: true,
            restore_backups: true,
            have_elsewhere: true,
            read_target_log: true,
        }
    }

    fn not_applicable(&self) -> &'static [(&'static str, &'static str)] {
        self.not_applicable
    }

    async fn connect(&self, context: TargetContext) -> Result<Box<dyn Target>, Failure> {
        self.connect_with(context, self.admin.duplicate()).await
    }

    async fn connect_with_wrong_secret(
        &self,
        context: TargetContext,
        wrong: &Secret,
    ) -> Result<Box<dyn Target>, Failure> {
        self.connect_with(context, wrong.duplicate()).await
    }

    fn admin_secrets(&self) -> Vec<Secret> {
        vec![self.admin.duplicate()]
    }

    async fn now(&self) -> Result<Timestamp, WorldFault> {
        Ok(self.system.now())
    }

    async fn inventory(&self) -> Result<BTreeSet<String>, WorldFault> {
        Ok(self.system.inventory())
    }

    fn log(&self) -> Vec<LogLine> {
        Recorder::of_process().lines()
    }

    fn plain(&self) -> Vec<Entitlement> {
        [("first", "a"), (SHELF, "b"), ("first", "c")]
            .map(|(shelf, thing)| System::entitlement(shelf, thing, READ_ONLY))
            .to_vec()
    }

    fn levels(&self) -> Option<(Entitlement, Entitlement)> {
        let of = |permission| System::entitlement("first", "a", permission);
        Some((of(READ_ONLY), of(READ_WRITE)))
    }

    async fn make_resource(&self, name: &str) -> Result<Option<Entitlement>, WorldFault> {
        let made = self.system.add_thing(SHELF, name);
        Ok(made.then(|| System::entitlement(SHELF, name, READ_ONLY)))
    }

    async fn drop_resource(&self, resource: &ResourceId) -> Result<(), WorldFault> {
        self.system.remove_thing(resource);
        Ok(())
    }

    async fn login(
        &self,
        account: &AccountName,
        clear: &Secret,
        _: &ResourceId,
    ) -> Result<Option<Box<dyn GranteeSession>>, WorldFault> {
        let session = self.system.login(account, clear);
        Ok(session.map(|session| Box::new(Session(session)) as Box<dyn GranteeSession>))
    }

    async fn plant_account(&self, name: &AccountName) -> Result<Planted, WorldFault> {
        let credential = credential::generate().unwrap();
        let immutable = self.system.plant_account(name, &credential);
        let immutable = immutable.ok_or_else(|| WorldFault("the name is taken".into()))?;
        Ok(Planted { immutable, credential })
    }

    async fn drop_account(&self, name: &AccountName) -> Result<(), WorldFault> {
        done(self.system.drop_account(name), "drop_account")
    }

    async fn mark(&self, name: &AccountName) -> Result<Option<String>, WorldFault> {
        Ok(self.system.mark(name))
    }

    async fn put_mark(&self, name: &AccountName, mark: Option<&str>) -> Result<(), WorldFault> {
        done(self.system.put_mark(name, mark), "put_mark")
    }

    async fn rename_account(&self, from: &AccountName, to: &AccountName) -> Result<(), WorldFault> {
        done(self.system.rename_account(from, to), "rename_account")
    }

    async fn open_by_hand(&self, name: &AccountName) -> Result<(), WorldFault> {
        done(self.system.set_login(name, true), "open_by_hand")
    }

    async fn add_rights_by_hand(&self, name: &AccountName) -> Result<usize, WorldFault> {
        done(self.system.add_right(name, "may do anything"), "add_rights_by_hand")?;
        done(self.system.add_right(name, "is an admin"), "add_rights_by_hand")?;
        Ok(2)
    }

    async fn widen_role(&self, name: &AccountName) -> Result<(), WorldFault> {
        done(self.system.widen_roles(name, Some("may do anything")), "widen_role")
    }

    async fn narrow_role(&self, name: &AccountName) -> Result<(), WorldFault> {
        done(self.system.widen_roles(name, None), "narrow_role")
    }

    async fn plant_owned(&self, name: &AccountName) -> Result<Vec<String>, WorldFault> {
        let objects = vec!["first.table".to_owned(), "second.function".to_owned()];
        for object in &objects {
            done(self.system.give_object(name, object), "plant_owned")?;
        }
        Ok(objects)
    }

    async fn remove_owned(&self, object: &str) -> Result<(), WorldFault> {
        self.system.remove_object(object);
        Ok(())
    }

    async fn fate(&self, object: &str) -> Result<Fate, WorldFault> {
        Ok(self.system.fate(object))
    }

    async fn resist(
        &self,
        account: &AccountName,
        _: &Secret,
        _: &ResourceId,
    ) -> Result<Box<dyn Resistance>, WorldFault> {
        let blocks = Rung::ALL.map(|rung| (rung, 3));
        done(self.system.fight(account, blocks), "resist")?;
        Ok(Box::new(Fight(self.system.clone())))
    }

    async fn connect_by_wire(&self, context: TargetContext) -> Result<Wired, WorldFault> {
        let (target, wire) = self.driver.connect_by_wire(HOST, self.admin.duplicate(), context);
        Ok(Wired { target, wire })
    }

    async fn backup(&self) -> Result<Box<dyn Any + Send + Sync>, WorldFault> {
        Ok(Box::new(self.system.backup()))
    }

    async fn restore(&self, backup: &(dyn Any + Send + Sync)) -> Result<(), WorldFault> {
        self.system.restore(backup.downcast_ref::<Backup>().unwrap());
        Ok(())
    }

    fn elsewhere(&self) -> Option<&dyn World> {
        self.elsewhere.as_deref().map(|world| world as &dyn World)
    }

    async fn target_log(&self) -> Result<String, WorldFault> {
        Ok(self.system.log())
    }
}
