//! The rules, by tables: each row has a name.

mod access;
mod asking;
mod link;
mod who;

use control::rules::request::{Request, Stage, Told, Window};
use model::{
    AccessId, AccessState, ConnectorId, EndReason, GranteeId, IntegrationId, Residual, ResidualKind,
    Revision, Span, Timestamp, Verdict,
};

use crate::world::{START, read_orders};

fn later(secs: i64) -> Timestamp {
    START.plus(Span::from_secs(secs))
}

/// Ann asked for 100 seconds at the start; nothing is decided.
fn pending() -> Request {
    Request {
        id: AccessId::parse("acc-1").unwrap(),
        grantee: GranteeId::parse("ann").unwrap(),
        integration: IntegrationId::parse("shop").unwrap(),
        connector: ConnectorId::parse("north").unwrap(),
        entitlements: [read_orders()].into_iter().collect(),
        justification: "ticket 7".into(),
        requested_at: START,
        from: None,
        duration: Span::from_secs(100),
        window: None,
        revision: Revision(0),
        stage: Stage::Pending,
        decision: None,
        end_asked: None,
        cancel_asked: None,
        told: None,
        changes: 1,
    }
}

/// Approved at the start: it is to last until 100 seconds later.
fn accepted() -> Request {
    Request {
        stage: Stage::Accepted,
        revision: Revision(1),
        window: Some(Window { from: START, until: later(100) }),
        ..pending()
    }
}

fn said(state: AccessState) -> Told {
    Told {
        revision: Revision(1),
        state,
        failure: None,
        until: None,
        account: None,
        cancel_possible: false,
        at: later(1),
    }
}

fn told(state: AccessState) -> Request {
    Request { told: Some(said(state)), ..accepted() }
}

fn active() -> AccessState {
    AccessState::Active { since: later(1) }
}

fn interrupted() -> AccessState {
    AccessState::Interrupted { since: later(1) }
}

fn ending(attempts: u32, contained: bool) -> AccessState {
    AccessState::Ending { reason: EndReason::Deadline, contained, attempts, since: later(1) }
}

fn ended(verdict: Verdict) -> AccessState {
    AccessState::Ended { verdict, residual: vec![], at: later(2) }
}

fn ended_with_residual() -> AccessState {
    let residual = Residual { kind: ResidualKind::ScheduledJob, detail: "nightly".into(), ends_at: None };
    AccessState::Ended { verdict: Verdict::Expired, residual: vec![residual], at: later(2) }
}
