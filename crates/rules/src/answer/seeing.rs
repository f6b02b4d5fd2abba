//! What was seen of an account outside of a change: what is missing interrupts, what exceeds is a duty.

use model::{AccessState, Code, EntitlementSet, Login, MarkState, Observed, Phase, Timestamp};

use super::recognise;
use crate::account::AccountRecord;
use crate::effects::Effects;

/// Takes what was seen of an account outside an act: what is missing interrupts, what exceeds is a duty.
pub fn seen(record: &mut AccountRecord, observed: &Observed, now: Timestamp, effects: &mut Effects) {
    match observed.account.as_deref() {
        None => {
            interrupt(record, now, effects, |_| true);
            if matches!(record.phase, Phase::Open | Phase::Suspended | Phase::Deleting) {
                record.phase = Phase::Absent;
                record.account.immutable = None;
                record.credential = None;
                record.own = None;
                record.added = EntitlementSet::nothing();
                record.unmarked();
            }
            record.held = EntitlementSet::nothing();
        }
        Some(found) => {
            if !recognise(record, found) {
                return;
            }
            if let MarkState::Valid(mark) = &found.mark {
                record.mark = record.mark.max(mark.draft.revision);
            }
            record.held = record.ours(&found.entitlements);
            if record.is_borrowed() {
                // Its login is its own affair.
                interrupt_lacking(record, now, effects);
                return;
            }
            match record.phase {
                Phase::Open if found.login == Login::Shut => {
                    interrupt(record, now, effects, |_| true);
                    record.phase = Phase::Closing;
                }
                Phase::Open => interrupt_lacking(record, now, effects),
                Phase::Absent | Phase::Suspended | Phase::Deleting if !observed.is_closed() => {
                    record.phase = Phase::Closing;
                    effects.alarm(
                        Some(&record.account.integration),
                        Code::ACCOUNT_TAMPERED,
                        format!("account {} was shut and is not any more: closing it", record.account.name),
                        now,
                    );
                }
                // Ours and shut, but nobody here saw it shut: it is, once the ladder says so.
                Phase::Absent => record.phase = Phase::Closing,
                Phase::Opening | Phase::Closing | Phase::Suspended | Phase::Deleting => {}
            }
        }
    }
}

pub(super) fn interrupt_lacking(record: &mut AccountRecord, now: Timestamp, effects: &mut Effects) {
    let (held, own) = (record.held.clone(), record.own.clone().unwrap_or_default());
    interrupt(record, now, effects, |access| !access.entitlements.minus(&own).within(&held));
}

pub(super) fn interrupt(
    record: &mut AccountRecord,
    now: Timestamp,
    effects: &mut Effects,
    lost: impl Fn(&model::Access) -> bool,
) {
    let ids: Vec<_> = record
        .accesses
        .values()
        .filter(|access| matches!(access.state, AccessState::Active { .. }) && lost(access))
        .map(|access| access.id.clone())
        .collect();
    for id in ids {
        if let Some(access) = record.accesses.get_mut(&id) {
            access.state = AccessState::Interrupted { since: now };
        }
        if let Some(access) = record.accesses.get(&id) {
            effects.access(record, access, None, now);
        }
    }
}
