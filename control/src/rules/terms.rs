//! The terms on which an integration can be had, and what an admin may write into one.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectorId, Integration, Policy, Span, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fault::{Fault, text_fault};
use super::setting::Format;

/// Most characters of the text that an admin adds to the access details.
pub const LONGEST_DETAILS: usize = 400;
/// Most characters of a title.
pub const LONGEST_TITLE: usize = 120;
/// Most settings of an integration.
pub const MOST_SETTINGS: usize = 128;
/// Most bytes of a setting's key.
pub const LONGEST_KEY: usize = 256;
/// Most bytes of one setting or secret reference.
pub const LONGEST_SETTING: usize = 16_384;
/// Most days that a policy may name.
pub const MOST_DAYS: u32 = 3_650;

/// How a request is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// At once, by policy.
    Auto,
    /// By an approver.
    #[default]
    Approve,
}

/// Who decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Approval {
    pub mode: ApprovalMode,
    /// Whether approvers may decide on their own requests.
    pub self_approval: bool,
}

/// An integration as the control plane keeps it: what the agent is told, and what only people see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    pub connector: ConnectorId,
    /// What the agent is told.
    pub integration: Integration,
    pub title: Option<String>,
    pub approval: Approval,
    pub access_details: Option<String>,
    /// The longest access here; the server's own limit holds, too.
    pub longest: Option<Span>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When the agent said that everything of ours is gone from the target.
    pub retired_at: Option<Timestamp>,
}

/// What a kind of target offers, as an agent told it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Permissions by kind of resource.
    pub permissions: BTreeMap<String, BTreeSet<String>>,
    /// Settings by key: whether they are required.
    pub settings: BTreeMap<String, bool>,
    /// What the text of a setting must look like, by key; builds before this one kept none.
    #[serde(default)]
    pub formats: BTreeMap<String, Format>,
}

/// Returns all that is wrong with an integration that an admin wants to apply. `catalogue` is what the
/// connector's own driver told that it needs, when the connector has been seen. What only the driver can know about
/// the values comes later, as the integration's health.
pub fn offer_faults(offer: &Offer, catalogue: Option<&Catalogue>) -> Vec<Fault> {
    let mut faults = vec![];
    let settings = &offer.integration.settings;
    if let Some(title) = &offer.title {
        faults.extend(text_fault("title", title, LONGEST_TITLE, false));
    }
    if let Some(details) = &offer.access_details {
        faults.extend(text_fault("access_details", details, LONGEST_DETAILS, true));
    }
    if settings.len() > MOST_SETTINGS {
        let reason = format!("there are {} settings, the most is {MOST_SETTINGS}", settings.len());
        faults.push(Fault::new("settings", reason, "keep the ones that the driver knows"));
    }
    for (key, value) in settings {
        let field = format!("settings.{}", key.escape_debug());
        if key.is_empty() || key.len() > LONGEST_KEY {
            let reason = format!("its key has {} bytes", key.len());
            faults.push(Fault::new(&field, reason, format!("use 1 to {LONGEST_KEY}")));
        }
        if value.len() > LONGEST_SETTING {
            let reason = format!("it has {} bytes, the most is {LONGEST_SETTING}", value.len());
            faults.push(Fault::new(&field, reason, "shorten it"));
        }
        faults.extend(text_fault(&field, value, LONGEST_SETTING, true));
    }
    if !is_reference(&offer.integration.secret.0) {
        faults.push(Fault::new(
            "secret",
            "it is not a reference",
            "name where the secret is, for example `env://TIDEGATE_SECRET_SHOP_DB`, `file://postgres/admin.json`",
        ));
    }
    let Policy { credentials_rotation_period_in_days: rotation, credentials_cleanup_period_in_days: cleanup } =
        offer.integration.policy;
    for (field, days, least) in [
        ("policy.credentials_rotation_period_in_days", rotation, 1),
        ("policy.credentials_cleanup_period_in_days", cleanup, 0),
    ] {
        if days.is_some_and(|days| !(least..=MOST_DAYS).contains(&days)) {
            faults.push(Fault::new(
                field,
                format!("it is not between {least} and {MOST_DAYS}"),
                "give whole days, or leave it out",
            ));
        }
    }
    if offer.longest.is_some_and(|longest| longest == Span::ZERO) {
        faults.push(Fault::new("max_duration_seconds", "it is 0", "give at least 1, or leave it out"));
    }
    if let Some(catalogue) = catalogue {
        for key in settings.keys().filter(|key| !catalogue.settings.contains_key(*key)) {
            faults.push(Fault::new(
                format!("settings.{}", key.escape_debug()),
                format!("the driver `{}` has no such setting", offer.integration.kind),
                "`tidegatectl integrations drivers` shows those that it has",
            ));
        }
        for (key, _) in catalogue.settings.iter().filter(|(_, required)| **required) {
            if settings.get(key).is_none_or(|value| value.trim().is_empty()) {
                faults.push(Fault::new(
                    format!("settings.{key}"),
                    format!("the driver `{}` needs it", offer.integration.kind),
                    "give it",
                ));
            }
        }
        for (key, value) in settings {
            if let Some((reason, way_out)) =
                catalogue.formats.get(key).and_then(|format| format.misfit(value))
            {
                faults.push(Fault::new(format!("settings.{}", key.escape_debug()), reason, way_out));
            }
        }
    }
    faults
}

/// A reference has a scheme and says something after it; whether it can be read is for the agent to say.
fn is_reference(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '+';
    !scheme.is_empty()
        && scheme.chars().all(word)
        && !rest.is_empty()
        && text.len() <= LONGEST_SETTING
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}
