//! The target of a made-up system: each verb is one call with its fate.

use std::sync::Arc;

use async_trait::async_trait;
use model::mark::MarkDraft;
use model::{
    AccountRef, Code, EntitlementSet, Failure, NewCredential, Observed, Retry, Rung, Secret, TargetIdentity,
    Timestamp,
};

use super::desk::{Desk, Pending};
use super::sabotage::Sabotage;
use super::script::{Fate, Verb};
use super::state::Stored;
use super::wire::FakeWire;
use super::{Fake, Nature, System, unreachable, verbs};
use crate::{
    AccountSpec, CheckReport, ConnectionLine, HeirPolicy, OpenOrder, ResourceSink, RetireReport,
    SightingSink, Target, TargetContext, open_by_steps,
};

/// How many pieces are told at once.
const BATCH: usize = 2;

pub(super) struct FakeTarget {
    driver: Fake,
    host: String,
    admin: Secret,
    context: TargetContext,
    wire: Arc<FakeWire>,
}

impl FakeTarget {
    pub(super) fn new(
        driver: &Fake,
        host: &str,
        admin: Secret,
        context: TargetContext,
        wire: Arc<FakeWire>,
    ) -> Self {
        Self { driver: driver.clone(), host: host.to_owned(), admin, context, wire }
    }

    fn system(&self) -> Result<System, Failure> {
        self.driver.hosted().get(&self.host).cloned().ok_or_else(unreachable)
    }

    /// Logs in once.
    pub(super) async fn greet(&self) -> Result<(), Failure> {
        self.call(Verb::Connect, |_| Ok(())).await
    }

    async fn call<T: Send + 'static>(
        &self,
        verb: Verb,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let system = self.system()?;
        let (gives_up, reconnects, hasty) = {
            let has = |trouble| system.core().sabotage.contains(&trouble);
            (!has(Sabotage::NeverGivesUp), !has(Sabotage::NeverReconnects), has(Sabotage::GivesUpOnTheSlow))
        };
        self.wire.ready(gives_up, reconnects, hasty).await?;
        let fate = system.core().script.next(verb);
        let lost = || Failure::unknown(Code::TIMED_OUT, "the answer did not come in time");
        match fate {
            None => self.act(&system, work),
            Some(Fate::Refuse(code)) => Err(Failure::refused(code, "the script refuses it")),
            Some(Fate::NotDone(code)) => Err(Failure::not_done(code, "the script does not do it")),
            Some(Fate::UnknownButDone) => self.act(&system, work).and_then(|_| Err(lost())),
            Some(Fate::UnknownNotDone) => Err(lost()),
            Some(Fate::Slow(hold)) => {
                hold.wait().await;
                self.act(&system, work)
            }
            Some(Fate::Late(hold)) => {
                let answer = self.act(&system, work);
                hold.wait().await;
                answer
            }
            Some(Fate::LandsLater) => {
                let work = Box::new(move |desk: &mut Desk<'_>| {
                    if let Err(failure) = work(desk) {
                        tracing::debug!(%failure, "What landed late was not done");
                    }
                });
                system.core().pending.push(Pending { context: self.context.clone(), work });
                Err(lost())
            }
            Some(Fate::BreaksAfter(statements)) => {
                self.wire.break_after(statements);
                let answer = self.act(&system, work);
                self.wire.mend_break();
                answer
            }
        }
    }

    fn act<T>(
        &self,
        system: &System,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut core = system.core();
        if core.is_down {
            return Err(unreachable());
        }
        if core.admin.expose() != self.admin.expose() {
            if core.sabotage.contains(&Sabotage::WrongSecretIsUnclear) {
                return Err(Failure::unknown(Code::TARGET_FAULT, "something went wrong"));
            }
            let detail = "the system refused the admin password: store the right one";
            return Err(Failure::refused(Code::LOGIN_REFUSED, detail).with_retry(Retry::AfterNewSecret));
        }
        let nature = self.driver.nature;
        let mut desk =
            Desk { core: &mut core, context: &self.context, wire: &self.wire, nature, working: None };
        work(&mut desk)
    }

    fn has(&self, sabotage: Sabotage) -> bool {
        self.system().is_ok_and(|system| system.core().sabotage.contains(&sabotage))
    }

    async fn open_in_steps(&self, order: &OpenOrder) -> Result<AccountRef, Failure> {
        if !self.has(Sabotage::EnablesBeforeGranting) {
            return open_by_steps(self, order).await;
        }
        let account = self.create(&order.spec).await?;
        self.rotate(&account, &order.credential).await?;
        self.enable(&account).await?;
        self.grant(&account, &order.wanted).await?;
        Ok(account)
    }
}

fn stored(credential: &NewCredential) -> Stored {
    match credential {
        NewCredential::Verifier { verifier, .. } => Stored::Verifier(verifier.clone()),
        NewCredential::Clear { secret, .. } => Stored::Clear(secret.expose().to_owned()),
    }
}

#[async_trait]
impl Target for FakeTarget {
    async fn identify(&self) -> Result<TargetIdentity, Failure> {
        self.call(Verb::Identify, |desk| {
            let identity = desk.identity();
            desk.ask("identify", |_| Ok(identity))
        })
        .await
    }

    async fn check(&self) -> Result<CheckReport, Failure> {
        self.call(Verb::Check, verbs::check).await
    }

    async fn discover(&self, out: &mut dyn ResourceSink) -> Result<(), Failure> {
        let mut found = self.call(Verb::Discover, verbs::discover).await?;
        while !found.is_empty() {
            let rest = found.split_off(found.len().min(BATCH));
            out.take(std::mem::replace(&mut found, rest)).await?;
        }
        Ok(())
    }

    async fn create(&self, spec: &AccountSpec) -> Result<AccountRef, Failure> {
        let spec = spec.clone();
        self.call(Verb::Create, move |desk| verbs::create(desk, &spec)).await
    }

    async fn grant(&self, account: &AccountRef, wanted: &EntitlementSet) -> Result<(), Failure> {
        let (account, wanted) = (account.clone(), wanted.clone());
        self.call(Verb::Grant, move |desk| verbs::grant(desk, &account, &wanted)).await
    }

    async fn rotate(&self, account: &AccountRef, credential: &NewCredential) -> Result<(), Failure> {
        let (account, credential) = (account.clone(), stored(credential));
        self.call(Verb::Rotate, move |desk| verbs::rotate(desk, &account, &credential)).await
    }

    async fn enable(&self, account: &AccountRef) -> Result<(), Failure> {
        let account = account.clone();
        self.call(Verb::Enable, move |desk| verbs::enable(desk, &account)).await
    }

    async fn renew(
        &self,
        account: &AccountRef,
        mark: &MarkDraft,
        expires: Option<Timestamp>,
    ) -> Result<(), Failure> {
        let (account, mark) = (account.clone(), mark.clone());
        self.call(Verb::Renew, move |desk| verbs::renew(desk, &account, &mark, expires)).await
    }

    async fn open(&self, order: &OpenOrder) -> Result<AccountRef, Failure> {
        if self.driver.nature == Nature::Steps {
            return self.open_in_steps(order).await;
        }
        let (spec, wanted, credential) =
            (order.spec.clone(), order.wanted.clone(), stored(&order.credential));
        self.call(Verb::Open, move |desk| verbs::open(desk, &spec, &wanted, &credential)).await
    }

    async fn revoke(&self, account: &AccountRef, rung: Rung) -> Result<(), Failure> {
        let account = account.clone();
        self.call(Verb::Revoke(rung), move |desk| verbs::revoke(desk, &account, rung)).await
    }

    async fn delete(&self, account: &AccountRef, heir: HeirPolicy) -> Result<(), Failure> {
        let account = account.clone();
        self.call(Verb::Delete, move |desk| verbs::delete(desk, &account, heir)).await
    }

    async fn observe(&self, account: &AccountRef) -> Result<Observed, Failure> {
        let account = account.clone();
        self.call(Verb::Observe, move |desk| verbs::observe(desk, &account)).await
    }

    async fn survey(&self, out: &mut dyn SightingSink) -> Result<(), Failure> {
        let mut found = self.call(Verb::Survey, verbs::survey).await?;
        while !found.is_empty() {
            let rest = found.split_off(found.len().min(BATCH));
            let answer = out.take(std::mem::replace(&mut found, rest)).await;
            if !self.has(Sabotage::SurveyIgnoresItsReader) {
                answer?;
            }
        }
        Ok(())
    }

    async fn wider_roles(&self, found: &mut Vec<String>) -> Result<(), Failure> {
        found.extend(self.call(Verb::WiderRoles, verbs::wider_roles).await?);
        Ok(())
    }

    async fn retire(&self) -> Result<RetireReport, Failure> {
        self.call(Verb::Retire, verbs::retire).await
    }

    fn connection_lines(&self, account: &AccountRef, _: &EntitlementSet) -> Vec<ConnectionLine> {
        let forgets = self.has(Sabotage::ConnectionLineForgetsAccount);
        let name = if forgets { "somebody" } else { account.name.0.as_str() };
        vec![ConnectionLine { label: "uri".into(), text: format!("fake://{name}@{}", self.host) }]
    }

    async fn close(&self) {}
}

impl Nature {
    /// Every nature.
    pub const ALL: [Self; 2] = [Self::Transactions, Self::Steps];
}
