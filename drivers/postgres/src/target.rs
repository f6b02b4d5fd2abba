//! One live integration: its sessions, its permission roles, and the verbs, each in a room of its own.

use async_trait::async_trait;
use driver::{
    AccountSpec, CheckReport, ConnectionLine, HeirPolicy, OpenOrder, Predecessors, ResourceSink,
    RetireReport, SightingSink, Target, TargetContext,
};
use model::mark::MarkDraft;
use model::{AccountRef, EntitlementSet, Failure, NewCredential, Observed, Rung, TargetIdentity, Timestamp};

use crate::account::column;
use crate::lines;
use crate::look::RoleBook;
use crate::open::Change;
use crate::session::{Pool, Purpose};
use crate::statements::NOW;

/// A live PostgreSQL server.
pub(crate) struct PostgresTarget {
    pub(crate) pool: Pool,
    pub(crate) context: TargetContext,
    /// The database in which accounts are made.
    pub(crate) home: String,
    /// The database that is set does not exist, and the usual one was taken in its place.
    pub(crate) guessed: bool,
    pub(crate) book: RoleBook,
}

#[async_trait]
impl Target for PostgresTarget {
    async fn identify(&self) -> Result<TargetIdentity, Failure> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let identity = session.facts()?.identity.clone();
        session.settle(Ok(identity)).await.map_err(Failure::from)
    }

    async fn time(&self) -> Result<Option<Timestamp>, Failure> {
        let session = self.pool.session(&self.home, Purpose::Read).await?;
        let read = async {
            let rows = session.rows(NOW, &[]).await?;
            rows.first().map(|row| Ok(Timestamp::from_millis(column(row, 0)?))).transpose()
        };
        let outcome = read.await;
        session.settle(outcome).await.map_err(Failure::from)
    }

    async fn check(&self) -> Result<CheckReport, Failure> {
        Ok(self.check_all().await?)
    }

    async fn discover(&self, out: &mut dyn ResourceSink) -> Result<(), Failure> {
        Ok(self.discover_all(out).await?)
    }

    async fn create(&self, spec: &AccountSpec) -> Result<AccountRef, Failure> {
        Ok(self.change(&spec.account.to_ref(), &Change { spec: Some(spec), ..Change::default() }).await?)
    }

    async fn grant(&self, account: &AccountRef, wanted: &EntitlementSet) -> Result<(), Failure> {
        self.change(account, &Change { wanted: Some(wanted), ..Change::default() }).await?;
        Ok(())
    }

    async fn rotate(&self, account: &AccountRef, credential: &NewCredential) -> Result<(), Failure> {
        self.change(account, &Change { credential: Some(credential), ..Change::default() }).await?;
        Ok(())
    }

    async fn enable(&self, account: &AccountRef) -> Result<(), Failure> {
        self.change(account, &Change { enable: true, ..Change::default() }).await?;
        Ok(())
    }

    async fn renew(
        &self,
        account: &AccountRef,
        mark: &MarkDraft,
        expires: Option<Timestamp>,
    ) -> Result<(), Failure> {
        self.change(account, &Change { renew: Some((mark, expires)), ..Change::default() }).await?;
        Ok(())
    }

    async fn open(&self, order: &OpenOrder) -> Result<AccountRef, Failure> {
        let change = Change {
            spec: Some(&order.spec),
            wanted: Some(&order.wanted),
            credential: Some(&order.credential),
            enable: true,
            renew: None,
        };
        Ok(self.change(&order.spec.account.to_ref(), &change).await?)
    }

    async fn revoke(&self, account: &AccountRef, rung: Rung) -> Result<(), Failure> {
        let done = match rung {
            Rung::ShutLogin => self.shut_login(account).await,
            Rung::EndSessions => self.end_sessions(account).await,
            Rung::Strip => self.strip(account).await,
            Rung::Scramble => self.scramble(account).await,
        };
        done.map_err(Failure::from)
    }

    async fn delete(&self, account: &AccountRef, heir: HeirPolicy) -> Result<(), Failure> {
        Ok(self.delete_account(account, heir).await?)
    }

    async fn observe(&self, account: &AccountRef) -> Result<Observed, Failure> {
        Ok(self.observe_account(account).await?)
    }

    async fn survey(&self, out: &mut dyn SightingSink) -> Result<(), Failure> {
        Ok(self.survey_all(out).await?)
    }

    async fn wider_roles(&self, found: &mut Vec<String>) -> Result<(), Failure> {
        Ok(self.add_wider_roles(found).await?)
    }

    async fn retire(&self) -> Result<RetireReport, Failure> {
        Ok(self.retire_all().await?)
    }

    async fn end_predecessors(&self) -> Result<Predecessors, Failure> {
        Ok(self.end_older_sessions().await?)
    }

    fn connection_lines(&self, account: &AccountRef, entitlements: &EntitlementSet) -> Vec<ConnectionLine> {
        lines::connection_lines(self.pool.connector().config(), &self.home, account, entitlements)
    }

    async fn close(&self) {
        self.pool.close();
    }
}
