//! The made-up system does what the script says, and tells of it what the script says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use driver::fake::{Fake, Fate, Nature, READ_ONLY, System, Verb, hold};
use driver::{
    AccountSpec, Caller, Driver, OpenOrder, Settings, Target, TargetContext, TargetSecret, credential, naming,
};
use model::mark::MarkDraft;
use model::{
    Account, Certainty, Code, ConnectorId, EntitlementSet, Generation, GranteeId, InstanceId, IntegrationId,
    Login, NewCredential, Ownership, Revision, Rung, Secret, Timestamp,
};
use seal::keys::MarkKey;
use seal::mark::MarkKeys;
use uuid::Uuid;

struct Stage {
    driver: Fake,
    system: System,
    target: Box<dyn Target>,
    spec: AccountSpec,
    wanted: EntitlementSet,
    clear: Secret,
}

fn password() -> Secret {
    Secret::new("the admin's".into())
}

async fn connect(driver: &Fake, connector: &ConnectorId, integration: &IntegrationId) -> Box<dyn Target> {
    let context = TargetContext {
        connector: connector.clone(),
        integration: integration.clone(),
        marks: Arc::new(MarkKeys::new(connector.clone(), MarkKey::generate().unwrap(), vec![])),
        caller: Caller::new(InstanceId::from_uuid(Uuid::from_u128(1)), 1),
    };
    let connect = driver.parse(&Settings::default().with("hostname", "db")).unwrap();
    assert_eq!(connect.endpoint().host, "db");
    let secret = TargetSecret::new(BTreeMap::from([("password".into(), password())]), "1");
    connect.connect(&secret, context).await.unwrap()
}

async fn stage(nature: Nature) -> Stage {
    let now: Timestamp = "2026-01-31T10:00:00Z".parse().unwrap();
    let (connector, integration) = (ConnectorId::parse("c").unwrap(), IntegrationId::parse("i").unwrap());
    let grantee = GranteeId::parse("ann").unwrap();
    let driver = Fake::new(nature);
    let system = System::new(nature, "system", password(), now);
    assert!(system.add_thing("shelf", "thing"));
    driver.host("db", &system);
    let target = connect(&driver, &connector, &integration).await;
    let limits = driver.manifest().names;
    let prefix = naming::Prefix::ours(limits);
    let account = Account {
        id: naming::account_id(&connector, &integration, &grantee),
        integration: integration.clone(),
        name: naming::account_name(&prefix, "ann", &connector, &integration, &grantee, limits).unwrap(),
        grantee,
        ownership: Ownership::Owned,
        immutable: None,
    };
    let mark = MarkDraft {
        connector,
        integration,
        account: account.id,
        revision: Revision(1),
        deadlines: vec![],
        until: None,
        last_revoked: None,
    };
    let wanted = [System::entitlement("shelf", "thing", READ_ONLY)].into_iter().collect();
    let spec = AccountSpec { account, mark, expires: None };
    Stage { driver, system, target, spec, wanted, clear: credential::generate().unwrap() }
}

impl Stage {
    fn order(&self) -> OpenOrder {
        let credential = NewCredential::Clear { generation: Generation(1), secret: self.clear.duplicate() };
        OpenOrder { spec: self.spec.clone(), wanted: self.wanted.clone(), credential }
    }

    async fn open(&self) -> Result<(), model::Failure> {
        self.target.open(&self.order()).await.map(|_| ())
    }

    async fn login(&self) -> Option<Login> {
        let observed = self.target.observe(&self.spec.account.to_ref()).await.unwrap();
        observed.account.map(|found| found.login)
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_scripted_is_told_and_done() {
    use Certainty::{NotDone, Refused, Unknown};
    use Nature::{Steps, Transactions};
    let (open, shut) = (Some(Login::Open), Some(Login::Shut));
    let table = [
        ("refused", Transactions, Verb::Open, Fate::Refuse(Code::RIGHT_MISSING), Refused, None),
        ("not done", Transactions, Verb::Open, Fate::NotDone(Code::BUSY), NotDone, None),
        ("unknown, done", Transactions, Verb::Open, Fate::UnknownButDone, Unknown, open),
        ("unknown, not done", Transactions, Verb::Open, Fate::UnknownNotDone, Unknown, None),
        ("breaks in the transaction", Transactions, Verb::Open, Fate::BreaksAfter(3), NotDone, None),
        ("step refused", Steps, Verb::Rotate, Fate::Refuse(Code::RIGHT_MISSING), Refused, shut),
        ("step unknown, done", Steps, Verb::Enable, Fate::UnknownButDone, Unknown, open),
        ("step unknown, not done", Steps, Verb::Enable, Fate::UnknownNotDone, Unknown, shut),
        ("breaks before the account is made", Steps, Verb::Create, Fate::BreaksAfter(1), Unknown, None),
        ("breaks after the account is made", Steps, Verb::Create, Fate::BreaksAfter(2), Unknown, shut),
        ("breaks while granting", Steps, Verb::Grant, Fate::BreaksAfter(2), Unknown, shut),
    ];
    for (name, nature, verb, fate, certainty, login) in table {
        let stage = stage(nature).await;
        stage.system.plan(verb, fate);
        assert_eq!(stage.open().await.unwrap_err().certainty, certainty, "{name}");
        assert_eq!(stage.login().await, login, "{name}");
        stage.open().await.unwrap();
        assert_eq!(stage.login().await, open, "{name}: the next call goes well");
        assert_eq!(stage.system.calls(verb), 2, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_begins_and_a_late_one_answers_when_it_is_told_to() {
    for (name, begun) in [("slow", None), ("late", Some(Login::Open))] {
        let stage = stage(Nature::Transactions).await;
        let (held, release) = hold();
        stage.system.plan(Verb::Open, if name == "slow" { Fate::Slow(held) } else { Fate::Late(held) });
        let opening = stage.open();
        tokio::pin!(opening);
        assert!(tokio::time::timeout(Duration::from_secs(9), &mut opening).await.is_err(), "{name}");
        assert_eq!(stage.login().await, begun, "{name}");
        release.go();
        opening.await.unwrap();
        assert_eq!(stage.login().await, Some(Login::Open), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_lands_after_the_close() {
    let stage = stage(Nature::Steps).await;
    stage.open().await.unwrap();
    let account = stage.target.create(&stage.spec).await.unwrap();
    stage.system.plan(Verb::Enable, Fate::LandsLater);
    assert_eq!(stage.target.enable(&account).await.unwrap_err().certainty, Certainty::Unknown);
    stage.target.revoke(&account, Rung::ShutLogin).await.unwrap();
    assert_eq!(stage.login().await, Some(Login::Shut));
    assert_eq!(stage.system.land(), 1);
    assert_eq!(stage.login().await, Some(Login::Open), "what was lost has landed");
    assert_eq!(stage.system.land(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_system_that_is_down_does_nothing_and_one_that_is_replaced_is_another() {
    let stage = stage(Nature::Steps).await;
    let identity = stage.target.identify().await.unwrap();
    stage.system.set_down(true);
    let failure = stage.open().await.unwrap_err();
    assert_eq!((failure.certainty, failure.code), (Certainty::NotDone, Code::UNREACHABLE));
    stage.system.set_down(false);
    stage.open().await.unwrap();

    let other = System::new(Nature::Steps, "another system", password(), stage.system.now());
    stage.driver.host("db", &other);
    assert_ne!(stage.target.identify().await.unwrap(), identity);
    assert_eq!(stage.login().await, None);
    stage.driver.host("db", &stage.system);
    assert_eq!(stage.login().await, Some(Login::Open));

    stage.system.set_admin(Secret::new("changed".into()));
    assert_eq!(stage.open().await.unwrap_err().code, Code::LOGIN_REFUSED);
}
