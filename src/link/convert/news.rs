//! From news of targets to the wire: how they are, and what they have.

use driver::CheckReport;
use model::Timestamp;
use proto::v1;
use rules::drift::{Drift, DriftKind};

use super::{failure, probes, resource, resource_id, time};
use crate::engine::reads::{End, News};
use crate::status::{Health, HealthState};

/// Puts news on the wire. A resource that cannot be told is left out, and the log says so.
pub(crate) fn news(news: News, now: Timestamp) -> v1::report::Report {
    match news {
        News::Drift(survey) => v1::report::Report::DriftFound(v1::DriftFound {
            integration_id: survey.integration.to_string(),
            surveyed_at: Some(time(survey.at)),
            drifts: survey.drifts.iter().map(|(kind, found)| drift(*kind, found)).collect(),
            accounts: survey.accounts,
            partial: false,
        }),
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
        News::Resources { integration, snapshot, page, resources, end, place } => {
            let fits = |one| match resource(one) {
                Ok(wire) => Some(wire),
                Err(fault) => {
                    tracing::warn!(%integration, %fault, "A resource cannot be told and is left out");
                    None
                }
            };
            let told = resources.iter().filter_map(fits).collect();
            drop(place);
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

fn drift(kind: DriftKind, found: &Drift) -> v1::Drift {
    let (word, detail, being_removed) = match kind {
        DriftKind::Excess => (
            v1::DriftKind::Excess,
            "holds more than is wanted: what can be named is taken away, the rest goes at the close at the latest",
            false,
        ),
        DriftKind::Ghost => (
            v1::DriftKind::Ghost,
            "carries our mark and is not remembered: closed by its mark's deadlines",
            true,
        ),
        DriftKind::Vanished => (v1::DriftKind::Vanished, "should be there and is not", false),
        DriftKind::Tampered => {
            (v1::DriftKind::Tampered, "its mark was removed or altered; it is closed all the same", false)
        }
        DriftKind::Foreign => (
            v1::DriftKind::Foreign,
            "looks like ours and is not by its mark: another connector's, a copy, or by a key that this identity never \
             had; it is not touched, look whether it should be there",
            false,
        ),
        DriftKind::Interrupted => {
            (v1::DriftKind::Interrupted, "holds less than is wanted, or was shut by another hand", false)
        }
        DriftKind::Renamed => (v1::DriftKind::Renamed, "has another name than it was given", false),
        DriftKind::WiderRole => (
            v1::DriftKind::WiderRole,
            "a permission role of ours holds more than its definition: whoever is in it has that, too, until the \
             close, and it gives no new access; the check says what it is, take it back",
            false,
        ),
    };
    v1::Drift {
        kind: word.into(),
        count: found.count,
        examples: found.examples.iter().map(ToString::to_string).collect(),
        account_ids: found.accounts.iter().map(ToString::to_string).collect(),
        detail: detail.into(),
        being_removed,
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
