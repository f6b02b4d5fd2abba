//! What an operator is told of what was written: a line in the log for each event worth telling, and measures.
//!
//! Told after it is on disk, once. Names of people, accounts and objects stay at DEBUG; at INFO and above there are
//! ids, and codes that have a page in `docs/codes`.

use std::collections::BTreeMap;

use model::{
    Access, AccessId, AccessState, AccountId, Code, EndReason, IntegrationId, Lifecycle, Phase, Revision,
    Timestamp,
};
use rules::Report;
use rules::book::{Book, Standstill};
use rules::drift::{DriftKind, Survey};

use super::Engine;
use super::published::Condition;
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
