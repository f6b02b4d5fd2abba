//! What an operator is told of what was written: a line in the log for each event worth telling, and measures.
//!
//! Told after it is on disk, once. Names of people, accounts and objects stay at DEBUG; at INFO and above there are
//! ids, and codes that have a page in `docs/codes`.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    Access, AccessId, AccessState, AccountId, Code, EndReason, Failure, Integration, IntegrationId,
    Lifecycle, Phase, Revision, Timestamp,
};
use rules::Report;
use rules::book::{Book, Standstill};
use rules::drift::{Drift, DriftKind, Survey};

use super::Engine;
use super::published::Condition;
use super::reads::Reading;
use crate::measures;
use crate::status::{Health, HealthState};

/// What is remembered of an access while it is being ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    until: Timestamp,
    since: Timestamp,
    by_deadline: bool,
}

/// What was told last, so that only changes are told.
#[derive(Debug, Default)]
pub(super) struct Told {
    endings: BTreeMap<AccessId, Ending>,
    integrations: BTreeMap<IntegrationId, (Revision, Lifecycle)>,
    standstill: Option<Standstill>,
    /// How much was not as it should be, by integration.
    drifts: BTreeMap<IntegrationId, BTreeMap<DriftKind, u64>>,
    /// Permission roles that were widened, as they were told last, by integration.
    wider: BTreeMap<IntegrationId, Drift>,
    troubles: Troubles,
}

/// What readings failed of, and by which configuration.
#[derive(Debug, Default)]
struct Troubles(BTreeMap<(IntegrationId, Reading), (Revision, Code, String)>);

/// What a reading says that the one before it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Failed,
    FailedAgain,
    /// Nothing fails on this integration any more.
    Well,
    Nothing,
}

impl Troubles {
    fn note(&mut self, integration: &Integration, reading: Reading, failure: Option<&Failure>) -> Change {
        let key = (integration.id.clone(), reading);
        let Some(failure) = failure else {
            let mended = self.0.remove(&key).is_some();
            let more = self.0.keys().any(|(id, _)| *id == integration.id);
            return if mended && !more { Change::Well } else { Change::Nothing };
        };
        let now = (integration.revision, failure.code.clone(), failure.detail.clone());
        if self.0.insert(key, now.clone()) == Some(now) { Change::FailedAgain } else { Change::Failed }
    }
}

impl Told {
    /// Begins with what a journal remembers.
    pub(super) fn of(book: &Book) -> Self {
        let accesses = book.accounts().flat_map(|record| record.accesses.values());
        Self {
            endings: accesses.filter_map(|access| Some((access.id.clone(), ending(access)?))).collect(),
            ..Self::default()
        }
    }

    /// Returns which permission roles are to be told as widened. Looking at some of them does not take back what
    /// was told of more.
    pub(super) fn wider_roles(&mut self, integration: &IntegrationId, found: Drift, all: bool) -> Drift {
        let known = self.wider.entry(integration.clone()).or_default();
        if all || found.count > known.count {
            *known = found;
        }
        known.clone()
    }
}

fn ending(access: &Access) -> Option<Ending> {
    let AccessState::Ending { reason, since, .. } = &access.state else { return None };
    Some(Ending { until: access.until, since: *since, by_deadline: *reason == EndReason::Deadline })
}

impl Engine {
    /// Tells what a survey found, unless it is what the one before it found.
    pub(super) fn tell_drift(&mut self, survey: &Survey) {
        let counts: BTreeMap<_, _> = survey.drifts.iter().map(|(kind, drift)| (*kind, drift.count)).collect();
        let before = self.told.drifts.insert(survey.integration.clone(), counts.clone()).unwrap_or_default();
        if before == counts {
            return;
        }
        let integration = &survey.integration;
        if counts.is_empty() {
            tracing::info!(%integration, "Everything on the target is as it should be again");
        }
        for (kind, count) in counts {
            tracing::warn!(%integration, ?kind, count, "Something on the target is not as it should be");
        }
    }

    /// Tells what was written.
    pub(super) fn tell(&mut self, written: Vec<Report>) {
        for report in written {
            match report {
                Report::AccessChanged { access, integration, account, state, at, .. } => {
                    self.tell_access(&access, &integration, account, &state, at);
                }
                Report::AccountChanged { account, integration, account_name, phase, .. } => match phase {
                    Phase::Absent => {
                        tracing::info!(%integration, %account, "Account is gone from its target");
                    }
                    Phase::Opening | Phase::Open | Phase::Closing | Phase::Suspended | Phase::Deleting => {
                        tracing::debug!(%integration, %account, name = %account_name, ?phase, "Account changed");
                    }
                },
                Report::CredentialSealed { access, integration, account, .. } => {
                    tracing::debug!(%integration, %account, %access, "Sealed credential is released");
                }
                Report::OrderRefused { position, access, code, detail, .. } => {
                    measures::refused(&code);
                    let access = access.as_ref().map(AccessId::as_str);
                    tracing::warn!(order = position.0, access, %code, "Order is refused");
                    tracing::debug!(order = position.0, detail, "Why the order is refused");
                }
                Report::Receipt { integration, number, .. } => {
                    tracing::debug!(%integration, number, "Receipt is signed");
                }
                Report::IntegrationRetired { integration, .. } => {
                    tracing::info!(%integration, "Integration is retired");
                }
                Report::Alarm { integration, code, detail, .. } => {
                    tell_alarm(integration.as_ref(), &code, &detail)
                }
            }
        }
    }

    fn tell_access(
        &mut self,
        access: &AccessId,
        integration: &IntegrationId,
        account: AccountId,
        state: &AccessState,
        at: Timestamp,
    ) {
        let remembered = self.book.access(access).map(|(_, access)| access);
        let until = remembered.map(|access| access.until.to_string());
        match state {
            AccessState::Accepted { .. } => {
                tracing::info!(%integration, %account, %access, until, "Access is ordered");
            }
            AccessState::Granting { .. } => {
                tracing::debug!(%integration, %account, %access, "Access is being opened");
            }
            AccessState::Active { .. } => {
                tracing::info!(%integration, %account, %access, until, "Access is open");
            }
            AccessState::Interrupted { .. } => tracing::warn!(
                %integration, %account, %access,
                "Access is interrupted: its target holds less than was given; only a new order opens it again"
            ),
            AccessState::Ending { reason, contained, attempts, .. } => {
                if self.told.endings.contains_key(access) {
                    tracing::debug!(%integration, %account, %access, contained, attempts, "Access is still being ended");
                } else if let Some(found) = remembered.and_then(ending) {
                    self.told.endings.insert(access.clone(), found);
                    tracing::info!(%integration, %account, %access, reason = word(reason), "Access is being ended");
                }
            }
            AccessState::Ended { verdict, residual, .. } => {
                let ending = self.told.endings.remove(access);
                let late = ending.filter(|ending| ending.by_deadline).map(|ending| at.since(ending.until));
                measures::ended(*verdict, late, ending.map(|ending| at.since(ending.since)));
                let (verdict, late) = (measures::verdict_word(*verdict), late.map(|late| late.to_string()));
                if residual.is_empty() {
                    tracing::info!(%integration, %account, %access, verdict, late, "Access has ended");
                } else {
                    let residual = residual.len();
                    tracing::warn!(
                        %integration, %account, %access, verdict, late, residual,
                        "Access has ended, and something may outlive it: its receipt says what and until when"
                    );
                }
            }
            AccessState::Refused { code } | AccessState::Failed { code } => {
                self.told.endings.remove(access);
                tracing::warn!(%integration, %account, %access, %code, "Access could not be opened");
            }
            AccessState::Canceled { .. } => {
                self.told.endings.remove(access);
                tracing::warn!(
                    %integration, %account, %access,
                    "The close of an access is no longer waited for: it may remain; it is still tried"
                );
            }
        }
    }

    /// Tells of a reading that failed, once for each reason, and when all go well again.
    pub(super) fn tell_reading(&mut self, of: &Integration, reading: Reading, failure: Option<&Failure>) {
        const FAILED: &str = "Reading the target failed";
        let (integration, change) = (&of.id, self.told.troubles.note(of, reading, failure));
        let (word, code) = (reading.word(), failure.map(|failure| failure.code.as_str()));
        let detail = failure.map(|failure| failure.detail.as_str());
        match change {
            Change::Failed => tracing::warn!(%integration, reading = word, code, detail, "{FAILED}"),
            Change::FailedAgain => tracing::debug!(%integration, reading = word, code, detail, "{FAILED}"),
            Change::Well => tracing::info!(%integration, "Everything can be read from the target again"),
            Change::Nothing => {}
        }
    }

    /// Tells of a look at a target when it came out otherwise than the last.
    pub(super) fn tell_health(&self, integration: &IntegrationId, now: &Health) {
        let before = self.health.get(integration);
        if before.is_some_and(|before| (before.state, &before.code) == (now.state, &now.code)) {
            return;
        }
        let (state, code) = (now.state.word(), now.code.as_ref().map(Code::as_str));
        match now.state {
            HealthState::Good | HealthState::Warning => {
                tracing::info!(%integration, state, "Target answers and can be worked on");
            }
            HealthState::Bad | HealthState::Unreachable | HealthState::Refused => {
                tracing::warn!(%integration, state, code, "Target cannot be worked on");
            }
        }
    }

    /// Tells of integrations that are new, changed or going.
    pub(super) fn tell_integrations(&mut self) {
        let mut known = BTreeMap::new();
        for record in self.book.integrations().filter(|record| !record.retired) {
            let found = &record.integration;
            let now = (found.revision, found.lifecycle);
            let (integration, revision) = (&found.id, found.revision.0);
            match self.told.integrations.get(integration) {
                Some(before) if *before == now => {}
                Some(_) if found.lifecycle == Lifecycle::Retiring => {
                    tracing::info!(%integration, "Integration is being retired: everything on it closes");
                }
                Some(_) => tracing::info!(%integration, revision, "Integration is changed"),
                None => tracing::info!(%integration, revision, kind = %found.kind, "Integration is known"),
            }
            known.insert(found.id.clone(), now);
        }
        let there: BTreeSet<_> = self.book.integrations().map(|record| &record.integration.id).collect();
        self.told.troubles.0.retain(|(id, _), _| there.contains(id));
        self.told.integrations = known;
    }

    /// Tells whether anything opens, when that changes.
    pub(super) fn tell_standstill(&mut self, now: Option<&Standstill>) {
        if self.told.standstill.as_ref() == now {
            return;
        }
        match now {
            None => tracing::info!("Accesses can be opened"),
            // At each start until the control plane has agreed: nothing to look at.
            Some(Standstill { code, detail }) if *code == Code::RECONCILING => {
                tracing::info!(%code, detail, "Nothing is opened for now; closing goes on");
            }
            Some(Standstill { code, detail }) => {
                tracing::warn!(%code, detail, "Nothing is opened any more; closing goes on");
            }
        }
        self.told.standstill = now.cloned();
    }
}

/// Tells of breakers that opened or closed.
pub(super) fn tell_breakers(
    before: &BTreeMap<IntegrationId, Condition>,
    now: &BTreeMap<IntegrationId, Condition>,
) {
    let is_open = |all: &BTreeMap<IntegrationId, Condition>, id: &IntegrationId| {
        all.get(id).is_some_and(|condition| condition.tally.lane.breaker_open)
    };
    for integration in now.keys() {
        match (is_open(before, integration), is_open(now, integration)) {
            (false, true) => tracing::warn!(
                %integration,
                "Target does not answer: calls are held back, but for one probe at a time"
            ),
            (true, false) => tracing::info!(%integration, "Target answers again"),
            (true, true) | (false, false) => {}
        }
    }
}

/// What an alarm says of names stays at DEBUG.
fn tell_alarm(integration: Option<&IntegrationId>, code: &Code, detail: &str) {
    measures::alarm(code);
    let integration = integration.map(IntegrationId::as_str);
    let names_nobody =
        [Code::CLOCK_UNTRUSTED, Code::TARGET_REPLACED, Code::RECONCILING, Code::GUARDRAIL_REFUSED]
            .contains(code);
    let shown = names_nobody.then_some(detail);
    if *code == Code::BREAK_GLASS {
        // Told when it was asked for.
    } else if [Code::RECONCILING, Code::GRANTEE_KEY_CHANGED, Code::GUARDRAIL_REFUSED].contains(code) {
        tracing::warn!(integration, %code, detail = shown, "Alarm: look at it soon");
    } else {
        tracing::error!(integration, %code, detail = shown, "Alarm: a person is needed");
    }
    if !names_nobody {
        tracing::debug!(integration, %code, detail, "What the alarm says");
    }
}

const fn word(reason: &EndReason) -> &'static str {
    match reason {
        EndReason::Deadline => "deadline",
        EndReason::Revoked => "revoked",
        EndReason::Absent => "absent from the standing list",
        EndReason::AccountDeleted => "account to be deleted",
        EndReason::IntegrationRetired => "integration retired",
        EndReason::BreakGlass { .. } => "ended beside the agent",
        EndReason::Guardrail => "forbidden by a guardrail",
        EndReason::NotOpened(_) => "could not be opened",
        EndReason::Unremembered => "found on the target, not remembered",
    }
}

#[cfg(test)]
mod tests {
    use model::{AccountName, DriverKind, Policy, SecretReference};

    use super::*;

    #[test]
    fn widened_roles_are_told_until_all_roles_were_looked_at() {
        let of = |roles: &[&str]| {
            let mut found = Drift::default();
            roles.iter().for_each(|role| found.add(&AccountName((*role).into()), None));
            found
        };
        let (one, two) = (of(&["p"]), of(&["p", "q"]));
        let table = [
            ("none to begin with", of(&[]), true, of(&[])),
            ("looking failed, and one was found", one.clone(), false, one.clone()),
            ("another one, too", two.clone(), true, two.clone()),
            ("looking failed before it came to both", one.clone(), false, two.clone()),
            ("looking failed at once", of(&[]), false, two),
            ("one is as it should be", one.clone(), true, one),
            ("both are", of(&[]), true, of(&[])),
        ];
        let (mut told, id) = (Told::default(), IntegrationId::parse("one").unwrap());
        for (name, found, all, expected) in table {
            assert_eq!(told.wider_roles(&id, found, all), expected, "{name}");
        }
        let other = IntegrationId::parse("other").unwrap();
        assert_eq!(told.wider_roles(&other, of(&[]), false), of(&[]), "another one stands by itself");
    }

    #[test]
    fn a_reading_that_fails_is_told_once_for_each_reason() {
        let of = |id: &str, revision| Integration {
            id: IntegrationId::parse(id).unwrap(),
            revision: Revision(revision),
            kind: DriverKind("postgres".into()),
            settings: BTreeMap::new(),
            secret: SecretReference("file://admin.json".into()),
            policy: Policy::default(),
            lifecycle: Lifecycle::Live,
        };
        let (one, changed, other) = (of("one", 1), of("one", 2), of("other", 1));
        let away = Failure::not_done(Code::UNREACHABLE, "nobody listens");
        let slow = Failure::not_done(Code::UNREACHABLE, "no answer in 5s");
        let denied = Failure::not_done(Code::LOGIN_REFUSED, "no answer in 5s");
        let (check, survey) = (Reading::Check, Reading::Survey);
        let table = [
            ("well from the start", &one, check, None, Change::Nothing),
            ("it fails", &one, check, Some(&away), Change::Failed),
            ("again", &one, check, Some(&away), Change::FailedAgain),
            ("another reading", &one, survey, Some(&away), Change::Failed),
            ("another integration", &other, check, Some(&away), Change::Failed),
            ("another detail", &one, check, Some(&slow), Change::Failed),
            ("another code", &one, check, Some(&denied), Change::Failed),
            ("once more", &one, check, Some(&denied), Change::FailedAgain),
            ("the configuration was changed, in vain", &changed, check, Some(&denied), Change::Failed),
            ("one of two is well", &changed, check, None, Change::Nothing),
            ("both are", &changed, survey, None, Change::Well),
            ("and stay so", &changed, survey, None, Change::Nothing),
            ("the other one stands by itself", &other, check, Some(&away), Change::FailedAgain),
        ];
        let mut troubles = Troubles::default();
        for (name, integration, reading, failure, expected) in table {
            assert_eq!(troubles.note(integration, reading, failure), expected, "{name}");
        }
    }
}
