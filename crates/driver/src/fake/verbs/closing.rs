//! Closing verbs: rungs, delete, retire.

use model::{AccountRef, Code, Failure, Retry, Rung};

use super::{Found, find, mark_of};
use crate::fake::Nature;
use crate::fake::desk::Desk;
use crate::fake::sabotage::Sabotage;
use crate::fake::state::{Number, Owner, Stored};
use crate::{HeirPolicy, RetireReport};
use model::MarkState;

/// How often sessions are ended before the rung says that some remain.
const ROUNDS: u32 = 3;

/// Finds an account that is to be closed; what is not ours is nobody.
fn found(desk: &mut Desk<'_>, account: &AccountRef, by_name: Sabotage) -> Result<Option<Number>, Failure> {
    match find(desk, account)? {
        Found::Ours(number) => {
            let unmarked = !matches!(mark_of(desk, number), MarkState::Valid(_));
            Ok((!(unmarked && desk.has(Sabotage::NeedsAMarkToClose))).then_some(number))
        }
        Found::Foreign | Found::Nobody if desk.has(by_name) => {
            let name = account.name.0.clone();
            desk.ask("find by name", move |state| Ok(state.find(&name)))
        }
        Found::Foreign => Ok(None),
        Found::Nobody => Ok(None),
    }
}

pub(in crate::fake) fn revoke(desk: &mut Desk<'_>, account: &AccountRef, rung: Rung) -> Result<(), Failure> {
    let Some(number) = found(desk, account, Sabotage::ClosesByName)? else {
        return match desk.has(Sabotage::RungsStumbleOverAbsent) {
            true => Err(Failure::refused(Code::ACCOUNT_MISSING, "there is no such account")),
            false => Ok(()),
        };
    };
    match rung {
        Rung::ShutLogin => shut(desk, number),
        Rung::EndSessions => end_sessions(desk, number),
        Rung::Strip => strip(desk, number),
        Rung::Scramble => scramble(desk, number),
    }
}

fn shut(desk: &mut Desk<'_>, number: Number) -> Result<(), Failure> {
    if desk.has(Sabotage::ShutsNothing) {
        return Ok(());
    }
    let scrambles = desk.nature == Nature::Transactions && !desk.has(Sabotage::ScramblesNothing);
    desk.ask(format!("shut the login of {number:?}"), |state| {
        state.pass(Rung::ShutLogin)?;
        let row = state.row(number)?;
        row.can_log_in = false;
        row.expires = None;
        if scrambles {
            row.credential = None;
        }
        Ok(())
    })
}

fn end_sessions(desk: &mut Desk<'_>, number: Number) -> Result<(), Failure> {
    let troubles = desk.sabotages();
    if troubles.contains(&Sabotage::EndsNoSession) {
        return Ok(());
    }
    let one = troubles.contains(&Sabotage::EndsOneSession);
    let everybody = troubles.contains(&Sabotage::EndsEverybodysSessions);
    for _ in 0..ROUNDS {
        desk.ask(format!("end sessions of {number:?}"), |state| {
            state.pass(Rung::EndSessions)?;
            let first =
                state.sessions.iter().find(|(_, session)| session.account == number).map(|(id, _)| *id);
            match (everybody, one) {
                (true, _) => state.sessions.clear(),
                (_, true) => state.sessions.retain(|id, _| Some(*id) != first),
                _ => state.end_sessions(number),
            }
            Ok(())
        })?;
        if !troubles.contains(&Sabotage::ForgetsPreparedTransactions) {
            desk.ask(format!("drop prepared transactions of {number:?}"), |state| {
                state.drop_prepared(number);
                Ok(())
            })?;
        }
        let left = desk.ask(format!("count sessions of {number:?}"), |state| {
            let sessions = state.sessions.values().filter(|session| session.account == number).count();
            Ok(sessions + state.prepared.values().filter(|owner| **owner == number).count())
        })?;
        if left == 0 || one || troubles.contains(&Sabotage::ForgetsPreparedTransactions) {
            return Ok(());
        }
    }
    Err(Failure::not_done(Code::SESSIONS_REMAIN, "sessions began again as fast as they were ended"))
}

fn strip(desk: &mut Desk<'_>, number: Number) -> Result<(), Failure> {
    let leaves = desk.has(Sabotage::StripLeavesRightsByHand);
    let vanished = desk.has(Sabotage::CloseStumblesOverVanished);
    let drops = desk.has(Sabotage::StripDropsSharedRoles);
    desk.ask(format!("strip {number:?}"), |state| {
        state.pass(Rung::Strip)?;
        if vanished && state.rights(number).iter().any(|held| !state.things.contains(&held.resource.path)) {
            return Err(Failure::refused(Code::RESOURCE_MISSING, "the thing is not there"));
        }
        if drops {
            let roles = state.row(number)?.roles.clone();
            state.roles.retain(|name, _| !roles.contains(name));
        }
        let row = state.row(number)?;
        row.roles.clear();
        if !leaves {
            row.by_hand.clear();
        }
        Ok(())
    })
}

fn scramble(desk: &mut Desk<'_>, number: Number) -> Result<(), Failure> {
    if desk.has(Sabotage::ScramblesNothing) {
        return Ok(());
    }
    let secret = crate::credential::generate()?;
    desk.ask(format!("void the credential of {number:?}"), |state| {
        state.pass(Rung::Scramble)?;
        state.row(number)?.credential = Some(Stored::Clear(secret.expose().to_owned()));
        Ok(())
    })
}

pub(in crate::fake) fn delete(
    desk: &mut Desk<'_>,
    account: &AccountRef,
    heir: HeirPolicy,
) -> Result<(), Failure> {
    let Some(number) = found(desk, account, Sabotage::DeletesByName)? else {
        return match desk.has(Sabotage::DeleteStumblesOverAbsent) {
            true => Err(Failure::refused(Code::ACCOUNT_MISSING, "there is no such account")),
            false => Ok(()),
        };
    };
    let troubles = desk.sabotages();
    desk.whole(|desk| {
        desk.ask(format!("settle what {number:?} owns"), |state| {
            let owned: Vec<_> = state.owned_by(number).cloned().collect();
            if owned.is_empty() {
                return Ok(());
            }
            if heir == HeirPolicy::KeepShut && !troubles.contains(&Sabotage::DeletesOwnersAnyway) {
                return Err(Failure::refused(
                    Code::OWNED_OBJECTS,
                    format!("the account owns {} objects: name an heir, or remove them", owned.len()),
                )
                .with_retry(Retry::NeedsHuman));
            }
            state.has_heir = true;
            for object in owned {
                if troubles.contains(&Sabotage::DeletesWhatIsOwned) {
                    state.objects.remove(&object);
                } else if troubles.contains(&Sabotage::HandsOverToAdmin) {
                    state.objects.insert(object, Owner::Admin);
                } else {
                    state.objects.insert(object, Owner::Heir);
                }
            }
            Ok(())
        })?;
        desk.ask(format!("remove {number:?}"), |state| {
            state.remove_account(number);
            Ok(())
        })
    })
}

pub(in crate::fake) fn retire(desk: &mut Desk<'_>) -> Result<RetireReport, Failure> {
    if desk.has(Sabotage::RetireLeavesRoles) {
        return Ok(RetireReport::default());
    }
    let maker = desk.maker();
    let mut report = RetireReport::default();
    let removed = desk.ask("remove roles without members", |state| {
        let used: std::collections::BTreeSet<_> =
            state.accounts.values().flat_map(|row| row.roles.iter().cloned()).collect();
        let ours = state.roles.iter().filter(|(name, role)| role.maker == maker && !used.contains(*name));
        let names: Vec<_> = ours.map(|(name, _)| name.clone()).collect();
        state.roles.retain(|name, _| !names.contains(name));
        Ok(names)
    })?;
    report.removed = removed;
    let heir = desk.ask("remove the heir that owns nothing", |state| {
        let removed = state.has_heir && !state.objects.values().any(|owner| *owner == Owner::Heir);
        state.has_heir &= !removed;
        Ok(removed)
    })?;
    if heir {
        report.removed.push("the heir".into());
    }
    Ok(report)
}
