//! What agents tell of how things are now: health, resources, drift. Not numbered, told anew.

use model::{ConnectorId, IntegrationId, Lifecycle};
use serde_json::json;

use super::Deed;
use crate::refusal::Refusal;
use crate::rules::report::{Glance, ResourcePage};

/// Takes a glance. What is about another connector's integration is not believed.
///
/// # Errors
/// The store is not available.
pub async fn take(deed: &mut Deed<'_>, connector: &ConnectorId, glance: Glance) -> Result<(), Refusal> {
    let integration = match &glance {
        Glance::Health { integration, .. } | Glance::Drift { integration, .. } => integration,
        Glance::Resources(page) => &page.integration,
    };
    let integration = integration.clone();
    let offer = deed.rows.offer(&integration).await?;
    let Some(offer) = offer.filter(|offer| offer.connector == *connector) else {
        let detail = format!("`{connector}` told of integration `{integration}`, which is not its own");
        return Ok(deed.alarm("foreign_report", format!("connector/{connector}"), detail).await?);
    };
    match glance {
        // On its way since before: nothing of it can be asked for any more.
        Glance::Resources(_) if offer.integration.lifecycle == Lifecycle::Retiring => Ok(()),
        Glance::Health { health, .. } => {
            let mut condition = deed.rows.condition(&integration).await?;
            if condition.health.as_ref() != Some(&health) {
                condition.health = Some(health);
                deed.rows.put_condition(&integration, &condition).await?;
            }
            Ok(())
        }
        Glance::Drift { surveyed_at, drift, .. } => {
            let mut condition = deed.rows.condition(&integration).await?;
            let news = condition.drift.as_ref() != Some(&drift);
            condition.surveyed_at = Some(surveyed_at);
            condition.drift = Some(drift.clone());
            deed.rows.put_condition(&integration, &condition).await?;
            if news && !drift.is_empty() {
                let subject = format!("integration/{integration}");
                deed.note("alarm.drift_found", subject, None, Some(json!(drift))).await?;
            }
            Ok(())
        }
        Glance::Resources(page) => resources(deed, &integration, page).await,
    }
}

async fn resources(
    deed: &mut Deed<'_>,
    integration: &IntegrationId,
    page: ResourcePage,
) -> Result<(), Refusal> {
    let subject = format!("integration/{integration}");
    if let Some(failure) = page.failure {
        deed.rows.drop_snapshots(integration).await?;
        let after = json!({ "failure": failure.to_string() });
        return Ok(deed.note("integration.discovery_failed", subject, None, Some(after)).await?);
    }
    let added = deed.rows.add_page(integration, &page.snapshot, page.page, &page.resources).await?;
    if !added {
        tracing::info!(%integration, page = page.page, "A page of resources came without those before it");
        return Ok(());
    }
    if page.complete {
        deed.rows.complete_snapshot(integration, &page.snapshot, page.unlisted, deed.now).await?;
        let whole = deed.rows.snapshot(integration).await?;
        let mut after = json!({ "resources": whole.as_ref().map(|whole| whole.resources) });
        if let Some(whole) = whole.filter(|whole| whole.unlisted.count > 0) {
            after["unlisted"] = json!(whole.unlisted);
        }
        deed.note("integration.discovered", subject, None, Some(after)).await?;
    }
    Ok(())
}
