//! Surveys: what carries our mark on a target, for the rules; and after that the permission roles that were widened by
//! hand. Nothing waits for the second: a survey is whole before it begins, whatever it comes to, and only the
//! telling of drift has both in it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use driver::Target;
use driver::sink::SightingSink;
use model::{AccountName, Code, Failure, Integration, Sighting, TargetIdentity};
use rules::Input;
use rules::drift::Drift;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Engine;
use super::reads::{self, News};

/// Sightings go to the rules in pieces of this many.
const PIECE: usize = 500;
/// So long may looking at the permission roles take; the next survey tries it again, and a check looks at all of them.
const LOOKS: Duration = Duration::from_secs(60);

/// What a survey comes across, piece by piece.
#[derive(Debug)]
pub(crate) struct Sightings {
    /// As it was when the survey began.
    integration: Arc<Integration>,
    identity: TargetIdentity,
    part: Part,
}

/// A part of what a survey comes across, in this order.
#[derive(Debug)]
enum Part {
    Accounts(Vec<Sighting>),
    /// These were all accounts.
    Complete,
    /// Permission roles that were widened by hand; all of them, or those that were found before looking failed.
    Wider {
        roles: Drift,
        all: bool,
    },
}

/// Looks over one target, and hands what it comes across to the rules in pieces.
pub(super) struct Watch<'s> {
    pub(super) integration: &'s Arc<Integration>,
    pub(super) identity: &'s TargetIdentity,
    pub(super) seen: &'s mpsc::Sender<Sightings>,
}

impl Watch<'_> {
    /// Hands in all accounts, and then that these were all.
    pub(super) async fn survey(&mut self, target: &dyn Target) -> Result<(), Failure> {
        target.survey(self).await?;
        self.send(Part::Complete).await
    }

    /// Hands in the permission roles that were widened, after a survey. What looking at them fails of is logged, and
    /// is no fault of the survey.
    pub(super) async fn look_at_roles(&self, target: &dyn Target) {
        let mut found = vec![];
        let late = |_| {
            let detail = format!("looking at the permission roles did not come to an end in {LOOKS:?}");
            Err(Failure::unknown(Code::TIMED_OUT, detail))
        };
        let outcome = timeout(LOOKS, target.wider_roles(&mut found)).await.unwrap_or_else(late);
        let integration = &self.integration.id;
        if let Err(Failure { code, detail, .. }) = &outcome {
            tracing::warn!(%integration, %code, "Not all permission roles could be looked at; the next survey tries again");
            tracing::debug!(%integration, detail, "Why not all permission roles could be looked at");
        }
        let mut roles = Drift::default();
        for role in found {
            roles.add(&AccountName(role), None);
        }
        if let Err(failure) = self.send(Part::Wider { roles, all: outcome.is_ok() }).await {
            tracing::debug!(%integration, code = %failure.code, "What a survey found is not told");
        }
    }

    async fn send(&self, part: Part) -> Result<(), Failure> {
        let (integration, identity) = (Arc::clone(self.integration), self.identity.clone());
        let gone = |_| Failure::not_done(Code::UNREACHABLE, "the engine has stopped");
        self.seen.send(Sightings { integration, identity, part }).await.map_err(gone)
    }
}

#[async_trait]
impl SightingSink for Watch<'_> {
    async fn take(&mut self, mut sightings: Vec<Sighting>) -> Result<(), Failure> {
        while !sightings.is_empty() {
            let rest = sightings.split_off(sightings.len().min(PIECE));
            self.send(Part::Accounts(sightings)).await?;
            sightings = rest;
        }
        Ok(())
    }
}

impl Engine {
    /// Takes a part of a survey; what it found is told with the last one.
    pub(super) fn saw(&mut self, sightings: Sightings) {
        let reading = self.parts.clock.read();
        let Sightings { integration, identity, part } = sightings;
        if !self.leads_there(&integration) {
            return;
        }
        let integration = integration.id.clone();
        let (sightings, complete) = match part {
            Part::Accounts(sightings) => (sightings, false),
            Part::Complete => (vec![], true),
            Part::Wider { roles, all } => {
                if let Some(mut survey) = self.book.poll_drift(&integration) {
                    survey.add_wider_roles(self.told.wider_roles(&integration, roles, all));
                    self.tell_drift(&survey);
                    reads::tell(&self.parts.news, News::Drift(survey));
                }
                return;
            }
        };
        if complete {
            self.unlooked.remove(&integration);
        }
        self.book.handle(Input::Identified { integration: integration.clone(), identity }, reading);
        self.book.handle(Input::Surveyed { integration, sightings, complete }, reading);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use driver::fake::{Fake, Fate, Nature, System, Verb, hold};
    use driver::{Caller, TargetContext};
    use model::{
        ConnectorId, DriverKind, InstanceId, IntegrationId, Lifecycle, Policy, Revision, Secret,
        SecretReference, Timestamp,
    };
    use seal::keys::MarkKey;
    use seal::mark::MarkKeys;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_survey_is_complete_before_the_roles_are_looked_at_and_whatever_that_comes_to() {
        let (held, _release) = hold();
        let table = [
            ("it goes well", None, true),
            ("it fails", Some(Fate::Refuse(Code::RIGHT_MISSING)), false),
            ("it comes to no end", Some(Fate::Slow(held)), false),
        ];
        for (name, fate, every) in table {
            let connector = ConnectorId::parse("c").unwrap();
            let integration = Arc::new(Integration {
                id: IntegrationId::parse("i").unwrap(),
                revision: Revision(1),
                kind: DriverKind("fake".into()),
                settings: BTreeMap::new(),
                secret: SecretReference("file://admin.json".into()),
                policy: Policy::default(),
                lifecycle: Lifecycle::Live,
            });
            let password = || Secret::new("the admin's".into());
            let driver = Fake::new(Nature::Transactions);
            let now = Timestamp::from_secs(1_795_309_200);
            let system = System::new(Nature::Transactions, "system", password(), now);
            driver.host("db", &system);
            let context = TargetContext {
                connector: connector.clone(),
                integration: integration.id.clone(),
                marks: Arc::new(MarkKeys::new(connector, MarkKey::generate().unwrap(), vec![])),
                caller: Caller::new(InstanceId::from_uuid(uuid::Uuid::from_u128(1)), 1),
            };
            let (target, _wire) = driver.connect_by_wire("db", password(), context);
            if let Some(fate) = fate {
                system.plan(Verb::WiderRoles, fate);
            }

            let (seen, mut told) = mpsc::channel(10);
            let identity = TargetIdentity("system".into());
            let mut watch = Watch { integration: &integration, identity: &identity, seen: &seen };
            watch.survey(&*target).await.unwrap();
            let first = told.try_recv().map(|one| one.part);
            assert!(matches!(first, Ok(Part::Complete)), "{name}: {first:?}");
            assert_eq!(system.calls(Verb::WiderRoles), 0, "{name}: nothing waits for the roles");

            let began = Instant::now();
            watch.look_at_roles(&*target).await;
            assert!(began.elapsed() <= LOOKS + Duration::from_secs(1), "{name}: {:?}", began.elapsed());
            let second = told.try_recv().map(|one| one.part);
            let Ok(Part::Wider { roles, all }) = second else { panic!("{name}: {second:?}") };
            assert_eq!((roles.count, all), (0, every), "{name}");
            assert!(told.try_recv().is_err(), "{name}");
        }
    }
}
