//! What a person sees: the label of a request, and what must be said beside it.
//!
//! The label follows what was decided here and what the agent told. Nothing is shown as ended because its
//! time is over: only the agent's report says so; until then the wait is shown.

use model::{AccessState, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::request::{Request, Stage};

/// The labels of lists and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Label {
    #[serde(rename = "Pending Approval")]
    PendingApproval,
    Granting,
    Active,
    Revoking,
    Expired,
    Revoked,
    Rejected,
    Failed,
    #[serde(rename = "Revoke Canceled")]
    RevokeCanceled,
}

impl Label {
    /// Every label.
    pub const ALL: [Self; 9] = [
        Self::PendingApproval,
        Self::Granting,
        Self::Active,
        Self::Revoking,
        Self::Expired,
        Self::Revoked,
        Self::Rejected,
        Self::Failed,
        Self::RevokeCanceled,
    ];

    /// Returns the label as people see it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::PendingApproval => "Pending Approval",
            Self::Granting => "Granting",
            Self::Active => "Active",
            Self::Revoking => "Revoking",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
            Self::Rejected => "Rejected",
            Self::Failed => "Failed",
            Self::RevokeCanceled => "Revoke Canceled",
        }
    }

    /// Returns the words of [`Request::word`] that can carry this label.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::PendingApproval => &["pending"],
            Self::Granting => &["accepted", "granting"],
            Self::Active => &["active", "interrupted"],
            Self::Revoking => &["accepted", "granting", "active", "interrupted", "ending"],
            Self::Expired => &["ended"],
            Self::Revoked => &["ended", "withdrawn"],
            Self::Rejected => &["rejected"],
            Self::Failed => &["refused", "failed"],
            Self::RevokeCanceled => &["canceled"],
        }
    }
}

/// A label and what must be said beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub label: Label,
    /// Something is not as it should be.
    pub warning: Option<&'static str>,
    /// Why it is as it is.
    pub note: Option<&'static str>,
    /// The deadline passed and the agent has not told the end yet.
    pub deadline_passed: bool,
}

/// What is said of an access whose time is over before the agent told its end.
pub const WAITING: &str = "deadline passed, waiting for the agent";

/// Returns what a person sees at `now`.
pub fn shown(request: &Request, now: Timestamp) -> Shown {
    let plain = |label| Shown { label, warning: None, note: None, deadline_passed: false };
    match request.stage {
        Stage::Pending => plain(Label::PendingApproval),
        Stage::Rejected => plain(Label::Rejected),
        Stage::Withdrawn => Shown { note: Some("withdrawn before a decision"), ..plain(Label::Revoked) },
        Stage::Accepted => ordered(request, now),
    }
}

/// Returns what is said of an access that waits for an agent which opens nothing now: `kind` is that of the hindrance.
pub fn hindered(kind: &str) -> &'static str {
    match kind {
        "paused" => "the agent is paused: it opens nothing until it is resumed",
        "clock" => "the agent opens nothing now: its clock and the control plane's disagree",
        "reconciling" => "the agent opens nothing yet: it makes sure that it missed nothing",
        _ => "the agent opens nothing now: it can only close",
    }
}

fn ordered(request: &Request, now: Timestamp) -> Shown {
    let passed = !request.is_over() && request.until().is_some_and(|until| until <= now);
    let on_its_way = |label, warning| {
        if passed {
            Shown { label: Label::Revoking, warning, note: Some(WAITING), deadline_passed: true }
        } else if request.end_asked.is_some() {
            let note = Some("end asked for, waiting for the agent");
            Shown { label: Label::Revoking, warning, note, deadline_passed: false }
        } else {
            Shown { label, warning, note: None, deadline_passed: false }
        }
    };
    let over = |label, warning| Shown { label, warning, note: None, deadline_passed: false };
    let Some(told) = &request.told else { return on_its_way(Label::Granting, None) };
    match &told.state {
        AccessState::Accepted { .. } | AccessState::Granting { .. } => on_its_way(Label::Granting, None),
        AccessState::Active { .. } => on_its_way(Label::Active, None),
        AccessState::Interrupted { .. } => on_its_way(
            Label::Active,
            Some("interrupted: the target holds less than was granted; open it again"),
        ),
        AccessState::Ending { contained, .. } => Shown {
            label: Label::Revoking,
            warning: told.failure.is_some().then_some("closing did not succeed yet; it goes on"),
            note: contained.then_some("contained: the login is shut"),
            deadline_passed: passed,
        },
        AccessState::Ended { verdict, residual, .. } => over(
            match verdict {
                Verdict::Expired => Label::Expired,
                Verdict::Revoked | Verdict::Deleted => Label::Revoked,
            },
            (!residual.is_empty()).then_some("something may outlive the close: see the receipt"),
        ),
        AccessState::Refused { .. } | AccessState::Failed { .. } => over(Label::Failed, None),
        AccessState::Canceled { .. } => {
            over(Label::RevokeCanceled, Some("the access may remain on the target: remove it by hand"))
        }
    }
}
