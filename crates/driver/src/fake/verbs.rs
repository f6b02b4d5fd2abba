//! The verbs of the made-up driver, as statements.

mod closing;
mod reading;

use std::collections::BTreeSet;

use model::mark::MarkDraft;
use model::{
    AccountRef, Code, Entitlement, EntitlementSet, Failure, ImmutableId, MarkState, ResourceId, Retry,
    Timestamp,
};

use super::desk::Desk;
use super::manifest::{READ_ONLY, READ_WRITE, THING};
use super::sabotage::Sabotage;
use super::state::{AccountRow, LONGEST_NAME, Number, RoleRow, State, Stored};
use crate::AccountSpec;
use crate::naming::{NameCase, NameLimits, Prefix, role_name};

pub(super) use closing::{delete, retire, revoke};
pub(super) use reading::{check, discover, observe, survey, wider_roles};

/// Room for marks.
const MARK_BYTES: usize = 4096;
const LIMITS: NameLimits = NameLimits { max_bytes: LONGEST_NAME, case: NameCase::Lower };

/// What stands where an account is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Ours(Number),
    Foreign,
    Nobody,
}

fn missing() -> Failure {
    Failure::refused(Code::ACCOUNT_MISSING, "there is no such account")
}

fn foreign() -> Failure {
    Failure::refused(Code::ACCOUNT_FOREIGN, "an account of that name is not ours: rename or remove it")
}

/// Says what the mark of an account is worth.
pub(super) fn mark_of(desk: &Desk<'_>, number: Number) -> MarkState {
    let state = desk.working.as_ref().unwrap_or(&desk.core.state);
    let Some(text) = state.accounts.get(&number).and_then(|row| row.mark.as_deref()) else {
        return MarkState::Missing;
    };
    desk.context.marks.read(text, &desk.identity(), &ImmutableId(number.0.to_string()))
}

/// Looks for an account: by its immutable id, or by its name and a mark that names it.
pub(super) fn find(desk: &mut Desk<'_>, account: &AccountRef) -> Result<Found, Failure> {
    let (name, known) = (account.name.0.clone(), account.immutable.clone());
    let by_name = desk.ask(format!("find {}", name.escape_debug()), move |state| Ok(state.find(&name)))?;
    let state = desk.working.as_ref().unwrap_or(&desk.core.state);
    if let Some(known) = known {
        let number = known.0.parse().ok().map(Number).filter(|number| state.accounts.contains_key(number));
        return Ok(match number {
            Some(number) if desk.has(Sabotage::FindsByNameOnly) && by_name != Some(number) => Found::Nobody,
            Some(number) => Found::Ours(number),
            None => Found::Nobody,
        });
    }
    let Some(number) = by_name else { return Ok(Found::Nobody) };
    let believes = desk.has(Sabotage::BelievesAnyMark)
        && state.accounts.get(&number).is_some_and(|row| row.mark.is_some());
    if believes || desk.has(Sabotage::AdoptsForeignAccounts) {
        return Ok(Found::Ours(number));
    }
    Ok(match mark_of(desk, number) {
        MarkState::Valid(mark)
            if mark.draft.integration == desk.context.integration
                && (mark.draft.account == account.id || desk.has(Sabotage::IgnoresTheMarksAccount)) =>
        {
            Found::Ours(number)
        }
        MarkState::Missing
        | MarkState::Valid(_)
        | MarkState::Copied
        | MarkState::Forged
        | MarkState::Foreign => Found::Foreign,
    })
}

/// Finds an account that is to be opened further.
fn ours(desk: &mut Desk<'_>, account: &AccountRef) -> Result<Number, Failure> {
    match find(desk, account)? {
        Found::Ours(number) => Ok(number),
        Found::Foreign => Err(foreign()),
        Found::Nobody if desk.has(Sabotage::GrantMakesWhatIsMissing) => {
            let row = AccountRow::shut(&account.name.0);
            desk.ask("make account", |state| state.make_account(row))
        }
        Found::Nobody => Err(missing()),
    }
}

/// Returns why a name cannot be one on this system.
fn name_fault(name: &str) -> Option<Failure> {
    let bad = name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0');
    bad.then(|| Failure::refused(Code::NAME_REFUSED, "a name has 1 to 63 bytes and no NUL"))
}

fn mark_text(desk: &Desk<'_>, draft: &MarkDraft, number: Number) -> Result<String, Failure> {
    let mark = draft.clone().complete(desk.identity(), ImmutableId(number.0.to_string()));
    desk.context
        .marks
        .write(&mark, MARK_BYTES)
        .map_err(|fault| Failure::refused(Code::DRIVER_FAULT, fault.to_string()))
}

pub(super) fn create(desk: &mut Desk<'_>, spec: &AccountSpec) -> Result<AccountRef, Failure> {
    let name = spec.account.name.0.clone();
    if let Some(fault) = name_fault(&name) {
        return Err(fault);
    }
    if desk.has(Sabotage::LogsNames) {
        tracing::info!(account = name, "Making an account");
    }
    let expires = if desk.has(Sabotage::CreateForgetsExpiry) { None } else { spec.expires };
    let number = match find(desk, &spec.account.to_ref())? {
        Found::Foreign => return Err(foreign()),
        Found::Ours(number) => {
            let mark = mark_text(desk, &spec.mark, number)?;
            let shuts = desk.has(Sabotage::CreateShutsWhatIsOpen);
            desk.ask(format!("mark {number:?}"), |state| {
                let row = state.row(number)?;
                row.mark = Some(mark);
                row.expires = expires;
                row.can_log_in &= !shuts;
                Ok(())
            })?;
            number
        }
        Found::Nobody => make(desk, spec, expires)?,
    };
    let immutable = Some(ImmutableId(number.0.to_string()));
    Ok(AccountRef { id: spec.account.id, name: spec.account.name.clone(), immutable })
}

/// Makes an account with its mark, in one statement: nothing of ours is ever without one.
fn make(desk: &mut Desk<'_>, spec: &AccountSpec, expires: Option<Timestamp>) -> Result<Number, Failure> {
    let state = desk.working.as_ref().unwrap_or(&desk.core.state);
    let next = Number(state.next + 1);
    let mark = mark_text(desk, &spec.mark, next)?;
    let mark = (!desk.has(Sabotage::CreateForgetsMark)).then_some(mark);
    let late = desk.has(Sabotage::MarksAfterCreating);
    let mut row = AccountRow::shut(&spec.account.name.0);
    row.expires = expires;
    row.can_log_in = desk.has(Sabotage::CreateLeavesOpen);
    if !late {
        row.mark = mark.clone();
    }
    let statement = format!("make account {}", spec.account.name.0.escape_debug());
    let number = desk.ask(statement, |state| state.make_account(row))?;
    if late {
        desk.ask("mark account", |state| {
            state.row(number)?.mark = mark;
            Ok(())
        })?;
    }
    Ok(number)
}

/// Sorts the wanted set into what the system has and the first refusal for what it has not.
fn sorted(desk: &Desk<'_>, wanted: &EntitlementSet) -> (Vec<Entitlement>, Option<Failure>) {
    let state = desk.working.as_ref().unwrap_or(&desk.core.state);
    let mut known = vec![];
    let mut refusal = None;
    for entitlement in wanted.iter() {
        let permission = entitlement.permission.0.as_str();
        let fault = if entitlement.resource.kind.0 != THING || ![READ_ONLY, READ_WRITE].contains(&permission)
        {
            (!desk.has(Sabotage::TakesUnknownPermissions))
                .then(|| Failure::refused(Code::PERMISSION_UNKNOWN, "there is no such permission"))
        } else if entitlement.resource.path.len() != 2 {
            Some(Failure::refused(Code::PERMISSION_UNKNOWN, "a path has a shelf and a thing"))
        } else {
            thing_fault(desk, state, &entitlement.resource)
        };
        match fault {
            None => known.push(entitlement.clone()),
            Some(fault) => refusal = refusal.or(Some(fault)),
        }
    }
    (known, refusal)
}

fn thing_fault(desk: &Desk<'_>, state: &State, resource: &ResourceId) -> Option<Failure> {
    let cut = |part: &String| part.chars().take(LONGEST_NAME).collect::<String>();
    let path: Vec<String> = if desk.has(Sabotage::CutsNames) {
        resource.path.iter().map(cut).collect()
    } else {
        resource.path.clone()
    };
    if let Some(fault) = path.iter().find_map(|part| name_fault(part)) {
        return Some(fault);
    }
    if desk.has(Sabotage::StumblesOverQuotes) && path.iter().any(|part| part.contains('"')) {
        return Some(Failure::refused(Code::DRIVER_FAULT, "a statement was not understood"));
    }
    let gone = !state.things.contains(&path) && !desk.has(Sabotage::TakesVanishedResources);
    gone.then(|| Failure::refused(Code::RESOURCE_MISSING, "the thing is not there: discover again"))
}

pub(super) fn grant(
    desk: &mut Desk<'_>,
    account: &AccountRef,
    wanted: &EntitlementSet,
) -> Result<(), Failure> {
    let number = ours(desk, account)?;
    let (known, refusal) = sorted(desk, wanted);
    if let (Some(refusal), true) = (&refusal, desk.has(Sabotage::VanishedHoldsUpEndings)) {
        return Err(refusal.clone());
    }
    let held = observed_roles(desk, number);
    let keep = !desk.has(Sabotage::GrantOnlyAdds);
    let dropped: Vec<_> = held
        .iter()
        .filter(|(_, gives)| keep && !wanted.contains(gives))
        .map(|(role, _)| role.clone())
        .collect();
    if !dropped.is_empty() {
        desk.whole(|desk| {
            dropped.into_iter().try_for_each(|role| {
                desk.ask(format!("leave {role}"), |state| {
                    state.row(number)?.roles.remove(&role);
                    Ok(())
                })
            })
        })?;
    }
    if let Some(refusal) = refusal {
        return Err(refusal);
    }
    if desk.has(Sabotage::GrantChangesCredential) {
        desk.ask("set credential", |state| {
            state.row(number)?.credential = Some(Stored::Clear("another one".into()));
            Ok(())
        })?;
    }
    desk.whole(|desk| known.iter().try_for_each(|entitlement| join(desk, number, entitlement)))
}

fn observed_roles(desk: &Desk<'_>, number: Number) -> Vec<(String, Entitlement)> {
    let state = desk.working.as_ref().unwrap_or(&desk.core.state);
    let maker = desk.maker();
    let Some(row) = state.accounts.get(&number) else { return vec![] };
    let role = |name: &String| state.roles.get(name).map(|role| (name.clone(), role));
    let ours = row.roles.iter().filter_map(role).filter(|(_, role)| role.maker == maker);
    ours.map(|(name, role)| (name, role.gives.clone())).collect()
}

fn join(desk: &mut Desk<'_>, number: Number, entitlement: &Entitlement) -> Result<(), Failure> {
    let word = if entitlement.permission.0 == READ_ONLY { "ro" } else { "rw" };
    let role = role_name(
        &Prefix::ours(LIMITS),
        word,
        &desk.context.connector,
        &desk.context.integration,
        &entitlement.resource.path,
        &entitlement.permission.0,
        LIMITS,
    )
    .map_err(|fault| Failure::refused(Code::DRIVER_FAULT, fault.to_string()))?;
    let maker = desk.maker();
    let refuses = desk.has(Sabotage::RefusesTheTenth);
    let ignores = desk.has(Sabotage::GivesWiderRoles);
    desk.ask(format!("make role {role}"), |state| {
        state.roles.entry(role.clone()).or_insert_with(|| RoleRow {
            maker,
            gives: entitlement.clone(),
            more: BTreeSet::new(),
        });
        if !ignores && state.roles.get(&role).is_some_and(|role| !role.more.is_empty()) {
            let detail = "a shared role holds more than it should: take back what was added to it";
            return Err(Failure::refused(Code::PERMISSION_ROLE_WIDER, detail).with_retry(Retry::NeedsHuman));
        }
        let members = state.accounts.values().filter(|row| row.roles.contains(&role)).count();
        if refuses && members >= 9 {
            return Err(Failure::refused(Code::BUSY, "too many at once"));
        }
        Ok(())
    })?;
    desk.ask(format!("join {role}"), |state| {
        state.row(number)?.roles.insert(role.clone());
        Ok(())
    })
}

pub(super) fn rotate(desk: &mut Desk<'_>, account: &AccountRef, credential: &Stored) -> Result<(), Failure> {
    let number = ours(desk, account)?;
    if desk.has(Sabotage::LogsSecrets) {
        let hex: String = credential.text().bytes().map(|byte| format!("{byte:02x}")).collect();
        tracing::trace!(statement = hex, "Setting a credential");
    }
    if desk.has(Sabotage::RotateDoesNothing) {
        return Ok(());
    }
    let (opens, credential) = (desk.has(Sabotage::RotateOpens), credential.clone());
    let statement = format!("set credential of {number:?} to '{}'", credential.text());
    let text = credential.text().to_owned();
    let answer = desk.ask(statement, |state| {
        let row = state.row(number)?;
        row.credential = Some(credential);
        row.can_log_in |= opens;
        Ok(())
    });
    answer.map_err(|failure| match desk.has(Sabotage::SecretInFailure) {
        true => Failure { detail: format!("set credential to '{text}' failed"), ..failure },
        false => failure,
    })
}

pub(super) fn enable(desk: &mut Desk<'_>, account: &AccountRef) -> Result<(), Failure> {
    let number = ours(desk, account)?;
    desk.ask(format!("open the login of {number:?}"), |state| {
        state.row(number)?.can_log_in = true;
        Ok(())
    })
}

pub(super) fn renew(
    desk: &mut Desk<'_>,
    account: &AccountRef,
    draft: &MarkDraft,
    expires: Option<Timestamp>,
) -> Result<(), Failure> {
    let number = ours(desk, account)?;
    let mark = mark_text(desk, draft, number)?;
    let (opens, forgets) = (desk.has(Sabotage::RenewOpens), desk.has(Sabotage::RenewForgetsExpiry));
    desk.ask(format!("mark {number:?}"), |state| {
        let row = state.row(number)?;
        row.mark = Some(mark);
        row.can_log_in |= opens;
        if !forgets {
            row.expires = expires;
        }
        Ok(())
    })
}

pub(super) fn open(
    desk: &mut Desk<'_>,
    spec: &AccountSpec,
    wanted: &EntitlementSet,
    credential: &Stored,
) -> Result<AccountRef, Failure> {
    desk.whole(|desk| {
        let account = create(desk, spec)?;
        grant(desk, &account, wanted)?;
        rotate(desk, &account, credential)?;
        enable(desk, &account)?;
        Ok(account)
    })
}
