//! What a report of the agent does to a request.
//!
//! The agent's word on what is on the target is final: only its reports end an access. What is over stays
//! over; late, repeated and contradicting reports are noted or dropped, never believed backwards.

use model::{AccessState, Code, Failure, Timestamp};

use super::request::{By, Event, Moved, Request, Stage, Tell, Told};

/// Returns the request as it is after the report, or `None` when the report says nothing new.
pub fn told(request: &Request, told: Told) -> Option<Moved> {
    if request.is_over() && request.stage == Stage::Accepted {
        return None;
    }
    if request.told.as_ref() == Some(&told) {
        return None;
    }
    let by = By::Agent(request.connector.clone());
    let event = Event::new(told.at, by, told.state.word(), sentence(&told));
    let terminal = told.state.is_terminal();
    let next = Request { told: Some(told), ..request.clone() };
    let moved = match request.stage {
        Stage::Accepted => Moved::new(next, event, None),
        // The agent has an access that was never approved here: a restored control plane, or worse.
        Stage::Pending => Moved {
            alarm: Some("the agent told of an access that waits for a decision here".into()),
            ..Moved::new(Request { stage: Stage::Accepted, ..next }, event, None)
        },
        Stage::Rejected | Stage::Withdrawn if terminal => return None,
        Stage::Rejected | Stage::Withdrawn => Moved {
            alarm: Some("the agent told of an access that was refused here; its end has been ordered".into()),
            ..Moved::new(Request { stage: Stage::Accepted, ..next }, event, Some(Tell::End))
        },
    };
    Some(moved)
}

fn sentence(told: &Told) -> Option<String> {
    let failure = told.failure.as_ref().map(ToString::to_string);
    let state = match &told.state {
        AccessState::Ending { reason, contained, attempts, .. } => {
            let contained = if *contained { ", login shut" } else { "" };
            let tries = if *attempts == 0 { String::new() } else { format!(", tries: {attempts}") };
            Some(format!("{}{contained}{tries}", reason_word(reason)))
        }
        AccessState::Ended { verdict, residual, .. } if residual.is_empty() => {
            Some(verdict_word(*verdict).into())
        }
        AccessState::Ended { verdict, residual, .. } => {
            Some(format!("{}, residual: {}", verdict_word(*verdict), residual.len()))
        }
        AccessState::Refused { code } | AccessState::Failed { code } => Some(code.to_string()),
        AccessState::Canceled { .. } => Some("the access may remain on the target".into()),
        AccessState::Accepted { .. }
        | AccessState::Granting { .. }
        | AccessState::Active { .. }
        | AccessState::Interrupted { .. } => None,
    };
    match (state, failure) {
        (Some(state), Some(failure)) => Some(format!("{state}; {failure}")),
        (state, failure) => state.or(failure),
    }
}

fn verdict_word(verdict: model::Verdict) -> &'static str {
    match verdict {
        model::Verdict::Expired => "expired",
        model::Verdict::Revoked => "revoked",
        model::Verdict::Deleted => "deleted",
    }
}

fn reason_word(reason: &model::EndReason) -> String {
    use model::EndReason;
    match reason {
        EndReason::Deadline => "deadline".into(),
        EndReason::Revoked => "revoked".into(),
        EndReason::Absent => "absent from the standing list".into(),
        EndReason::AccountDeleted => "account to be deleted".into(),
        EndReason::IntegrationRetired => "integration retired".into(),
        EndReason::BreakGlass { note } if note.is_empty() => "ended by an operator at the agent".into(),
        EndReason::BreakGlass { note } => format!("ended by an operator at the agent: {note}"),
        EndReason::Guardrail => "forbidden by a guardrail".into(),
        EndReason::NotOpened(code) => format!("could not be opened: {code}"),
        EndReason::Unremembered => "found on the target, not remembered".into(),
    }
}

/// Which kind of order about an access the agent did not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untaken {
    Put,
    Cancel,
    /// Another, or one that is no longer kept.
    Other,
}

/// Returns the request as it is after the agent did not take an order about it.
pub fn untaken(request: &Request, order: Untaken, failure: &Failure, at: Timestamp) -> Option<Moved> {
    if request.stage != Stage::Accepted || request.is_over() {
        return None;
    }
    let by = By::Agent(request.connector.clone());
    let detail = Some(failure.to_string());
    match order {
        // The agent does not hold it and never will: nothing else will be told of it.
        Untaken::Put | Untaken::Other if request.told.is_none() || failure.code == Code::ID_ENDED => {
            let told = Told {
                revision: request.revision,
                state: AccessState::Refused { code: failure.code.clone() },
                failure: Some(failure.clone()),
                account: request.told.as_ref().and_then(|told| told.account),
                cancel_possible: false,
                until: None,
                at,
            };
            let refused = Request { told: Some(told), ..request.clone() };
            Some(Moved::new(refused, Event::new(at, by, "refused", detail), None))
        }
        Untaken::Cancel => {
            let waiting = Request { cancel_asked: None, ..request.clone() };
            Some(Moved::new(waiting, Event::new(at, by, "cancel_refused", detail), None))
        }
        Untaken::Put | Untaken::Other => {
            Some(Moved::new(request.clone(), Event::new(at, by, "order_refused", detail), None))
        }
    }
}

/// Returns the request after its sealed credential came.
pub fn credential(request: &Request, generation: u32, at: Timestamp) -> Option<Moved> {
    if request.stage != Stage::Accepted || request.is_over() {
        return None;
    }
    let by = By::Agent(request.connector.clone());
    let event = Event::new(at, by, "credential_sealed", Some(format!("generation {generation}")));
    Some(Moved::new(request.clone(), event, None))
}

/// After how many failed tries the agent takes an order to stop waiting for a close.
pub const CANCEL_AFTER: u32 = 10;

/// Returns true when the agent would take an order to stop waiting for the close.
pub fn cancel_possible(state: &AccessState) -> bool {
    matches!(state, AccessState::Ending { attempts, .. } if *attempts >= CANCEL_AFTER)
}
