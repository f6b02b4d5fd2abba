//! Reports of agents: committed in order, each once, together with what it means.

use model::{
    AccessId, AccessState, AccountId, AccountName, Code, ConnectorId, Failure, GranteeId, Incarnation,
    IntegrationId, Phase, Position, SealedCredential, Timestamp,
};
use serde_json::json;

use super::{Deed, connector_of, glances, receipts};
use crate::record::{Credential, Stray};
use crate::refusal::Refusal;
use crate::rules::cursor::{Place, place};
use crate::rules::order::Order;
use crate::rules::report::{NumberedReport, Report};
use crate::rules::request::{Request, Told};
use crate::rules::told::{self, Untaken};

/// How far a batch of reports was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    pub through: Position,
    /// A report is missing: this one was expected, and the rest was not taken.
    pub gap: Option<Position>,
}

/// Commits reports in order. Those that came before are dropped; at a gap the rest is not taken, unless
/// this side was restored and the agent may have forgotten what is missing.
///
/// # Errors
/// The store is not available.
pub async fn commit(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    journal: Incarnation,
    reports: Vec<NumberedReport>,
) -> Result<Committed, Refusal> {
    let cursors = deed.rows.report_cursors(connector).await?;
    let mut through = cursors.get(&journal).copied().unwrap_or_default();
    let mut may_skip = deed.rows.log(connector).await?.is_some_and(|log| log.may_skip);
    let before = through;
    let mut gap = None;
    for numbered in reports {
        match place(through, numbered.position) {
            Place::Before => continue,
            Place::Next => {}
            Place::Gap { expected } if may_skip => {
                let detail = format!(
                    "reports {expected} to {} of journal {journal} are lost: the agent had forgotten them when this side was restored",
                    numbered.position.0.saturating_sub(1)
                );
                deed.alarm("reports_lost", format!("connector/{connector}"), detail).await?;
            }
            Place::Gap { expected } => {
                gap = Some(expected);
                break;
            }
        }
        may_skip = false;
        through = numbered.position;
        take(deed, connector, numbered).await?;
    }
    if through > before {
        deed.rows.commit_reports(connector, journal, through).await?;
    }
    Ok(Committed { through, gap })
}

async fn take(deed: &mut Deed<'_>, connector: &ConnectorId, numbered: NumberedReport) -> Result<(), Refusal> {
    let at = numbered.at;
    match numbered.report {
        Report::AccessChanged { access, integration, account, revision, state, until, failure } => {
            let told = Told {
                revision,
                cancel_possible: told::cancel_possible(&state),
                state,
                failure,
                account: Some(account),
                until,
                at,
            };
            access_changed(deed, connector, access, integration, account, told).await
        }
        Report::CredentialSealed { access, integration: _, account, account_name, sealed, lines } => {
            credential(deed, connector, &access, account, account_name, sealed, lines, at).await
        }
        Report::AccountChanged { account, integration, grantee, account_name, phase, failure } => {
            account_changed(deed, account, integration, grantee, &account_name, phase, failure).await
        }
        Report::Receipt(receipt) => {
            let connector = connector_of(deed.rows, connector).await?;
            receipts::take(deed, &connector, receipt).await
        }
        Report::OrderRefused { incarnation, position, access, code, detail } => {
            let failure = Failure::refused(code, detail);
            order_refused(deed, connector, (incarnation, position), access, &failure, at).await
        }
        Report::IntegrationRetired { integration } => retired(deed, connector, integration).await,
        Report::Alarm { integration, code, detail } => {
            let subject = match integration {
                Some(integration) => format!("integration/{integration}"),
                None => format!("connector/{connector}"),
            };
            Ok(deed.alarm(code.as_str(), subject, detail).await?)
        }
        Report::Glance(glance) => glances::take(deed, connector, *glance).await,
        Report::Unread { why } => {
            let subject = format!("connector/{connector}");
            let detail = format!("report {} was committed unread: {why}", numbered.position);
            Ok(deed.alarm("report_unread", subject, detail).await?)
        }
    }
}

/// Returns the connector's own request of that id; that of another connector is an alarm.
async fn own(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    access: &AccessId,
) -> Result<Result<Request, Whose>, Refusal> {
    match deed.rows.request(access).await? {
        None => Ok(Err(Whose::Nobody)),
        Some(request) if request.connector == *connector => Ok(Ok(request)),
        Some(request) => {
            let detail = format!(
                "`{connector}` told of access `{access}`, which belongs to `{}`; it was not believed",
                request.connector
            );
            deed.alarm("foreign_report", format!("connector/{connector}"), detail).await?;
            Ok(Err(Whose::Another))
        }
    }
}

enum Whose {
    Nobody,
    Another,
}

async fn access_changed(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    access: AccessId,
    integration: IntegrationId,
    account: AccountId,
    told: Told,
) -> Result<(), Refusal> {
    match own(deed, connector, &access).await? {
        Ok(request) => {
            if let Some(moved) = told::told(&request, told) {
                deed.moved(moved).await?;
            }
            Ok(())
        }
        Err(Whose::Another) => Ok(()),
        Err(Whose::Nobody) => stray(deed, connector, access, integration, account, told.state, told.at).await,
    }
}

async fn stray(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    access: AccessId,
    integration: IntegrationId,
    account: AccountId,
    state: AccessState,
    at: Timestamp,
) -> Result<(), Refusal> {
    let word = state.word();
    let stray =
        Stray { access: access.clone(), connector: connector.clone(), integration, account, state, at };
    deed.rows.put_stray(&stray).await?;
    let detail = format!("`{connector}` told of access `{access}` ({word}), which nobody here knows");
    Ok(deed.alarm("unknown_access", format!("stray/{access}"), detail).await?)
}

#[expect(clippy::too_many_arguments, reason = "the parts of one report, each of its own type")]
async fn credential(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    access: &AccessId,
    account: AccountId,
    account_name: AccountName,
    sealed: SealedCredential,
    lines: Vec<(String, String)>,
    at: Timestamp,
) -> Result<(), Refusal> {
    let Ok(request) = own(deed, connector, access).await? else { return Ok(()) };
    let keys = deed.rows.keys(&request.grantee).await?;
    if !keys.iter().any(|known| known.key == sealed.key) {
        let detail = format!(
            "a credential for access `{access}` came sealed to a key that the grantee never had; it is not delivered"
        );
        return Ok(deed.alarm("credential_foreign_key", format!("request/{access}"), detail).await?);
    }
    let Some(moved) = told::credential(&request, sealed.generation.0, at) else { return Ok(()) };
    let credential = Credential { account, account_name, sealed, lines, sealed_at: at };
    deed.rows.put_credential(access, &credential).await?;
    deed.moved(moved).await?;
    Ok(())
}

const fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Absent => "absent",
        Phase::Opening => "opening",
        Phase::Open => "open",
        Phase::Closing => "closing",
        Phase::Suspended => "suspended",
        Phase::Deleting => "deleting",
    }
}

async fn account_changed(
    deed: &mut Deed<'_>,
    account: AccountId,
    integration: IntegrationId,
    grantee: GranteeId,
    name: &AccountName,
    phase: Phase,
    failure: Option<Failure>,
) -> Result<(), Refusal> {
    let after = json!({
        "integration": integration,
        "grantee": grantee,
        "name": name,
        "failure": failure.map(|failure| failure.to_string()),
    });
    let what = format!("account.{}", phase_word(phase));
    Ok(deed.note(what, format!("account/{account}"), None, Some(after)).await?)
}

async fn order_refused(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    (incarnation, position): (Incarnation, Position),
    access: Option<AccessId>,
    failure: &Failure,
    at: Timestamp,
) -> Result<(), Refusal> {
    let log = deed.rows.log(connector).await?;
    let kept = if log.is_some_and(|log| log.incarnation == incarnation) && position > Position(0) {
        deed.rows.orders(connector, Position(position.0 - 1), 1).await?
    } else {
        vec![]
    };
    let order = kept.into_iter().find(|kept| kept.position == position).map(|kept| kept.order);
    let after = json!({ "order": order, "code": failure.code, "detail": failure.detail });
    let subject = format!("connector/{connector}");
    deed.note("order.refused", subject.clone(), None, Some(after)).await?;
    let untaken = match &order {
        Some(Order::PutAccess(_)) => Untaken::Put,
        Some(Order::CancelEnding { .. }) => Untaken::Cancel,
        Some(Order::EndAccess { .. }) => {
            deed.alarm("end_refused", subject, format!("the agent did not take an end: {failure}")).await?;
            Untaken::Other
        }
        Some(_) => return Ok(()),
        None => Untaken::Other,
    };
    let Some(access) = access else { return Ok(()) };
    let Ok(request) = own(deed, connector, &access).await? else { return Ok(()) };
    // An end that was not taken says nothing about the access itself.
    let about = matches!(order, Some(Order::EndAccess { .. })) && failure.code != Code::ID_ENDED;
    if !about && let Some(moved) = told::untaken(&request, untaken, failure, at) {
        deed.moved(moved).await?;
    }
    Ok(())
}

async fn retired(
    deed: &mut Deed<'_>,
    connector: &ConnectorId,
    integration: IntegrationId,
) -> Result<(), Refusal> {
    let Some(mut offer) = deed.rows.offer(&integration).await? else { return Ok(()) };
    let subject = format!("integration/{integration}");
    if offer.connector != *connector || offer.integration.lifecycle != model::Lifecycle::Retiring {
        let detail = format!("`{connector}` told that `{integration}` is retired, which was not asked of it");
        return Ok(deed.alarm("foreign_report", subject, detail).await?);
    }
    if offer.retired_at.is_none() {
        offer.retired_at = Some(deed.now);
        deed.rows.put_offer(&offer).await?;
        deed.note("integration.retired", subject, None, None).await?;
    }
    Ok(())
}
