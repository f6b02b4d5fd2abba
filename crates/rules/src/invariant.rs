//! What is true of every book at every moment: defined once, looked at by the simulation after each step
//! and by debug builds before each.

use model::{AccessState, Phase};

use crate::account::AccountRecord;
use crate::book::Book;

/// Checks a book.
///
/// # Errors
/// The first thing that is not so, in words.
pub fn check(book: &Book) -> Result<(), String> {
    for record in book.accounts() {
        let id = record.account.id;
        of_account(record).map_err(|fault| format!("account {id} {fault}"))?;
        book.listing_fault(record).map_or(Ok(()), |fault| Err(format!("account {id} {fault}")))?;
    }
    book.index_fault().map_or(Ok(()), Err)
}

fn of_account(record: &AccountRecord) -> Result<(), &'static str> {
    for (id, access) in record.accesses.iter() {
        if *id != access.id {
            return Err("keeps an access under the id of another");
        }
        if access.state.is_terminal() {
            return Err("keeps an access that has ended");
        }
        if matches!(access.state, AccessState::Active { .. })
            && matches!(record.phase, Phase::Absent | Phase::Suspended | Phase::Deleting)
        {
            return Err("is shut and has an access that is active");
        }
    }
    if matches!(record.phase, Phase::Suspended | Phase::Deleting) && !record.held.is_empty() {
        return Err("is shut and holds something");
    }
    if matches!(record.phase, Phase::Absent | Phase::Suspended) && record.marked_until.is_some() {
        return Err("is shut and marked to be open until some time");
    }
    if record.is_borrowed() {
        let given = record.credential.is_some() || record.generation.0 > 0;
        if given || record.delete_asked || matches!(record.phase, Phase::Suspended | Phase::Deleting) {
            return Err("is borrowed, and is treated as ours");
        }
    }
    let ahead =
        record.credential.as_ref().is_some_and(|credential| credential.generation > record.generation);
    if ahead {
        return Err("has a credential that was never made");
    }
    if record.credential.as_ref().is_some_and(|credential| credential.set)
        && matches!(record.phase, Phase::Absent | Phase::Suspended | Phase::Deleting)
    {
        return Err("is shut and keeps a credential that opens it");
    }
    if record.unsure.growing.is_some_and(|until| until == model::Timestamp::NEVER) {
        return Err("waits for ever for a call to land");
    }
    Ok(())
}
