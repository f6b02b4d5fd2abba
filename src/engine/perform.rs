//! Doing one action: the driver's verbs in their order, each climb and each change ended by a read-back.
//! A deadline that passes is `Unknown`, never `NotDone`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use driver::{AccountSpec, Driver, HeirPolicy, OpenOrder, crash, credential};
use journal::identity::Meeting;
use model::mark::MarkDraft;
use model::{
    AccountId, AccountRef, Code, EntitlementSet, Failure, Generation, Integration, MarkState, NewCredential,
    Observed, Retry, Rung, Secret, TargetIdentity, Timestamp, Towards, Verifier,
};
use rules::{Act, Action, Answer, ConnectionLine, Ladder, Task, Ticket};
use seal::credential::seal_credential;
use tokio::time::{Instant, timeout};

use super::targets::{Opened, Targets};
use crate::{drivers, measures};

/// What an action came to.
#[derive(Debug)]
pub(crate) struct Performed {
    pub(crate) account: AccountId,
    pub(crate) ticket: Ticket,
    pub(crate) integration: model::IntegrationId,
    pub(crate) answer: Answer,
    /// Who answered.
    pub(crate) by: Option<TargetIdentity>,
    /// Who was met where the integration leads; the same, unless it was done at a former place.
    pub(crate) identity: Option<TargetIdentity>,
}

/// Where an action may be done.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Where the integration leads.
    pub(crate) present: Arc<Integration>,
    /// Where the known target answered last, when that is not proven of the present configuration.
    pub(crate) former: Option<Arc<Integration>>,
    /// Who that target is.
    pub(crate) known: Option<TargetIdentity>,
}

/// The target that an action is done on.
struct Reached {
    opened: Opened,
    integration: Arc<Integration>,
    is_present: bool,
}

impl Performed {
    /// Returns what the target's clock said in it.
    pub(crate) fn target_time(&self) -> Option<Timestamp> {
        match &self.answer {
            Answer::Done { observed, .. } | Answer::Deleted { observed } | Answer::Observed(observed) => {
                observed.target_time
            }
            Answer::Closed(climb) => climb.observed.as_ref().ok().and_then(|observed| observed.target_time),
            Answer::Minted { .. } | Answer::Failed(_) => None,
        }
    }
}

/// Whose a call under way is.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) account: AccountId,
    pub(crate) ticket: Ticket,
    /// As it was when the call began.
    pub(crate) integration: Arc<Integration>,
    /// What is done, in a word.
    pub(crate) act: &'static str,
}

impl Flight {
    /// Returns what a call came to that broke off: nobody knows.
    pub(crate) fn broke_off(self) -> Performed {
        let Self { account, ticket, integration, act: _ } = self;
        let answer =
            Answer::Failed(Failure::unknown(Code::DRIVER_FAULT, "the call broke off inside the agent"));
        let integration = integration.id.clone();
        Performed { account, ticket, integration, answer, by: None, identity: None }
    }
}

/// Does actions. Holds the clear text of what was minted for targets that take no verifier, until it is set.
pub(crate) struct Performer {
    pub(crate) targets: Arc<Targets>,
    clear: Mutex<BTreeMap<AccountId, (Generation, Secret)>>,
}

impl Performer {
    pub(crate) const fn new(targets: Arc<Targets>) -> Self {
        Self { targets, clear: Mutex::new(BTreeMap::new()) }
    }

    /// Does an action on its integration.
    pub(crate) async fn perform(self: Arc<Self>, action: Action, places: Places) -> Performed {
        let Action { ticket, account, act, .. } = action;
        let deadline = self.targets.shop.call_deadline;
        let (word, begun) = (act.word(), Instant::now());
        let integration = Arc::clone(&places.present);
        let (mut by, mut identity) = (None, None);
        let work = async {
            if let Act::Mint { .. } = &act {
                return self.mint(account, &act, &integration).await;
            }
            let Reached { opened, integration, is_present } = self.reach(&act, &places).await?;
            identity = is_present.then(|| opened.identity.clone());
            by = Some(opened.identity.clone());
            if !act.adds_nothing() && places.known.as_ref().is_some_and(|known| *known != opened.identity) {
                return Err(another_answers());
            }
            self.on_target(&opened, act, &integration).await
        };
        let answer = match crash::within(word, timeout(deadline, work)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(failure)) => Answer::Failed(failure),
            Err(_) => Answer::Failed(Failure::unknown(
                Code::TIMED_OUT,
                format!("{word} did not come to an end in {deadline:?}"),
            )),
        };
        let failure = match &answer {
            Answer::Failed(failure) => Some(failure),
            Answer::Closed(climb) => climb.observed.as_ref().err(),
            Answer::Done { failure, .. } => failure.as_ref(),
            Answer::Minted { .. } | Answer::Deleted { .. } | Answer::Observed(_) => None,
        };
        measures::action(word, failure.is_none(), begun.elapsed());
        if let Some(failure) = failure {
            tracing::warn!(%account, integration = %integration.id, action = word, code = %failure.code, detail = %failure.detail, "Action did not succeed");
            self.targets.failed(&integration.id, failure).await;
        }
        Performed { account, ticket, integration: integration.id.clone(), answer, by, identity }
    }

    /// Opens the target for an action. What adds nothing goes where the known target answered last, since what
    /// was opened is there; what adds goes where the integration leads.
    async fn reach(&self, act: &Act, places: &Places) -> Result<Reached, Failure> {
        let mut there = None;
        if let Some(former) = places.former.as_ref().filter(|_| act.adds_nothing()) {
            match self.targets.open_former(former).await {
                Ok(opened) if places.known.as_ref() == Some(&opened.identity) => {
                    return Ok(Reached { opened, integration: Arc::clone(former), is_present: false });
                }
                Ok(_) => there = Some(another_answers()),
                Err(failure) => there = Some(failure),
            }
        }
        match (self.targets.open(&places.present).await, there) {
            (Ok(opened), _) => {
                Ok(Reached { opened, integration: Arc::clone(&places.present), is_present: true })
            }
            // Where the account is says more on when to try again than a place that it was never on.
            (Err(_), Some(failure)) | (Err(failure), None) => Err(failure),
        }
    }

    async fn mint(
        self: &Arc<Self>,
        account: AccountId,
        act: &Act,
        integration: &Integration,
    ) -> Result<Answer, Failure> {
        let Act::Mint { generation, access, grantee, key } = act.clone() else { return Err(unfit()) };
        let driver = drivers::find(&integration.kind)
            .ok_or_else(|| Failure::refused(Code::CONFIG_REFUSED, "this build has no such driver"))?;
        let (me, now) = (Arc::clone(self), self.targets.shop.clock.wall());
        let work = move || -> Result<Answer, Failure> {
            let clear = credential::generate()?;
            let verifier = driver.verifier(&clear)?;
            let mut key_before = None;
            let sealed = match access {
                Some(access) => {
                    match me.targets.shop.identity.pin(&grantee, &key, now) {
                        Ok(Meeting::Changed { before }) => key_before = Some(before.key),
                        Ok(Meeting::First | Meeting::Same) => {}
                        Err(fault) => tracing::warn!(%fault, "The grantee's key could not be pinned"),
                    }
                    let sealed = seal_credential(&access, account, &grantee, generation, &key, &clear)
                        .map_err(|fault| Failure::refused(Code::ORDER_MALFORMED, fault.to_string()))?;
                    Some(sealed)
                }
                None => None,
            };
            if verifier.is_none() {
                me.clear.lock().unwrap_or_else(PoisonError::into_inner).insert(account, (generation, clear));
            }
            Ok(Answer::Minted { sealed, verifier, key_before })
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|fault| Err(Failure::not_done(Code::DRIVER_FAULT, fault.to_string())))
    }

    fn credential(
        &self,
        account: AccountId,
        generation: Generation,
        verifier: Option<Verifier>,
    ) -> Result<NewCredential, Failure> {
        if let Some(verifier) = verifier {
            return Ok(NewCredential::Verifier { generation, verifier });
        }
        let clear = self.clear.lock().unwrap_or_else(PoisonError::into_inner);
        match clear.get(&account) {
            Some((held, secret)) if *held == generation => {
                Ok(NewCredential::Clear { generation, secret: secret.duplicate() })
            }
            _ => Err(Failure::not_done(Code::DRIVER_FAULT, "the clear text is gone with an earlier process")),
        }
    }

    async fn on_target(
        &self,
        opened: &Opened,
        act: Act,
        integration: &Integration,
    ) -> Result<Answer, Failure> {
        let target = &opened.target;
        match act {
            Act::Open { account, mark, expires, wanted, generation, verifier } => {
                let credential = self.credential(account.id, generation, verifier)?;
                let expires = expires.map(|at| opened.in_target_time(at));
                let spec = AccountSpec { account, mark, expires };
                self.may(Towards::More)?;
                let order = OpenOrder { spec, wanted: wanted.clone(), credential };
                let made = target.open(&order).await?;
                self.done(opened, &made, &wanted, None).await
            }
            Act::Converge { account, mark, expires, wanted, shrinks } => {
                let account = account.to_ref();
                self.may(Towards::More)?;
                let mut failure = target.grant(&account, &wanted).await.err();
                let expires = expires.map(|at| opened.in_target_time(at));
                let renewed = match self.may(Towards::More) {
                    Ok(()) => target.renew(&account, &mark, expires).await,
                    Err(failure) => Err(failure),
                };
                failure = failure.or(renewed.err());
                let driver = drivers::find(&integration.kind);
                if shrinks && driver.is_some_and(must_end_sessions) {
                    failure = failure.or(self.rung(opened, &account, Rung::EndSessions).await.err());
                }
                self.done(opened, &account, &wanted, failure).await
            }
            Act::Rotate { account, mark, generation, verifier } => {
                let credential = self.credential(account.id, generation, verifier)?;
                let (account, expires) = (
                    account.to_ref(),
                    mark.until.map(|at| opened.in_target_time(at.plus(rules::account::GRACE))),
                );
                self.may(Towards::More)?;
                target.rotate(&account, &credential).await?;
                target.renew(&account, &mark, expires).await?;
                self.done(opened, &account, &EntitlementSet::nothing(), None).await
            }
            Act::Close { account, mark } => {
                let scrambles = drivers::find(&integration.kind)
                    .is_some_and(|driver| driver.manifest().shutting_scrambles);
                let mut ladder = Ladder::new(account.ownership, scrambles);
                let account = account.to_ref();
                self.look_first(opened, &account, &mark).await?;
                while let Some(task) = ladder.next_task() {
                    match task {
                        Task::Rung(rung) => ladder.done(task, self.rung(opened, &account, rung).await),
                        Task::Renew => {
                            let renewed = match self.may(Towards::Less) {
                                Ok(()) => target.renew(&account, &mark, None).await,
                                Err(failure) => Err(failure),
                            };
                            ladder.done(task, renewed);
                        }
                        Task::Observe => break,
                    }
                }
                let observed = self.observe(opened, &account).await;
                Ok(Answer::Closed(ladder.finish(observed)))
            }
            Act::Delete { account } => {
                let account = account.to_ref();
                self.may(Towards::Less)?;
                target.delete(&account, HeirPolicy::HandOver).await?;
                Ok(Answer::Deleted { observed: self.observe(opened, &account).await? })
            }
            Act::Observe { account } => Ok(Answer::Observed(self.observe(opened, &account.to_ref()).await?)),
            Act::Mint { .. } => Err(unfit()),
        }
    }

    /// Asks whether a verb that changes the target may begin.
    fn may(&self, towards: Towards) -> Result<(), Failure> {
        self.targets.shop.caller.licence.admits(towards)
    }

    async fn rung(&self, opened: &Opened, account: &AccountRef, rung: Rung) -> Result<(), Failure> {
        self.may(Towards::Less)?;
        opened.target.revoke(account, rung).await
    }

    /// Without a lease an account is closed only after its mark says that nobody has prolonged it since.
    async fn look_first(
        &self,
        opened: &Opened,
        account: &AccountRef,
        mark: &MarkDraft,
    ) -> Result<(), Failure> {
        if !self.targets.shop.leadership.as_ref().is_some_and(|leadership| leadership.must_look()) {
            return Ok(());
        }
        let Some(found) = self.observe(opened, account).await?.account else { return Ok(()) };
        match unleased(&found.mark, mark, self.targets.shop.clock.wall()) {
            Unleased::Close => Ok(()),
            Unleased::CloseBlindly => {
                tracing::error!(account = %mark.account, integration = %mark.integration, "Closing without a lease and without a mark to read: by the last deadline that is known");
                Ok(())
            }
            Unleased::Leave => Err(Failure::not_done(
                Code::LEASE_NOT_HELD,
                "another instance has prolonged the account since: it closes it",
            )),
        }
    }

    async fn done(
        &self,
        opened: &Opened,
        account: &AccountRef,
        wanted: &EntitlementSet,
        failure: Option<Failure>,
    ) -> Result<Answer, Failure> {
        let observed = self.observe(opened, account).await?;
        let held = observed.account.as_ref().map_or(wanted, |found| &found.entitlements);
        let lines = opened.target.connection_lines(account, held);
        let lines =
            lines.into_iter().map(|line| ConnectionLine { label: line.label, text: line.text }).collect();
        Ok(Answer::Done { observed, lines, failure })
    }

    async fn observe(&self, opened: &Opened, account: &AccountRef) -> Result<Observed, Failure> {
        let observed = opened.target.observe(account).await?;
        if let Some(said) = observed.target_time {
            opened.heard(said, self.targets.now());
        }
        Ok(observed)
    }
}

/// What is done about an account that is due, by an instance without a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unleased {
    Close,
    /// There is no mark that could say otherwise.
    CloseBlindly,
    /// Somebody has prolonged it since.
    Leave,
}

/// Compares what the target's mark says with the one that closing would leave: a revision that this memory never
/// wrote, and a deadline still to come, are another instance's.
fn unleased(found: &MarkState, ours: &MarkDraft, now: Timestamp) -> Unleased {
    match found {
        MarkState::Valid(mark) => {
            let newer = mark.draft.revision >= ours.revision;
            let wanted = mark.draft.until.is_some_and(|until| until > now);
            if newer && wanted { Unleased::Leave } else { Unleased::Close }
        }
        MarkState::Missing | MarkState::Copied | MarkState::Forged | MarkState::Foreign => {
            Unleased::CloseBlindly
        }
    }
}

fn another_answers() -> Failure {
    let detail = "another target answers in its place: mend its address, or resume the integration";
    Failure::not_done(Code::TARGET_REPLACED, detail).with_retry(Retry::NeedsHuman)
}

fn unfit() -> Failure {
    Failure::not_done(Code::DRIVER_FAULT, "the action does not fit its performer")
}

/// Without a version at hand the worst is taken: ending sessions in vain costs less than a right that lives on.
fn must_end_sessions(driver: &'static dyn Driver) -> bool {
    driver.manifest().rights_survive_in_sessions.holds_for("")
}

#[cfg(test)]
mod tests {
    use model::{AccountId, ConnectorId, ImmutableId, IntegrationId, Revision};
    use uuid::Uuid;

    use super::*;

    fn draft(revision: u64, until: Option<i64>) -> MarkDraft {
        MarkDraft {
            connector: ConnectorId::parse("c").unwrap(),
            integration: IntegrationId::parse("i").unwrap(),
            account: AccountId::from_uuid(Uuid::nil()),
            revision: Revision(revision),
            deadlines: vec![],
            until: until.map(Timestamp::from_secs),
            last_revoked: None,
        }
    }

    #[test]
    fn without_a_lease_only_what_nobody_has_prolonged_is_closed() {
        let found = |revision, until| {
            let (target, id) = (TargetIdentity("t".into()), ImmutableId("7".into()));
            MarkState::Valid(Box::new(draft(revision, until).complete(target, id)))
        };
        let (future, past) = (Some(2_000), Some(900));
        let table = [
            ("as we left it, due", found(10, past), Unleased::Close),
            ("as we left it, revoked early", found(10, future), Unleased::Close),
            ("prolonged by another", found(11, future), Unleased::Leave),
            ("changed by another, due all the same", found(12, past), Unleased::Close),
            ("closed by us, not recorded", found(11, None), Unleased::Close),
            ("no mark", MarkState::Missing, Unleased::CloseBlindly),
            ("a forged mark", MarkState::Forged, Unleased::CloseBlindly),
        ];
        // Closing leaves the revision after the last that this memory wrote.
        let ours = draft(11, None);
        for (name, found, expected) in table {
            assert_eq!(unleased(&found, &ours, Timestamp::from_secs(1_000)), expected, "{name}");
        }
    }
}
