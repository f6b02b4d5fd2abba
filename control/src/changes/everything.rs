//! Ending everything at once: for the day on which nobody knows any more who holds what.
//!
//! It goes page by page, each in a transaction of its own, so that agents begin to close while the rest is
//! still being ordered, and so that nobody else waits long. The first page stops opening.

use model::{ConnectorId, IntegrationId};

use super::{Deed, connectors, requests};
use crate::refusal::Refusal;
use crate::rules::approval;
use crate::rules::role::Doing;
use crate::store::rows::RequestQuery;

/// How many requests one page looks at.
const PAGE: u32 = 500;

/// What is ended.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only on this connector.
    pub connector: Option<ConnectorId>,
    /// Only on this integration.
    pub integration: Option<IntegrationId>,
}

/// What a page came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Accesses and pending requests whose end was asked for just now.
    pub ended: u64,
    /// Those whose end had been asked for before, and that are not over.
    pub ending: u64,
    /// Connectors that open nothing from now on.
    pub paused: Vec<ConnectorId>,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// Ends a page of what is not over, newest first; the first page has no `after`.
///
/// # Errors
/// The asker is no admin, or there is no reason.
pub async fn end_page(
    deed: &mut Deed<'_>,
    scope: &Scope,
    after: Option<String>,
    reason: &str,
) -> Result<Ended, Refusal> {
    deed.may(Doing::EndEverything)?;
    requests::reason_fault(Some(reason), true)?;
    let mut done = Ended::default();
    if after.is_none() {
        deed.note("everything.ended", subject(scope), None, Some(serde_json::json!({ "reason": reason })))
            .await?;
        // One integration is ended while the others go on.
        if scope.integration.is_none() {
            done.paused = pause(deed, scope).await?;
        }
    }
    let query = RequestQuery {
        connector: scope.connector.clone(),
        integration: scope.integration.clone(),
        over: Some(false),
        before: after,
        limit: PAGE,
        ..RequestQuery::default()
    };
    let page = deed.rows.requests(&query).await?;
    let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
    done.next = page.last().filter(|_| !is_last).map(|last| last.id.to_string());
    for request in page {
        match approval::end(&request, deed.who.by.clone(), Some(reason.to_owned()), deed.now)? {
            Some(moved) => {
                deed.moved(moved).await?;
                done.ended += 1;
            }
            None => done.ending += 1,
        }
    }
    Ok(done)
}

/// How many connectors are read at once.
const CONNECTORS: u32 = 200;

async fn pause(deed: &mut Deed<'_>, scope: &Scope) -> Result<Vec<ConnectorId>, Refusal> {
    let (mut paused, mut after) = (vec![], None::<String>);
    loop {
        let page = deed.rows.connectors(after.as_deref(), CONNECTORS).await?;
        let Some(last) = page.last() else { return Ok(paused) };
        after = Some(last.id.to_string());
        for one in page {
            let meant = scope.connector.as_ref().is_none_or(|only| one.id == *only);
            if meant && one.revoked_at.is_none() && !one.paused {
                connectors::pause(deed, one.id.as_str(), true).await?;
                paused.push(one.id);
            }
        }
    }
}

fn subject(scope: &Scope) -> String {
    match (&scope.integration, &scope.connector) {
        (Some(integration), _) => format!("integration/{integration}"),
        (None, Some(connector)) => format!("connector/{connector}"),
        (None, None) => "all".to_owned(),
    }
}
