//! The stage of one case: people, targets, and the words in which a case says what it expects.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::mark::{EntitlementDeadline, MarkDraft};
use model::observed::Present;
use model::{
    Account, AccountName, AccountRef, Certainty, Code, ConnectorId, Entitlement, EntitlementSet, Failure,
    Generation, GranteeId, InstanceId, IntegrationId, Login, NewCredential, Observed, Ownership, ResourceId,
    Revision, Rung, Secret, Span, Timestamp, Verifier,
};
use seal::keys::MarkKey;
use seal::mark::MarkKeys;
use uuid::Uuid;

use super::watched::Watched;
use super::wire::Wire;
use super::world::{GranteeSession, Use, Wired, World, WorldFault};
use crate::{AccountSpec, Caller, HeirPolicy, OpenOrder, Target, TargetContext, credential, naming};

/// How long an access lasts in the suite.
const AN_HOUR: Span = Span::from_hours(1);

/// The rungs in the order in which the agent climbs them.
pub(super) const LADDER: [Rung; 5] =
    [Rung::ShutLogin, Rung::EndSessions, Rung::Strip, Rung::Scramble, Rung::EndSessions];

/// What a case found broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

impl From<WorldFault> for Broken {
    fn from(fault: WorldFault) -> Self {
        Self(format!("the world itself failed: {}", fault.0))
    }
}

/// Returns an error unless the condition holds.
pub(super) fn ensure(condition: bool, expected: impl Into<String>) -> Result<(), Broken> {
    if condition { Ok(()) } else { Err(Broken(expected.into())) }
}

/// Returns an error unless both are equal.
pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
    found: &T,
    expected: &T,
    what: &str,
) -> Result<(), Broken> {
    ensure(found == expected, format!("{what}: found {found:?}, expected {expected:?}"))
}

/// Says what was being done when a verb failed.
pub(super) trait Told<T> {
    fn told(self, doing: &str) -> Result<T, Broken>;
}

impl<T> Told<T> for Result<T, Failure> {
    fn told(self, doing: &str) -> Result<T, Broken> {
        self.map_err(|failure| Broken(format!("{doing} failed: {failure} ({:?})", failure.certainty)))
    }
}

/// Returns an error unless the verb was refused for one of these reasons.
pub(super) fn refused<T>(answer: Result<T, Failure>, codes: &[Code], doing: &str) -> Result<(), Broken> {
    match answer {
        Ok(_) => Err(Broken(format!("{doing} succeeded, expected a refusal with {codes:?}"))),
        Err(failure) => {
            ensure(
                codes.contains(&failure.code),
                format!("{doing}: refused with {failure}, expected {codes:?}"),
            )?;
            ensure(
                failure.certainty == Certainty::Refused,
                format!("{doing}: {failure} is {:?}, expected Refused", failure.certainty),
            )
        }
    }
}

/// What the whole run shares.
pub(super) struct Run {
    pub(super) context: TargetContext,
    /// Every failure that any verb gave.
    pub(super) failures: Arc<Mutex<Vec<Failure>>>,
    /// Every clear credential that was made.
    secrets: Mutex<Vec<Secret>>,
    /// Every verifier that was made: the target may log it, the agent may not.
    verifiers: Mutex<Vec<Verifier>>,
    /// Every account name that was used.
    names: Mutex<Vec<AccountName>>,
    /// What was on the target before.
    pub(super) before: BTreeSet<String>,
}

impl Run {
    pub(super) fn begin(before: BTreeSet<String>) -> Result<Self, Broken> {
        // Another one each time, so that two runs on one target, or in one log, are told apart.
        let connector = ConnectorId::parse(format!("contract-{}", Uuid::new_v4().simple()))
            .map_err(|fault| Broken(fault.to_string()))?;
        let key = MarkKey::generate().map_err(|fault| Broken(fault.to_string()))?;
        let context = TargetContext {
            marks: Arc::new(MarkKeys::new(connector.clone(), key, vec![])),
            connector,
            integration: IntegrationId::parse("contract").map_err(|fault| Broken(fault.to_string()))?,
            caller: Caller::new(InstanceId::from_uuid(Uuid::from_u128(7)), 1),
        };
        Ok(Self {
            context,
            failures: Arc::default(),
            secrets: Mutex::default(),
            verifiers: Mutex::default(),
            names: Mutex::default(),
            before,
        })
    }

    fn keep(&self, clear: &Secret, verifier: Option<&Verifier>) {
        locked(&self.secrets).push(clear.duplicate());
        locked(&self.verifiers).extend(verifier.cloned());
    }

    pub(super) fn secrets(&self) -> Vec<Secret> {
        locked(&self.secrets).iter().map(Secret::duplicate).collect()
    }

    pub(super) fn verifiers(&self) -> Vec<Verifier> {
        locked(&self.verifiers).clone()
    }

    pub(super) fn names(&self) -> Vec<AccountName> {
        locked(&self.names).clone()
    }

    /// Remembers a failure that did not come out of a watched target.
    pub(super) fn note(&self, failure: &Failure) {
        locked(&self.failures).push(failure.clone());
    }

    pub(super) fn failures(&self) -> Vec<Failure> {
        locked(&self.failures).clone()
    }
}

/// Locks what is only ever pushed to, so that a panic elsewhere cannot have left it half done.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A grantee with an account to be, and a credential that only the suite knows in clear.
pub(super) struct Person {
    pub(super) account: Account,
    pub(super) clear: Secret,
    verifier: Option<Verifier>,
}

impl Person {
    /// Returns the credential as it goes to the target.
    pub(super) fn credential(&self) -> NewCredential {
        let generation = Generation(1);
        match &self.verifier {
            Some(verifier) => NewCredential::Verifier { generation, verifier: verifier.clone() },
            None => NewCredential::Clear { generation, secret: self.clear.duplicate() },
        }
    }

    /// Returns the account as a journal knows it that has never seen it.
    pub(super) fn by_name(&self) -> AccountRef {
        self.account.to_ref()
    }

    pub(super) const fn name(&self) -> &AccountName {
        &self.account.name
    }
}

/// The stage of one case.
pub(super) struct Stage<'w> {
    pub(super) world: &'w dyn World,
    pub(super) run: &'w Run,
    pub(super) case: &'static str,
    /// The target's time when the case began.
    pub(super) now: Timestamp,
}

impl Stage<'_> {
    /// Connects anew.
    pub(super) async fn target(&self) -> Result<Watched, Broken> {
        self.target_as(self.run.context.clone()).await
    }

    /// Connects anew as another caller, connector or integration.
    pub(super) async fn target_as(&self, context: TargetContext) -> Result<Watched, Broken> {
        let target = self.world.connect(context).await.told("connecting")?;
        Ok(Watched::new(target, Arc::clone(&self.run.failures)))
    }

    /// Connects anew, through a wire that can be torn.
    pub(super) async fn wired(&self) -> Result<(Watched, Box<dyn Wire>), Broken> {
        let Wired { target, wire } = self.world.connect_by_wire(self.run.context.clone()).await?;
        Ok((Watched::new(target, Arc::clone(&self.run.failures)), wire))
    }

    /// Returns when the access of a case ends.
    pub(super) const fn until(&self) -> Timestamp {
        self.now.plus(AN_HOUR)
    }

    /// Invents a grantee of this case, with a new credential.
    pub(super) fn person(&self, who: &str) -> Result<Person, Broken> {
        let text = format!("{}.{who}", self.case.rsplit("::").next().unwrap_or_default());
        let grantee = GranteeId::parse(text.chars().take(64).collect::<String>())
            .map_err(|fault| Broken(fault.to_string()))?;
        let TargetContext { connector, integration, .. } = &self.run.context;
        let limits = self.world.driver().manifest().names;
        let prefix = naming::Prefix::ours(limits);
        let name = naming::account_name(&prefix, who, connector, integration, &grantee, limits)
            .map_err(|fault| Broken(fault.to_string()))?;
        locked(&self.run.names).push(name.clone());
        let id = naming::account_id(connector, integration, &grantee);
        let (clear, verifier) = self.new_credential()?;
        let account = Account {
            id,
            integration: integration.clone(),
            grantee,
            name,
            ownership: Ownership::Owned,
            immutable: None,
        };
        Ok(Person { account, clear, verifier })
    }

    /// Makes a credential and remembers that it may never be seen.
    fn new_credential(&self) -> Result<(Secret, Option<Verifier>), Broken> {
        let clear = credential::generate().told("making a credential")?;
        let verifier = self.world.driver().verifier(&clear).told("computing a verifier")?;
        let promised = self.world.driver().manifest().credential.is_verifier();
        equal(&verifier.is_some(), &promised, "the driver makes a verifier when its manifest says so")?;
        self.run.keep(&clear, verifier.as_ref());
        Ok((clear, verifier))
    }

    /// Gives a grantee another credential.
    pub(super) fn renewed(&self, person: &Person) -> Result<Person, Broken> {
        let (clear, verifier) = self.new_credential()?;
        Ok(Person { account: person.account.clone(), clear, verifier })
    }

    /// Returns the mark of an account that holds these.
    pub(super) fn mark(&self, account: &Account, wanted: &EntitlementSet, revision: u64) -> MarkDraft {
        let until = self.until();
        MarkDraft {
            connector: self.run.context.connector.clone(),
            integration: self.run.context.integration.clone(),
            account: account.id,
            revision: Revision(revision),
            deadlines: wanted
                .iter()
                .map(|entitlement| EntitlementDeadline { entitlement: entitlement.clone(), until })
                .collect(),
            until: (!wanted.is_empty()).then_some(until),
            last_revoked: None,
        }
    }

    pub(super) fn spec(&self, person: &Person, wanted: &EntitlementSet) -> AccountSpec {
        AccountSpec {
            account: person.account.clone(),
            mark: self.mark(&person.account, wanted, 1),
            expires: self.expires(self.until()),
        }
    }

    /// Returns the time to set as native expiry: none where the target has none.
    pub(super) fn expires(&self, at: Timestamp) -> Option<Timestamp> {
        use crate::manifest::ExpiryClass;
        match self.world.driver().manifest().login_expiry.class {
            ExpiryClass::None => None,
            ExpiryClass::Exact | ExpiryClass::Coarse { .. } | ExpiryClass::Rolling { .. } => Some(at),
        }
    }

    pub(super) fn order(&self, person: &Person, wanted: &EntitlementSet) -> OpenOrder {
        OpenOrder { spec: self.spec(person, wanted), wanted: wanted.clone(), credential: person.credential() }
    }

    /// Returns the n-th plain entitlement of the world.
    pub(super) fn plain(&self, n: usize) -> Result<Entitlement, Broken> {
        let plain = self.world.plain();
        plain
            .get(n)
            .cloned()
            .ok_or_else(|| Broken(format!("the world has only {} plain entitlements", plain.len())))
    }

    /// Invents a grantee and opens an account for them.
    pub(super) async fn opened(
        &self,
        target: &dyn Target,
        who: &str,
        wanted: &[Entitlement],
    ) -> Result<(Person, AccountRef), Broken> {
        let person = self.person(who)?;
        let account = target.open(&self.order(&person, &set(wanted))).await.told("opening")?;
        Ok((person, account))
    }

    /// Logs in and expects to get in.
    pub(super) async fn login(
        &self,
        person: &Person,
        near: &Entitlement,
    ) -> Result<Box<dyn GranteeSession>, Broken> {
        let session = self.world.login(person.name(), &person.clear, &near.resource).await?;
        session.ok_or_else(|| Broken("the login was refused, expected to get in".into()))
    }

    /// Expects that the credential opens nothing.
    pub(super) async fn locked_out(
        &self,
        person: &Person,
        near: &ResourceId,
        when: &str,
    ) -> Result<(), Broken> {
        let session = self.world.login(person.name(), &person.clear, near).await?;
        ensure(session.is_none(), format!("{when}: the login succeeded, expected a refusal"))
    }

    /// Expects that a new session can use the entitlement.
    pub(super) async fn can_use(&self, person: &Person, entitlement: &Entitlement) -> Result<(), Broken> {
        let found = self.login(person, entitlement).await?.try_use(entitlement).await?;
        equal(&found, &Use::Works, &format!("using {entitlement}"))
    }

    /// Expects that a new session is denied the entitlement, or not even let in to where it could be used.
    pub(super) async fn is_denied(&self, person: &Person, entitlement: &Entitlement) -> Result<(), Broken> {
        let session = self.world.login(person.name(), &person.clear, &entitlement.resource).await?;
        let Some(mut session) = session else { return Ok(()) };
        let found = session.try_use(entitlement).await?;
        equal(&found, &Use::Denied, &format!("using {entitlement} without a right to"))
    }

    /// Climbs the whole ladder; each rung has to succeed, and the read-back to show the account closed.
    pub(super) async fn close(&self, target: &dyn Target, account: &AccountRef) -> Result<Observed, Broken> {
        for rung in LADDER {
            target.revoke(account, rung).await.told(rung.word())?;
        }
        let observed = target.observe(account).await.told("observing a closed account")?;
        ensure(observed.is_closed(), format!("after the ladder the account is not closed: {observed:?}"))?;
        Ok(observed)
    }

    /// Closes and deletes: how cases leave the stage.
    pub(super) async fn put_away(&self, target: &dyn Target, account: &AccountRef) -> Result<(), Broken> {
        self.close(target, account).await?;
        target.delete(account, HeirPolicy::HandOver).await.told("deleting")?;
        let observed = target.observe(account).await.told("observing a deleted account")?;
        ensure(observed.is_absent(), "after `delete` the account is still there")
    }
}

/// Makes a set of entitlements.
pub(super) fn set(entitlements: &[Entitlement]) -> EntitlementSet {
    entitlements.iter().cloned().collect()
}

/// Reads an account that has to be there.
pub(super) async fn present(target: &dyn Target, account: &AccountRef) -> Result<Present, Broken> {
    let observed = target.observe(account).await.told("observing")?;
    observed.account.map(|found| *found).ok_or_else(|| Broken("the account is not there".into()))
}

/// Expects an account to be there, with this login and exactly these entitlements.
pub(super) async fn holds(
    target: &dyn Target,
    account: &AccountRef,
    login: Login,
    wanted: &[Entitlement],
    when: &str,
) -> Result<Present, Broken> {
    let found = present(target, account).await?;
    equal(&found.login, &login, &format!("login {when}"))?;
    equal(&found.entitlements, &set(wanted), &format!("entitlements {when}"))?;
    Ok(found)
}
