//! Requests, accesses and credentials as the API gives them.

use std::collections::BTreeMap;

use model::{
    AccessState, ConnectorId, Entitlement, GranteeId, IntegrationId, Permission, ResourceId, ResourceKind,
    Timestamp,
};

use super::integration::seconds;
use crate::http::view::access as view;
use crate::http::view::people::UserBrief;
use crate::record::Credential;
use crate::rules::approval;
use crate::rules::label::{Label, Shown, hindered, shown};
use crate::rules::request::{Asked, By, Event, Request, Stage, Told};
use crate::rules::role::{Actor, Doing, may};
use crate::rules::terms::Offer;
use crate::store::{Rows, StoreFault};
use crate::stream::alive::Alive;

/// The setting in which drivers take the certificates of authorities.
const AUTHORITIES: &str = "ca_certificates";

/// Shows requests to one asker; remembers names, integrations and agents while it does.
pub(in crate::http) struct Shower<'r> {
    rows: &'r mut dyn Rows,
    alive: &'r Alive,
    asker: Actor,
    now: Timestamp,
    names: BTreeMap<GranteeId, String>,
    offers: BTreeMap<IntegrationId, Option<Offer>>,
    /// Why agents open nothing now.
    hindered: BTreeMap<ConnectorId, Option<&'static str>>,
}

impl<'r> Shower<'r> {
    pub(in crate::http) fn new(
        rows: &'r mut dyn Rows,
        alive: &'r Alive,
        asker: Actor,
        now: Timestamp,
    ) -> Self {
        let (names, offers, hindered) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rows, alive, asker, now, names, offers, hindered }
    }

    pub(in crate::http) async fn request(&mut self, request: &Request) -> Result<view::Request, StoreFault> {
        let shown = shown(request, self.now);
        let note = self.note(request, &shown).await?;
        let ready = self.rows.credential(&request.id).await?.is_some();
        let decision = match &request.decision {
            None => None,
            Some(decision) => Some(view::DecisionView {
                approved: decision.approved,
                by: self.name(&decision.by).await?,
                at: decision.at.to_string(),
                reason: decision.reason.clone(),
            }),
        };
        let from = request.window.map(|window| window.from).or(request.from);
        Ok(view::Request {
            id: request.id.to_string(),
            change: request.changes,
            label: shown.label,
            state: request.word().into(),
            warning: shown.warning.map(Into::into),
            note: note.map(Into::into),
            deadline_passed: shown.deadline_passed,
            over: request.is_over(),
            grantee: UserBrief {
                id: request.grantee.to_string(),
                email: self.email(&request.grantee).await?,
            },
            integration: request.integration.to_string(),
            connector: request.connector.to_string(),
            entitlements: request.entitlements.iter().map(entitlement).collect(),
            justification: request.justification.clone(),
            requested_at: request.requested_at.to_string(),
            duration_seconds: seconds(request.duration),
            from: from.map(|at| at.to_string()),
            until: request.until().map(|until| until.to_string()),
            decision,
            end_asked: self.asked(request.end_asked.as_ref()).await?,
            cancel_asked: self.asked(request.cancel_asked.as_ref()).await?,
            agent: request.told.as_ref().map(agent_word),
            credential_ready: ready,
            can: self.can(request, ready).await?,
        })
    }

    pub(in crate::http) async fn detail(
        &mut self,
        request: &Request,
    ) -> Result<view::RequestDetail, StoreFault> {
        let mut history = vec![];
        for Event { at, by, what, detail } in self.rows.events(&request.id).await? {
            history.push(view::HistoryLine { at: at.to_string(), by: self.name(&by).await?, what, detail });
        }
        Ok(view::RequestDetail { request: self.request(request).await?, history })
    }

    /// Says of what waits to be opened, too, why its agent opens nothing.
    async fn note(&mut self, request: &Request, shown: &Shown) -> Result<Option<&'static str>, StoreFault> {
        if shown.note.is_some() || shown.label != Label::Granting {
            return Ok(shown.note);
        }
        if let Some(known) = self.hindered.get(&request.connector) {
            return Ok(*known);
        }
        let pulse = self.alive.session(&request.connector).and_then(|session| session.pulse);
        let first = pulse.and_then(|pulse| pulse.hindrances.into_iter().next());
        let connector = self.rows.connector(&request.connector).await?;
        let note = match (first, connector) {
            (Some(first), _) => Some(hindered(&first.kind)),
            (None, Some(connector)) if connector.paused => Some(hindered("paused")),
            (None, _) => None,
        };
        self.hindered.insert(request.connector.clone(), note);
        Ok(note)
    }

    async fn email(&mut self, id: &GranteeId) -> Result<String, StoreFault> {
        if let Some(name) = self.names.get(id) {
            return Ok(name.clone());
        }
        let name = self.rows.user(id).await?.map_or_else(|| id.to_string(), |user| user.email);
        self.names.insert(id.clone(), name.clone());
        Ok(name)
    }

    async fn name(&mut self, by: &By) -> Result<String, StoreFault> {
        match by {
            By::Person(id) => self.email(id).await,
            By::Policy | By::Agent(_) | By::System => Ok(by.to_string()),
        }
    }

    async fn asked(&mut self, asked: Option<&Asked>) -> Result<Option<view::AskedView>, StoreFault> {
        let Some(asked) = asked else { return Ok(None) };
        let by = self.name(&asked.by).await?;
        Ok(Some(view::AskedView { by, at: asked.at.to_string(), reason: asked.reason.clone() }))
    }

    async fn can(&mut self, request: &Request, ready: bool) -> Result<Vec<String>, StoreFault> {
        let mut can = vec![];
        let by = By::Person(self.asker.id.clone());
        let grantee = &request.grantee;
        if request.stage == Stage::Pending {
            if !self.offers.contains_key(&request.integration) {
                let offer = self.rows.offer(&request.integration).await?;
                self.offers.insert(request.integration.clone(), offer);
            }
            let offer = self.offers.get(&request.integration).and_then(Option::as_ref);
            let self_approval = offer.is_some_and(|offer| offer.approval.self_approval);
            if may(&self.asker, Doing::Decide { grantee, self_approval }).is_ok() {
                can.extend(["approve", "reject"]);
            }
        }
        let ends = matches!(approval::end(request, by.clone(), None, self.now), Ok(Some(_)));
        if ends && may(&self.asker, Doing::End(grantee)).is_ok() {
            can.push("revoke");
        }
        let cancels = matches!(approval::cancel(request, by.clone(), String::new(), self.now), Ok(Some(_)));
        if cancels && may(&self.asker, Doing::CancelEnding).is_ok() {
            can.push("cancel");
        }
        if approval::reopen(request, by, self.now).is_ok() {
            can.push("reopen");
        }
        if ready && may(&self.asker, Doing::TakeCredential(grantee)).is_ok() {
            can.push("credential");
        }
        Ok(can.into_iter().map(Into::into).collect())
    }
}

fn entitlement(entitlement: &Entitlement) -> view::EntitlementView {
    let resource = &entitlement.resource;
    view::EntitlementView {
        resource: view::ResourceRef { kind: resource.kind.0.clone(), path: resource.path.clone() },
        permission: entitlement.permission.0.clone(),
    }
}

pub(in crate::http) fn to_entitlement(view: view::EntitlementView) -> Entitlement {
    Entitlement {
        resource: ResourceId { kind: ResourceKind(view.resource.kind), path: view.resource.path },
        permission: Permission(view.permission),
    }
}

fn agent_word(told: &Told) -> view::AgentWord {
    let failure = told.failure.as_ref();
    let mut word = view::AgentWord {
        state: told.state.word().into(),
        at: told.at.to_string(),
        since: None,
        account: told.account.map(|account| account.to_string()),
        code: failure.map(|failure| failure.code.to_string()),
        detail: failure.map(|failure| failure.detail.clone()),
        contained: false,
        attempts: 0,
        cancel_possible: told.cancel_possible,
        residual: vec![],
    };
    match &told.state {
        AccessState::Accepted { since }
        | AccessState::Granting { since }
        | AccessState::Active { since }
        | AccessState::Interrupted { since } => word.since = Some(since.to_string()),
        AccessState::Ending { contained, attempts, since, .. } => {
            word.since = Some(since.to_string());
            word.contained = *contained;
            word.attempts = *attempts;
        }
        AccessState::Ended { residual, at, .. } => {
            word.since = Some(at.to_string());
            word.residual = residual
                .iter()
                .map(|residual| view::ResidualView {
                    kind: serde_json::to_value(residual.kind)
                        .ok()
                        .and_then(|kind| kind.as_str().map(str::to_owned))
                        .unwrap_or_default(),
                    detail: residual.detail.clone(),
                    ends_at: residual.ends_at.map(|at| at.to_string()),
                })
                .collect();
        }
        AccessState::Refused { code } | AccessState::Failed { code } => {
            word.code.get_or_insert_with(|| code.to_string());
        }
        AccessState::Canceled { at } => word.since = Some(at.to_string()),
    }
    word
}

pub(in crate::http) fn credential(
    request: &Request,
    credential: Credential,
    offer: Option<Offer>,
) -> view::Credential {
    let sealed = credential.sealed;
    let (access_details, mut settings) =
        offer.map(|offer| (offer.access_details, offer.integration.settings)).unwrap_or_default();
    view::Credential {
        account: credential.account.to_string(),
        account_name: credential.account_name.0,
        integration: request.integration.to_string(),
        grantee: request.grantee.to_string(),
        sealed: view::Sealed {
            generation: sealed.generation.0,
            access: sealed.access.to_string(),
            key: sealed.key.0,
            encapsulated: sealed.encapsulated,
            ciphertext: sealed.ciphertext,
        },
        lines: credential
            .lines
            .into_iter()
            .map(|(label, text)| view::ConnectionLineView { label, text })
            .collect(),
        ca_certificates: settings.remove(AUTHORITIES).filter(|pem| !pem.trim().is_empty()),
        access_details,
        sealed_at: credential.sealed_at.to_string(),
    }
}
