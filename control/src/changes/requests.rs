//! Requests: asked, decided, ended.

use model::{AccessId, ConnectorId, EntitlementSet, Position, Revision};

use super::{Deed, key_missing};
use crate::refusal::Refusal;
use crate::rules::approval;
use crate::rules::asking::{Ask, ask_faults};
use crate::rules::fault::{Fault, text_fault};
use crate::rules::order::Order;
use crate::rules::request::{By, Event, Request, Stage};
use crate::rules::role::Doing;
use crate::rules::terms::{ApprovalMode, Offer};
use crate::token;

/// Most characters of a reason.
pub const LONGEST_REASON: usize = 2_000;

/// Returns a request that the asker may see; one that they may not see is not there.
///
/// # Errors
/// There is none.
pub async fn seen(deed: &mut Deed<'_>, id: &str) -> Result<Request, Refusal> {
    let parsed = AccessId::parse(id).map_err(|_| Refusal::missing("request", id))?;
    let request = deed.rows.request(&parsed).await?.ok_or_else(|| Refusal::missing("request", id))?;
    deed.may(Doing::SeeRequest(&request.grantee)).map_err(|_| Refusal::missing("request", id))?;
    Ok(request)
}

async fn offer_of(deed: &mut Deed<'_>, request: &Request) -> Result<Offer, Refusal> {
    let found = deed.rows.offer(&request.integration).await?;
    found.ok_or_else(|| Refusal::missing("integration", &request.integration))
}

pub(super) fn reason_fault(reason: Option<&str>, needed: bool) -> Result<(), Refusal> {
    let mut faults = vec![];
    if needed && reason.is_none_or(|reason| reason.trim().is_empty()) {
        faults.push(Fault::new("reason", "it is empty", "say why"));
    }
    faults.extend(reason.and_then(|reason| text_fault("reason", reason, LONGEST_REASON, true)));
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid { faults }) }
}

/// Asks for access. Where the integration decides by itself, it is approved in the same transaction.
///
/// # Errors
/// All that is wrong with it; the asker has no key; the connector has never been seen.
pub async fn create(deed: &mut Deed<'_>, integration: &str, ask: Ask) -> Result<Request, Refusal> {
    deed.may(Doing::Ask)?;
    let Some(actor) = deed.who.actor.clone() else { return Err(Refusal::Unauthenticated) };
    let offer = super::integrations::offer_of(deed, integration).await?;
    if offer.retired_at.is_some() {
        return Err(Refusal::missing("integration", integration));
    }
    let catalogue = deed.rows.catalogue(&offer.connector, &offer.integration.kind.0).await?;
    let Some(catalogue) = catalogue else {
        let detail = format!(
            "the agent of the connector `{}` has never connected with a driver `{}`: nothing can be opened yet",
            offer.connector, offer.integration.kind
        );
        return Err(Refusal::conflict("connector_not_seen", detail));
    };
    let faults = ask_faults(&ask, &offer, &catalogue, deed.limits.longest, deed.now);
    if !faults.is_empty() {
        return Err(Refusal::Invalid { faults });
    }
    if deed.rows.key(&actor.id).await?.is_none() {
        return Err(key_missing());
    }
    let id = token::new_id("acc", deed.now);
    let request = Request {
        id: AccessId::parse(id.as_str()).map_err(|_| Refusal::missing("request", id))?,
        grantee: actor.id,
        integration: offer.integration.id.clone(),
        connector: offer.connector.clone(),
        entitlements: ask.entitlements.into_iter().collect::<EntitlementSet>(),
        justification: ask.justification.trim().to_owned(),
        requested_at: deed.now,
        from: ask.from,
        duration: ask.duration,
        window: None,
        revision: Revision(0),
        stage: Stage::Pending,
        decision: None,
        end_asked: None,
        cancel_asked: None,
        told: None,
        changes: 0,
    };
    let asked = approval::asked(request, Event::new(deed.now, deed.who.by.clone(), "requested", None));
    let request = deed.moved(asked).await?;
    match offer.approval.mode {
        ApprovalMode::Approve => Ok(request),
        ApprovalMode::Auto => {
            let approved = approval::approve(&request, By::Policy, None, deed.now)?;
            deed.moved(approved).await
        }
    }
}

async fn may_decide(deed: &mut Deed<'_>, request: &Request) -> Result<Offer, Refusal> {
    let offer = offer_of(deed, request).await?;
    deed.may(Doing::Decide { grantee: &request.grantee, self_approval: offer.approval.self_approval })?;
    Ok(offer)
}

/// Approves a pending request.
///
/// # Errors
/// The asker may not decide, it is not pending, its time is over, its grantee is disabled, or the
/// integration is being retired.
pub async fn approve(deed: &mut Deed<'_>, id: &str, reason: Option<String>) -> Result<Request, Refusal> {
    let request = seen(deed, id).await?;
    let offer = may_decide(deed, &request).await?;
    reason_fault(reason.as_deref(), false)?;
    if offer.integration.lifecycle == model::Lifecycle::Retiring {
        let detail = format!("`{}` is being retired: reject the request", request.integration);
        return Err(Refusal::conflict("integration_retired", detail));
    }
    if deed.rows.user(&request.grantee).await?.is_none_or(|user| user.disabled) {
        return Err(Refusal::conflict("grantee_disabled", "the grantee is disabled: reject the request"));
    }
    let moved = approval::approve(&request, deed.who.by.clone(), reason, deed.now)?;
    deed.moved(moved).await
}

/// Rejects a pending request.
///
/// # Errors
/// The asker may not decide, it is not pending, or there is no reason.
pub async fn reject(deed: &mut Deed<'_>, id: &str, reason: String) -> Result<Request, Refusal> {
    let request = seen(deed, id).await?;
    may_decide(deed, &request).await?;
    reason_fault(Some(&reason), true)?;
    let moved = approval::reject(&request, deed.who.by.clone(), reason, deed.now)?;
    deed.moved(moved).await
}

/// Ends an access, or takes a pending request back.
///
/// # Errors
/// The asker may not, or it is over.
pub async fn end(deed: &mut Deed<'_>, id: &str, reason: Option<String>) -> Result<Request, Refusal> {
    let request = seen(deed, id).await?;
    deed.may(Doing::End(&request.grantee))?;
    reason_fault(reason.as_deref(), false)?;
    match approval::end(&request, deed.who.by.clone(), reason, deed.now)? {
        Some(moved) => deed.moved(moved).await,
        None => Ok(request),
    }
}

/// Stops waiting for a close that does not succeed.
///
/// # Errors
/// The asker may not, the agent does not offer it, or there is no reason.
pub async fn cancel(deed: &mut Deed<'_>, id: &str, reason: String) -> Result<Request, Refusal> {
    let request = seen(deed, id).await?;
    deed.may(Doing::CancelEnding)?;
    reason_fault(Some(&reason), true)?;
    match approval::cancel(&request, deed.who.by.clone(), reason, deed.now)? {
        Some(moved) => deed.moved(moved).await,
        None => Ok(request),
    }
}

/// Opens an interrupted access again.
///
/// # Errors
/// It is not interrupted, or its time is over.
pub async fn reopen(deed: &mut Deed<'_>, id: &str) -> Result<Request, Refusal> {
    let request = seen(deed, id).await?;
    let moved = approval::reopen(&request, deed.who.by.clone(), deed.now)?;
    deed.moved(moved).await
}

/// Asks for a new credential, sealed to the asker's present key.
///
/// # Errors
/// The asker is not the grantee, or the access is not open.
pub async fn rotate_credential(deed: &mut Deed<'_>, id: &str) -> Result<(ConnectorId, Position), Refusal> {
    let request = seen(deed, id).await?;
    deed.may(Doing::TakeCredential(&request.grantee))?;
    if request.stage != Stage::Accepted || request.is_over() || request.end_asked.is_some() {
        let detail = format!("the access is `{}`: only an open one has a credential", request.word());
        return Err(Refusal::conflict("credential_not_ready", detail));
    }
    let key = deed.rows.key(&request.grantee).await?.ok_or_else(key_missing)?;
    deed.note("credential.rotate_asked", format!("request/{id}"), None, None).await?;
    let order = Order::RotateAccount {
        integration: request.integration.clone(),
        grantee: request.grantee.clone(),
        key: Some(key.key),
    };
    let position = deed.order(&request.connector, &order).await?;
    Ok((request.connector, position))
}
