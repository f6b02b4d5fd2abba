//! From answers to records: what was answered is taken, and what failed is put off.

use model::{AccountId, TargetIdentity, Timestamp};

use super::Book;
use super::lanes::Tries;
use crate::action::{Act, Answer, Ticket};
use crate::answer::{self, Outcome};
use crate::effects::{Effects, Tale};
use crate::plan::Deed;
use crate::retry;

/// A close that an operator stopped waiting for is tried again after this long.
const SLOWLY: model::Span = model::Span::from_mins(15);

impl Book {
    pub(super) fn take_answer(
        &mut self,
        id: AccountId,
        ticket: Ticket,
        answer: Answer,
        by: Option<&TargetIdentity>,
        now: Timestamp,
    ) {
        let Some(flight) = self.lanes.landed(id, ticket) else { return };
        let integration = flight.integration.clone();
        let reached = reached(&answer);
        if !flight.act.is_local() {
            let (high, _) = id.as_uuid().as_u64_pair();
            let breaker = &mut self.lanes.lane(&integration).breaker;
            if reached { breaker.reached() } else { breaker.missed(high, now) }
        }
        // A deadline that was crossed while the call was under way is crossed before its answer is taken.
        self.settle(id, now);
        let policy = self.policy_of(&integration);
        let answer = self.as_far_as_it_proves(&integration, &flight.act, answer, by);
        let mut effects = Effects::default();
        let minted = matches!((&flight.act, &answer), (Act::Mint { .. }, Answer::Minted { .. }));
        let unrecorded = self.lanes.unrecorded.contains(&id);
        let lost = self.lost_calls(now).filter(|_| !flight.act.is_local());
        let Some(record) = self.edit(id) else { return };
        if let Some(until) = lost {
            record.unsure.note_all(until);
        }
        let outcome = answer::take(record, &flight.act, answer, policy, now, &mut effects);
        let canceled = record.canceled;
        if minted {
            self.lanes.clear_at_hand.insert(id);
        }
        if flight.act.closes() && unrecorded {
            for tale in &mut effects.tales {
                if let Tale::Receipt(body) = tale {
                    body.recorded_late = true;
                }
            }
        }
        self.staged.tell(effects);
        match outcome {
            Outcome::Done => {
                self.lanes.tries.remove(&id);
                if !flight.act.is_local() {
                    self.lanes.doubted.remove(&id);
                }
                if flight.act.closes() && self.lanes.unrecorded.remove(&id) {
                    self.staged.recorded(id);
                }
            }
            Outcome::Again(failure) => {
                let (class, deed) = (flight.class, deed_of(&flight.act));
                let count = self
                    .lanes
                    .tries
                    .get(&id)
                    .filter(|tries| tries.are_of(class, deed))
                    .map_or(0, |tries| tries.count)
                    + 1;
                let mut next = retry::due(id, count, &failure, now);
                if canceled {
                    next = next.max(now.plus(SLOWLY));
                }
                self.lanes.tries.insert(id, Tries { class, deed, count, next });
            }
        }
        self.prune(id);
        self.consider(id, now);
        self.retire_if_empty(&integration);
    }
}

const fn deed_of(act: &Act) -> Deed {
    match act {
        Act::Mint { .. } => Deed::Mint,
        Act::Open { .. } => Deed::Open,
        Act::Converge { .. } => Deed::Converge,
        Act::Observe { .. } => Deed::Observe,
        Act::Close { .. } => Deed::Close,
        Act::Rotate { .. } => Deed::Rotate,
        Act::Delete { .. } => Deed::Delete,
    }
}

/// Whether the target itself answered, whatever it said.
fn reached(answer: &Answer) -> bool {
    use model::Code;
    let missed = |failure: &model::Failure| {
        [
            Code::UNREACHABLE,
            Code::TIMED_OUT,
            Code::TLS_REFUSED,
            Code::LOGIN_REFUSED,
            Code::SECRET_MISSING,
            Code::SECRET_DENIED,
            Code::SECRET_STORE_UNREACHABLE,
        ]
        .contains(&failure.code)
    };
    match answer {
        Answer::Failed(failure) => !missed(failure),
        Answer::Closed(climb) => climb.observed.as_ref().err().is_none_or(|failure| !missed(failure)),
        Answer::Minted { .. } | Answer::Done { .. } | Answer::Deleted { .. } | Answer::Observed(_) => true,
    }
}
