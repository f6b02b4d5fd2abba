//! From news of targets to the wire: how they are, and what they have.

use driver::CheckReport;
use model::Timestamp;
use proto::v1;

use super::{failure, probes, resource, resource_id, time};
use crate::engine::reads::{End, News};
use crate::status::{Health, HealthState};

/// Puts news on the wire. A resource that cannot be told is left out, and the log says so.
pub(crate) fn news(news: News, now: Timestamp) -> v1::report::Report {
    match news {
        News::Health { integration, revision, identity, outcome } => {
            let state = health(Health::of(&outcome, now).state);
            let (failure, report) = match outcome {
                Ok(report) => (None, report),
                Err(found) => (Some(failure(&found)), CheckReport::default()),
            };
            v1::report::Report::IntegrationHealth(v1::IntegrationHealth {
                integration_id: integration.to_string(),
                revision: revision.0,
                state: state.into(),
                checked_at: Some(time(now)),
                failure,
                probes: probes(&report.probes),
                product: report.product,
                version: report.version,
                target_identity: identity.map(|found| found.0).unwrap_or_default(),
            })
        }
        News::Resources { integration, snapshot, page, resources, end } => {
            let fits = |one| match resource(one) {
                Ok(wire) => Some(wire),
                Err(fault) => {
                    tracing::warn!(%integration, %fault, "A resource cannot be told and is left out");
                    None
                }
            };
            let told = resources.iter().filter_map(fits).collect();
            let (complete, broken, unlisted, unlisted_count) = match end {
                None => (false, None, vec![], 0),
                Some(End::Complete { unlisted, count }) => (true, None, unlisted, count),
                Some(End::Broken(found)) => (false, Some(failure(&found)), vec![], 0),
            };
            // One whose name does not fit is counted all the same.
            let unlisted = unlisted.into_iter().filter_map(|part| {
                let under = resource_id(&part.under).ok()?;
                Some(v1::Unlisted { under: Some(under), failure: Some(failure(&part.failure)) })
            });
            v1::report::Report::ResourcePage(v1::ResourcePage {
                integration_id: integration.to_string(),
                snapshot_id: snapshot.to_string(),
                page,
                resources: told,
                complete,
                failure: broken,
                unlisted: unlisted.collect(),
                unlisted_count,
            })
        }
    }
}

const fn health(state: HealthState) -> v1::HealthState {
    match state {
        HealthState::Good => v1::HealthState::Good,
        HealthState::Warning => v1::HealthState::Warning,
        HealthState::Bad => v1::HealthState::Bad,
        HealthState::Unreachable => v1::HealthState::Unreachable,
        HealthState::Refused => v1::HealthState::Refused,
    }
}
