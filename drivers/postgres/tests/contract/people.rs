//! Grantees for the tests that are PostgreSQL's own.

use std::sync::Arc;

use driver::contract::World;
use driver::{AccountSpec, Caller, Driver, OpenOrder, Target, TargetContext, credential, naming};
use driver_postgres::Postgres as PostgresDriver;
use model::mark::MarkDraft;
use model::observed::Present;
use model::{
    Account, AccountName, AccountRef, ConnectorId, Entitlement, EntitlementSet, Failure, Generation,
    GranteeId, InstanceId, IntegrationId, NewCredential, Ownership, Revision, Rung, Secret, Span, Timestamp,
    Verifier,
};
use seal::keys::MarkKey;
use seal::mark::MarkKeys;
use services::postgres::Postgres;
use tokio_postgres::Config;
use uuid::Uuid;

use crate::admin::{Line, config};
use crate::world::PostgresWorld;

/// The rungs as the agent climbs them.
pub(crate) const LADDER: [Rung; 4] = [Rung::ShutLogin, Rung::EndSessions, Rung::Strip, Rung::EndSessions];

/// A server, and the driver on it.
pub(crate) struct House {
    pub(crate) world: PostgresWorld,
    pub(crate) target: Box<dyn Target>,
    context: TargetContext,
}

/// A grantee with an open account.
pub(crate) struct Grantee {
    pub(crate) account: AccountRef,
    pub(crate) clear: Secret,
}

pub(crate) fn set(entitlements: &[Entitlement]) -> EntitlementSet {
    entitlements.iter().cloned().collect()
}

pub(crate) fn context() -> TargetContext {
    let connector = ConnectorId::parse("own-tests").unwrap();
    TargetContext {
        marks: Arc::new(MarkKeys::new(connector.clone(), MarkKey::generate().unwrap(), vec![])),
        connector,
        integration: IntegrationId::parse("postgres").unwrap(),
        caller: Caller::new(InstanceId::from_uuid(Uuid::from_u128(9)), 1),
    }
}

impl House {
    pub(crate) async fn open(world: PostgresWorld) -> Self {
        let context = context();
        let target = world.connect(context.clone()).await.unwrap();
        Self { world, target, context }
    }

    /// Connects anew.
    pub(crate) async fn again(&self) -> Box<dyn Target> {
        self.world.connect(self.context.clone()).await.unwrap()
    }

    /// Connects by another port of this machine.
    pub(crate) async fn through(&self, port: u16) -> Box<dyn Target> {
        self.world.connect_by(port, self.context.clone()).await.unwrap()
    }

    /// Logs in as an account on another server.
    pub(crate) async fn login_at(
        &self,
        account: &AccountName,
        clear: &Secret,
        server: &Postgres,
    ) -> Result<Line, tokio_postgres::Error> {
        Line::open(&config(server, &account.0, clear.expose(), "app")).await
    }

    pub(crate) async fn order(&self, who: &str, wanted: &[Entitlement]) -> (OpenOrder, Secret) {
        let clear = credential::generate().unwrap();
        let verifier = PostgresDriver.verifier(&clear).unwrap().unwrap();
        let until = self.world.now().await.unwrap().plus(Span::from_hours(1));
        (self.order_until(who, wanted, until, verifier), clear)
    }

    /// The same with a deadline and a verifier that were made before: making them takes longer than opening.
    pub(crate) fn order_until(
        &self,
        who: &str,
        wanted: &[Entitlement],
        until: Timestamp,
        verifier: Verifier,
    ) -> OpenOrder {
        let limits = PostgresDriver.manifest().names;
        let grantee = GranteeId::parse(who).unwrap();
        let TargetContext { connector, integration, .. } = &self.context;
        let prefix = naming::Prefix::ours(limits);
        let account = Account {
            id: naming::account_id(connector, integration, &grantee),
            integration: integration.clone(),
            name: naming::account_name(&prefix, who, connector, integration, &grantee, limits).unwrap(),
            grantee,
            ownership: Ownership::Owned,
            immutable: None,
        };
        let mark = MarkDraft {
            connector: connector.clone(),
            integration: integration.clone(),
            account: account.id,
            revision: Revision(1),
            deadlines: vec![],
            until: Some(until),
            last_revoked: None,
        };
        OpenOrder {
            spec: AccountSpec { account, mark, expires: Some(until) },
            wanted: set(wanted),
            credential: NewCredential::Verifier { generation: Generation(1), verifier },
        }
    }

    pub(crate) async fn try_grantee(&self, who: &str, wanted: &[Entitlement]) -> Result<Grantee, Failure> {
        let (order, clear) = self.order(who, wanted).await;
        Ok(Grantee { account: self.target.open(&order).await?, clear })
    }

    pub(crate) async fn grantee(&self, who: &str, wanted: &[Entitlement]) -> Grantee {
        self.try_grantee(who, wanted).await.unwrap()
    }

    pub(crate) fn login(&self, grantee: &Grantee, database: &str) -> Config {
        config(&self.world.server, &grantee.account.name.0, grantee.clear.expose(), database)
    }

    pub(crate) async fn line(&self, grantee: &Grantee, database: &str) -> Line {
        Line::open(&self.login(grantee, database)).await.unwrap()
    }

    pub(crate) async fn admin(&self, database: &str) -> Line {
        self.world.admin(database).await.unwrap()
    }

    pub(crate) async fn seen(&self, grantee: &Grantee) -> Present {
        *self.target.observe(&grantee.account).await.unwrap().account.unwrap()
    }

    /// Climbs the ladder once; every rung has to succeed.
    pub(crate) async fn close(&self, grantee: &Grantee) {
        for rung in LADDER {
            self.target.revoke(&grantee.account, rung).await.unwrap();
        }
        let observed = self.target.observe(&grantee.account).await.unwrap();
        assert!(observed.is_closed(), "{observed:?}");
    }
}

/// Returns the SQLSTATE with which statements fail, `ok` when they do not.
pub(crate) async fn outcome(line: &Line, statements: &str) -> String {
    match line.client.batch_execute(statements).await {
        Ok(()) => "ok".into(),
        Err(error) => error.code().map_or_else(|| "lost".to_owned(), |state| state.code().to_owned()),
    }
}
