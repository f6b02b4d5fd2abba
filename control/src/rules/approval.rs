//! Deciding on requests and ending accesses: what people can do to one, and what that means for the agent.

use model::{AccessState, Timestamp};

use super::request::{Asked, By, Decision, Event, Moved, Request, Stage, Tell, Window};

/// Why it cannot be done to this request now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    #[error("the request is `{word}`: only a pending one can be decided")]
    NotPending { word: &'static str },
    #[error("the time that was asked for ended at {until}: ask again")]
    TooLate { until: Timestamp },
    #[error("the access is `{word}` already: nothing is left to end")]
    Over { word: &'static str },
    #[error("the agent does not offer it: it can be canceled only after several failed tries to close")]
    CancelImpossible,
    #[error("the access is `{word}`: only an interrupted one can be opened again")]
    NotInterrupted { word: &'static str },
    #[error("the end of the access has been asked for: ask for a new one")]
    Ending,
}

impl NotNow {
    /// Returns the stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPending { .. } => "request_not_pending",
            Self::TooLate { .. } => "request_too_late",
            Self::Over { .. } => "request_over",
            Self::CancelImpossible => "cancel_not_possible",
            Self::NotInterrupted { .. } => "request_not_interrupted",
            Self::Ending => "request_ending",
        }
    }
}

/// Takes a request that was just made: its history begins.
pub fn asked(request: Request, event: Event) -> Moved {
    Moved::new(request, event, None)
}

/// Returns from–until for an approval at `now`: a fixed start keeps its end, else the time counts from now.
pub fn window(request: &Request, now: Timestamp) -> Window {
    match request.from {
        Some(from) => Window { from, until: from.plus(request.duration) },
        None => Window { from: now, until: now.plus(request.duration) },
    }
}

/// Approves a pending request: from here on the agent is told.
///
/// # Errors
/// It is not pending, or the asked time is over.
pub fn approve(request: &Request, by: By, reason: Option<String>, now: Timestamp) -> Result<Moved, NotNow> {
    if request.stage != Stage::Pending {
        return Err(NotNow::NotPending { word: request.word() });
    }
    let window = window(request, now);
    if window.until <= now {
        return Err(NotNow::TooLate { until: window.until });
    }
    let what = if by == By::Policy { "auto_approved" } else { "approved" };
    let event = Event::new(now, by.clone(), what, reason.clone());
    let accepted = Request {
        stage: Stage::Accepted,
        window: Some(window),
        revision: request.revision.next(),
        decision: Some(Decision { approved: true, by, at: now, reason }),
        ..request.clone()
    };
    Ok(Moved::new(accepted, event, Some(Tell::Put)))
}

/// Rejects a pending request.
///
/// # Errors
/// It is not pending.
pub fn reject(request: &Request, by: By, reason: String, now: Timestamp) -> Result<Moved, NotNow> {
    if request.stage != Stage::Pending {
        return Err(NotNow::NotPending { word: request.word() });
    }
    let event = Event::new(now, by.clone(), "rejected", Some(reason.clone()));
    let rejected = Request {
        stage: Stage::Rejected,
        decision: Some(Decision { approved: false, by, at: now, reason: Some(reason) }),
        ..request.clone()
    };
    Ok(Moved::new(rejected, event, None))
}

/// Ends an access, or takes a pending request back. Ending twice is ending once: `None`, nothing to do.
///
/// # Errors
/// It is over already.
pub fn end(
    request: &Request,
    by: By,
    reason: Option<String>,
    now: Timestamp,
) -> Result<Option<Moved>, NotNow> {
    if request.is_over() {
        return Err(NotNow::Over { word: request.word() });
    }
    if request.end_asked.is_some() {
        return Ok(None);
    }
    let asked = Asked { by: by.clone(), at: now, reason: reason.clone() };
    let (stage, what, tell) = match request.stage {
        Stage::Pending => (Stage::Withdrawn, "withdrawn", None),
        Stage::Accepted | Stage::Rejected | Stage::Withdrawn => {
            (request.stage, "revoke_asked", Some(Tell::End))
        }
    };
    let ended = Request { stage, end_asked: Some(asked), ..request.clone() };
    Ok(Some(Moved::new(ended, Event::new(now, by, what, reason), tell)))
}

/// Stops waiting for a close that does not succeed; possible only when the agent said so. The access may
/// remain; the agent goes on trying, slowly.
///
/// # Errors
/// The agent does not offer it now.
pub fn cancel(request: &Request, by: By, reason: String, now: Timestamp) -> Result<Option<Moved>, NotNow> {
    let offered = request
        .told
        .as_ref()
        .is_some_and(|told| matches!(told.state, AccessState::Ending { .. }) && told.cancel_possible);
    if request.is_over() {
        return Err(NotNow::Over { word: request.word() });
    }
    if !offered {
        return Err(NotNow::CancelImpossible);
    }
    if request.cancel_asked.is_some() {
        return Ok(None);
    }
    let asked = Asked { by: by.clone(), at: now, reason: Some(reason.clone()) };
    let canceled = Request { cancel_asked: Some(asked), ..request.clone() };
    let event = Event::new(now, by, "cancel_asked", Some(reason));
    Ok(Some(Moved::new(canceled, event, Some(Tell::CancelEnding))))
}

/// Orders an interrupted access anew, within the time that was approved.
///
/// # Errors
/// It is not interrupted, its end was asked for, or its time is over.
pub fn reopen(request: &Request, by: By, now: Timestamp) -> Result<Moved, NotNow> {
    let interrupted =
        request.told.as_ref().is_some_and(|told| matches!(told.state, AccessState::Interrupted { .. }));
    if !interrupted {
        return Err(NotNow::NotInterrupted { word: request.word() });
    }
    if request.end_asked.is_some() {
        return Err(NotNow::Ending);
    }
    match request.window {
        Some(window) if window.until > now => {}
        Some(Window { until, .. }) => return Err(NotNow::TooLate { until }),
        None => return Err(NotNow::NotInterrupted { word: request.word() }),
    }
    let again = Request { revision: request.revision.next(), ..request.clone() };
    Ok(Moved::new(again, Event::new(now, by, "reopen_asked", None), Some(Tell::Put)))
}
