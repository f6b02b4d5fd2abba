//! Beginning a connector's log of orders anew: after a restore, or for an agent that needs orders which are
//! no longer kept.
//!
//! The new log says everything again that still matters, as full state; an agent that knows it already
//! changes nothing.

use model::{ConnectorId, Lifecycle, Policy};
use serde_json::json;

use super::Deed;
use crate::record::Log;
use crate::refusal::Refusal;
use crate::rules::live::should_live;
use crate::rules::order::Order;
use crate::rules::request::Tell;
use crate::store::rows::OfferQuery;
use crate::token;

/// Begins the log anew and says everything again. The first report that comes may skip positions: what the
/// agent has forgotten it cannot tell again.
///
/// # Errors
/// The store is not available.
pub async fn begin_anew(deed: &mut Deed<'_>, connector: &ConnectorId, why: &str) -> Result<Log, Refusal> {
    let incarnation = token::new_incarnation();
    deed.rows.begin_log(connector, incarnation).await?;
    let after = json!({ "incarnation": incarnation, "why": why });
    deed.note("connector.log_begun", format!("connector/{connector}"), None, Some(after)).await?;
    say_all(deed, connector).await?;
    let log = deed.rows.log(connector).await?;
    log.ok_or_else(|| Refusal::missing("connector", connector))
}

async fn say_all(deed: &mut Deed<'_>, connector: &ConnectorId) -> Result<(), Refusal> {
    let policy = deed.rows.policy().await?;
    if policy != Policy::default() {
        deed.order(connector, &Order::SetPolicy { policy }).await?;
    }
    if deed.rows.connector(connector).await?.is_some_and(|connector| connector.paused) {
        deed.order(connector, &Order::Pause).await?;
    }
    let mut query = OfferQuery { connector: Some(connector.clone()), limit: 500, ..OfferQuery::default() };
    let mut retiring = vec![];
    loop {
        let page = deed.rows.offers(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.integration.id.to_string());
        for offer in page {
            let id = offer.integration.id.clone();
            if offer.integration.lifecycle == Lifecycle::Retiring {
                retiring.push(id);
            }
            let integration = model::Integration { lifecycle: Lifecycle::Live, ..offer.integration };
            deed.order(connector, &Order::PutIntegration { integration }).await?;
        }
    }
    for request in deed.rows.ordered(connector).await? {
        let live = should_live(&request, deed.now);
        let order = deed.told_as(&request, if live { Tell::Put } else { Tell::End }).await?;
        deed.order(connector, &order).await?;
        if request.cancel_asked.is_some() {
            let order = deed.told_as(&request, Tell::CancelEnding).await?;
            deed.order(connector, &order).await?;
        }
    }
    for integration in retiring {
        deed.order(connector, &Order::RetireIntegration { integration }).await?;
    }
    Ok(())
}

/// Begins another life of the whole control plane, for one that was restored from a backup: every
/// connector's log begins anew.
///
/// # Errors
/// The store is not available.
pub async fn new_incarnation(deed: &mut Deed<'_>) -> Result<model::Incarnation, Refusal> {
    let before = deed.rows.incarnation().await?;
    let incarnation = token::new_incarnation();
    deed.rows.put_incarnation(incarnation).await?;
    deed.note("control_plane.new_incarnation", "self", Some(json!(before)), Some(json!(incarnation))).await?;
    let mut after: Option<String> = None;
    loop {
        let page = deed.rows.connectors(after.as_deref(), 500).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.to_string());
        for connector in &page {
            begin_anew(deed, &connector.id, "the control plane began another life").await?;
        }
    }
    Ok(incarnation)
}
